/// What the stage and the sink `http` have in common: their fields, and requests made by them.
#pragma once
#include "connect/http_client.hpp"
#include "connect/http_url.hpp"
#include "connect/tls_context.hpp"

#include <brigade/pipeline/registry.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brigade::http {

struct client_settings {
  explicit client_settings(url_template url_) : url(std::move(url_)) {}
  url_template url;
  std::string method;
  std::string headers;    ///< lines that every request has
  std::string type_line;  ///< what those with a body have besides; empty: it is in `headers`
  std::vector<std::string> secrets;        ///< what no message may have, whoever repeats it
  std::string key_header;                  ///< which header has the item's key; empty: none
  std::optional<tls::client_files> files;  ///< of https://
  client_options client;
};

/// `url`, `method` and so on; `methods`: the first is the default.
[[nodiscard]] std::vector<field_spec> client_fields(std::vector<std::string> methods);

/// Throws config_error. `type` is the Content-Type unless `headers` has another.
[[nodiscard]] client_settings read_client_settings(const settings& values,
                                                   const component_context& context,
                                                   std::string_view type);

/// A number of a field that has bounds; throws config_error.
[[nodiscard]] std::size_t bounded(const settings& values, const std::string& field,
                                  std::int64_t most);

/// The client of these settings; reads the files of TLS on a thread. Throws std::runtime_error.
[[nodiscard]] task<std::unique_ptr<client>> make_client(const client_settings& from);

/// `body`: none where there is none to send. The request refers to it. `key`: empty: none.
[[nodiscard]] request make_request(const client_settings& from, const std::string& target,
                                   std::string_view key, std::optional<std::string_view> body);

}  // namespace brigade::http
