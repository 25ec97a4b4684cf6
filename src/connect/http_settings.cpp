#include "connect/http_settings.hpp"

#include "connect/http_components.hpp"

#include <brigade/async/thread.hpp>
#include <brigade/connect/record.hpp>

#include <algorithm>
#include <array>
#include <filesystem>

namespace brigade::http {
namespace {

using namespace std::string_view_literals;

// What the client says itself.
constexpr std::array own_headers = {"Host"sv,    "Content-Length"sv, "Transfer-Encoding"sv,
                                    "Trailer"sv, "Connection"sv,     "Keep-Alive"sv,
                                    "Expect"sv,  "Upgrade"sv,        "TE"sv};
// To do these twice is to do them once (RFC 9110, 9.2.2).
constexpr std::array repeatable_methods = {"GET"sv, "PUT"sv, "DELETE"sv};

void check_header(const std::string& of, const std::string& name, const std::string& value) {
  if (!is_header_name(name)) throw config_error(of, "'" + excerpt(name) + "' is no header's name");
  if (!is_header_value(value)) {
    throw config_error(of, "the value of header '" + name + "' has a line break, another control " +
                               "character, or a blank at an end");
  }
  for (const std::string_view own : own_headers) {
    if (same_name(name, own)) throw config_error(of, "header '" + name + "' is brigade's to write");
  }
}

std::string header_lines(const settings& values, const std::string& token, std::string_view type,
                         std::string& type_line) {
  std::map<std::string, std::string> given;
  if (values.has("headers")) given = values.table("headers");
  const auto has = [&](std::string_view name) {
    return std::ranges::any_of(given, [&](const auto& one) { return same_name(one.first, name); });
  };
  std::string lines;
  for (const auto& [name, value] : given) {
    check_header("headers", name, value);
    lines += name + ": " + value + "\r\n";
  }
  if (!token.empty() && has("Authorization")) {
    throw config_error("token", "'headers' has Authorization already; give one of the two");
  }
  if (!token.empty()) lines += "Authorization: Bearer " + token + "\r\n";
  if (!has("User-Agent")) lines += "User-Agent: brigade\r\n";
  if (!has("Accept")) lines += "Accept: application/json, */*;q=0.5\r\n";
  if (!has("Content-Type")) type_line = "Content-Type: " + std::string(type) + "\r\n";
  return lines;
}

std::string read_token(const settings& values) {
  if (!values.has("token")) return {};
  const std::string& token = values.text("token");
  const bool can_be_sent =
      !token.empty() && std::ranges::all_of(token, [](char c) { return c > ' ' && c < '\x7f'; });
  if (!can_be_sent) {
    throw config_error("token", "'token' must be of printable ASCII characters without blanks");
  }
  return token;
}

std::optional<tls::client_files> read_files(const settings& values,
                                            const component_context& context, bool is_tls) {
  tls::client_files files;
  const auto read = [&](const char* name, std::string& to) {
    if (!values.has(name)) return;
    if (!is_tls) throw config_error(name, "is of no use with http://; write https://");
    if (values.text(name).empty()) throw config_error(name, "the path is empty");
    to = (context.folder / values.text(name)).lexically_normal().string();
  };
  read("ca", files.ca);
  read("client_certificate", files.certificate);
  read("client_key", files.key);
  if (!files.key.empty() && files.certificate.empty()) {
    throw config_error("client_key", "there is no 'client_certificate' that it could be of");
  }
  if (!is_tls) return std::nullopt;
  return files;
}

milliseconds read_limit(const settings& values, const char* name) {
  const milliseconds limit = values.duration(name);
  if (limit.count() <= 0) throw config_error(name, "must be longer than that");
  return limit;
}

// An item's key may have letters that no header should have.
std::string header_safe(std::string_view key) {
  std::string result;
  for (const char c : key) {
    if (c > ' ' && c < '\x7f' && c != '%') {
      result += c;
    } else {
      result += percent_encoded(std::string_view(&c, 1));
    }
  }
  return result;
}

}  // namespace

std::vector<field_spec> client_fields(std::vector<std::string> methods) {
  std::vector<field_spec> result;
  result.push_back(field("url", field_type::text, "",
                         "Where to: http:// or https://; behind the host {field} is filled in from "
                         "the item, percent-encoded.",
                         "https://shop.example/orders"));
  result.back().required = true;
  result.push_back(
      field("method", field_type::choice, methods.front(), "The request's method.", ""));
  result.back().choices = std::move(methods);
  result.push_back(
      field("headers", field_type::text_map, "", "Headers of every request.", "{ X-Shop: main }"));
  result.push_back(field("token", field_type::text, "",
                         "Sent as Authorization: Bearer; keep it out of the file with ${VAR}.",
                         "secret"));
  result.back().secret = true;
  result.push_back(field("idempotency_header", field_type::text, "Idempotency-Key",
                         "The header that has the item's key, the same in every attempt, so that "
                         "the far side can tell a repetition; '' for none.",
                         ""));
  result.push_back(field("ca", field_type::text, "",
                         "PEM file of the authorities to trust, instead of the system's.",
                         "ca.pem"));
  result.push_back(field("client_certificate", field_type::text, "",
                         "PEM file of the certificate to show, its chain behind it.",
                         "client.pem"));
  result.push_back(field("client_key", field_type::text, "",
                         "PEM file of the certificate's key, where it is not in the same file.",
                         "client.key"));
  result.push_back(field("connect_timeout", field_type::duration, "10s",
                         "For the name, the connection and TLS together.", ""));
  result.push_back(field("response_timeout", field_type::duration, "30s",
                         "From the request's first byte to the answer's last.", ""));
  result.push_back(field("max_response", field_type::bytes, "1MiB",
                         "The largest body of an answer that is read.", ""));
  return result;
}

client_settings read_client_settings(const settings& values, const component_context& context,
                                     std::string_view type) {
  client_settings result{url_template(values.text("url"))};
  result.method = values.text("method");
  const std::string token = read_token(values);
  result.headers = header_lines(values, token, type, result.type_line);
  result.secrets = result.url.secrets();
  if (!token.empty()) result.secrets.insert(result.secrets.begin(), token);
  if (values.has("idempotency_header")) result.key_header = values.text("idempotency_header");
  if (!result.key_header.empty()) check_header("idempotency_header", result.key_header, "");
  result.files = read_files(values, context, result.url.where().tls);
  result.client.connect_timeout = read_limit(values, "connect_timeout");
  result.client.answer_timeout = read_limit(values, "response_timeout");
  result.client.body_bytes_max = static_cast<std::size_t>(values.integer("max_response"));
  if (result.client.body_bytes_max == 0) throw config_error("max_response", "must be more than 0");
  return result;
}

std::size_t bounded(const settings& values, const std::string& field, std::int64_t most) {
  const std::int64_t number = values.integer(field);
  if (number < 1 || number > most) {
    throw config_error(field, field + " is " + std::to_string(number) + "; it must be from 1 to " +
                                  std::to_string(most));
  }
  return static_cast<std::size_t>(number);
}

task<std::unique_ptr<client>> make_client(const client_settings& from) {
  client_options options = from.client;
  if (from.files) {
    auto call = to_thread(&tls::client_context, *from.files);
    options.tls = co_await std::move(call);
  }
  co_return std::make_unique<client>(std::move(options));
}

request make_request(const client_settings& from, const std::string& target, std::string_view key,
                     std::optional<std::string_view> body) {
  request result;
  std::string& head = result.head;
  head.reserve(256 + target.size() + from.headers.size());
  head.append(from.method).append(" ").append(target).append(" HTTP/1.1\r\nHost: ");
  head.append(from.url.where().authority).append("\r\n").append(from.headers);
  const bool has_key = !from.key_header.empty() && !key.empty();
  if (has_key) head.append(from.key_header).append(": ").append(header_safe(key)).append("\r\n");
  if (body) {
    head.append(from.type_line)
        .append("Content-Length: ")
        .append(std::to_string(body->size()))
        .append("\r\n");
    result.body = *body;
  }
  head.append("\r\n");
  result.repeatable =
      has_key || std::ranges::find(repeatable_methods, from.method) != repeatable_methods.end();
  return result;
}

}  // namespace brigade::http
