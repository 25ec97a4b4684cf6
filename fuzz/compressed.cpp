// Files of gzip and zstd, damaged in every way; and what is compressed comes out as it was.
#include "connect/file_bytes.hpp"
#include "fuzz.hpp"

#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>

namespace brigade::fuzz {
namespace {

constexpr std::size_t most_bytes = std::size_t{4} << 20;

std::shared_ptr<const file_handle> file_of(std::string_view bytes) {
  file_handle file(::memfd_create("fuzz", MFD_CLOEXEC));
  demand(file.fd() >= 0 &&
             ::write(file.fd(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()),
         "memory for a file");
  return std::make_shared<const file_handle>(std::move(file));
}

struct contents {
  std::string text;
  std::string error;
  friend bool operator==(const contents&, const contents&) = default;
};

contents read_all(file_bytes& file, std::size_t chunk_bytes) {
  contents found;
  try {
    while (found.text.size() < most_bytes) {
      const std::string chunk = file.read_at(found.text.size(), chunk_bytes);
      demand(chunk.size() <= chunk_bytes, "a chunk is no larger than asked for");
      if (chunk.empty()) break;
      found.text += chunk;
    }
  } catch (const std::runtime_error& error) {
    found.error = error.what();
  }
  return found;
}

void read_damaged(std::string_view bytes) {
  const auto file = file_of(bytes);
  file_bytes large(file);
  const contents all = read_all(large, std::size_t{64} << 10);
  if (!large.compressed()) demand(all.text == bytes, "what is not compressed is as it is");
  if (all.text.size() >= most_bytes) return;
  chance random(bytes);
  file_bytes small(file);
  const contents again = read_all(small, 1 + all.text.size() / 7 + random.below(100));
  if (!all.error.empty() || !again.error.empty()) {
    // How much comes out before the damage is seen is up to the library.
    demand(!all.error.empty() && !again.error.empty(), "damage is seen, whatever the chunks");
    demand(all.text.starts_with(again.text) || again.text.starts_with(all.text),
           "what comes out before the damage is the same, as far as it comes");
    return;
  }
  demand(again == all, "the size of chunks makes no difference");
  if (all.text.empty()) return;
  const std::size_t at = random.below(all.text.size());
  for (file_bytes* const each : {&large, &small}) {  // backwards, and forwards
    const std::string chunk = each->read_at(at, 50);
    demand(!chunk.empty() && all.text.compare(at, chunk.size(), chunk) == 0,
           "at an offset is what is there in the whole");
  }
}

std::string gzipped(std::string_view text) {
  z_stream stream{};
  demand(::deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK, "zlib");
  std::string out(::deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  demand(::deflate(&stream, Z_FINISH) == Z_STREAM_END, "zlib");
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

std::string zstd_of(std::string_view text) {
  std::string out(::ZSTD_compressBound(text.size()), '\0');
  const std::size_t size = ::ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3);
  demand(::ZSTD_isError(size) == 0, "zstd");
  out.resize(size);
  return out;
}

// Two members, then cut off somewhere: the text comes out up to there, and the end is no surprise.
void read_own(std::string_view text) {
  chance random(text);
  const std::size_t half = random.below(text.size() + 1);
  for (const auto compress : {&gzipped, &zstd_of}) {
    const std::string whole = compress(text.substr(0, half)) + compress(text.substr(half));
    file_bytes file(file_of(whole));
    demand(read_all(file, 1 + random.below(100'000)) == contents{std::string(text), {}},
           "what was compressed comes out");
    const std::string_view part = std::string_view(whole).substr(0, random.below(whole.size()));
    if (compression_of(part) == compression::none) continue;
    file_bytes cut(file_of(part));
    const contents found = read_all(cut, 1 + random.below(100'000));
    demand(text.starts_with(found.text), "of a file that is cut off, the beginning comes out");
    demand(found.text.size() == half || !found.error.empty(), "a file that is cut off says so");
  }
}

void run(std::string_view input) {
  read_damaged(input);
  read_own(input);
}

}  // namespace
}  // namespace brigade::fuzz

BRIGADE_FUZZ(compressed, brigade::fuzz::run);
