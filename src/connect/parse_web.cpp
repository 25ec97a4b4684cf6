#include "connect/typed_value.hpp"

#include <brigade/connect/parse.hpp>
#include <brigade/connect/record.hpp>

#include <algorithm>

namespace brigade {
namespace {

/// Walks along one line; every step either takes its field or names it as the one that is wrong.
class web_line {
 public:
  web_line(std::string_view line, std::string& to) : rest_(line), to_(to) {}

  bool common() {
    return until("host", " ") && until("ident", " ") && until("user", " [") &&
           until("time", "] \"") && request() && status() && bytes();
  }
  bool quoted(std::string_view name, bool last) {
    wrong_ = name;
    if (!rest_.starts_with(" \"")) return false;
    rest_.remove_prefix(2);
    std::string_view text;
    if (!quoted_rest(text, last)) return false;
    member(name, text);
    return true;
  }
  [[nodiscard]] bool at_end() {
    while (rest_.ends_with(' ') || rest_.ends_with('\t')) rest_.remove_suffix(1);
    wrong_ = "end";
    return rest_.empty();
  }
  [[nodiscard]] std::string_view wrong() const { return wrong_; }

 private:
  bool until(std::string_view name, std::string_view behind) {
    wrong_ = name;
    const std::size_t end = rest_.find(behind);
    if (end == std::string_view::npos || end == 0) return false;
    member(name, rest_.substr(0, end));
    rest_.remove_prefix(end + behind.size());
    return true;
  }

  // Behind the opening quote: to the closing one, which no backslash stands before.
  bool quoted_rest(std::string_view& text, bool may_be_cut) {
    std::size_t end = rest_.find('"');
    while (end != std::string_view::npos && is_escaped(end)) end = rest_.find('"', end + 1);
    if (end == std::string_view::npos) {
      if (!may_be_cut) return false;
      end = rest_.size();
    }
    text = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    return true;
  }

  [[nodiscard]] bool is_escaped(std::size_t at) const {
    std::size_t backslashes = 0;
    while (backslashes < at && rest_[at - backslashes - 1] == '\\') ++backslashes;
    return backslashes % 2 == 1;
  }

  bool request() {
    wrong_ = "request";
    std::string_view text;
    if (!quoted_rest(text, false)) return false;
    const std::size_t first = text.find(' ');
    const std::size_t last = text.rfind(' ');
    if (text == "-") {
      to_ += R"(,"method":null,"path":null,"protocol":null)";
    } else if (first != 0 && first < last && text.substr(last + 1).starts_with("HTTP/")) {
      member("method", text.substr(0, first));
      member("path", text.substr(first + 1, last - first - 1));
      member("protocol", text.substr(last + 1));
    } else {
      member("request", text);
    }
    return true;
  }

  bool status() { return number("status"); }
  bool bytes() { return number("bytes"); }

  bool number(std::string_view name) {
    wrong_ = name;
    if (!rest_.starts_with(' ')) return false;
    rest_.remove_prefix(1);
    const std::string_view text = rest_.substr(0, rest_.find(' '));
    key(name);
    if (text == "-") {
      to_ += "null";
    } else if (!append_integer(to_, text)) {
      return false;
    }
    rest_.remove_prefix(text.size());
    return true;
  }

  void member(std::string_view name, std::string_view text) {
    key(name);
    if (text == "-") {
      to_ += "null";
    } else {
      append_json_quoted(to_, text);
    }
  }
  void key(std::string_view name) {
    to_ += !first_ ? ",\"" : "\"";
    first_ = false;
    to_ += name;
    to_ += "\":";
  }

  std::string_view rest_;
  std::string& to_;
  std::string_view wrong_;
  bool first_ = true;
};

}  // namespace

std::optional<std::string> append_web_log(web_format format, std::string_view line,
                                          std::string& to) {
  const std::size_t before = to.size();
  web_line fields(line, to);
  bool matches = fields.common();
  if (matches && format == web_format::combined) {
    matches = fields.quoted("referer", false) && fields.quoted("agent", true);
  }
  if (matches && fields.at_end()) return std::nullopt;
  to.resize(before);
  std::string why = "not a line in the format ";
  why += format == web_format::common ? "common" : "combined";
  why += " (wrong at its " + std::string(fields.wrong()) + "): '" + excerpt(line) + "'";
  return why;
}

}  // namespace brigade
