#include "connect/http_taker.hpp"

#include <brigade/async/assert.hpp>
#include <brigade/connect/record.hpp>

#include <openssl/evp.h>

#include <array>

namespace brigade {
namespace {

// As an Idempotency-Key: many are remembered.
constexpr std::size_t id_bytes_max = 255;

std::string sha256_of(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  const bool done =
      EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr) == 1;
  BRIGADE_ASSERT(done, "SHA-256 is there");
  constexpr std::string_view digits = "0123456789abcdef";
  std::string hex;
  for (unsigned at = 0; at < size; ++at) {
    hex += digits[digest[at] >> 4U];
    hex += digits[digest[at] & 0xFU];
  }
  return hex;
}

void append_text(std::string& to, std::string_view text) {
  if (text.size() <= http_error_bytes_max && valid_utf8(text)) return append_json_quoted(to, text);
  append_json_quoted(to, excerpt(text, http_error_bytes_max));
}

/// `#` and `/` stand between an id and a number behind it.
std::string escaped(std::string prefix, std::string_view name) {
  for (const char c : name) {
    if (c == '#' || c == '/' || c == '%') {
      prefix += c == '#' ? "%23" : c == '/' ? "%2F" : "%25";
    } else {
      prefix += c;
    }
  }
  return prefix;
}

}  // namespace

http_answer http_error(unsigned status, std::string_view error, bool try_later) {
  http_answer answer;
  answer.status = status;
  answer.try_later = try_later;
  answer.body = "{\"status\":" + std::to_string(status) + ",\"error\":";
  append_text(answer.body, error);
  answer.body += "}";
  return answer;
}

unsigned http_status_of(outcome what) {
  switch (what) {
    case outcome::delivered:
    case outcome::filtered:
      return 200;
    case outcome::dead_lettered:
      return 422;
    case outcome::dropped:
    case outcome::returned:
      break;
  }
  return 503;
}

bool is_final(outcome what) { return http_status_of(what) != 503; }

std::string http_id_of_key(std::string_view key) { return escaped("key-", key); }

std::string http_id_of_item(std::string_view called) {
  std::string id = escaped("id-", called);
  if (id.size() > id_bytes_max) return "id-sha256-" + sha256_of(called);
  return id;
}

void append_said(std::string& to, const http_said& what) {
  to += "{\"id\":";
  if (what.id) {
    append_json_quoted(to, *what.id);
  } else {
    to += "null";
  }
  to += ",\"status\":" + std::to_string(what.status) + ",\"outcome\":\"";
  to += what.outcome;
  to += '"';
  if (!what.error.empty()) {
    to += ",\"error\":";
    append_text(to, what.error);
  }
  to += '}';
}

}  // namespace brigade
