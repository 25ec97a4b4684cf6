// What zlib and libzstd do for a file_bytes.
#include "connect/file_bytes.hpp"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <limits>
#include <new>
#include <stdexcept>

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
      if (padded_) throw std::runtime_error("something follows the zeros at its end");
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
      throw std::runtime_error(stream_.msg != nullptr ? stream_.msg : "it is damaged");
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
    ZSTD_inBuffer in{input.data(), input.size(), 0};
    ZSTD_outBuffer out{output, output_bytes, 0};
    // At its end it would begin a frame of nothing.
    if (input.empty() && between_) return {};
    const std::size_t result = ::ZSTD_decompressStream(stream_, &out, &in);
    if (::ZSTD_isError(result) != 0U) throw std::runtime_error(::ZSTD_getErrorName(result));
    between_ = result == 0;
    return step{in.pos, out.pos};
  }
  [[nodiscard]] bool may_end() const override { return between_; }

 private:
  ZSTD_DStream* stream_;
  bool between_ = false;
};

}  // namespace

std::unique_ptr<inflater> make_inflater(compression how) {
  if (how == compression::gzip) return std::make_unique<gzip_inflater>();
  return std::make_unique<zstd_inflater>();
}

}  // namespace brigade
