#include "connect/file_stdin.hpp"

#include "connect/file_handle.hpp"
#include "connect/file_identity.hpp"

#include <brigade/async/thread.hpp>

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <stdexcept>
#include <stop_token>

namespace brigade {
namespace {

constexpr std::uint64_t line_bytes_max = std::uint64_t{1} << 20;
constexpr std::size_t read_bytes = std::size_t{64} << 10;
// How long a thread may not notice that nobody waits for it.
constexpr int look_up_ms = 100;

}  // namespace

class stream_inbox {
 public:
  explicit stream_inbox(int fd) : fd_(fd) {}

  /// Waits until there are bytes or the end, or `stop` is asked for.
  void fill(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const std::lock_guard lock(mutex_);
      if (!bytes_.empty() || ended_) return;
      pollfd wait{fd_, POLLIN, 0};
      const int ready = ::poll(&wait, 1, look_up_ms);
      if (ready > 0) read_once();
    }
  }
  /// What has come in; when that is nothing, `ended` may say that nothing will come any more.
  std::string take(bool& ended) {
    const std::lock_guard lock(mutex_);
    ended = ended_ && bytes_.empty();
    return std::exchange(bytes_, std::string{});
  }

 private:
  void read_once() {
    bytes_.resize(read_bytes);
    const ssize_t got = ::read(fd_, bytes_.data(), bytes_.size());
    const int error = errno;
    bytes_.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    if (got == 0) ended_ = true;
    if (got < 0 && error != EINTR && error != EAGAIN) {
      throw std::runtime_error("cannot read standard input: " + error_text(error));
    }
  }

  int fd_;
  std::mutex mutex_;
  std::string bytes_;
  bool ended_ = false;
};

namespace {

void fill(std::stop_token stop, std::shared_ptr<stream_inbox> inbox) { inbox->fill(stop); }

}  // namespace

stdin_source::stdin_source(std::string name, line_format format, int fd)
    : name_(std::move(name)),
      format_(format),
      inbox_(std::make_shared<stream_inbox>(fd)),
      splitter_(0, line_bytes_max,
                format == line_format::ndjson ? blank_lines::skip : blank_lines::keep) {}

stdin_source::~stdin_source() = default;

task<> stdin_source::open(std::vector<partition_mark>, std::string) {
  partitions_.push_back(name_ + ":" + draw_token({}));
  co_return;
}

task<std::vector<source_item>> stdin_source::read(std::size_t items_max) {
  std::vector<source_item> items;
  while (items.empty() && !at_end_) {
    take_lines(items, items_max);
    if (!items.empty()) break;
    auto call = to_thread(&fill, inbox_);
    co_await std::move(call);
    chunk_ = inbox_->take(at_end_);
    splitter_.feed(chunk_);
    if (!at_end_) continue;
    if (auto last = splitter_.finish()) add_item(items, *last);
  }
  co_return items;
}

void stdin_source::take_lines(std::vector<source_item>& items, std::size_t items_max) {
  while (items.size() < items_max) {
    auto line = splitter_.next();
    if (!line) return;
    add_item(items, *line);
  }
}

void stdin_source::add_item(std::vector<source_item>& items, const text_line& line) {
  const std::uint64_t begin = line.begin;
  const std::uint64_t end = line.end;
  decoded_line decoded = decode_line(format_, line, line_bytes_max);
  items.emplace_back(payload(std::move(decoded.value)), 0, begin, end);
  items.back().undecodable = std::move(decoded.undecodable);
}

std::optional<std::string> stdin_source::decode(payload& value) const {
  decoded_line decoded = decode_again(format_, value.get<record>(), line_bytes_max);
  value = payload(std::move(decoded.value));
  return std::move(decoded.undecodable);
}

std::string stdin_source::fingerprint() const {
  return format_ == line_format::ndjson ? "stdin ndjson" : "stdin lines";
}

}  // namespace brigade
