// The sinks that write to a stream of the process, or nowhere.
#include "connect/file_sink.hpp"

#include <brigade/async/cancel.hpp>
#include <brigade/async/thread.hpp>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <mutex>
#include <stop_token>
#include <utility>

namespace brigade {
namespace {

// After poll has said so, a pipe takes this much without blocking.
constexpr std::size_t piece_bytes = 4096;
// How long the thread may not notice that nobody waits for it.
constexpr int look_up_ms = 100;

/// Keeps a broken pipe from ending the process: the signal goes to the writing thread, which
/// blocks it and takes it away. The rest of the process is left as it is.
class pipe_signal_blocked {
 public:
  pipe_signal_blocked() {
    ::sigemptyset(&only_pipe_);
    ::sigaddset(&only_pipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &only_pipe_, &before_);
  }
  ~pipe_signal_blocked() {
    const timespec at_once{};
    ::sigtimedwait(&only_pipe_, nullptr, &at_once);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  pipe_signal_blocked(const pipe_signal_blocked&) = delete;
  pipe_signal_blocked& operator=(const pipe_signal_blocked&) = delete;

 private:
  sigset_t only_pipe_{};
  sigset_t before_{};
};

}  // namespace

class row_stream {
 public:
  row_stream(row_format format, int fd) : format_(format), fd_(fd) {}

  /// Writes all of `text`, whole rows, or stops when it is asked to; the first time behind
  /// `header`. The rest of a row that was then half written is made up for by the next call: rows
  /// never run into each other.
  void write(const std::stop_token& stop, const std::string& header, const std::string& text) {
    const std::lock_guard lock(mutex_);
    const pipe_signal_blocked blocked;
    if (text.empty()) return;
    if (!std::exchange(begun_, true)) half_row_ = header;
    if (!write_some_of(stop, half_row_)) return;
    half_row_.clear();
    std::string rest = text;
    if (write_some_of(stop, rest)) return;
    const std::size_t written = text.size() - rest.size();
    if (written == 0) return;
    half_row_ = rest.substr(0, end_of_row(format_, text, written - 1) - written);
  }

 private:
  // Takes from the front of `text` what it has written; false: stopped before its end.
  bool write_some_of(const std::stop_token& stop, std::string& text) const {
    std::size_t written = 0;
    while (written < text.size() && !stop.stop_requested()) {
      pollfd wait{fd_, POLLOUT, 0};
      if (::poll(&wait, 1, look_up_ms) <= 0) continue;
      const std::size_t piece = std::min(piece_bytes, text.size() - written);
      const ssize_t took = ::write(fd_, text.data() + written, piece);
      if (took < 0) {
        fail_unless_passing(errno);
      } else {
        written += static_cast<std::size_t>(took);
      }
    }
    text.erase(0, written);
    return text.empty();
  }

  static void fail_unless_passing(int error) {
    if (error == EINTR || error == EAGAIN) return;
    if (error == EPIPE) throw fatal_error("nobody reads standard output any more");
    throw fatal_error("cannot write standard output: " + error_text(error));
  }

  row_format format_;
  int fd_;
  std::mutex mutex_;
  std::string half_row_;
  bool begun_ = false;
};

namespace {

void write_rows(std::stop_token stop, std::shared_ptr<row_stream> stream, const std::string& header,
                const std::string& text) {
  stream->write(stop, header, text);
}

}  // namespace

stdout_sink::stdout_sink(row_format format, int fd, std::vector<std::string> columns)
    : rows_(format, std::move(columns)), stream_(std::make_shared<row_stream>(format, fd)) {}
stdout_sink::~stdout_sink() = default;

task<std::vector<partition_mark>> stdout_sink::open(const sink_resume&) {
  co_return std::vector<partition_mark>{};
}

task<write_result> stdout_sink::write(std::span<const sink_item> batch,
                                      std::span<const partition_mark>) {
  rows made = rows_.make(batch);
  auto call = to_thread(&write_rows, stream_, rows_.header(), std::move(made.text));
  co_await std::move(call);
  write_result result;
  result.failures = std::move(made.failures);
  co_return result;
}

task<std::vector<partition_mark>> null_sink::open(const sink_resume&) {
  co_return std::vector<partition_mark>{};
}

task<write_result> null_sink::write(std::span<const sink_item> batch,
                                    std::span<const partition_mark>) {
  write_result result;
  result.failures.resize(batch.size());
  co_return result;
}

}  // namespace brigade
