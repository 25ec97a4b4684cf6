#include "connect/json_text.hpp"

#include <brigade/connect/expression.hpp>
#include <brigade/connect/parse.hpp>
#include <brigade/connect/record.hpp>
#include <brigade/pipeline/registry.hpp>

#include <algorithm>
#include <variant>

namespace brigade {
namespace {

struct embedded_json {};
using parser = std::variant<embedded_json, web_format, regex_parser>;

class parse_stage final : public stage_body {
 public:
  parse_stage(parser how, native_expression from, std::string from_text, bool keep_rest)
      : how_(std::move(how)),
        from_(std::move(from)),
        from_text_(std::move(from_text)),
        from_line_(from_.single_key() == "line"),
        keep_rest_(keep_rest) {}

  [[nodiscard]] bool immediate() const override { return true; }
  [[nodiscard]] bool wants_names() const override { return false; }

  attempt_result run_now(payload& item, const attempt_info&) override {
    const record& input = item.get<record>();
    std::string output;
    if (input.what() == record::shape::line && from_line_) {
      if (const std::size_t valid = valid_utf8_prefix(input.raw()); valid != input.raw().size()) {
        throw permanent_error("invalid UTF-8 at byte " + std::to_string(valid + 1) +
                              " of the line '" + excerpt(input.raw()) + "'");
      }
      output = parsed(input.raw());
    } else {
      const std::string json = input.json_text();
      const std::string value = from_.evaluate(json);
      if (json_text::kind_of(value) != json_text::kind::string) {
        throw permanent_error(from_text_ + " is no text to parse: '" + excerpt(value) + "'");
      }
      std::string storage;
      output = parsed(json_text::unquoted(value, storage));
      if (keep_rest_) add_rest(output, json);
    }
    return attempt_result::passed(payload(record::json(std::move(output))));
  }

 private:
  std::string parsed(std::string_view text) {
    if (std::holds_alternative<embedded_json>(how_)) return from_json(text);
    std::string output;
    output.reserve(text.size() + text.size() / 2 + 128);
    output.push_back('{');
    auto* const regex = std::get_if<regex_parser>(&how_);
    const auto why = regex != nullptr ? regex->append(text, output)
                                      : append_web_log(std::get<web_format>(how_), text, output);
    if (why) throw permanent_error(*why);
    output.push_back('}');
    return output;
  }

  static std::string from_json(std::string_view text) {
    if (const auto problem = json_text::check(text)) {
      throw permanent_error("not JSON: " + problem->why + " at byte " +
                            std::to_string(problem->at) + ": '" + excerpt(text) + "'");
    }
    std::string output(json_text::trimmed(text));
    // Outside of strings, where newlines are written \n, a newline is only a blank.
    std::replace(output.begin(), output.end(), '\n', ' ');
    std::replace(output.begin(), output.end(), '\r', ' ');
    return output;
  }

  // The item's other members, behind the parsed ones; of one name the parsed one stays.
  void add_rest(std::string& output, std::string_view json) const {
    if (json_text::kind_of(output) != json_text::kind::object) {
      throw permanent_error(
          "the parsed JSON is no object, so keep_rest has nowhere to put the rest");
    }
    std::string rest;
    std::string storage;
    json_text::object_reader members(json_text::trimmed(json));
    while (members.next()) {
      const std::string_view key = json_text::unquoted(members.key(), storage);
      if (from_.single_key() == key || json_text::member(output, key)) continue;
      rest.push_back(',');
      rest.append(members.key());
      rest.push_back(':');
      rest.append(members.value());
    }
    output.pop_back();
    const bool nothing_before = !json_text::object_reader(output).next();
    output.append(rest, nothing_before && !rest.empty() ? 1 : 0);
    output.push_back('}');
  }

  parser how_;
  native_expression from_;
  std::string from_text_;
  bool from_line_;
  bool keep_rest_;
};

parser make_parser(const settings& given) {
  const bool has_types = given.has("types") && !given.table("types").empty();
  if (given.has("regex") == given.has("format")) {
    throw config_error(given.has("regex") ? "regex" : "format",
                       "give either format (json, combined, common) or regex");
  }
  if (given.has("regex")) {
    return regex_parser(given.text("regex"),
                        has_types ? given.table("types") : std::map<std::string, std::string>{});
  }
  if (has_types) throw config_error("types", "types belong to a regex; a format knows its own");
  const std::string& format = given.text("format");
  if (format == "json") return embedded_json{};
  return format == "common" ? web_format::common : web_format::combined;
}

std::unique_ptr<stage_body> make_stage(const settings& given, const component_context&) {
  const std::string& from = given.text("from");
  auto path = native_expression::parse(from);
  if (!path || !path->is_path()) {
    throw config_error("from", "'" + from + "' is no plain path like .line or .message.text");
  }
  return std::make_unique<parse_stage>(make_parser(given), *std::move(path), from,
                                       given.flag("keep_rest"));
}

}  // namespace

void register_parse(registry& to) {
  component parse;
  parse.name = "parse";
  parse.doc = "Replaces a line by its fields; a line that does not match is a permanent failure.";
  parse.fields = {
      field_spec{.name = "format",
                 .type = field_type::choice,
                 .fallback = {},
                 .doc = "What the text is; in the web formats status and bytes are integers and - "
                        "is null.",
                 .choices = {"json", "combined", "common"},
                 .example = "combined"},
      field_spec{.name = "regex",
                 .type = field_type::text,
                 .fallback = {},
                 .doc = "A PCRE2 pattern instead of a format; its named groups become fields.",
                 .example = R"('^(?<level>\w+) (?<text>.*)$')"},
      field_spec{.name = "types",
                 .type = field_type::text_map,
                 .fallback = {},
                 .doc = "What groups of the regex are: int, float or text.",
                 .example = "{ status: int }"},
      field_spec{.name = "from",
                 .type = field_type::text,
                 .fallback = ".line",
                 .doc = "A path to the text.",
                 .example = ".message"},
      field_spec{.name = "keep_rest",
                 .type = field_type::boolean,
                 .fallback = "false",
                 .doc = "Whether the item's other fields stay beside the parsed ones."}};
  parse.refuses = {"timeout"};
  parse.shorthand = "format";
  parse.make_stage = make_stage;
  to.add(std::move(parse));
}

}  // namespace brigade
