/// Bytes in, lines out: no files, no waiting.
#pragma once
#include <brigade/connect/record.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace brigade {

/// How much of a line that is too long is kept.
inline constexpr std::size_t cut_line_bytes = std::size_t{64} << 10;

struct text_line {
  std::string_view text;    ///< without its end; of a cut line its first cut_line_bytes
  std::uint64_t begin = 0;  ///< where the line before ended: ranges are contiguous
  std::uint64_t end = 0;    ///< behind its newline
  std::uint64_t start = 0;  ///< of the line itself; behind `begin` when blank lines were skipped
  std::uint64_t bytes = 0;  ///< how long the whole line is
  bool cut = false;         ///< it is longer than was allowed, and not all here
};

enum class blank_lines : std::uint8_t { keep, skip };

/// Splits a stream into lines, holding no more of one than is allowed.
///
/// Feed a chunk, take lines until there is none, feed the next; at the end take what is left by
/// `finish`. A chunk stays valid until it is used up, and a line's text until the next call. How
/// the stream is cut into chunks makes no difference to the lines.
class line_splitter {
 public:
  /// `offset` is that of the first byte fed; at 0 a byte order mark is skipped.
  line_splitter(std::uint64_t offset, std::uint64_t line_bytes_max, blank_lines blanks);

  void feed(std::string_view chunk);
  /// Nothing: the chunk is used up.
  std::optional<text_line> next();
  /// The last line, when it has no newline. The stream is at its end.
  std::optional<text_line> finish();
  /// The offset of the first byte not yet looked at.
  [[nodiscard]] std::uint64_t offset() const { return offset_; }

 private:
  void hold(std::string_view piece);
  std::optional<text_line> complete_held(bool with_newline);
  std::optional<text_line> complete(std::string_view text, std::uint64_t bytes, bool with_newline);

  std::uint64_t line_bytes_max_;
  std::uint64_t held_bytes_max_;
  blank_lines blanks_;
  std::string_view chunk_;
  std::uint64_t offset_;
  std::uint64_t begin_;      ///< of the next line to give
  std::uint64_t start_;      ///< of the line being collected
  std::string held_;         ///< of a line that goes on in the next chunk
  std::string given_;        ///< what was held of the line given last
  std::uint64_t bytes_ = 0;  ///< of the held line, so far
  char last_ = '\0';
};

enum class line_format : std::uint8_t { lines, ndjson };

struct decoded_line {
  record value;
  std::optional<std::string> undecodable;  ///< why
};
/// What a line is as an item. `line_bytes_max` is for the message only.
[[nodiscard]] decoded_line decode_line(line_format format, const text_line& line,
                                       std::uint64_t line_bytes_max);
/// The same for a record that comes back from a dead letter of stage `source`.
[[nodiscard]] decoded_line decode_again(line_format format, const record& value,
                                        std::uint64_t line_bytes_max);

}  // namespace brigade
