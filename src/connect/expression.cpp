#include "connect/json_text.hpp"

#include <brigade/connect/expression.hpp>
#include <brigade/connect/record.hpp>
#include <brigade/pipeline/stage.hpp>

#include <charconv>
#include <compare>

namespace brigade {
namespace {

using json_text::kind;

bool is_word_start(char c) {
  const char lower = static_cast<char>(c | 0x20);
  return (lower >= 'a' && lower <= 'z') || c == '_';
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Exact for every double and every integer of 64 bits: a long double has at least 64 bits.
long double number_of(std::string_view text) {
  const char* const end = text.data() + text.size();
  if (json_text::is_integer(text)) {
    std::uint64_t magnitude = 0;
    const bool negative = text.starts_with('-');
    const auto read = std::from_chars(text.data() + (negative ? 1 : 0), end, magnitude);
    if (read.ec == std::errc{}) {
      const auto value = static_cast<long double>(magnitude);
      return negative ? -value : value;
    }
  }
  double value = 0;
  if (std::from_chars(text.data(), end, value).ec == std::errc::result_out_of_range) {
    const std::size_t exponent = text.find_first_of("eE");
    const bool tiny = exponent != std::string_view::npos && text.substr(exponent + 1)[0] == '-';
    value = tiny ? 0 : 1.7976931348623157e308;
    if (text.starts_with('-')) value = -value;
  }
  return value;
}

std::weak_ordering order(std::string_view left, std::string_view right) {
  const kind what = json_text::kind_of(left);
  if (what != json_text::kind_of(right)) {
    return static_cast<int>(what) <=> static_cast<int>(json_text::kind_of(right));
  }
  if (what == kind::number) {
    const long double a = number_of(left);
    const long double b = number_of(right);
    if (a < b) return std::weak_ordering::less;
    return a > b ? std::weak_ordering::greater : std::weak_ordering::equivalent;
  }
  if (what == kind::string) {
    std::string left_storage;
    std::string right_storage;
    return json_text::unquoted(left, left_storage)
               .compare(json_text::unquoted(right, right_storage)) <=> 0;
  }
  return std::weak_ordering::equivalent;
}

std::string_view element(std::string_view array, std::int64_t index) {
  if (index < 0) {
    json_text::array_reader counted(array);
    while (counted.next()) ++index;
    if (index < 0) return "null";
  }
  json_text::array_reader elements(array);
  while (elements.next()) {
    if (index-- == 0) return elements.value();
  }
  return "null";
}

}  // namespace

/// Reads the two forms; gives up on everything else.
class expression_parser {
 public:
  explicit expression_parser(std::string_view text) : rest_(text) {}

  std::optional<native_expression> run() {
    native_expression result;
    native_expression::comparison compared;
    skip_blanks();
    const bool path_first = rest_.starts_with('.') && !(rest_.size() > 1 && is_digit(rest_[1]));
    if (path_first ? !path(result.path_) : !constant(compared.constant)) return std::nullopt;
    skip_blanks();
    if (path_first && rest_.empty()) return result;
    if (!relation(compared.how)) return std::nullopt;
    skip_blanks();
    if (path_first ? !constant(compared.constant) : !path(result.path_)) return std::nullopt;
    skip_blanks();
    if (!rest_.empty()) return std::nullopt;
    if (!path_first) compared.how = mirrored(compared.how);
    result.comparison_ = std::move(compared);
    return result;
  }

 private:
  using steps = std::vector<native_expression::step>;
  using how = native_expression::relation;

  void skip_blanks() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\t' || rest_[0] == '\n')) drop(1);
  }
  void drop(std::size_t count) { rest_.remove_prefix(count); }

  // `.` alone, or steps `.word`, `["key"]`, `[index]`; the first begins with a dot.
  bool path(steps& to) {
    if (!rest_.starts_with('.')) return false;
    if (rest_.size() > 1 && is_word_start(rest_[1])) {
      word_step(to);
    } else {
      drop(1);
    }
    for (;;) {
      if (rest_.starts_with('[')) {
        if (!bracket_step(to)) return false;
      } else if (rest_.size() > 1 && rest_[0] == '.' && is_word_start(rest_[1]) && !to.empty()) {
        word_step(to);
      } else if (rest_.starts_with(".[") && !to.empty()) {
        return false;  // an error in jq 1.6
      } else {
        return true;
      }
    }
  }

  void word_step(steps& to) {
    std::size_t end = 1;
    while (end < rest_.size() && (is_word_start(rest_[end]) || is_digit(rest_[end]))) ++end;
    to.push_back({std::string(rest_.substr(1, end - 1)), 0});
    drop(end);
  }

  bool bracket_step(steps& to) {
    drop(1);
    std::string key;
    native_expression::step next;
    if (rest_.starts_with('"')) {
      if (!string(key)) return false;
      std::string storage;
      next.key = std::string(json_text::unquoted(key, storage));
    } else {
      constexpr std::size_t digits_max = 9;
      const char* const end = rest_.data() + rest_.size();
      const auto read = std::from_chars(rest_.data(), end, next.index);
      const auto length = static_cast<std::size_t>(read.ptr - rest_.data());
      if (read.ec != std::errc{} || length > digits_max) return false;
      drop(length);
    }
    if (!rest_.starts_with(']')) return false;
    drop(1);
    to.push_back(std::move(next));
    return true;
  }

  bool constant(std::string& to) {
    if (rest_.starts_with('"')) return string(to);
    for (const std::string_view word : {"null", "true", "false"}) {
      if (!rest_.starts_with(word)) continue;
      drop(word.size());
      to = word;
      return rest_.empty() || !(is_word_start(rest_[0]) || is_digit(rest_[0]) || rest_[0] == ':');
    }
    return number(to);
  }

  // Only what is a number in JSON too; jq's `.5` and `5.` are left to jq.
  bool number(std::string& to) {
    const std::size_t end = rest_.find_first_not_of("+-.0123456789eE");
    const std::string_view text = rest_.substr(0, end);
    if (text.empty() || json_text::check(text).has_value()) return false;
    to = text;
    drop(text.size());
    return true;
  }

  // A string without interpolation: jq's escapes are JSON's.
  bool string(std::string& to) {
    const std::string_view text = json_text::leading_value(rest_);
    if (json_text::check(text).has_value()) return false;
    to = text;
    drop(text.size());
    return true;
  }

  bool relation(how& to) {
    struct spelling {
      std::string_view text;
      how meaning;
    };
    for (const auto& [text, meaning] :
         {spelling{"==", how::equal}, spelling{"!=", how::unequal}, spelling{"<=", how::less_equal},
          spelling{">=", how::greater_equal}, spelling{"<", how::less},
          spelling{">", how::greater}}) {
      if (!rest_.starts_with(text)) continue;
      drop(text.size());
      to = meaning;
      return true;
    }
    return false;
  }

  static how mirrored(how relation) {
    switch (relation) {
      case how::less:
        return how::greater;
      case how::less_equal:
        return how::greater_equal;
      case how::greater:
        return how::less;
      case how::greater_equal:
        return how::less_equal;
      default:
        return relation;
    }
  }

  std::string_view rest_;
};

std::optional<native_expression> native_expression::parse(std::string_view text) {
  return expression_parser(text).run();
}

std::string native_expression::evaluate(std::string_view json) const {
  const std::string_view value = resolve(json);
  if (!comparison_) return std::string(value);
  return compare(value) ? "true" : "false";
}

bool native_expression::holds(std::string_view json) const {
  const std::string_view value = resolve(json);
  if (comparison_) return compare(value);
  const kind what = json_text::kind_of(value);
  return what != kind::null && what != kind::boolean_false;
}

std::optional<std::string_view> native_expression::single_key() const {
  if (comparison_ || path_.size() != 1 || !path_[0].key) return std::nullopt;
  return *path_[0].key;
}

std::string_view native_expression::resolve(std::string_view json) const {
  std::string_view value = json_text::trimmed(json);
  for (const step& next : path_) {
    const kind what = json_text::kind_of(value);
    if (what == kind::null) continue;
    if (next.key && what == kind::object) {
      value = json_text::member(value, *next.key).value_or("null");
    } else if (!next.key && what == kind::array) {
      value = element(value, next.index);
    } else {
      std::string message = "Cannot index ";
      message += json_text::kind_name(what);
      message += next.key ? " with string " + json_quoted(*next.key) : " with number";
      throw permanent_error(message);
    }
  }
  return value;
}

bool native_expression::compare(std::string_view value) const {
  const std::weak_ordering result = order(value, comparison_->constant);
  switch (comparison_->how) {
    case relation::equal:
      return result == 0;
    case relation::unequal:
      return result != 0;
    case relation::less:
      return result < 0;
    case relation::less_equal:
      return result <= 0;
    case relation::greater:
      return result > 0;
    case relation::greater_equal:
      return result >= 0;
  }
  return false;
}

}  // namespace brigade
