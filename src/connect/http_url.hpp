/// A URL to send to, with `{field}` in it, filled in from an item. Pure.
#pragma once
#include "connect/field_template.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace brigade::http {

/// Whom to connect to.
struct address {
  bool tls = false;
  std::string host = {};  ///< a name or an IP address, without brackets
  std::uint16_t port = 0;
  std::string authority =
      {};  ///< as the Host header has it; the port only when it is not the usual
  /// For people: `https://shop.example:8443`. Path and query stay out of messages, for there may be
  /// secrets in them.
  [[nodiscard]] std::string shown() const;
};

class url_template {
 public:
  /// Throws config_error on the field `url`. `{name}` stands for a top-level field of the item,
  /// `{{name}}` for itself, and only behind the host: an item never says whom to talk to.
  explicit url_template(std::string_view text);

  [[nodiscard]] const address& where() const { return where_; }
  [[nodiscard]] bool has_fields() const { return !fields_.empty(); }
  /// Path and query for `item` (JSON), each field percent-encoded. Throws permanent_error when the
  /// item has no such field, or when a piece of the path would be empty, `.` or `..`, which is
  /// another address.
  [[nodiscard]] std::string target(std::string_view item) const;
  /// What of path and query is no item's, and may be secret: it may be as good as a token.
  [[nodiscard]] std::vector<std::string> secrets() const;

 private:
  [[nodiscard]] std::string filled(std::string_view item) const;

  address where_;
  std::vector<template_piece> pieces_;
  std::vector<std::string> fields_;
};

/// With all but letters, digits and `-._~` as %XX.
[[nodiscard]] std::string percent_encoded(std::string_view text);

}  // namespace brigade::http
