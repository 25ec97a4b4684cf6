#include "connect/socket_source.hpp"

#include <brigade/connect/socket.hpp>
#include <brigade/pipeline/registry.hpp>

#include <charconv>
#include <memory>
#include <stdexcept>
#include <system_error>

namespace brigade {
namespace {

// What a burst may bring before a thread gets its turn; the kernel's default is 200 KiB.
constexpr std::uint64_t datagram_buffer = std::uint64_t{8} << 20;
constexpr mode_t all_permissions = 0777;

socket_address address_of(const settings& given, const component_context& context) {
  try {
    return parse_socket_address(given.text("listen"), context.folder);
  } catch (const std::invalid_argument& error) {
    throw config_error("listen", error.what());
  }
}

socket_format format_of(const settings& given) {
  const std::string& word = given.text("format");
  if (word == "ndjson") return socket_format::ndjson;
  if (word == "syslog") return socket_format::syslog;
  return word == "bytes" ? socket_format::bytes : socket_format::lines;
}

socket_framing framing_of(const settings& given, const socket_options& options) {
  const bool is_stream = options.listen.at.is_stream();
  const bool is_syslog = options.format == socket_format::syslog;
  const std::string word =
      given.has("framing") ? given.text("framing") : (is_stream ? "line" : "datagram");
  if (word == "datagram") {
    if (is_stream) {
      throw config_error("framing",
                         "a stream has no datagrams; its items end at a newline (line) or "
                         "have their length before them (length)");
    }
    return socket_framing::datagram;
  }
  if (word == "length") {
    if (!is_stream) {
      throw config_error("framing",
                         "a datagram has its length already; take datagram, or line when several "
                         "lines come in one");
    }
    return is_syslog ? socket_framing::octet_counting : socket_framing::length;
  }
  return is_syslog && is_stream ? socket_framing::syslog : socket_framing::line;
}

mode_t permissions_of(const settings& given, const socket_address& at) {
  if (!given.has("permissions")) return 0600;
  if (!at.is_unix()) throw config_error("permissions", "only the file of a Unix socket has any");
  const std::string& text = given.text("permissions");
  mode_t mode = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, mode, 8);
  if (text.empty() || error != std::errc{} || stop != end || mode > all_permissions) {
    throw config_error("permissions",
                       "'" + text + "' is no mode of a file; write \"0660\", in quotes");
  }
  return mode;
}

std::uint64_t positive(const settings& given, const std::string& name) {
  const std::int64_t value = given.integer(name);
  if (value < 1) throw config_error(name, "must be at least 1");
  return static_cast<std::uint64_t>(value);
}

void read_buffer(const settings& given, listen_options& to) {
  if (to.at.kind == socket_kind::udp) to.receive_buffer = datagram_buffer;
  if (!given.has("receive_buffer")) return;
  to.receive_buffer = positive(given, "receive_buffer");
  constexpr std::uint64_t buffer_max = std::uint64_t{1} << 30;
  if (*to.receive_buffer > buffer_max) throw config_error("receive_buffer", "is over 1GiB");
}

void read_journal(const settings& given, const component_context& context, socket_options& to) {
  if (!given.has("journal")) {
    if (given.has("journal_max")) {
      throw config_error("journal_max", "there is no journal: name its file with 'journal'");
    }
    return;
  }
  const std::string& file = given.text("journal");
  if (file.empty()) throw config_error("journal", "the path is empty");
  to.journal.emplace();
  to.journal->file = (context.folder / file).lexically_normal();
  if (given.has("journal_max")) to.journal->bytes_max = positive(given, "journal_max");
  if (to.journal->bytes_max < to.line_bytes_max) {
    throw config_error("journal_max", "is less than one item may have (max_line)");
  }
}

std::unique_ptr<source> make_source(const settings& given, const component_context& context) {
  socket_options options;
  options.name = context.name;
  options.listen.at = address_of(given, context);
  options.format = format_of(given);
  options.framing = framing_of(given, options);
  options.listen.permissions = permissions_of(given, options.listen.at);
  read_buffer(given, options.listen);
  options.line_bytes_max = positive(given, "max_line");
  options.connections_max = positive(given, "max_connections");
  if (given.has("idle_timeout")) {
    if (!options.listen.at.is_stream()) {
      throw config_error("idle_timeout", "datagrams have no connections");
    }
    options.idle_timeout = given.duration("idle_timeout");
    if (options.idle_timeout->count() < 1) {
      throw config_error("idle_timeout", "must be longer than nothing; leave it out for never");
    }
  }
  read_journal(given, context, options);
  return std::make_unique<socket_source>(std::move(options));
}

std::vector<field_spec> fields_of_source() {
  return {
      field_spec{.name = "listen",
                 .type = field_type::text,
                 .fallback = {},
                 .doc = "tcp://HOST:PORT, udp://HOST:PORT, unix://PATH (a stream) or "
                        "unixgram://PATH.",
                 .required = true,
                 .example = "tcp://127.0.0.1:5140"},
      field_spec{.name = "framing",
                 .type = field_type::choice,
                 .fallback = {},
                 .doc = "Where an item ends: line, length (four bytes before it, highest first; of "
                        "syslog its digits) or datagram; by default line, of datagrams datagram.",
                 .choices = {"line", "length", "datagram"},
                 .example = "line"},
      field_spec{.name = "format",
                 .type = field_type::choice,
                 .fallback = "lines",
                 .doc = "lines gives {\"line\": \"...\"}; ndjson a JSON value; syslog an object of "
                        "its parts; bytes {\"bytes\": \"...\"} in base64.",
                 .choices = {"lines", "ndjson", "syslog", "bytes"}},
      field_spec{.name = "journal",
                 .type = field_type::text,
                 .fallback = {},
                 .doc = "A file that items are in, durably, before anything else; it is made.",
                 .example = "intake.db"},
      field_spec{.name = "journal_max",
                 .type = field_type::bytes,
                 .fallback = {},
                 .doc = "When so much is in the journal nothing is read; 1GiB by default.",
                 .example = "1GiB"},
      field_spec{.name = "max_line",
                 .type = field_type::bytes,
                 .fallback = "64KiB",
                 .doc = "A longer item is dead-lettered with its first 64 KiB.",
                 .example = "64KiB"},
      field_spec{.name = "max_connections",
                 .type = field_type::integer,
                 .fallback = "1000",
                 .doc = "More wait until one ends."},
      field_spec{.name = "idle_timeout",
                 .type = field_type::duration,
                 .fallback = {},
                 .doc = "A connection on which nothing came for so long is closed; never by "
                        "default.",
                 .example = "10m"},
      field_spec{.name = "receive_buffer",
                 .type = field_type::bytes,
                 .fallback = {},
                 .doc = "What the kernel is asked to hold of what was not read yet; of udp 8MiB by "
                        "default.",
                 .example = "8MiB"},
      field_spec{.name = "permissions",
                 .type = field_type::text,
                 .fallback = {},
                 .doc = "Of the file of a Unix socket, in octal; \"0600\" by default.",
                 .example = R"("0660")"}};
}

}  // namespace

void register_socket(registry& to) {
  component socket;
  socket.kind = component_kind::source;
  socket.name = "socket";
  socket.doc = "Listens on TCP, UDP or a Unix socket; with a journal nothing received is lost.";
  socket.fields = fields_of_source();
  socket.make_source = make_source;
  to.add(std::move(socket));
}

}  // namespace brigade
