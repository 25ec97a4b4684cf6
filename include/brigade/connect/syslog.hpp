/// Lines of syslog into fields: what the stage `parse` and the source `socket` share.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace brigade {

/// Appends the members of a line of syslog, always the same ones, in this order; what the line does
/// not have is null.
///
///   priority         integer, as in `<34>`
///   facility         integer, 0 to 23
///   severity         integer, 0 (emergency) to 7 (debug)
///   version          integer; null in the old format
///   timestamp        as it was written
///   hostname, appname, procid, msgid
///   structured_data  {"id": {"name": "value"}}; of a name given again, an array of the values
///   message
///
/// Understood are RFC 5424 (`<34>1 2003-10-11T22:14:15.003Z host app 12 ID47 [x a="b"] text`), RFC
/// 3164 (`<34>Oct 11 22:14:15 host app[12]: text`), and the lines of either time without priority
/// that syslog daemons write into files. With a priority and no time, all the rest is the message.
/// Gives why the line is none, and then leaves `to` as it was. `line` is valid UTF-8.
[[nodiscard]] std::optional<std::string> append_syslog(std::string_view line, std::string& to);

}  // namespace brigade
