// The log parsers: whatever the line, JSON comes out, or nothing and a reason.
#include "connect/csv_row.hpp"
#include "connect/json_text.hpp"
#include "connect/parse_logfmt.hpp"
#include "fuzz.hpp"

#include <brigade/connect/parse.hpp>
#include <brigade/connect/record.hpp>

#include <string>

namespace brigade::fuzz {
namespace {

const value_types types = {
    {"status", value_type::integer}, {"took", value_type::decimal}, {"ok", value_type::boolean}};

template <class Append>
void check(Append append) {
  std::string to = "{";
  const auto why = append(to);
  if (why) {
    demand(to == "{", "a line that does not match leaves nothing");
    demand(valid_utf8(*why) && why->find('\n') == std::string::npos, "the reason is one line");
    return;
  }
  to.push_back('}');
  demand(!json_text::check(to), "members make a JSON object");
}

void run(std::string_view line) {
  static regex_parser searching(
      R"re((?<level>\w+)[ =]+(?<status>-?\d*)\s*(?:"(?<text>[^"]*)")?(?<took>[\d.e+-]*))re",
      {{"status", "int"}, {"took", "float"}});
  static regex_parser costly(R"re(^(?<a>(x+x+)+y|(\w*\s*)*)$)re", {});
  if (!valid_utf8(line)) return;  // the stage refuses it before
  check([&](std::string& to) { return append_web_log(web_format::common, line, to); });
  check([&](std::string& to) { return append_web_log(web_format::combined, line, to); });
  check([&](std::string& to) { return append_syslog(line, to); });
  check([&](std::string& to) { return append_logfmt(line, types, to); });
  check([&](std::string& to) { return searching.append(line, to); });
  if (line.size() < 200) check([&](std::string& to) { return costly.append(line, to); });
  check([&](std::string& to) -> std::optional<std::string> {
    static const csv_columns columns({"status", "took", "ok"}, types);
    std::string row;
    if (auto why = append_csv_row(columns, line, row)) return why;
    to.append(row, 1, row.size() - 2);
    return std::nullopt;
  });
}

}  // namespace
}  // namespace brigade::fuzz

BRIGADE_FUZZ(parse, brigade::fuzz::run);
