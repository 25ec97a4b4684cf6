/// A stream of CSV: bytes in, rows out, from any row on.
///
/// A row ends at a newline outside of quotes; a carriage return before it belongs to the end. An
/// empty line is no row. How the stream is cut into chunks makes no difference, and from the
/// beginning of any row the same rows follow, so a run resumes at a byte offset: that, and memory
/// bounded by the longest row allowed, is what no packaged parser does.
///
/// A quote that is never closed: once the row is longer than is allowed, it ends at the next
/// newline, in quotes or not, and is given cut; the line behind it begins a row again.
#pragma once
#include "connect/csv_row.hpp"
#include "connect/text_lines.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

/// As line_splitter, for rows; their text is as it stands in the file.
class csv_splitter : public piece_splitter {
 public:
  csv_splitter(std::uint64_t offset, std::uint64_t row_bytes_max)
      : piece_splitter(offset, row_bytes_max) {}

  std::optional<text_line> next();
  std::optional<text_line> finish();
  /// The row that was given last is no item: its bytes belong to the one behind it.
  void absorb(const text_line& row) { not_given(row); }

 private:
  enum class place : std::uint8_t { field_start, plain, quoted, behind_quote };

  std::size_t row_end();
  std::size_t byte_order_mark_end() const;
  std::size_t given_up(std::size_t from, std::size_t to) const;
  std::optional<text_line> complete(const text_line& row);

  place place_ = place::field_start;
};

/// What is told of CSV.
struct csv_format {
  bool header = true;                ///< the first row names the columns
  std::vector<std::string> columns;  ///< without a header: their names; none: rows are arrays
  value_types types;                 ///< by column
};

/// Rows as items. Where the columns are named by the first row, that is read before any other, also
/// when it is resumed further behind: `offset` is then 0 until it has come.
class csv_reader {
 public:
  csv_reader(std::uint64_t offset, std::uint64_t row_bytes_max, csv_format format);

  void feed(std::string_view chunk) { splitter_.feed(chunk); }
  /// Throws std::runtime_error when the first row is no header.
  std::optional<text_line> next();
  std::optional<text_line> finish();
  /// The offset of the next byte that is wanted.
  [[nodiscard]] std::uint64_t offset() const { return splitter_.offset(); }
  [[nodiscard]] decoded_line decode(const text_line& row) const;

 private:
  bool takes_header() const { return format_.header && !has_header_; }
  void take_header(const text_line& row);

  std::uint64_t resume_;
  std::uint64_t row_bytes_max_;
  csv_format format_;
  csv_splitter splitter_;
  csv_columns columns_;
  bool has_header_ = false;
};

/// For a row that comes back from a dead letter of stage `source`.
[[nodiscard]] decoded_line decode_csv_again(const csv_format& format, const record& value,
                                            std::uint64_t row_bytes_max);

}  // namespace brigade
