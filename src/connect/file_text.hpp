/// The bytes of a source as items, whatever their format.
#pragma once
#include "connect/file_csv.hpp"
#include "connect/text_lines.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace brigade {

/// How a source's bytes are read.
struct text_format {
  line_format what = line_format::lines;
  std::uint64_t line_bytes_max = std::uint64_t{1} << 20;
  csv_format csv = {};  ///< where it is csv
};

/// `file ndjson`, `stdin csv without header`: for a source's fingerprint.
[[nodiscard]] std::string format_fingerprint(std::string_view source, const text_format& format);

/// As line_splitter: feed a chunk of what is at `offset`, take items until there is none, feed the
/// next. `offset` may jump, when something at the beginning had to be read first.
class text_splitter {
 public:
  /// `offset` is where to go on: the beginning, or the end of an item. `shown` is what the text is
  /// called in messages.
  text_splitter(const text_format& format, std::uint64_t offset, std::string shown);

  void feed(std::string_view chunk);
  /// Throws std::runtime_error when the text as a whole makes no sense.
  std::optional<text_line> next();
  std::optional<text_line> finish();
  [[nodiscard]] std::uint64_t offset() const;
  /// What a line, or row, is as an item.
  [[nodiscard]] decoded_line decode(const text_line& line) const;

 private:
  std::optional<text_line> checked(std::optional<text_line> (csv_reader::*call)());

  line_format format_;
  std::string shown_;
  std::uint64_t line_bytes_max_;
  std::variant<line_splitter, csv_reader> how_;
};

/// The shape that a record from a dead letter of stage `source` has as an item, or why it has none.
[[nodiscard]] decoded_line decode_again(const text_format& format, const record& value);

}  // namespace brigade
