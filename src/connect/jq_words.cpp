#include "connect/jq_words.hpp"

#include <algorithm>
#include <array>

namespace brigade {
namespace {

constexpr std::array<std::string_view, 13> refused = {
    "env",        "input", "inputs", "import",         "include",           "halt",
    "halt_error", "debug", "stderr", "input_filename", "input_line_number", "get_search_list",
    "modulemeta"};

bool is_word_start(char c) {
  const char lower = static_cast<char>(c | 0x20);
  return (lower >= 'a' && lower <= 'z') || c == '_';
}
bool is_word(char c) { return is_word_start(c) || (c >= '0' && c <= '9'); }

/// One pass over the tokens, with a stack of what is open: brackets, and strings that were left
/// for an interpolation.
class scanner {
 public:
  explicit scanner(std::string_view text) : text_(text) {}

  std::optional<std::string> run() {
    while (at_ < text_.size()) {
      if (auto found = token()) return found;
    }
    return std::nullopt;
  }

 private:
  std::optional<std::string> token() {
    const char c = text_[at_];
    if (c == '#') {
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      ++at_;
    } else if (c == '"') {
      ++at_;
      string_rest();
    } else if (is_word_start(c)) {
      return word();
    } else if (c == '.' && at_ + 1 < text_.size() && is_word_start(text_[at_ + 1])) {
      ++at_;
      take_word();
      remember("field");
    } else {
      return symbol(c);
    }
    return std::nullopt;
  }

  // From inside a string to its end, or into an interpolation.
  void string_rest() {
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '"') {
        remember("string");
        return;
      }
      if (c != '\\' || at_ == text_.size()) continue;
      if (text_[at_++] == '(') {
        open_.push_back('"');
        remember("(");
        return;
      }
    }
  }

  std::optional<std::string> symbol(char c) {
    ++at_;
    const bool closes = c == ')' || c == ']' || c == '}';
    const bool back_to_string = c == ')' && !open_.empty() && open_.back() == '"';
    const bool error_null =
        c == ')' && previous_ == "null" && before_[0] == "(" && before_[1] == "error";
    if (c == '(' || c == '[' || c == '{') open_.push_back(c);
    if (closes && !open_.empty()) open_.pop_back();
    remember(text_.substr(at_ - 1, 1));
    if (back_to_string) string_rest();
    if (error_null) return "error(null)";
    return std::nullopt;
  }

  std::string_view take_word() {
    const std::size_t start = at_;
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    return text_.substr(start, at_ - start);
  }

  std::optional<std::string> word() {
    const bool key =
        !open_.empty() && open_.back() == '{' && (previous_ == "{" || previous_ == ",");
    const bool variable = previous_ == "$";
    const std::string_view name = take_word();
    remember(name);
    if (variable && name == "ENV") return "$ENV";
    if (variable || key) return std::nullopt;
    if (std::find(refused.begin(), refused.end(), name) != refused.end()) return std::string(name);
    return std::nullopt;
  }

  void remember(std::string_view token) {
    before_[1] = before_[0];
    before_[0] = previous_;
    previous_ = token;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string open_;
  std::string_view previous_;
  std::array<std::string_view, 2> before_{};  ///< the tokens before the previous one, latest first
};

}  // namespace

std::optional<std::string> refused_jq_word(std::string_view program) {
  return scanner(program).run();
}

}  // namespace brigade
