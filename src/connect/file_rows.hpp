/// Items as lines of output.
#pragma once
#include <brigade/pipeline/sink.hpp>

#include <cstdint>
#include <span>
#include <string>

namespace brigade {

enum class row_format : std::uint8_t {
  ndjson,  ///< the item as JSON
  lines,   ///< the text of its field `line`
};

/// The rows of a batch as one text, each with its newline; items that have no such row fail, for
/// good, and the others are written all the same.
struct rows {
  std::string text;
  std::vector<std::optional<failure>> failures;
};
[[nodiscard]] rows make_rows(row_format format, std::span<const sink_item> batch);

}  // namespace brigade
