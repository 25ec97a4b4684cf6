/// What a frame is as an item, and how it is kept until it is one.
#pragma once
#include "connect/socket_framing.hpp"

#include <brigade/connect/record.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace brigade {

enum class socket_format : std::uint8_t {
  lines,   ///< {"line": "..."}
  ndjson,  ///< the JSON value itself
  syslog,  ///< an object of the parts of a line of syslog
  bytes,   ///< {"bytes": "..."}, in base64
};

/// Whether a frame is no item: a blank one between JSON values or lines of syslog.
[[nodiscard]] bool is_skipped(socket_format format, const socket_frame& frame);

/// A frame as one text, cut or not, whatever the format.
[[nodiscard]] std::string pack_frame(const socket_frame& frame);

struct socket_item {
  record value;
  std::optional<std::string> undecodable;  ///< why
};
/// What `pack_frame` made, as an item. `bytes_max` is for the message only.
[[nodiscard]] socket_item unpack_frame(socket_format format, std::string_view packed,
                                       std::uint64_t bytes_max);
/// The same for a record that comes back from a dead letter of stage `source`.
[[nodiscard]] socket_item decode_again(socket_format format, const record& value,
                                       std::uint64_t bytes_max);

}  // namespace brigade
