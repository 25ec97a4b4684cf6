#include "connect/generate_source.hpp"
#include "connect/json_text.hpp"

#include <brigade/connect/generate.hpp>
#include <brigade/pipeline/registry.hpp>

#include <algorithm>
#include <memory>

namespace brigade {
namespace {

/// Whether an item is sound does not depend on its number: all are digits without a zero before
/// them.
constexpr std::uint64_t sample_number = 1;

std::string line_pattern(const std::string& text) {
  if (text.find_first_of("\r\n") == std::string::npos) return text;
  throw config_error("text", "'text' is one line of text, and this has a newline in it");
}

/// On one line: outside of its strings JSON does not mind.
std::string json_pattern(const std::string& text) {
  if (const auto wrong = json_text::check(numbered(text, sample_number))) {
    throw config_error("json", "'json' is not JSON when {n} is " + std::to_string(sample_number) +
                                   ": " + wrong->why + " at byte " + std::to_string(wrong->at));
  }
  std::string line(json_text::trimmed(text));
  std::replace_if(line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return line;
}

generate_options options_of(const settings& given, const component_context& context) {
  generate_options options;
  options.name = context.name;
  if (given.has("text") == given.has("json")) {
    throw config_error("json", given.has("text")
                                   ? "'generate' takes 'text' or 'json', not both"
                                   : "'generate' needs 'text' or 'json': what an item looks like");
  }
  if (given.has("json")) {
    options.shape = record::shape::json;
    options.pattern = json_pattern(given.text("json"));
  } else {
    options.pattern = line_pattern(given.text("text"));
  }
  if (given.has("count")) {
    if (given.integer("count") < 0) throw config_error("count", "'count' must be at least 0");
    options.count = static_cast<std::uint64_t>(given.integer("count"));
  }
  if (given.has("every")) options.every = given.duration("every");
  return options;
}

}  // namespace

void register_generate(registry& to) {
  component generate;
  generate.kind = component_kind::source;
  generate.name = "generate";
  generate.doc = "Makes numbered items, to try a pipeline or to measure it.";
  generate.shorthand = "text";
  generate.fields = {
      field_spec{.name = "text",
                 .type = field_type::text,
                 .fallback = {},
                 .doc = "The line of an item; {n} stands for its number, from 1. This or json.",
                 .example = R"("item {n}")"},
      field_spec{.name = "json",
                 .type = field_type::text,
                 .fallback = {},
                 .doc = "The JSON of an item, as text; {n} stands for its number. This or text.",
                 .example = R"('{"order": {n}, "total": 5}')"},
      field_spec{.name = "count",
                 .type = field_type::integer,
                 .fallback = {},
                 .doc = "How many; without it there is no end.",
                 .example = "1000"},
      field_spec{.name = "every",
                 .type = field_type::duration,
                 .fallback = {},
                 .doc = "From one item to the next; without it as fast as they are taken.",
                 .example = "10ms"}};
  generate.make_source = [](const settings& given, const component_context& context) {
    return std::make_unique<generate_source>(options_of(given, context));
  };
  to.add(std::move(generate));
}

}  // namespace brigade
