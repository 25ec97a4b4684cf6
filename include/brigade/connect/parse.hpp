/// Lines into fields: web log formats, regular expressions, and the stage `parse`.
///
/// Parsers write JSON text straight away, in field order, and build no document. A text that does
/// not match is the item's fault and stays so: callers make it permanent.
#pragma once
#include <brigade/connect/syslog.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace brigade {

class registry;

enum class web_format : std::uint8_t {
  common,    ///< host ident user [time] "request" status bytes
  combined,  ///< and "referer" "agent"
};

/// Appends the members of a web server's log line to `to`, without braces: host, ident, user, time,
/// method, path, protocol, status, bytes, referer, agent. `status` and `bytes` are integers, `-` is
/// null, and a request that is not three words stays whole, as `request`. Text stays as it was
/// logged, escapes included: `\"` does not end a field. A line that was cut off inside its last
/// quoted field still matches.
/// Gives why the line does not match, and then leaves `to` as it was. `line` is valid UTF-8.
[[nodiscard]] std::optional<std::string> append_web_log(web_format format, std::string_view line,
                                                        std::string& to);

/// A PCRE2 pattern whose named groups are fields.
///
/// It is searched for anywhere in the text. Steps and stack of a match are limited (1 MiB of
/// stack); a text that needs more does not match. A group that took no part is null. Thread safety:
/// none; one thread at a time.
class regex_parser {
 public:
  /// `types` says what groups are: `int`, `float`, `bool` or `text`, the default.
  /// Throws config_error on the field `regex` or `types`.
  regex_parser(std::string_view pattern, const std::map<std::string, std::string>& types);
  regex_parser(regex_parser&&) noexcept;
  regex_parser& operator=(regex_parser&&) noexcept;
  ~regex_parser();

  /// As append_web_log: the named groups, in the pattern's order.
  [[nodiscard]] std::optional<std::string> append(std::string_view text, std::string& to);

 private:
  struct compiled;
  std::unique_ptr<compiled> compiled_;
};

/// Adds the stage `parse`.
void register_parse(registry& to);

}  // namespace brigade
