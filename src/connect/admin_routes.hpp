// From a request to its answer: who may ask, and what for.
#pragma once
#include "connect/admin_http.hpp"

#include <brigade/connect/admin.hpp>

#include <optional>
#include <string_view>

namespace brigade::admin {

/// `127.0.0.1:9464`, `[::1]:9464`, `localhost:9464`; nothing if it is no such thing.
[[nodiscard]] std::optional<listen_address> parse_listen(std::string_view text);

/// Takes as long for a token that is almost right as for one that is all wrong.
[[nodiscard]] bool is_same_token(std::string_view given, std::string_view right);

[[nodiscard]] http_response answer(const http_request& request, const admin_options& options,
                                   const std::function<run_status()>& look);

}  // namespace brigade::admin
