// What zlib and libzstd do for a file_bytes.
#include "connect/file_bytes.hpp"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <limits>
#include <new>

namespace brigade {
namespace {

constexpr int gzip_window = 15 + 16;  // the largest, and gzip's own wrapping

class gzip_inflater final : public inflater {
 public:
  gzip_inflater() {
    if (::inflateInit2(&stream_, gzip_window) != Z_OK) throw std::bad_alloc();
  }
  ~gzip_inflater() override { ::inflateEnd(&stream_); }
  gzip_inflater(const gzip_inflater&) = delete;
  gzip_inflater& operator=(const gzip_inflater&) = delete;

  step run(std::string_view input, char* output, std::size_t output_bytes) override {
    step did;
    if (between_) {
      did.taken = zeros_skipped(input);
      input.remove_prefix(did.taken);
      if (input.empty()) return did;
      if (padded_) {
        did.damage = "something follows the zeros at its end";
        return did;
      }
      ::inflateReset(&stream_);
      between_ = false;
    }
    constexpr std::size_t most = std::numeric_limits<uInt>::max();
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream_.avail_in = static_cast<uInt>(std::min(input.size(), most));
    stream_.next_out = reinterpret_cast<Bytef*>(output);
    stream_.avail_out = static_cast<uInt>(std::min(output_bytes, most));
    const uInt in_before = stream_.avail_in;
    const uInt out_before = stream_.avail_out;
    const int result = ::inflate(&stream_, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR) throw std::bad_alloc();
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
      did.damage = stream_.msg != nullptr ? stream_.msg : "it is no gzip";
    }
    between_ = result == Z_STREAM_END;
    did.taken += in_before - stream_.avail_in;
    did.given = out_before - stream_.avail_out;
    return did;
  }
  [[nodiscard]] bool may_end() const override { return between_; }

 private:
  // Tapes and blocks are filled up with zeros; gzip itself skips them too.
  std::size_t zeros_skipped(std::string_view input) {
    const std::size_t zeros = std::min(input.find_first_not_of('\0'), input.size());
    padded_ = padded_ || zeros > 0;
    return zeros;
  }

  z_stream stream_{};
  bool between_ = false;  ///< a member has ended, and no other begun
  bool padded_ = false;
};

class zstd_inflater final : public inflater {
 public:
  zstd_inflater() : stream_(::ZSTD_createDStream()) {
    if (stream_ == nullptr) throw std::bad_alloc();
  }
  ~zstd_inflater() override { ::ZSTD_freeDStream(stream_); }
  zstd_inflater(const zstd_inflater&) = delete;
  zstd_inflater& operator=(const zstd_inflater&) = delete;

  step run(std::string_view input, char* output, std::size_t output_bytes) override {
    // At its end it would begin a frame of nothing.
    if (input.empty() && between_) return {};
    // A block at a time, and none while there may be more of the last one: a call that fails gives
    // nothing of what it has decompressed.
    ZSTD_inBuffer in{input.data(), has_more_ ? 0 : std::min(input.size(), wanted_bytes_), 0};
    ZSTD_outBuffer out{output, output_bytes, 0};
    const std::size_t result = ::ZSTD_decompressStream(stream_, &out, &in);
    if (::ZSTD_isError(result) != 0U) return step{in.pos, out.pos, ::ZSTD_getErrorName(result)};
    has_more_ = out.pos == out.size;
    between_ = result == 0;
    wanted_bytes_ = between_ ? first_bytes : result;
    return step{in.pos, out.pos, {}};
  }
  [[nodiscard]] bool may_end() const override { return between_; }

 private:
  static constexpr std::size_t first_bytes = 5;  // what tells the size of a frame's header

  ZSTD_DStream* stream_;
  std::size_t wanted_bytes_ = first_bytes;
  bool has_more_ = false;  ///< it may hold text for which there was no room
  bool between_ = false;
};

}  // namespace

std::unique_ptr<inflater> make_inflater(compression how) {
  if (how == compression::gzip) return std::make_unique<gzip_inflater>();
  return std::make_unique<zstd_inflater>();
}

}  // namespace brigade
