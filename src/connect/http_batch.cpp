#include "connect/http_batch.hpp"

#include "connect/field_template.hpp"
#include "connect/json_text.hpp"

#include <brigade/connect/record.hpp>

#include <openssl/evp.h>

#include <array>
#include <memory>

namespace brigade::http {
namespace {

constexpr std::size_t error_bytes_max = 300;

std::optional<item_status> read_status(std::string_view value) {
  if (json_text::kind_of(value) != json_text::kind::object) return std::nullopt;
  const auto status = json_text::member(value, "status");
  if (!status || json_text::kind_of(*status) != json_text::kind::number) return std::nullopt;
  const auto number = json_text::to_int64(*status);
  if (!number || *number < 200 || *number > 599) return std::nullopt;
  item_status result{.status = static_cast<int>(*number)};
  const auto error = json_text::member(value, "error");
  if (error && *error != "null") result.error = excerpt(plain_text(*error), error_bytes_max);
  return result;
}

struct digest_freed {
  void operator()(EVP_MD_CTX* object) const { EVP_MD_CTX_free(object); }
};

}  // namespace

std::optional<std::vector<item_status>> read_statuses(std::string_view body, std::size_t items) {
  const std::string_view text = json_text::trimmed(body);
  if (!text.starts_with('[') || json_text::check(text)) return std::nullopt;
  std::vector<item_status> result;
  result.reserve(items);
  json_text::array_reader reader(text);
  while (reader.next()) {
    auto status = read_status(reader.value());
    if (!status || result.size() == items) return std::nullopt;
    result.push_back(*std::move(status));
  }
  if (result.size() != items) return std::nullopt;
  return result;
}

std::string key_of_all(std::span<const std::string_view> keys) {
  const std::unique_ptr<EVP_MD_CTX, digest_freed> digest(EVP_MD_CTX_new());
  EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr);
  for (const std::string_view key : keys) {
    EVP_DigestUpdate(digest.get(), key.data(), key.size());
    EVP_DigestUpdate(digest.get(), "\n", 1);
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  EVP_DigestFinal_ex(digest.get(), bytes.data(), &size);
  constexpr std::string_view digits = "0123456789abcdef";
  std::string result;
  for (unsigned i = 0; i < size; ++i) {
    result += digits[bytes[i] >> 4];
    result += digits[bytes[i] & 0xF];
  }
  return result;
}

}  // namespace brigade::http
