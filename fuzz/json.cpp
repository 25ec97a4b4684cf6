// JSON read as text, against Boost.JSON, which builds a document of it.
#include "connect/json_text.hpp"
#include "fuzz.hpp"

#include <brigade/connect/record.hpp>

#include <boost/json.hpp>

#include <string>

namespace brigade::fuzz {
namespace {

namespace json = boost::json;

void compare(std::string_view text, const json::value& wanted);

void compare_object(std::string_view text, const json::object& wanted) {
  std::string storage;
  json_text::object_reader members(text);
  std::size_t count = 0;
  while (members.next()) {
    ++count;
    const std::string_view key = json_text::unquoted(members.key(), storage);
    demand(wanted.contains(key), "a member that Boost has not");
  }
  demand(count >= wanted.size(), "Boost has a member more");
  for (const auto& each : wanted) {
    const auto found = json_text::member(text, each.key());
    demand(found.has_value(), "a member that is not found");
    compare(*found, each.value());
  }
}

void compare_array(std::string_view text, const json::array& wanted) {
  json_text::array_reader elements(text);
  for (const json::value& each : wanted) {
    demand(elements.next(), "Boost has an element more");
    compare(elements.value(), each);
  }
  demand(!elements.next(), "an element that Boost has not");
}

void compare(std::string_view text, const json::value& wanted) {
  using json_text::kind;
  const kind found = json_text::kind_of(text);
  std::string storage;
  switch (wanted.kind()) {
    case json::kind::object:
      demand(found == kind::object, "Boost sees an object");
      return compare_object(text, wanted.get_object());
    case json::kind::array:
      demand(found == kind::array, "Boost sees an array");
      return compare_array(text, wanted.get_array());
    case json::kind::string:
      demand(found == kind::string, "Boost sees a string");
      return demand(json_text::unquoted(text, storage) == wanted.get_string(), "strings differ");
    case json::kind::bool_:
      return demand(found == (wanted.get_bool() ? kind::boolean_true : kind::boolean_false),
                    "Boost sees a boolean");
    case json::kind::null:
      return demand(found == kind::null, "Boost sees null");
    case json::kind::int64:
      demand(found == kind::number, "Boost sees a number");
      return demand(json_text::to_int64(text) == wanted.get_int64(), "integers differ");
    case json::kind::uint64:
      return demand(found == kind::number && !json_text::to_int64(text), "too large for int64");
    case json::kind::double_:
      demand(found == kind::number, "Boost sees a number");
      static_cast<void>(json_text::to_double(text));
      static_cast<void>(json_text::survives_double(text));
      return;
  }
}

void run(std::string_view input) {
  json::parse_options options;
  options.max_depth = 100'000;
  json::error_code error;
  const json::value wanted = json::parse(input, error, {}, options);
  const auto problem = json_text::check(input);
  if (problem) {
    demand(problem->at <= input.size() + 1 && !problem->why.empty(), "a problem has a place");
  }
  // Boost refuses numbers beyond doubles, which are JSON all the same.
  if (error == json::error::exponent_overflow) return;
  demand(problem.has_value() == error.failed(), "what is JSON is JSON for both");
  if (!problem) compare(json_text::trimmed(input), wanted);
  // Of anything else, the readers make little sense, but they read no byte beyond it.
  std::string storage;
  static_cast<void>(json_text::member(input, "a"));
  static_cast<void>(json_text::unquoted(input, storage));
  static_cast<void>(json_text::leading_value(input));
  json_text::array_reader elements(input);
  for (std::size_t i = 0; i <= input.size() && elements.next(); ++i) {
    demand(input.data() <= elements.value().data() &&
               elements.value().data() + elements.value().size() <= input.data() + input.size(),
           "an element is a part of the text");
  }
}

}  // namespace
}  // namespace brigade::fuzz

BRIGADE_FUZZ(json, brigade::fuzz::run);
