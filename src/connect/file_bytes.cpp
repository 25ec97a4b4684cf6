#include "connect/file_bytes.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace brigade {
namespace {

constexpr std::size_t input_bytes = std::size_t{64} << 10;
constexpr std::size_t magic_bytes = 4;
constexpr std::string_view gzip_magic = "\x1F\x8B\x08";
constexpr std::string_view zstd_magic = "\x28\xB5\x2F\xFD";
constexpr std::string_view zstd_skip_magic = "\x2A\x4D\x18";

std::string_view name_of(compression how) { return how == compression::gzip ? "gzip" : "zstd"; }

}  // namespace

compression compression_of(std::string_view head) {
  if (head.starts_with(gzip_magic)) return compression::gzip;
  if (head.starts_with(zstd_magic)) return compression::zstd;
  // A frame to skip, with which parallel zstd begins: its first byte is one of sixteen.
  const bool skips = !head.empty() && (static_cast<unsigned char>(head[0]) & 0xF0U) == 0x50;
  if (skips && head.substr(1).starts_with(zstd_skip_magic)) return compression::zstd;
  return compression::none;
}

file_bytes::file_bytes(std::shared_ptr<const file_handle> file)
    : file_(std::move(file)), how_(compression_of(file_->read_at(0, magic_bytes))) {}

std::string file_bytes::read_at(std::uint64_t offset, std::size_t bytes_max,
                                const std::stop_token& stop, std::string used) {
  if (!compressed()) return file_->read_at(offset, bytes_max, std::move(used));
  const std::lock_guard lock(mutex_);
  return inflated(offset, bytes_max, stop);
}

std::string file_bytes::inflated(std::uint64_t offset, std::size_t bytes_max,
                                 const std::stop_token& stop) {
  if (!inflater_ || offset < chunk_begin_) begin();
  while (offset >= chunk_begin_ + chunk_.size()) {
    if (!damage_.empty()) throw std::runtime_error(damage_);
    inflate_chunk(bytes_max, stop);
    if (stop.stop_requested()) return {};
    if (!chunk_.empty() || !damage_.empty()) continue;
    if (offset == chunk_begin_) return {};
    throw std::runtime_error("it holds " + std::to_string(chunk_begin_) + " bytes, but " +
                             std::to_string(offset) + " were read of it before");
  }
  return chunk_.substr(static_cast<std::size_t>(offset - chunk_begin_), bytes_max);
}

void file_bytes::begin() {
  inflater_ = make_inflater(how_);
  input_.clear();
  input_at_ = 0;
  input_end_ = 0;
  chunk_.clear();
  chunk_begin_ = 0;
  damage_.clear();
}

bool file_bytes::refill() {
  if (input_at_ < input_.size()) return true;
  input_ = file_->read_at(input_end_, input_bytes);
  input_at_ = 0;
  input_end_ += input_.size();
  return !input_.empty();
}

// Whole chunks, but at the end: a stop leaves what has come so far for the next call.
void file_bytes::inflate_chunk(std::size_t bytes_max, const std::stop_token& stop) {
  chunk_begin_ += chunk_.size();
  chunk_.clear();
  std::string out(bytes_max, '\0');
  std::size_t have = 0;
  std::string damage;
  while (have < out.size() && damage.empty() && !stop.stop_requested()) {
    const bool has_input = refill();
    inflater::step did = inflater_->run(std::string_view(input_).substr(input_at_),
                                        out.data() + have, out.size() - have);
    input_at_ += did.taken;
    have += did.given;
    damage = std::move(did.damage);
    if (has_input || did.given > 0 || !damage.empty()) continue;
    if (inflater_->may_end()) break;
    damage = "it is cut off";
  }
  if (!damage.empty()) {
    damage_ = "its " + std::string(name_of(how_)) + " data is damaged behind " +
              std::to_string(chunk_begin_ + have) + " bytes of text: " + damage;
  }
  out.resize(have);
  chunk_ = std::move(out);
}

}  // namespace brigade
