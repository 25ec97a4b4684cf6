#include "connect/socket_server.hpp"

#include <brigade/async/cancel.hpp>
#include <brigade/async/descriptor.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/pipeline/log.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <list>
#include <system_error>
#include <utility>
#include <vector>

namespace brigade {
namespace {

constexpr std::size_t read_bytes = std::size_t{64} << 10;
// At a stop: how long, and how much of one connection, what the kernel has already is still read.
constexpr std::chrono::seconds finish_time{1};
constexpr std::size_t finish_bytes = std::size_t{4} << 20;
// When there are no descriptors left, for this long no connection is accepted.
constexpr std::chrono::milliseconds accept_pause{100};

// A peer that has gone without a word is noticed in about two minutes.
void keep_alive(int fd) {
  const auto set = [&](int level, int name, int value) {
    ::setsockopt(fd, level, name, &value, sizeof value);
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 60);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 6);
}

struct connection {
  connection(int fd, const socket_options& options)
      : socket(fd), splitter(options.framing, options.line_bytes_max), peer(peer_name(fd)) {}
  descriptor socket;
  frame_splitter splitter;
  std::string peer;
  std::string wrong;  ///< why nothing more can be read of it
  std::optional<task_ref> served;
  std::uint64_t in_hand = 0;        ///< frames that are being put into the inbox
  std::size_t read_after_stop = 0;  ///< bytes
};

/// What the tasks share; the last of them, or the server, lets go of it.
class stream_state {
 public:
  stream_state(const socket_options& options, int listener, std::shared_ptr<socket_inbox> inbox,
               bool keeps, std::function<void(const std::string&)> on_failed)
      : options_(options),
        inbox_(std::move(inbox)),
        keeps_(keeps),
        on_failed_(std::move(on_failed)),
        listener_(listener),
        log_("source '" + options.name + "': ") {}

  static task<> accept(std::shared_ptr<stream_state> self);
  static task<> serve(std::shared_ptr<stream_state> self, std::list<connection>::iterator served);
  void begin(const std::shared_ptr<stream_state>& self) { accepting_.emplace(spawn(accept, self)); }
  void stop(const std::shared_ptr<stream_state>& self);
  static task<> finish(std::shared_ptr<stream_state> self);
  void abandon(const std::shared_ptr<stream_state>& self) {
    keeps_ = false;
    stop(self);
  }

  [[nodiscard]] std::string account() const;

 private:
  enum class accepted : std::uint8_t { one, none, no_room, failed };
  accepted accept_one(const std::shared_ptr<stream_state>& self);
  task<> serve_one(connection& served);
  task<bool> wait_for_bytes(connection& from);
  std::optional<std::size_t> read_now(connection& from);
  task<> put(connection& from, std::vector<std::string> frames);
  std::vector<std::string> frames_of(connection& from, std::string_view chunk);
  void add_frame(std::vector<std::string>& to, const socket_frame& frame);
  void say_end(const connection& of);

  socket_options options_;
  std::shared_ptr<socket_inbox> inbox_;
  bool keeps_;
  std::function<void(const std::string&)> on_failed_;
  descriptor listener_;
  polite_log log_;
  std::optional<task_ref> accepting_;
  std::list<connection> connections_;
  event ended_{"the end of a connection"};
  std::array<char, read_bytes> buffer_{};
  bool stopping_ = false;
  bool was_full_ = false;
  bool failed_ = false;
  std::uint64_t lost_ = 0;
};

task<> stream_state::accept(std::shared_ptr<stream_state> self) {
  while (!self->stopping_ && !self->failed_) {
    if (self->connections_.size() >= self->options_.connections_max) {
      if (!std::exchange(self->was_full_, true)) {
        self->log_.say("has " + std::to_string(self->connections_.size()) +
                       " connections, its max_connections; more wait until one ends");
      }
      self->ended_.clear();
      co_await self->ended_.wait();
      continue;
    }
    const accepted result = self->accept_one(self);
    if (result == accepted::none) co_await self->listener_.wait_readable();
    if (result == accepted::no_room) co_await sleep_for(accept_pause);
  }
}

stream_state::accepted stream_state::accept_one(const std::shared_ptr<stream_state>& self) {
  const int fd = ::accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd >= 0) {
    if (options_.listen.at.kind == socket_kind::tcp) keep_alive(fd);
    connections_.emplace_back(fd, options_);
    const auto last = std::prev(connections_.end());
    last->served.emplace(spawn(serve, self, last));
    return accepted::one;
  }
  const int error = errno;
  switch (error) {
    case EAGAIN:
      return accepted::none;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      log_.say("cannot accept connections for now: " + std::generic_category().message(error));
      return accepted::no_room;
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
      failed_ = true;
      on_failed_("cannot accept connections: " + std::generic_category().message(error));
      return accepted::failed;
    default:  // the connection has gone before it was accepted
      return accepted::one;
  }
}

task<> stream_state::serve(std::shared_ptr<stream_state> self,
                           std::list<connection>::iterator served) {
  struct leaves {
    stream_state& state;
    std::list<connection>::iterator served;
    ~leaves() {
      state.lost_ += served->in_hand;
      state.connections_.erase(served);
      state.ended_.set();
    }
  } const at_end{*self, served};
  try {
    auto serving = self->serve_one(*served);
    co_await std::move(serving);
  } catch (const std::runtime_error&) {
    // The inbox has failed, which whoever takes from it is told, too.
  }
}

task<> stream_state::serve_one(connection& served) {
  try {
    while (served.wrong.empty()) {
      const bool more = co_await wait_for_bytes(served);
      if (!more) break;
      auto waiting = inbox_->wanted();
      co_await std::move(waiting);
      const std::optional<std::size_t> got = read_now(served);
      if (!got) continue;
      if (*got == 0) break;
      if (stopping_ && (served.read_after_stop += *got) > finish_bytes) break;
      auto frames = frames_of(served, std::string_view(buffer_.data(), *got));
      if (frames.empty()) continue;
      auto putting = put(served, std::move(frames));
      co_await std::move(putting);
    }
  } catch (const std::system_error& error) {
    served.wrong = error.code().message();
  }
  std::vector<std::string> last;
  if (const auto frame = served.splitter.finish()) add_frame(last, *frame);
  say_end(served);
  if (last.empty()) co_return;
  auto putting = put(served, std::move(last));
  co_await std::move(putting);
}

// False: it was idle for too long.
task<bool> stream_state::wait_for_bytes(connection& from) {
  if (!options_.idle_timeout) {
    co_await from.socket.wait_readable();
    co_return true;
  }
  try {
    auto waiting = from.socket.wait_readable();
    co_await timeout(*options_.idle_timeout, std::move(waiting));
  } catch (const timed_out&) {
    log_.say("closed the connection of " + from.peer + ", which was idle for longer than its " +
             "idle_timeout");
    co_return false;
  }
  co_return true;
}

std::optional<std::size_t> stream_state::read_now(connection& from) {
  return from.socket.read_now(buffer_);
}

// What came before a frame that makes no sense is kept.
std::vector<std::string> stream_state::frames_of(connection& from, std::string_view chunk) {
  std::vector<std::string> frames;
  from.splitter.feed(chunk);
  try {
    while (const auto frame = from.splitter.next()) add_frame(frames, *frame);
  } catch (const framing_error& error) {
    from.wrong = error.what();
  }
  return frames;
}

void stream_state::add_frame(std::vector<std::string>& to, const socket_frame& frame) {
  if (!is_skipped(options_.format, frame)) to.push_back(pack_frame(frame));
}

task<> stream_state::put(connection& from, std::vector<std::string> frames) {
  from.in_hand = frames.size();
  auto putting = inbox_->put(std::move(frames));
  co_await std::move(putting);
  from.in_hand = 0;
}

void stream_state::say_end(const connection& of) {
  const std::uint64_t unfinished = of.splitter.unfinished();
  if (of.wrong.empty() && unfinished == 0) return;
  std::string text = "the connection of " + of.peer + " ended";
  if (!of.wrong.empty()) text += ": " + of.wrong;
  if (unfinished != 0) {
    text += "; " + std::to_string(unfinished) + " bytes of a message that is not all here are lost";
  }
  log_.say(text);
}

void stream_state::stop(const std::shared_ptr<stream_state>& self) {
  if (std::exchange(stopping_, true)) return;
  if (accepting_) accepting_->cancel("the source stops");
  if (keeps_) {
    // Who was let in by the kernel already may have sent all there is.
    while (!failed_ && connections_.size() < options_.connections_max) {
      if (accept_one(self) != accepted::one) break;
    }
  }
  listener_.close();
  for (connection& each : connections_) {
    if (keeps_) {
      ::shutdown(each.socket.fd(), SHUT_RD);  // what has come can still be read, then it ends
    } else if (each.served) {
      each.served->cancel("the source stops");
    }
  }
}

task<> stream_state::finish(std::shared_ptr<stream_state> self) {
  const auto all_ended = [](std::shared_ptr<stream_state> state) -> task<> {
    while (!state->connections_.empty()) {
      state->ended_.clear();
      co_await state->ended_.wait();
    }
  };
  bool late = false;
  try {
    auto waiting = all_ended(self);
    co_await timeout(finish_time, std::move(waiting));
  } catch (const timed_out&) {
    late = true;
  }
  if (!late) co_return;
  for (connection& each : self->connections_) {
    if (each.served) each.served->cancel("the source stops");
  }
  auto waiting = all_ended(self);
  co_await std::move(waiting);
}

std::string stream_state::account() const {
  if (lost_ == 0) return {};
  return std::to_string(lost_) + " items were read and could not be kept when it was stopped";
}

class stream_server final : public socket_server {
 public:
  stream_server(const socket_options& options, std::unique_ptr<listening_socket> socket,
                std::shared_ptr<socket_inbox> inbox, bool keeps,
                std::function<void(const std::string&)> on_failed)
      : socket_(std::move(socket)),
        state_(std::make_shared<stream_state>(options, socket_->release_fd(), std::move(inbox),
                                              keeps, std::move(on_failed))) {
    state_->begin(state_);
  }
  ~stream_server() override {
    if (loop::current_if_any() != nullptr) state_->abandon(state_);
  }
  void stop() override { state_->stop(state_); }
  task<> finish() override { return stream_state::finish(state_); }
  [[nodiscard]] std::string account() const override { return state_->account(); }

 private:
  std::unique_ptr<listening_socket> socket_;  ///< whose file it removes
  std::shared_ptr<stream_state> state_;
};

}  // namespace

void polite_log::say(const std::string& text) {
  const auto now = std::chrono::steady_clock::now();
  if (last_ && now - *last_ < std::chrono::seconds(1)) {
    ++unsaid_;
    return;
  }
  last_ = now;
  const std::uint64_t unsaid = std::exchange(unsaid_, 0);
  log_line(before_ + text +
           (unsaid == 0 ? "" : " (and " + std::to_string(unsaid) + " lines that are not shown)"));
}

std::unique_ptr<socket_server> serve_streams(const socket_options& options,
                                             std::unique_ptr<listening_socket> socket,
                                             std::shared_ptr<socket_inbox> inbox, bool keeps,
                                             std::function<void(const std::string&)> on_failed) {
  return std::make_unique<stream_server>(options, std::move(socket), std::move(inbox), keeps,
                                         std::move(on_failed));
}

}  // namespace brigade
