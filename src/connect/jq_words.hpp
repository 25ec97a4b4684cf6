/// The words a jq program must not use in a process that holds other people's items.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace brigade {

/// The first refused word that `program` uses, as it is written there; nothing when there is none.
/// Names of fields, keys, variables and the text of strings are not uses; what is interpolated
/// into a string is program.
[[nodiscard]] std::optional<std::string> refused_jq_word(std::string_view program);

}  // namespace brigade
