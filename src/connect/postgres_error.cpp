// What PostgreSQL says of failures, and what that means.
#include "connect/postgres_link.hpp"

#include <algorithm>
#include <array>

namespace brigade::postgres {
namespace {

struct meaning {
  std::string_view prefix;  ///< of the SQLSTATE
  error_kind kind;
};

// The first that fits. https://www.postgresql.org/docs/current/errcodes-appendix.html
constexpr std::array meanings = {
    meaning{"08", error_kind::lost},         // connection exceptions
    meaning{"57P", error_kind::lost},        // shutdown, crash, starting, session ended
    meaning{"25P03", error_kind::lost},      // idle in transaction for too long
    meaning{"25006", error_kind::outage},    // read-only: a standby
    meaning{"57", error_kind::outage},       // ended by an administrator or a timeout
    meaning{"53", error_kind::outage},       // memory, disk, connections
    meaning{"58", error_kind::outage},       // its own I/O
    meaning{"XX", error_kind::outage},       // internal
    meaning{"40002", error_kind::row},       // integrity constraint at the end of the transaction
    meaning{"40", error_kind::conflict},     // serialization, deadlock
    meaning{"55P03", error_kind::conflict},  // lock not available
    meaning{"55006", error_kind::conflict},  // object in use
    meaning{"20", error_kind::row},          // no case of a CASE in a trigger's function
    meaning{"21", error_kind::row},          // cardinality
    meaning{"22", error_kind::row},          // data
    meaning{"23", error_kind::row},          // constraints
    meaning{"27", error_kind::row},          // what a trigger changed
    meaning{"44", error_kind::row},          // WITH CHECK OPTION
    meaning{"54", error_kind::row},          // too large, for an index say, or nested too deeply
    meaning{"P0", error_kind::row},          // raised by a trigger's function
    meaning{"72", error_kind::other},        // a snapshot that is too old
    meaning{"55", error_kind::other},        // something is not in the state it should be in
    meaning{"28", error_kind::denied},       // authorization
    meaning{"42501", error_kind::denied},    // privilege, row-level security
    meaning{"42P01", error_kind::missing},   // table
    meaning{"42703", error_kind::missing},   // column
    meaning{"42704", error_kind::missing},   // object
    meaning{"42804", error_kind::missing},   // a column's type is another by now
    meaning{"42846", error_kind::missing},   // no cast to the type it has by now
    meaning{"42883", error_kind::missing},   // function
    meaning{"3D", error_kind::missing},      // database
    meaning{"3F", error_kind::missing},      // schema
    meaning{"26", error_kind::missing},      // prepared statement
};

// SQL leaves classes that begin with 5 to 9 and I to Z to its products. Those that PostgreSQL has
// are among the meanings; another one is made up, by RAISE ... USING ERRCODE.
bool is_made_up(std::string_view sqlstate) {
  if (sqlstate.size() != 5) return false;
  const char first = sqlstate.front();
  return (first >= '5' && first <= '9') || (first >= 'I' && first <= 'Z');
}

std::string_view field(const PGresult* result, int which) {
  const char* const text = PQresultErrorField(result, which);
  return text == nullptr ? std::string_view() : std::string_view(text);
}

// COPY names the column only in its context: `COPY t, line 1, column total: "x"`.
std::string_view column_of_copy(std::string_view context) {
  constexpr std::string_view word = ", column ";
  if (!context.starts_with("COPY ")) return {};
  const std::size_t at = context.find(word);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = context.substr(at + word.size());
  return rest.substr(0, rest.find(": "));
}

}  // namespace

error_kind kind_of(std::string_view sqlstate) {
  const auto found = std::ranges::find_if(
      meanings, [&](const meaning& each) { return sqlstate.starts_with(each.prefix); });
  if (found != meanings.end()) return found->kind;
  return is_made_up(sqlstate) ? error_kind::row : error_kind::other;
}

std::string one_line(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  std::string line;
  for (const char c : text) {
    if (c != '\n' && c != '\t') {
      line.push_back(c);
    } else if (!line.empty() && line.back() != ' ') {
      line.push_back(' ');
    }
  }
  return line;
}

error error_of(const PGresult* result, bool is_lost, std::size_t statement) {
  const std::string_view state = field(result, PG_DIAG_SQLSTATE);
  std::string message(field(result, PG_DIAG_MESSAGE_PRIMARY));
  if (message.empty()) message = PQresultErrorMessage(result);
  const std::string_view column = column_of_copy(field(result, PG_DIAG_CONTEXT));
  if (!column.empty()) message += " (column " + std::string(column) + ")";
  const std::string_view detail = field(result, PG_DIAG_MESSAGE_DETAIL);
  if (!detail.empty()) message += ": " + std::string(detail);
  const error_kind kind = is_lost ? error_kind::lost : kind_of(state);
  return error(kind, std::string(state), one_line(message), statement);
}

}  // namespace brigade::postgres
