/// Lines of `key=value` pairs, as Heroku and the loggers of Go write them.
#pragma once
#include "connect/typed_value.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace brigade {

/// Appends the pairs of a line to `to`, without braces, in their order; of a key given again the
/// last value counts. A value may be quoted, with the escapes of JSON; a key alone is true. What
/// `types` names is of that type, all else text.
/// Gives why the line is none, and then leaves `to` as it was. `line` is valid UTF-8.
[[nodiscard]] std::optional<std::string> append_logfmt(std::string_view line,
                                                       const value_types& types, std::string& to);

}  // namespace brigade
