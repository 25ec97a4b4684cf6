// The check of a whole text: a loop with its own stack of brackets, so that no depth of nesting
// can end the process.
#include "connect/json_text.hpp"

#include <brigade/connect/record.hpp>

#include <array>

namespace brigade::json_text {
namespace {

constexpr auto plain_in_string = [] {
  std::array<bool, 256> table{};
  for (std::size_t c = 0x20; c < table.size(); ++c) table[c] = c != '"' && c != '\\';
  return table;
}();

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

class checker {
 public:
  explicit checker(std::string_view text)
      : begin_(text.data()), at_(text.data()), end_(text.data() + text.size()) {}

  std::optional<problem> run() {
    if (whole_text()) return std::nullopt;
    return problem{why_, static_cast<std::size_t>(at_ - begin_) + 1};
  }

 private:
  bool whole_text() {
    skip_blanks();
    if (!value()) return false;
    while (!nesting_.empty()) {
      if (!behind_a_value()) return false;
    }
    skip_blanks();
    return at_ == end_ || fail("unexpected text behind the value");
  }

  // A comma and the next value, or the end of the innermost container.
  bool behind_a_value() {
    skip_blanks();
    const bool in_object = nesting_.back() == '{';
    if (at_ == end_) return fail("the text ends too early");
    if (*at_ == (in_object ? '}' : ']')) {
      ++at_;
      nesting_.pop_back();
      return true;
    }
    if (*at_ != ',') return fail(in_object ? "expected ',' or '}'" : "expected ',' or ']'");
    ++at_;
    skip_blanks();
    return (!in_object || key()) && value();
  }

  // A scalar or an empty container; of a container that is not empty all up to its first scalar.
  bool value() {
    for (;;) {
      if (at_ == end_) return fail("the text ends too early");
      if (*at_ != '{' && *at_ != '[') return scalar();
      const char open = *at_++;
      skip_blanks();
      if (at_ != end_ && *at_ == (open == '{' ? '}' : ']')) {
        ++at_;
        return true;
      }
      nesting_.push_back(open);
      if (open == '{' && !key()) return false;
    }
  }

  bool key() {
    if (at_ == end_) return fail("the text ends too early");
    if (*at_ != '"') return fail("expected a key in double quotes");
    if (!string()) return false;
    skip_blanks();
    if (at_ == end_) return fail("the text ends too early");
    if (*at_ != ':') return fail("expected ':'");
    ++at_;
    skip_blanks();
    return true;
  }

  bool scalar() {
    switch (*at_) {
      case '"':
        return string();
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        break;
    }
    return *at_ == '-' || is_digit(*at_) ? number() : fail("expected a value");
  }

  bool word(std::string_view expected) {
    if (std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(expected)) {
      at_ += expected.size();
      return true;
    }
    return fail("expected a value");
  }

  bool number() {
    if (*at_ == '-') ++at_;
    if (at_ != end_ && *at_ == '0') {
      ++at_;
    } else if (!digits()) {
      return false;
    }
    if (at_ != end_ && *at_ == '.') {
      ++at_;
      if (!digits()) return false;
    }
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      ++at_;
      if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
      return digits();
    }
    return true;
  }

  bool digits() {
    if (at_ == end_ || !is_digit(*at_)) return fail("expected a digit");
    while (at_ != end_ && is_digit(*at_)) ++at_;
    return true;
  }

  bool string() {
    ++at_;
    for (;;) {
      while (at_ != end_ && plain_in_string[static_cast<unsigned char>(*at_)]) ++at_;
      if (at_ == end_) return fail("a string without its closing quote");
      if (*at_ == '"') {
        ++at_;
        return true;
      }
      if (*at_ != '\\') return fail("a control character in a string");
      if (!escape()) return false;
    }
  }

  bool escape() {
    const char* const start = at_++;
    if (at_ == end_) return fail("a string without its closing quote");
    constexpr std::string_view simple = "\"\\/bfnrt";
    if (simple.find(*at_) != std::string_view::npos) {
      ++at_;
      return true;
    }
    if (*at_ != 'u') return fail("an unknown escape in a string");
    ++at_;
    unsigned unit = 0;
    if (!four_hex(unit)) return false;
    if (unit < 0xD800 || unit > 0xDFFF) return true;
    unsigned low = 0;
    if (unit < 0xDC00 && end_ - at_ >= 2 && at_[0] == '\\' && at_[1] == 'u') {
      at_ += 2;
      if (!four_hex(low)) return false;
    }
    if (low >= 0xDC00 && low <= 0xDFFF) return true;
    at_ = start;
    return fail("half of a surrogate pair in a string");
  }

  bool four_hex(unsigned& unit) {
    for (int i = 0; i < 4; ++i, ++at_) {
      if (at_ == end_) return fail("a string without its closing quote");
      const char c = *at_;
      const char lower = static_cast<char>(c | 0x20);
      if (is_digit(c)) {
        unit = unit * 16 + static_cast<unsigned>(c - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        unit = unit * 16 + static_cast<unsigned>(lower - 'a' + 10);
      } else {
        return fail("expected four hexadecimal digits");
      }
    }
    return true;
  }

  void skip_blanks() {
    while (at_ != end_ && is_blank(*at_)) ++at_;
  }
  bool fail(const char* why) {
    why_ = why;
    return false;
  }

  const char* begin_;
  const char* at_;
  const char* end_;
  std::string nesting_;
  std::string why_;
};

}  // namespace

std::optional<problem> check(std::string_view text) {
  if (const std::size_t valid = valid_utf8_prefix(text); valid != text.size()) {
    return problem{"invalid UTF-8", valid + 1};
  }
  return checker(text).run();
}

}  // namespace brigade::json_text
