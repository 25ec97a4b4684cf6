/// The bytes of a file as its writer saw them: as they are, or out of gzip or zstd.
///
/// What a file is, its first bytes say, never its name. Offsets are those of the bytes that come
/// out. A compressed stream is read forwards: going to an offset ahead decompresses what is before
/// it and drops it; going back begins anew. Members behind each other are one stream.
///
/// Memory is bounded, however much comes out of little: a chunk, and the window of the format (at
/// most 128 MiB, for zstd; a frame that wants more is refused).
#pragma once
#include "connect/file_handle.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>

namespace brigade {

enum class compression : std::uint8_t { none, gzip, zstd };
/// By the first bytes of a file; four are enough.
[[nodiscard]] compression compression_of(std::string_view head);

/// Decompresses one stream, forwards.
class inflater {
 public:
  struct step {
    std::size_t taken = 0;  ///< of the input
    std::size_t given = 0;  ///< bytes of output
    std::string damage;     ///< what is wrong with the stream behind them; empty: nothing
  };
  virtual ~inflater() = default;
  virtual step run(std::string_view input, char* output, std::size_t output_bytes) = 0;
  /// The stream may end behind the input it has taken.
  [[nodiscard]] virtual bool may_end() const = 0;
};
[[nodiscard]] std::unique_ptr<inflater> make_inflater(compression how);

/// All calls block. Thread safety: any thread; one at a time goes on, the others wait. A call that
/// nobody waits for any more may be repeated: nothing is lost.
class file_bytes {
 public:
  explicit file_bytes(std::shared_ptr<const file_handle> file);

  [[nodiscard]] int fd() const { return file_->fd(); }
  [[nodiscard]] bool compressed() const { return how_ != compression::none; }
  /// Up to `bytes_max` bytes at `offset`, as many as there are at once; none: it is the end.
  /// Throws std::runtime_error when the file cannot be read, or, once all that came before was
  /// given, is damaged or cut off; or ends before `offset`. Ends early, with nothing, when asked to
  /// stop. `used`: a buffer to use again.
  [[nodiscard]] std::string read_at(std::uint64_t offset, std::size_t bytes_max,
                                    const std::stop_token& stop = {}, std::string used = {});

 private:
  std::string inflated(std::uint64_t offset, std::size_t bytes_max, const std::stop_token& stop);
  void begin();
  bool refill();
  void inflate_chunk(std::size_t bytes_max, const std::stop_token& stop);

  std::shared_ptr<const file_handle> file_;
  compression how_;
  std::mutex mutex_;  // for all below
  std::unique_ptr<inflater> inflater_;
  std::string input_;
  std::size_t input_at_ = 0;       ///< what of it is taken
  std::uint64_t input_end_ = 0;    ///< the offset in the file behind `input_`
  std::string chunk_;              ///< what came out last
  std::uint64_t chunk_begin_ = 0;  ///< its offset
  std::string damage_;             ///< what is wrong behind the chunk
};

}  // namespace brigade
