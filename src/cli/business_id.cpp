#include "cli/business_id.hpp"

#include <brigade/connect/jq.hpp>
#include <brigade/connect/record.hpp>
#include <brigade/pipeline/stage.hpp>

#include <boost/json.hpp>

#include <charconv>
#include <limits>
#include <memory>
#include <optional>
#include <system_error>

namespace brigade::cli {

namespace {

std::string plain(const std::string& json) {
  if (json.empty() || json == "null") return {};
  if (json.front() != '"') return json;
  return std::string(boost::json::parse(json).as_string());
}

std::string first_result(jq_program& program, std::string_view json) {
  const std::vector<std::string> results = program.run(json, 1);
  return results.empty() ? std::string() : plain(results.front());
}

}  // namespace

std::function<std::string(const payload&)> business_id_of(std::string_view expression) {
  auto native = native_expression::parse(expression);
  // One program for all items; std::function wants a copyable callable.
  std::shared_ptr<jq_program> program;
  if (!native) program = std::make_shared<jq_program>(expression);
  return [native, program](const payload& item) -> std::string {
    try {
      const std::string json = item.get<record>().json_text();
      return native ? plain(native->evaluate(json)) : first_result(*program, json);
    } catch (const permanent_error&) {
      return {};  // an item without an id is an item all the same
    }
  };
}

std::function<double(const payload&)> priority_of(std::string_view expression) {
  return [value = business_id_of(expression)](const payload& item) {
    const std::string text = value(item);
    if (text == "true") return 1.0;
    if (text == "false") return 0.0;
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = error == std::errc() && end == text.data() + text.size();
    return whole ? number : std::numeric_limits<double>::quiet_NaN();
  };
}

}  // namespace brigade::cli
