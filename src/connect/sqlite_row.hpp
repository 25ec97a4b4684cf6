/// An item as a row: its top-level fields as values SQLite can store.
#pragma once
#include "connect/json_text.hpp"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brigade::sqlite {

enum class cell_type : std::uint8_t { null, integer, real, text };

/// One field. Views are into the item's text, or into the row.
struct cell {
  std::string_view name;
  cell_type type = cell_type::null;
  std::int64_t integer = 0;
  double real = 0;
  std::string_view text;
};

/// Reads items, one after the other.
class row {
 public:
  /// Reads the top-level fields of a JSON object. Gives why it cannot be stored; then the row is
  /// empty. `json` stays valid as long as the cells are used. Where a name is there twice the last
  /// one counts.
  [[nodiscard]] std::optional<std::string> read(std::string_view json,
                                                json_text::object_shape& shape);
  /// Of its names; 0: nobody has the like.
  [[nodiscard]] unsigned shape() const { return shape_; }
  [[nodiscard]] const std::vector<cell>& cells() const { return cells_; }

 private:
  static std::optional<std::string> set_number(cell& to, std::string_view number);
  std::optional<std::string> set_value(cell& to, std::string_view value);
  std::optional<std::string> add(std::string_view key, std::string_view value);
  std::string_view unquoted(std::string_view quoted);

  std::vector<cell> cells_;
  unsigned shape_ = 0;
  std::deque<std::string> storage_;  ///< texts that had escapes; a deque, so that none moves
};

/// Whether SQLite takes both for one name: it ignores the case of ASCII letters.
[[nodiscard]] bool same_column(std::string_view left, std::string_view right);
/// `name` with ASCII letters in lower case.
[[nodiscard]] std::string folded(std::string_view name);

}  // namespace brigade::sqlite
