/// An item as a row: its top-level fields as texts that PostgreSQL reads.
#pragma once
#include "connect/json_text.hpp"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brigade::postgres {

/// One field. Views are into the item's text, or into the row.
struct cell {
  std::string_view name;
  json_text::kind kind = json_text::kind::null;
  std::string_view json;  ///< the value as it was written
  std::string_view text;  ///< what a string says; of others as `json`
};

/// How a column wants its values.
enum class column_form : std::uint8_t { text, number, boolean, json, array };

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
  bool read_as(const json_text::object_shape& shape, std::string_view object);
  void set_value(cell& to, std::string_view value);
  std::optional<std::string> add(std::string_view key, std::string_view value);
  std::string_view unquoted(std::string_view quoted);

  std::vector<cell> cells_;
  unsigned shape_ = 0;
  std::deque<std::string> storage_;  ///< texts that had escapes; a deque, so that none moves
};

/// The value as the text that is given to the column's type; nothing: NULL. `storage` may be where
/// it is, as long as it is not used for another.
[[nodiscard]] std::optional<std::string_view> value_for(const cell& from, column_form form,
                                                        std::string& storage);
/// Why the value has no text at all that PostgreSQL takes.
[[nodiscard]] std::optional<std::string> value_problem(const cell& from, column_form form);

/// Appends a value as a field of COPY's text format.
void append_copy_field(std::string& to, std::optional<std::string_view> value);

}  // namespace brigade::postgres
