/// Text as a JSON value of a given type: what `types` means, in `parse` and for CSV.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace brigade {

enum class value_type : std::uint8_t { text, integer, decimal, boolean };
using value_types = std::map<std::string, value_type, std::less<>>;

/// What the words `text`, `int`, `float` and `bool` mean. Throws config_error on the field `types`
/// for any other.
[[nodiscard]] value_types read_types(const std::map<std::string, std::string>& words);

/// Appends `text`, valid UTF-8, as a JSON value. Without text, what is not `text` is null. Gives
/// what it is not ("an integer") when it does not fit; `to` may then have grown.
[[nodiscard]] std::optional<std::string_view> append_typed(std::string& to, value_type type,
                                                           std::string_view text);

/// Appends `text` as a JSON integer, without leading zeros; false when it is none.
[[nodiscard]] bool append_integer(std::string& to, std::string_view text);
/// Appends `text` as a JSON number: as it was written where JSON allows it, else the shortest
/// spelling of the same double. False when it is no finite number.
[[nodiscard]] bool append_float(std::string& to, std::string_view text);

/// `'total' is not an integer: 'abc'`
[[nodiscard]] std::string not_of_type(std::string_view name, std::string_view wanted,
                                      std::string_view text);

}  // namespace brigade
