#include "connect/jq_words.hpp"
#include "connect/json_text.hpp"

#include <brigade/connect/jq.hpp>
#include <brigade/connect/record.hpp>
#include <brigade/pipeline/stage.hpp>

#include <stdexcept>
#include <utility>

extern "C" {
#include <jq.h>
#include <jv.h>
}

namespace brigade {
namespace {

constexpr std::size_t depth_max = 256;  // of libjq's parser, and of what it prints

// Three builtins of jq 1.6 end the process, or lose an item without a word, when an item makes
// them: `error` given null stops the program as if it had no more outputs; `strftime` aborts on a
// format that is no string, and on a number of seconds that has no date. All on one line, so that
// line numbers in messages are the user's.
constexpr std::string_view safer_builtins =
    "def _brigade_error(m): m as $m | if $m == null then error(\"null (null)\") else error($m) "
    "end; "
    "def error(m): _brigade_error(m); def error: _brigade_error(.); "
    "def _brigade_format(f): f as $f | if ($f | type) == \"string\" then $f "
    "else error(\"a time format must be a string\") end; "
    "def _brigade_strftime(f): (if type == \"number\" then gmtime else . end) "
    "| strftime(_brigade_format(f)); "
    "def strftime(f): _brigade_strftime(f); "
    "def _brigade_strflocaltime(f): (if type == \"number\" then localtime else . end) "
    "| strflocaltime(_brigade_format(f)); "
    "def strflocaltime(f): _brigade_strflocaltime(f); "
    "def todateiso8601: strftime(\"%Y-%m-%dT%H:%M:%SZ\"); def todate: todateiso8601; "
    "def date: todateiso8601; ";

/// Owns one reference to a value.
class value {
 public:
  explicit value(jv held) : held_(held) {}
  value(const value&) = delete;
  value& operator=(const value&) = delete;
  ~value() { jv_free(held_); }

  [[nodiscard]] bool valid() const { return jv_is_valid(held_) != 0; }
  [[nodiscard]] jv get() const { return held_; }
  [[nodiscard]] jv copy() const { return jv_copy(held_); }

 private:
  jv held_;
};

std::string string_of(const value& text) {
  return {jv_string_value(text.get()),
          static_cast<std::size_t>(jv_string_length_bytes(text.copy()))};
}

std::string json_of(const value& any) { return string_of(value(jv_dump_string(any.copy(), 0))); }

// What an invalid value says; nothing: it is none, only the end of the outputs.
std::optional<std::string> error_of(const value& invalid) {
  if (jv_invalid_has_msg(invalid.copy()) == 0) return std::nullopt;
  const value message(jv_invalid_get_msg(invalid.copy()));
  const bool text = jv_get_kind(message.get()) == JV_KIND_STRING;
  return text ? string_of(message) : json_of(message);
}

// `jq: error: syntax error, ... at <top-level>, line 1:` and lines of source: only the first says
// something, and without its frame.
void note_first_error(void* to, jv message) {
  auto& first = *static_cast<std::string*>(to);
  const value held(message);
  if (!first.empty() || jv_get_kind(held.get()) != JV_KIND_STRING) return;
  std::string text = string_of(held);
  text.resize(std::min(text.find('\n'), text.size()));
  constexpr std::string_view frame = "jq: error: ";
  if (text.starts_with(frame)) text.erase(0, frame.size());
  constexpr std::string_view place = " at <top-level>, ";
  if (const auto at = text.find(place); at != std::string::npos) {
    text.replace(at, place.size(), " in ");
  }
  while (text.ends_with(':')) text.pop_back();
  first = text;
}

void ignore_message(void*, jv message) { jv_free(message); }

}  // namespace

void jq_program::closes::operator()(jq_state* state) const { jq_teardown(&state); }

jq_program::jq_program(std::string_view text) {
  if (text.find('\0') != std::string_view::npos || !valid_utf8(text)) {
    throw std::invalid_argument("a jq program is UTF-8 text without NUL");
  }
  if (const auto word = refused_jq_word(text)) {
    throw std::invalid_argument("'" + *word +
                                "' is refused: it would end the process, or reach beyond the item");
  }
  state_.reset(jq_init());
  if (!state_) throw std::invalid_argument("libjq cannot start: out of memory");
  std::string error;
  jq_set_error_cb(state_.get(), note_first_error, &error);
  const std::string program = std::string(safer_builtins) + std::string(text);
  const bool compiled = jq_compile(state_.get(), program.c_str()) != 0;
  jq_set_error_cb(state_.get(), ignore_message, nullptr);
  if (!compiled) throw std::invalid_argument("not a jq program: " + error);
}

jq_program::jq_program(jq_program&&) noexcept = default;
jq_program& jq_program::operator=(jq_program&&) noexcept = default;
jq_program::~jq_program() = default;

std::vector<std::string> jq_program::run(std::string_view json) {
  return run(json, static_cast<std::size_t>(-1));
}

std::vector<std::string> jq_program::run(std::string_view json, std::size_t outputs_max) {
  const value input(jv_parse_sized(json.data(), static_cast<int>(json.size())));
  if (!input.valid()) {
    throw permanent_error("jq cannot read the item: " + error_of(input).value_or("it is empty"));
  }
  std::vector<std::string> outputs;
  jq_start(state_.get(), input.copy(), 0);
  while (outputs.size() < outputs_max) {
    const value output(jq_next(state_.get()));
    if (!output.valid()) {
      if (const auto error = error_of(output)) throw permanent_error(*error);
      break;
    }
    outputs.push_back(json_of(output));
  }
  return outputs;
}

std::optional<std::string> changed_by_jq(std::string_view json) {
  std::size_t depth = 0;
  while (!json.empty()) {
    const char c = json.front();
    std::size_t taken = 1;
    if (c == '"') {
      taken = json_text::leading_value(json).size();
    } else if (c == '{' || c == '[') {
      if (++depth > depth_max) {
        return "the item is nested deeper than " + std::to_string(depth_max) + ", too deep for jq";
      }
    } else if (c == '}' || c == ']') {
      if (depth > 0) --depth;
    } else if (c == '-' || (c >= '0' && c <= '9')) {
      const std::string_view number = json_text::leading_value(json);
      if (!json_text::survives_double(number)) {
        return "jq would change the number " + excerpt(number) + ": it works in doubles";
      }
      taken = number.size();
    }
    json.remove_prefix(taken);
  }
  return std::nullopt;
}

condition::condition(std::string_view expression) : native_(native_expression::parse(expression)) {
  if (!native_) program_.emplace(expression);
}

bool condition::holds(std::string_view json) {
  if (native_) return native_->holds(json);
  constexpr std::size_t one_too_many = 2;
  const std::vector<std::string> outputs = program_->run(json, one_too_many);
  if (outputs.size() == one_too_many) {
    throw permanent_error("the expression gives more than one result");
  }
  return !outputs.empty() && outputs[0] != "false" && outputs[0] != "null";
}

}  // namespace brigade
