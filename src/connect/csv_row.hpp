/// One row of CSV (RFC 4180) into fields, and fields into JSON; and back.
///
/// A field that begins with a quote ends at its closing quote; `""` in it is one quote, and it may
/// hold commas and newlines. A quote inside a field that does not begin with one is only a
/// character, as everybody reads it. Own code, for rows come from byte offsets in files that may
/// be cut anywhere, which no packaged parser resumes at; see file_csv.hpp.
#pragma once
#include "connect/typed_value.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

/// The fields of one row. Reading the next one ends the life of those given before.
class csv_row {
 public:
  /// `text` is a row without its end, and stays valid as long as the fields are used. Gives why it
  /// is none.
  [[nodiscard]] std::optional<std::string> read(std::string_view text);
  [[nodiscard]] std::span<const std::string_view> fields() const { return fields_; }

 private:
  std::optional<std::string> read_quoted(std::string_view text, std::size_t& at);
  std::vector<std::string_view> fields_;
  std::string unquoted_;  ///< of the fields with doubled quotes
};

/// What the columns of a row are called: without names, a row is an array.
class csv_columns {
 public:
  /// Names as a header may have them: one without text is called by its number, from 1, and one
  /// that is there again gets `_2`, `_3` behind it. Throws config_error on the field `types` when
  /// that speaks of a column there is not.
  csv_columns(std::vector<std::string> names, const value_types& types);
  csv_columns() = default;

  /// Appends the row as JSON. Gives why it cannot, and leaves `to` as it was. The text of the
  /// fields is valid UTF-8.
  [[nodiscard]] std::optional<std::string> append(std::span<const std::string_view> fields,
                                                  std::string& to) const;
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }

 private:
  std::vector<std::string> names_;
  std::vector<std::string> keys_;  ///< `"name":`
  std::vector<value_type> types_;
};

/// The whole of a row: its text as JSON, or why not.
[[nodiscard]] std::optional<std::string> append_csv_row(const csv_columns& columns,
                                                        std::string_view text, std::string& to);

/// Appends a field, in quotes where it needs them. Whoever writes a row of one empty field writes
/// `""`, for an empty line is no row.
void append_csv_field(std::string& to, std::string_view text);

}  // namespace brigade
