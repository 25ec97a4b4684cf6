// How a connection comes to be: what was asked for, the steps of libpq, and the session's settings.
#include "connect/postgres_link.hpp"

#include <brigade/async/thread.hpp>
#include <brigade/async/timeout.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <map>
#include <system_error>

namespace brigade::postgres {
namespace {

using words = std::map<std::string, std::string>;

// A peer that is gone without a word is noticed soon; what the user says goes first.
constexpr std::array<std::pair<const char*, const char*>, 5> defaults = {{
    {"client_encoding", "UTF8"},
    {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
    {"tcp_user_timeout", "30000"},
}};

// The server's side of it, and what the texts look like. An older server knows not all of them.
constexpr const char* session_settings =
    "SELECT set_config(name, value, false) FROM pg_settings JOIN (VALUES "
    "('client_connection_check_interval', '2s'), ('tcp_keepalives_idle', '10'), "
    "('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3'), "
    "('tcp_user_timeout', '30s'), ('DateStyle', 'ISO'), ('IntervalStyle', 'postgres'), "
    "('bytea_output', 'hex'), ('standard_conforming_strings', 'on'), "
    "('client_min_messages', 'error')) wanted (name, value) USING (name)";

struct frees {
  void operator()(PQconninfoOption* list) const { PQconninfoFree(list); }
};
using option_list = std::unique_ptr<PQconninfoOption, frees>;

words named(const PQconninfoOption* list) {
  words found;
  for (const PQconninfoOption* each = list; each != nullptr && each->keyword != nullptr; ++each) {
    if (each->val != nullptr) found.emplace(each->keyword, each->val);
  }
  return found;
}

// What libpq quotes of a text it cannot read may be the password.
std::string without_quoted(std::string_view message) {
  std::string rest;
  for (;;) {
    const std::size_t opens = message.find('"');
    const std::size_t closes = message.find('"', opens + 1);
    rest += message.substr(0, opens);
    if (opens == std::string_view::npos) return rest;
    const std::string_view quoted = message.substr(opens, closes - opens);
    rest += quoted == "\"=" ? "\"=\"" : "\"...\"";
    if (closes == std::string_view::npos) return rest;
    message.remove_prefix(closes + 1);
  }
}

/// The words of a connection string, or why there are none.
struct parsed {
  words found;
  std::optional<std::string> problem;
};

parsed parse(const std::string& conninfo) {
  parsed result;
  char* message = nullptr;
  const option_list list(PQconninfoParse(conninfo.c_str(), &message));
  if (list != nullptr) {
    result.found = named(list.get());
  } else {
    result.problem = message != nullptr ? without_quoted(one_line(message)) : "out of memory";
    PQfreemem(message);
  }
  return result;
}

words wanted_words(const connect_options& options) {
  parsed asked = parse(options.conninfo);
  if (asked.problem) throw error(error_kind::other, {}, *asked.problem);
  for (const auto& [name, value] : defaults) asked.found.emplace(name, value);
  if (!asked.found.contains("application_name")) {
    asked.found.emplace("fallback_application_name", options.application_name);
  }
  return asked.found;
}

void drop_notice(void* /*context*/, const PGresult* /*notice*/) {}

// Blocks: it looks names up.
handle start(const words& asked) {
  std::vector<const char*> keys;
  std::vector<const char*> values;
  for (const auto& [key, value] : asked) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  keys.push_back(nullptr);
  values.push_back(nullptr);
  handle made(PQconnectStartParams(keys.data(), values.data(), 0),
              [](PGconn* connection) { PQfinish(connection); });
  if (made != nullptr) PQsetNoticeReceiver(made.get(), &drop_notice, nullptr);
  return made;
}

// Blocks now and then: it reads files, looks up the next host, hashes passwords.
PostgresPollingStatusType step(const handle& connection) { return PQconnectPoll(connection.get()); }

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

error connect_error(const PGconn* connection) {
  const std::string message = one_line(PQerrorMessage(connection));
  error_kind kind = error_kind::outage;
  if (PQconnectionNeedsPassword(connection) != 0 || has(message, "authentication failed") ||
      has(message, "pg_hba.conf") || has(message, "permission denied for database") ||
      (has(message, "role \"") && has(message, "does not exist"))) {
    kind = error_kind::denied;
  } else if (has(message, "database \"") && has(message, "does not exist")) {
    kind = error_kind::missing;
  }
  return error(kind, {}, message);
}

task<handle> establish(words asked) {
  auto begin = to_thread(&start, std::move(asked));
  handle made = co_await std::move(begin);
  if (made == nullptr) throw std::bad_alloc();
  PostgresPollingStatusType state = PGRES_POLLING_WRITING;
  while (state != PGRES_POLLING_OK) {
    if (PQstatus(made.get()) == CONNECTION_BAD || state == PGRES_POLLING_FAILED) {
      throw connect_error(made.get());
    }
    descriptor socket = watched_socket(made.get());
    if (state == PGRES_POLLING_READING) {
      co_await socket.wait_readable();
    } else {
      co_await socket.wait_writable();
    }
    auto next = to_thread(&step, made);
    state = co_await std::move(next);
  }
  if (PQsetnonblocking(made.get(), 1) != 0) throw connect_error(made.get());
  co_return made;
}

}  // namespace

descriptor watched_socket(PGconn* connection) {
  const int copy = ::fcntl(PQsocket(connection), F_DUPFD_CLOEXEC, 0);
  if (copy < 0) throw std::system_error(errno, std::generic_category(), "dup of a socket");
  try {
    return descriptor(copy);
  } catch (...) {
    ::close(copy);
    throw;
  }
}

namespace {

task<> set_up(connection& made) {
  try {
    co_await made.query(session_settings);
  } catch (const error& refused) {
    if (refused.kind() == error_kind::lost) throw;  // else something between that knows no such
  }
}

}  // namespace

task<connection> connection::open(connect_options options) {
  words asked = wanted_words(options);
  const auto limit = connect_limit(options);
  try {
    auto connecting = establish(std::move(asked));
    handle established = co_await timeout(limit, std::move(connecting));
    connection made(std::make_unique<implementation>(std::move(established)));
    auto setting_up = set_up(made);
    co_await timeout(limit, std::move(setting_up));
    co_return made;
  } catch (const timed_out&) {
    throw error(error_kind::outage, {},
                conninfo_label(options.conninfo) + " did not answer in " +
                    std::to_string(std::chrono::ceil<std::chrono::seconds>(*limit).count()) + " s");
  }
}

task<connection> connection::open_patiently(connect_options options,
                                            std::function<void(const error&)> failed) {
  constexpr std::chrono::milliseconds pause_max{2000};
  for (std::chrono::milliseconds pause{100};; pause = std::min(2 * pause, pause_max)) {
    try {
      auto attempt = open(options);
      co_return co_await std::move(attempt);
    } catch (const error& why) {
      failed(why);
    }
    co_await sleep_for(pause);
  }
}

std::optional<std::chrono::nanoseconds> connect_limit(const connect_options& options) {
  const parsed asked = parse(options.conninfo);
  const auto given = asked.found.find("connect_timeout");
  if (given == asked.found.end()) return options.connect_timeout;
  int seconds = 0;
  const std::string& text = given->second;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (seconds <= 0) return std::nullopt;
  return std::chrono::seconds(seconds);
}

std::optional<std::string> conninfo_problem(const std::string& conninfo) {
  return parse(conninfo).problem;
}

std::string conninfo_label(const std::string& conninfo) {
  const parsed asked = parse(conninfo);
  const option_list fallback(PQconndefaults());
  words all = asked.found;
  all.merge(named(fallback.get()));
  const auto value = [&](const char* name) {
    const auto found = all.find(name);
    return found == all.end() ? std::string() : found->second;
  };
  std::string host = value("host");
  if (host.empty()) host = value("hostaddr");
  if (host.empty()) host = "local";
  const std::string base = value("dbname").empty() ? value("user") : value("dbname");
  return host + ":" + value("port") + "/" + base;
}

std::string quoted_name(std::string_view name) {
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') quoted.push_back('"');
    quoted.push_back(c);
  }
  return quoted + '"';
}

// A backslash means itself or not, as the session has it; behind an E it never does.
std::string quoted_literal(std::string_view text) {
  std::string quoted = text.find('\\') == std::string_view::npos ? "'" : "E'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted.push_back(c);
    quoted.push_back(c);
  }
  return quoted + '\'';
}

}  // namespace brigade::postgres
