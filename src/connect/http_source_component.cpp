#include "connect/http_components.hpp"
#include "connect/http_journal_source.hpp"
#include "connect/http_reply.hpp"
#include "connect/http_source.hpp"

#include <algorithm>
#include <memory>

namespace brigade {
namespace {

constexpr std::int64_t mib = std::int64_t{1} << 20;

std::size_t bytes_of(const settings& given, const char* name, std::int64_t at_least,
                     std::int64_t at_most) {
  const std::int64_t bytes = given.integer(name);
  if (bytes < at_least || bytes > at_most) {
    throw config_error(name, std::string("'") + name + "' must be from " +
                                 std::to_string(at_least) + " to " + std::to_string(at_most) +
                                 ", not " + std::to_string(bytes));
  }
  return static_cast<std::size_t>(bytes);
}

std::chrono::milliseconds time_of(const settings& given, const char* name) {
  const std::chrono::milliseconds time = given.duration(name);
  if (time.count() < 1) {
    throw config_error(name, std::string("'") + name + "' must be longer than nothing");
  }
  return time;
}

std::vector<std::string> tokens_of(const settings& given) {
  if (!given.has("token")) return {};
  const std::vector<std::string>& tokens = given.list("token");
  if (tokens.empty()) throw config_error("token", "the list has no token in it");
  for (const std::string& token : tokens) {
    const bool can_be_sent =
        std::ranges::all_of(token, [](char c) { return c > ' ' && c < '\x7f'; });
    if (token.empty() || !can_be_sent) {
      throw config_error("token", "a token must be of printable ASCII characters without blanks");
    }
  }
  return tokens;
}

std::string path_of(const settings& given) {
  const std::string& path = given.text("path");
  const bool is_plain = std::ranges::all_of(
      path, [](char c) { return c > ' ' && c < '\x7f' && c != '?' && c != '#'; });
  if (!path.starts_with('/') || !is_plain) {
    throw config_error("path",
                       "'path' must begin with / and have no blank, ? or #, not '" + path + "'");
  }
  return path;
}

std::optional<tls::server_files> tls_of(const settings& given, const component_context& context) {
  const auto file = [&](const char* name) -> std::string {
    if (!given.has(name)) return {};
    if (given.text(name).empty()) throw config_error(name, "the path is empty");
    return (context.folder / given.text(name)).lexically_normal().string();
  };
  tls::server_files files{file("tls_certificate"), file("tls_key"), file("tls_client_ca")};
  if (!files.certificate.empty()) return files;
  for (const char* name : {"tls_key", "tls_client_ca"}) {
    if (given.has(name)) {
      throw config_error(name, std::string("'") + name + "' needs 'tls_certificate'");
    }
  }
  return std::nullopt;
}

http_server_options server_of(const settings& given, const component_context& context) {
  http_server_options made;
  const auto where = parse_http_address(given.text("listen"));
  if (!where || where->port == 0) {
    throw config_error("listen",
                       "'listen' must be an IP address and a port, such as "
                       "127.0.0.1:8080 or [::1]:8080, not '" +
                           given.text("listen") + "'");
  }
  made.name = context.name;
  made.ip = where->ip;
  made.port = where->port;
  made.rules.path = path_of(given);
  made.rules.tokens = tokens_of(given);
  made.rules.body_bytes_max = bytes_of(given, "max_body", 1, 64 * mib);
  made.rules.header_bytes_max = bytes_of(given, "max_headers", 1024, mib);
  made.connections_max = bytes_of(given, "max_connections", 1, 100'000);
  made.idle_timeout = time_of(given, "idle_timeout");
  made.request_timeout = time_of(given, "request_timeout");
  made.tls = tls_of(given, context);
  return made;
}

std::unique_ptr<source> make_replying(const settings& given, const component_context& context) {
  for (const char* name : {"journal", "journal_max"}) {
    if (!given.has(name)) continue;
    throw config_error(name, std::string("'") + name +
                                 "' is of 'reply: accepted'; by default a request is answered "
                                 "when its items are done, and needs no journal");
  }
  http_source_options options;
  options.server = server_of(given, context);
  options.desk.name = context.name;
  if (given.has("backlog")) options.desk.backlog = bytes_of(given, "backlog", 1, 1'000'000);
  options.desk.items_max = bytes_of(given, "max_items", 1, 1'000'000);
  options.desk.reply_timeout = time_of(given, "reply_timeout");
  options.desk.item_id = context.item_id;
  options.ledger = context.ledger;
  return std::make_unique<http_source>(std::move(options));
}

intake_options journal_of(const settings& given, const component_context& context) {
  intake_options made;
  if (given.has("journal")) {
    if (given.text("journal").empty()) throw config_error("journal", "the path is empty");
    made.file = (context.folder / given.text("journal")).lexically_normal();
  } else {
    made.file = context.state / (context.pipeline + "." + context.name + ".intake.db");
  }
  if (given.has("journal_max")) {
    made.bytes_max = bytes_of(given, "journal_max", 1, std::int64_t{1} << 50);
  }
  if (made.bytes_max < bytes_of(given, "max_body", 1, 64 * mib)) {
    throw config_error("journal_max", "'journal_max' is less than one request may have (max_body)");
  }
  return made;
}

std::unique_ptr<source> make_accepting(const settings& given, const component_context& context) {
  if (given.has("backlog")) {
    throw config_error("backlog",
                       "with 'reply: accepted' what is posted waits in the journal: "
                       "say with 'journal_max' how much may");
  }
  http_journal_source_options options;
  options.server = server_of(given, context);
  options.desk.name = context.name;
  options.desk.items_max = bytes_of(given, "max_items", 1, 1'000'000);
  options.desk.reply_timeout = time_of(given, "reply_timeout");
  options.desk.item_id = context.item_id;
  options.journal = journal_of(given, context);
  if (given.has("journal")) options.journal_name = given.text("journal");
  options.ledger = context.ledger;
  return std::make_unique<http_journal_source>(std::move(options));
}

std::unique_ptr<source> make_source(const settings& given, const component_context& context) {
  return given.text("reply") == "accepted" ? make_accepting(given, context)
                                           : make_replying(given, context);
}

using http::field;

std::vector<field_spec> fields() {
  std::vector<field_spec> made;
  made.push_back(field("listen", field_type::text, "",
                       "An IP address and a port; 0.0.0.0 for all of this machine's.",
                       "127.0.0.1:8080"));
  made.back().required = true;
  made.push_back(field("path", field_type::text, "/", "Where items are posted to."));
  made.push_back(field("token", field_type::text_or_list, "",
                       "Who posts must send one of these: Authorization: Bearer TOKEN.",
                       "${ORDERS_TOKEN}"));
  made.back().secret = true;
  made.push_back(field("reply", field_type::choice, "outcome",
                       "outcome: a request is answered when its items are done; accepted: with "
                       "202, when they are in a journal on the disk."));
  made.back().choices = {"outcome", "accepted"};
  made.push_back(field("journal", field_type::text, "",
                       "Of accepted: its file; by default NAME.SOURCE.intake.db beside the ledger.",
                       "orders.in.db"));
  made.push_back(field("journal_max", field_type::bytes, "",
                       "When so much waits in the journal: 429; 1GiB by default.", "1GiB"));
  made.push_back(field("reply_timeout", field_type::duration, "30s",
                       "How long a request waits for its outcomes; then 504, outcome unknown."));
  made.push_back(field("backlog", field_type::integer, "",
                       "Items that may wait for room in the pipeline; beyond, 429. Of outcome; "
                       "10000 by default.",
                       "10000"));
  made.push_back(field("max_items", field_type::integer, "10000", "Items of one request."));
  made.push_back(field("max_body", field_type::bytes, "8MiB", "A larger body gets 413."));
  made.push_back(field("max_headers", field_type::bytes, "16KiB", "A larger header gets 431."));
  made.push_back(field("max_connections", field_type::integer, "1024",
                       "At once; then who has been silent longest has to go."));
  made.push_back(field("idle_timeout", field_type::duration, "60s",
                       "How long a connection may be silent between requests."));
  made.push_back(field("request_timeout", field_type::duration, "30s",
                       "From a request's first byte to its last; likewise for an answer."));
  made.push_back(field("tls_certificate", field_type::text, "",
                       "A PEM file, with its chain behind it: HTTPS instead of HTTP.",
                       "server.pem"));
  made.push_back(field("tls_key", field_type::text, "",
                       "Its key, where it is not in the same file.", "server.key"));
  made.push_back(field("tls_client_ca", field_type::text, "",
                       "Clients must show a certificate that one of these vouches for.",
                       "clients.pem"));
  return made;
}

}  // namespace

component http::source_component() {
  component made;
  made.kind = component_kind::source;
  made.name = "http";
  made.doc = "Takes what is posted to it, and answers when the outcomes are durable.";
  made.fields = fields();
  made.make_source = make_source;
  return made;
}

}  // namespace brigade
