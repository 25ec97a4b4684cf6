#include "connect/socket_server.hpp"
#include "connect/text_lines.hpp"

#include <brigade/async/event.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/outside_hold.hpp>
#include <brigade/async/timeout.hpp>

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace brigade {
namespace {

constexpr std::size_t datagrams_at_once = 256;
constexpr std::size_t buffers_bytes_max = std::size_t{16} << 20;
constexpr std::size_t internet_datagram_max = 65536;
// At a stop: for how long what the kernel has already is still read, and room for it waited for.
constexpr std::chrono::seconds finish_time{1};
// How often it is looked at how much was dropped.
constexpr std::chrono::seconds look_every{1};

using steady = std::chrono::steady_clock;

/// Room for many datagrams, filled by one call.
class datagram_buffers {
 public:
  explicit datagram_buffers(std::size_t bytes_each)
      : bytes_each_(bytes_each),
        count_(std::clamp<std::size_t>(buffers_bytes_max / bytes_each, 1, datagrams_at_once)),
        bytes_(std::make_unique_for_overwrite<char[]>(bytes_each_ * count_)),
        parts_(count_),
        heads_(count_) {
    for (std::size_t n = 0; n < count_; ++n) {
      parts_[n] = {bytes_.get() + n * bytes_each_, bytes_each_};
      heads_[n].msg_hdr.msg_iov = &parts_[n];
      heads_[n].msg_hdr.msg_iovlen = 1;
    }
  }
  /// How many came, without waiting; less than none: the error.
  int receive(int fd) {
    const int got = ::recvmmsg(fd, heads_.data(), static_cast<unsigned>(count_),
                               MSG_DONTWAIT | MSG_TRUNC, nullptr);
    return got >= 0 ? got : -errno;
  }
  /// With MSG_TRUNC the kernel says how long it was, whatever there was room for.
  [[nodiscard]] socket_frame frame(int n, std::uint64_t bytes_max) const {
    const auto at = static_cast<std::size_t>(n);
    socket_frame made;
    made.whole_bytes = heads_[at].msg_len;
    made.cut = made.whole_bytes > bytes_max;
    const std::size_t here = std::min<std::size_t>(made.whole_bytes, bytes_each_);
    made.bytes = {bytes_.get() + at * bytes_each_,
                  made.cut ? std::min(here, cut_line_bytes) : here};
    return made;
  }

 private:
  std::size_t bytes_each_;
  std::size_t count_;
  std::unique_ptr<char[]> bytes_;
  std::vector<iovec> parts_;
  std::vector<mmsghdr> heads_;
};

std::size_t buffer_bytes(const socket_options& options) {
  const std::uint64_t wanted = std::max<std::uint64_t>(options.line_bytes_max, cut_line_bytes);
  if (options.listen.at.kind == socket_kind::udp) return internet_datagram_max;
  return static_cast<std::size_t>(wanted);
}

class datagram_server final : public socket_server {
 public:
  datagram_server(const socket_options& options, std::unique_ptr<listening_socket> socket,
                  std::shared_ptr<socket_inbox> inbox, bool keeps,
                  std::function<void(const std::string&)> on_failed)
      : options_(options),
        socket_(std::move(socket)),
        inbox_(std::move(inbox)),
        keeps_(keeps),
        on_failed_(std::move(on_failed)),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        box_(loop::current().mailbox()),
        log_("source '" + options.name + "': "),
        thread_([this] { run(); }) {}

  ~datagram_server() override {
    stop();
    room_stop_.request_stop();
    if (thread_.joinable()) thread_.join();
    ::close(wake_);
  }
  datagram_server(const datagram_server&) = delete;
  datagram_server& operator=(const datagram_server&) = delete;

  void stop() override {
    if (stopping_.exchange(true)) return;
    const std::uint64_t one = 1;
    static_cast<void>(::write(wake_, &one, sizeof one));
    if (!keeps_) room_stop_.request_stop();
  }

  task<> finish() override {
    std::shared_ptr<event> over = over_;
    try {
      auto waiting = wait_for(over);
      co_await timeout(finish_time, std::move(waiting));
    } catch (const timed_out&) {
      room_stop_.request_stop();
    }
    auto waiting = wait_for(over);
    co_await std::move(waiting);
    thread_.join();
    hold_.release();
  }

  [[nodiscard]] std::string account() const override {
    const std::uint64_t dropped = dropped_;
    std::string text = std::to_string(received_) + " datagrams received";
    if (options_.listen.at.kind == socket_kind::udp) {
      text += ", " + std::to_string(dropped) + " dropped by the kernel";
    }
    if (lost_ != 0) text += ", " + std::to_string(lost_) + " items lost when it was stopped";
    return text;
  }

 private:
  static task<> wait_for(std::shared_ptr<event> what) { co_await what->wait(); }

  // --- on the thread ---
  void run() {
    // Signals belong to the thread that waits for them.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    datagram_buffers buffers(buffer_bytes(options_));
    while (!stopping_ && wait() && receive(buffers) >= 0) {
    }
    const auto until = steady::now() + finish_time;
    while (keeps_ && stopping_ && steady::now() < until && receive(buffers) > 0) {
    }
    look_at_drops(true);
    box_->post([over = over_] { over->set(); });
  }

  bool wait() {
    std::array<pollfd, 2> both = {{{socket_->fd(), POLLIN, 0}, {wake_, POLLIN, 0}}};
    const int limit =
        look_again_ ? static_cast<int>(std::chrono::milliseconds(look_every).count()) : -1;
    if (::poll(both.data(), both.size(), limit) == 0) {
      look_at_drops(false);
      look_again_ = false;
    }
    return true;
  }

  // How many came; less than none: it is over.
  int receive(datagram_buffers& buffers) {
    const int got = buffers.receive(socket_->fd());
    if (got == -EAGAIN || got == -EINTR || got == -ECONNREFUSED) return 0;
    if (got < 0) {
      fail("cannot read datagrams: " + std::generic_category().message(-got));
      return -1;
    }
    look_again_ = true;
    received_ += static_cast<std::uint64_t>(got);
    std::vector<std::string> frames;
    for (int n = 0; n < got; ++n) add(frames, buffers.frame(n, options_.line_bytes_max));
    const std::size_t count = frames.size();
    if (!frames.empty() && !inbox_->offer(std::move(frames), room_stop_.get_token())) {
      lost_ += count;
      if (!stopping_) return -1;
    }
    look_at_drops(false);
    return got;
  }

  void fail(const std::string& why) {
    box_->post([alive = std::weak_ptr(alive_), why] {
      const auto self = alive.lock();
      if (self && (*self)->on_failed_) (*self)->on_failed_(why);
    });
  }

  void add(std::vector<std::string>& to, socket_frame frame) const {
    if (options_.framing == socket_framing::datagram || frame.cut) {
      const bool is_text = options_.format != socket_format::bytes;
      if (is_text && !frame.cut && frame.bytes.ends_with('\n')) frame.bytes.remove_suffix(1);
      if (!is_skipped(options_.format, frame)) to.push_back(pack_frame(frame));
      return;
    }
    frame_splitter lines(options_.framing, options_.line_bytes_max);
    lines.feed(frame.bytes);
    while (const auto line = lines.next()) {
      if (!is_skipped(options_.format, *line)) to.push_back(pack_frame(*line));
    }
    const auto last = lines.finish();
    if (last && !is_skipped(options_.format, *last)) to.push_back(pack_frame(*last));
  }

  void look_at_drops(bool now) {
    if (options_.listen.at.kind != socket_kind::udp) return;
    const auto time = steady::now();
    if (!now && time - looked_ < look_every) return;
    looked_ = time;
    // The kernel counts in 32 bits.
    const auto counted = static_cast<std::uint32_t>(dropped_datagrams(socket_->fd()));
    dropped_ += static_cast<std::uint32_t>(counted - static_cast<std::uint32_t>(dropped_));
    if (now || dropped_ == said_) return;
    said_ = dropped_;
    box_->post([alive = std::weak_ptr(alive_), dropped = said_] {
      if (const auto self = alive.lock()) (*self)->say_dropped(dropped);
    });
  }

  // --- on the loop ---
  void say_dropped(std::uint64_t dropped) {
    log_.say("the kernel dropped " + std::to_string(dropped) +
             " datagrams so far, for which its buffer of " +
             std::to_string(socket_->receive_buffer()) +
             " bytes had no room; a larger receive_buffer rides out longer bursts");
  }

  const socket_options options_;
  std::unique_ptr<listening_socket> socket_;
  std::shared_ptr<socket_inbox> inbox_;
  const bool keeps_;
  const std::function<void(const std::string&)> on_failed_;
  const int wake_;
  const std::shared_ptr<detail::mailbox> box_;
  const std::shared_ptr<datagram_server*> alive_ = std::make_shared<datagram_server*>(this);
  const std::shared_ptr<event> over_ = std::make_shared<event>("the end of the receiving thread");
  outside_hold hold_;
  polite_log log_;
  std::stop_source room_stop_;  ///< room in the inbox is not waited for any more
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> received_{0};
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::uint64_t> lost_{0};
  steady::time_point looked_;  ///< the thread's
  bool look_again_ = false;    ///< the thread's: something came since
  std::uint64_t said_ = 0;     ///< the thread's
  std::thread thread_;         ///< the last: it uses all of these
};

}  // namespace

std::unique_ptr<socket_server> serve_datagrams(const socket_options& options,
                                               std::unique_ptr<listening_socket> socket,
                                               std::shared_ptr<socket_inbox> inbox, bool keeps,
                                               std::function<void(const std::string&)> on_failed) {
  return std::make_unique<datagram_server>(options, std::move(socket), std::move(inbox), keeps,
                                           std::move(on_failed));
}

}  // namespace brigade
