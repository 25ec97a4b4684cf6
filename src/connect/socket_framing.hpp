/// Bytes of a connection in, frames out: no sockets, no waiting.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace brigade {

enum class socket_framing : std::uint8_t {
  line,            ///< up to a newline; a carriage return before it belongs to the end
  length,          ///< behind its length, four bytes, the highest first
  octet_counting,  ///< behind its length in digits and a blank (RFC 6587, 3.4.1)
  syslog,          ///< each frame in one of those last, or a line (RFC 6587, 3.4.2)
  datagram,        ///< what came together
};

/// What does not follow the framing: nobody can know where the next frame begins.
class framing_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct socket_frame {
  std::string_view bytes;         ///< without length and end; of a cut one its beginning
  std::uint64_t whole_bytes = 0;  ///< how long it is
  bool cut = false;               ///< it is longer than was allowed, and not all here
};

/// Splits a stream into frames.
///
/// Feed a chunk, take frames until there is none, feed the next; at the end take what is left by
/// `finish`. How the stream is cut into chunks makes no difference to the frames. Of a frame that
/// is longer than allowed its first 64 KiB are held, and given as cut.
class frame_splitter {
 public:
  frame_splitter(socket_framing how, std::uint64_t bytes_max);

  /// A chunk stays valid until it is used up, and a frame's bytes until the next call.
  void feed(std::string_view chunk) { chunk_ = chunk; }
  /// Nothing: the chunk is used up. Throws framing_error.
  std::optional<socket_frame> next();
  /// The last line, when it has no newline. The stream is at its end.
  std::optional<socket_frame> finish();
  /// Bytes that came of a frame whose end did not, once `finish` was called.
  [[nodiscard]] std::uint64_t unfinished() const { return unfinished_; }

 private:
  enum class place : std::uint8_t { start, head, body, line };
  void begin();
  bool head_is_whole();
  bool length_is_whole();
  bool count_is_whole();
  bool syslog_head_is_whole();
  void begin_body(std::uint64_t bytes);
  void head_was_line();
  std::optional<socket_frame> body();
  std::optional<socket_frame> line();
  void hold(std::string_view piece);
  socket_frame give(std::string_view last);
  socket_frame framed(std::string_view text, std::uint64_t whole) const;

  socket_framing how_;
  std::uint64_t bytes_max_;
  std::string_view chunk_;
  place place_ = place::start;
  std::string head_;           ///< of a length that is not all here
  std::uint64_t missing_ = 0;  ///< of a body
  std::string held_;           ///< of a frame that began in chunks before
  std::string given_;          ///< what was held of the frame given last
  std::uint64_t bytes_ = 0;    ///< of the frame, so far
  std::uint64_t unfinished_ = 0;
};

}  // namespace brigade
