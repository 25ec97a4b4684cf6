/// Bytes in, lines out: no files, no waiting.
#pragma once
#include <brigade/connect/record.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace brigade {

inline constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
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

/// What splitters share: a stream that comes in chunks is cut into pieces, of which no more is held
/// than is allowed.
class piece_splitter {
 public:
  /// A chunk stays valid until it is used up, and a line's text until the next call.
  void feed(std::string_view chunk) { chunk_ = chunk; }
  /// The offset of the first byte not yet looked at.
  [[nodiscard]] std::uint64_t offset() const { return offset_; }

 protected:
  /// `offset` is that of the first byte fed; at 0 a byte order mark is skipped. A piece longer than
  /// `bytes_max` is given cut.
  piece_splitter(std::uint64_t offset, std::uint64_t bytes_max);

  [[nodiscard]] std::string_view chunk() const { return chunk_; }
  [[nodiscard]] std::uint64_t bytes_max() const { return bytes_max_; }
  /// Of the piece that began in chunks before.
  [[nodiscard]] std::string_view held() const { return held_; }
  [[nodiscard]] std::uint64_t held_bytes() const { return bytes_; }
  [[nodiscard]] std::uint64_t start() const { return start_; }

  /// The piece goes on in the next chunk.
  void hold_chunk();
  /// The piece ends at this newline of the chunk.
  [[nodiscard]] text_line take_to(std::size_t newline);
  /// The piece ends with the stream.
  [[nodiscard]] text_line take_held() { return framed_held(false); }
  /// It is one; what is not belongs to the next.
  void given(const text_line& line) { begin_ = line.end; }
  void not_given(const text_line& line) { begin_ = line.begin; }

 private:
  void hold(std::string_view piece);
  text_line framed_held(bool with_newline);
  text_line framed(std::string_view text, std::uint64_t bytes, bool with_newline);

  std::uint64_t bytes_max_;
  std::uint64_t held_bytes_max_;
  std::string_view chunk_;
  std::uint64_t offset_;
  std::uint64_t begin_;      ///< of the next piece to give
  std::uint64_t start_;      ///< of the piece being collected
  std::string held_;         ///< of a piece that goes on in the next chunk
  std::string given_;        ///< what was held of the piece given last
  std::uint64_t bytes_ = 0;  ///< of the held piece, so far
  char last_ = '\0';
};

/// Splits a stream into lines.
///
/// Feed a chunk, take lines until there is none, feed the next; at the end take what is left by
/// `finish`. How the stream is cut into chunks makes no difference to the lines.
class line_splitter : public piece_splitter {
 public:
  line_splitter(std::uint64_t offset, std::uint64_t line_bytes_max, blank_lines blanks);

  /// Nothing: the chunk is used up.
  std::optional<text_line> next();
  /// The last line, when it has no newline. The stream is at its end.
  std::optional<text_line> finish();

 private:
  [[nodiscard]] bool is_skipped(const text_line& line) const;
  blank_lines blanks_;
};

enum class line_format : std::uint8_t { lines, ndjson, csv };  ///< csv: see file_csv.hpp

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
