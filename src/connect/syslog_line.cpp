#include <brigade/connect/record.hpp>
#include <brigade/connect/syslog.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <utility>
#include <vector>

namespace brigade {
namespace {

constexpr int priority_max = 191;
constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// `text` has the shape of `pattern`, in which 0 stands for a digit and _ for a digit or a blank.
bool has_shape(std::string_view text, std::string_view pattern) {
  return text.size() >= pattern.size() &&
         std::equal(pattern.begin(), pattern.end(), text.begin(), [](char wanted, char c) {
           if (wanted == '0') return is_digit(c);
           if (wanted == '_') return is_digit(c) || c == ' ';
           return wanted == c;
         });
}

struct parameter {
  std::string name;
  std::vector<std::string> values;
};
struct element {
  std::string id;
  std::vector<parameter> parameters;
};

struct syslog_line {
  std::optional<int> priority;
  std::optional<int> version;
  std::optional<std::string_view> timestamp, hostname, appname, procid, msgid;
  std::optional<std::vector<element>> data;
  std::optional<std::string_view> message;
};

class syslog_reader {
 public:
  explicit syslog_reader(std::string_view line) : rest_(line) {}

  bool read() {
    if (!priority()) return false;
    if (line_.priority && has_shape(rest_, "0") && version()) return new_format();
    return old_format();
  }
  [[nodiscard]] const syslog_line& line() const { return line_; }
  [[nodiscard]] std::string_view wrong() const { return wrong_; }

 private:
  bool wrong_at(std::string_view what) {
    wrong_ = what;
    return false;
  }

  bool priority() {
    if (!rest_.starts_with('<')) return true;
    const std::size_t end = rest_.substr(0, 5).find('>');
    if (end == std::string_view::npos) return wrong_at("priority");
    const auto number = number_in(rest_.substr(1, end - 1));
    if (!number || *number > priority_max) return wrong_at("priority");
    line_.priority = number;
    rest_.remove_prefix(end + 1);
    return true;
  }

  static std::optional<int> number_in(std::string_view digits) {
    int value = 0;
    const char* const end = digits.data() + digits.size();
    const auto read = std::from_chars(digits.data(), end, value);
    if (digits.empty() || !is_digit(digits.front()) || read.ec != std::errc{} || read.ptr != end) {
      return std::nullopt;
    }
    return value;
  }

  // A digit or two and a blank behind the priority; no old line begins like that.
  bool version() {
    const std::size_t blank = rest_.substr(0, 3).find(' ');
    if (blank == std::string_view::npos) return false;
    line_.version = number_in(rest_.substr(0, blank));
    if (line_.version) rest_.remove_prefix(blank + 1);
    return line_.version.has_value();
  }

  bool new_format() {
    if (!word(line_.timestamp)) return wrong_at("timestamp");
    if (!word(line_.hostname)) return wrong_at("hostname");
    if (!word(line_.appname)) return wrong_at("appname");
    if (!word(line_.procid)) return wrong_at("procid");
    if (!word(line_.msgid)) return wrong_at("msgid");
    if (!structured_data()) return wrong_at("structured_data");
    if (rest_.empty()) return true;
    if (!rest_.starts_with(' ')) return wrong_at("structured_data");
    rest_.remove_prefix(1);
    if (rest_.starts_with(byte_order_mark)) rest_.remove_prefix(byte_order_mark.size());
    line_.message = rest_;
    return true;
  }

  bool word(std::optional<std::string_view>& to) {
    const std::size_t blank = rest_.find(' ');
    if (blank == std::string_view::npos || blank == 0) return false;
    if (rest_.substr(0, blank) != "-") to = rest_.substr(0, blank);
    rest_.remove_prefix(blank + 1);
    return true;
  }

  bool structured_data() {
    if (rest_.starts_with('-')) {
      rest_.remove_prefix(1);
      return true;
    }
    if (!rest_.starts_with('[')) return false;
    line_.data.emplace();
    while (rest_.starts_with('[')) {
      rest_.remove_prefix(1);
      element next;
      next.id = name();
      if (next.id.empty() || !parameters(next)) return false;
      const auto same_id = [&](const element& each) { return each.id == next.id; };
      if (std::any_of(line_.data->begin(), line_.data->end(), same_id)) return false;
      line_.data->push_back(std::move(next));
      if (line_.data->size() > elements_max) return false;
    }
    return true;
  }

  std::string name() {
    const std::size_t end = std::min(rest_.find_first_of(" =]\""), rest_.size());
    std::string text(rest_.substr(0, end));
    rest_.remove_prefix(end);
    return text;
  }

  bool parameters(element& of) {
    std::map<std::string, std::size_t, std::less<>> place;
    while (rest_.starts_with(' ')) {
      rest_.remove_prefix(1);
      std::string called = name();
      if (called.empty() || !rest_.starts_with("=\"")) return false;
      rest_.remove_prefix(2);
      std::string value;
      if (!quoted_rest(value)) return false;
      const auto found = place.emplace(called, of.parameters.size());
      if (found.second) of.parameters.push_back(parameter{std::move(called), {}});
      of.parameters[found.first->second].values.push_back(std::move(value));
    }
    if (!rest_.starts_with(']')) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // To the closing quote. A backslash escapes quotes, brackets and itself, and else is only one.
  bool quoted_rest(std::string& to) {
    for (std::size_t at = 0; at < rest_.size(); ++at) {
      const char c = rest_[at];
      if (c == '"') {
        rest_.remove_prefix(at + 1);
        return true;
      }
      const char next = at + 1 < rest_.size() ? rest_[at + 1] : ' ';
      const bool escapes = c == '\\' && (next == '"' || next == '\\' || next == ']');
      if (escapes) ++at;
      to.push_back(escapes ? next : c);
    }
    return false;
  }

  bool old_format() {
    if (!timestamp()) {
      if (!line_.priority) return wrong_at("priority or timestamp");
      line_.message = rest_;  // RFC 3164, 4.3.3: no header at all
      return true;
    }
    if (!rest_.starts_with(' ')) return wrong_at("timestamp");
    rest_.remove_prefix(1);
    const std::string_view first = rest_.substr(0, rest_.find(' '));
    if (first.empty()) return wrong_at("hostname");
    if (!first.ends_with(':')) {  // what a program sends to its own host has no host's name
      line_.hostname = first;
      rest_.remove_prefix(std::min(first.size() + 1, rest_.size()));
    }
    tag();
    line_.message = rest_;
    return true;
  }

  // `Oct  1 22:14:15`, with a year as some devices have it, or RFC 3339.
  bool timestamp() {
    std::size_t length = 0;
    if (rest_.size() > 3 && is_month(rest_.substr(0, 3))) {
      if (has_shape(rest_.substr(3), " _0 00:00:00")) length = 15;
      if (has_shape(rest_.substr(3), " _0 0000 00:00:00")) length = 20;
    } else if (has_shape(rest_, "0000-00-00T00:00:00")) {
      length = std::min(rest_.find(' '), rest_.size());
    }
    if (length == 0) return false;
    line_.timestamp = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return true;
  }

  static bool is_month(std::string_view text) {
    constexpr std::array<std::string_view, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    return std::find(months.begin(), months.end(), text) != months.end();
  }

  // `app[12]: `, if it is there.
  void tag() {
    const std::size_t colon = std::min(rest_.find(' '), rest_.size());
    std::string_view first = rest_.substr(0, colon);
    if (!first.ends_with(':')) return;
    first.remove_suffix(1);
    std::string_view pid;
    const std::size_t bracket = first.find('[');
    if (first.ends_with(']') && bracket != std::string_view::npos) {
      pid = first.substr(bracket + 1, first.size() - bracket - 2);
      first = first.substr(0, bracket);
    }
    if (first.empty()) return;
    line_.appname = first;
    if (!pid.empty()) line_.procid = pid;
    rest_.remove_prefix(std::min(colon + 1, rest_.size()));
  }

  static constexpr std::size_t elements_max = 1000;

  std::string_view rest_;
  std::string_view wrong_;
  syslog_line line_;
};

class member_writer {
 public:
  explicit member_writer(std::string& to) : to_(to) {}

  void number(std::string_view name, std::optional<int> value) {
    key(name);
    to_ += value ? std::to_string(*value) : "null";
  }
  void text(std::string_view name, std::optional<std::string_view> value) {
    key(name);
    if (value) {
      append_json_quoted(to_, *value);
    } else {
      to_ += "null";
    }
  }
  void data(std::string_view name, const std::optional<std::vector<element>>& value) {
    key(name);
    if (!value) {
      to_ += "null";
      return;
    }
    to_.push_back('{');
    for (const element& each : *value) {
      if (!to_.ends_with('{')) to_.push_back(',');
      to_ += json_quoted(each.id) + ":{";
      for (const parameter& one : each.parameters) append(one);
      to_.push_back('}');
    }
    to_.push_back('}');
  }

 private:
  void key(std::string_view name) {
    if (!first_) to_.push_back(',');
    first_ = false;
    to_ += '"' + std::string(name) + "\":";
  }
  void append(const parameter& one) {
    if (!to_.ends_with('{')) to_.push_back(',');
    to_ += json_quoted(one.name) + ":";
    if (one.values.size() == 1) {
      append_json_quoted(to_, one.values.front());
      return;
    }
    to_.push_back('[');
    for (const std::string& value : one.values) {
      if (&value != one.values.data()) to_.push_back(',');
      append_json_quoted(to_, value);
    }
    to_.push_back(']');
  }

  std::string& to_;
  bool first_ = true;
};

}  // namespace

std::optional<std::string> append_syslog(std::string_view line, std::string& to) {
  syslog_reader reader(line);
  if (!reader.read()) {
    return "not a line of syslog (wrong at its " + std::string(reader.wrong()) + "): '" +
           excerpt(line) + "'";
  }
  const syslog_line& found = reader.line();
  const auto part_of = [&](auto how) {
    return found.priority ? std::optional<int>(how(*found.priority)) : std::nullopt;
  };
  member_writer write(to);
  write.number("priority", found.priority);
  write.number("facility", part_of([](int priority) { return priority / 8; }));
  write.number("severity", part_of([](int priority) { return priority % 8; }));
  write.number("version", found.version);
  write.text("timestamp", found.timestamp);
  write.text("hostname", found.hostname);
  write.text("appname", found.appname);
  write.text("procid", found.procid);
  write.text("msgid", found.msgid);
  write.data("structured_data", found.data);
  write.text("message", found.message);
  return std::nullopt;
}

}  // namespace brigade
