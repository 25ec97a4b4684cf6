/// The language between brigade and a long-lived handler: one request a line, one answer a line.
///
///   {"id": 17, "key": "orders:main:8f3a:40960", "attempt": 1, "item": {...}}
///   {"id": 17, "ok": {...}}
///   {"id": 17, "error": "card declined", "retry": false, "fatal": true}
///
/// `retry`: false is permanent, a number is seconds to wait, anything else retryable. What follows
/// `ok` is kept as the handler wrote it, byte by byte, so that no number changes on its way.
/// Pure: bytes in, bytes out. Nothing here throws but std::bad_alloc.
#pragma once
#include <brigade/pipeline/stage.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace brigade::exec {

/// What an answer may have where nothing else is said.
inline constexpr std::size_t line_bytes_usual = std::size_t{1} << 20;

/// Appends one request and its newline. `item` is a JSON value without a newline.
void append_request(std::string& out, std::uint64_t id, std::string_view key, int attempt,
                    std::string_view item);

struct answer {
  std::uint64_t id = 0;
  std::string_view value;        ///< what follows `ok`: a part of the line, a JSON value
  std::optional<failure> error;  ///< set: there is no value
};

/// The line is no answer: what is wrong with it, for people.
struct rubbish {
  std::string why;
};

[[nodiscard]] std::variant<answer, rubbish> decode_answer(std::string_view line);

/// At most `bytes_max` bytes of `text` as one printable line, cut between characters, without the
/// blanks at its ends.
[[nodiscard]] std::string one_line(std::string_view text, std::size_t bytes_max);
/// The same with the blanks it begins with, tabs as two: in a traceback they mean something.
[[nodiscard]] std::string indented_line(std::string_view text, std::size_t bytes_max);

/// Cuts what is read from a pipe into lines.
class line_buffer {
 public:
  static constexpr std::size_t chunk_bytes = std::size_t{64} << 10;

  /// Where to read the next bytes to. Ends the life of the lines given before.
  [[nodiscard]] std::span<char> space();
  void filled(std::size_t count) { end_ += count; }
  /// The next whole line, without its newline.
  [[nodiscard]] std::optional<std::string_view> next();
  /// What has come of a line that is not yet whole.
  [[nodiscard]] std::string_view rest() const { return {bytes_.data() + begin_, end_ - begin_}; }
  void drop_rest() { begin_ = scanned_ = end_; }

 private:
  std::vector<char> bytes_;
  std::size_t begin_ = 0;    ///< of the first line not given
  std::size_t scanned_ = 0;  ///< no newline between `begin_` and here
  std::size_t end_ = 0;
};

}  // namespace brigade::exec
