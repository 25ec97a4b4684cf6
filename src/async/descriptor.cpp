#include "async/reactor.hpp"

#include <brigade/async/assert.hpp>
#include <brigade/async/descriptor.hpp>
#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/detail/waiter.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/timeout.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

namespace brigade {

namespace asio = boost::asio;

class descriptor::implementation {
 public:
  implementation(detail::reactor& owner, int fd) : world(owner), stream(owner.context, fd) {
    stream.non_blocking(true);
  }
  detail::reactor& world;
  asio::posix::stream_descriptor stream;
  int waiting = 0;
};

namespace {

class readiness_wait;

/// What a wait is for.
struct readiness_kind {
  bool input = false;
  bool room = false;
};

// Shared with the completion handlers, which may run after the waiter has gone.
struct readiness {
  readiness_wait* waiting = nullptr;
  asio::cancellation_signal stop_input;
  asio::cancellation_signal stop_room;
  void stop() {
    stop_input.emit(asio::cancellation_type::total);
    stop_room.emit(asio::cancellation_type::total);
  }
};

class readiness_wait final : public detail::waiter {
 public:
  readiness_wait(descriptor::implementation& target, readiness_kind kind, std::source_location from)
      : waiter(from), target_(target), kind_(kind) {}
  ~readiness_wait() {
    let_go();
    leave();
  }
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    if (begin_wait(handle)) return;
    state_ = detail::wait_state::waiting;
    shared_ = std::make_shared<readiness>();
    shared_->waiting = this;
    ++target_.waiting;
    background_ = task_->background();
    task_->owner().outside_wait_begins(background_);
    if (kind_.input) begin(asio::posix::descriptor_base::wait_read, shared_->stop_input);
    if (kind_.room) begin(asio::posix::descriptor_base::wait_write, shared_->stop_room);
  }
  void await_resume() { end_wait(); }
  bool cancel() noexcept override {
    let_go();
    return waiter::cancel();
  }
  [[nodiscard]] std::string describe() const override {
    const char* const what = !kind_.room    ? "input from"
                             : !kind_.input ? "room in"
                                            : "input from or room in";
    return what + (" descriptor " + std::to_string(target_.stream.native_handle()));
  }
  [[nodiscard]] bool outside() const override { return true; }

 private:
  void begin(asio::posix::descriptor_base::wait_type kind, asio::cancellation_signal& stop) {
    ++target_.world.operations;
    auto handler = [shared = shared_, &world = target_.world](boost::system::error_code) {
      --world.operations;
      if (shared->waiting != nullptr) shared->waiting->arrived();
    };
    target_.stream.async_wait(kind, asio::bind_cancellation_slot(stop.slot(), std::move(handler)));
  }
  void arrived() {
    detach();
    if (kind_.input && kind_.room) shared_->stop();
    wake(detail::wait_state::granted);
  }
  void detach() noexcept {
    shared_->waiting = nullptr;
    --target_.waiting;
    task_->owner().outside_wait_ends(background_);
  }
  void let_go() noexcept {
    if (!shared_ || shared_->waiting == nullptr) return;
    detach();
    shared_->stop();
  }
  descriptor::implementation& target_;
  readiness_kind kind_;
  std::shared_ptr<readiness> shared_;
  bool background_ = false;
};

constexpr readiness_kind for_input{.input = true, .room = false};
constexpr readiness_kind for_room{.input = false, .room = true};
constexpr readiness_kind for_either{.input = true, .room = true};

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK; }

// Reading in small pieces what comes faster than that would hold the loop for as long as it comes.
task<> turn_for_others(std::source_location where) {
  if (!loop::spend()) co_await yield(where);
}

// The reactor takes them and calls them ready at all times; reading them blocks the loop.
bool cannot_be_waited_for(int fd) {
  struct stat about = {};
  return ::fstat(fd, &about) == 0 && (S_ISREG(about.st_mode) || S_ISDIR(about.st_mode));
}

detail::reactor& reactor_for(int fd) {
  if (cannot_be_waited_for(fd)) {
    throw std::system_error(EPERM, std::generic_category(), "a file cannot be waited for");
  }
  return detail::reactor::current();
}

}  // namespace

descriptor::descriptor(int fd) : impl_(std::make_unique<implementation>(reactor_for(fd), fd)) {}
descriptor::descriptor(descriptor&& other) noexcept = default;
descriptor& descriptor::operator=(descriptor&& other) noexcept {
  if (this != &other) {
    close();
    impl_ = std::move(other.impl_);
  }
  return *this;
}
descriptor::~descriptor() { close(); }

int descriptor::fd() const { return impl_->stream.native_handle(); }
bool descriptor::is_open() const { return impl_ != nullptr && impl_->stream.is_open(); }

void descriptor::close() noexcept {
  if (!is_open()) return;
  BRIGADE_ASSERT(impl_->waiting == 0, "a descriptor was closed while a task waits for it");
  boost::system::error_code ignored;
  impl_->stream.close(ignored);
}

std::optional<std::size_t> descriptor::read_now(std::span<char> buffer) {
  ssize_t count = 0;
  do {
    count = ::read(fd(), buffer.data(), buffer.size());
  } while (count < 0 && errno == EINTR);
  if (count >= 0) return static_cast<std::size_t>(count);
  if (!would_block()) throw std::system_error(errno, std::generic_category(), "read");
  return std::nullopt;
}

task<std::size_t> descriptor::read_some(std::span<char> buffer, std::source_location where) {
  co_await turn_for_others(where);
  for (;;) {
    if (const std::optional<std::size_t> count = read_now(buffer)) co_return *count;
    readiness_wait wait(*impl_, for_input, where);
    co_await wait;
  }
}

task<std::size_t> descriptor::write_some(std::string_view bytes, std::source_location where) {
  co_await turn_for_others(where);
  for (;;) {
    const ssize_t count = ::write(fd(), bytes.data(), bytes.size());
    if (count >= 0) co_return static_cast<std::size_t>(count);
    if (errno == EINTR) continue;
    if (!would_block()) throw std::system_error(errno, std::generic_category(), "write");
    readiness_wait wait(*impl_, for_room, where);
    co_await wait;
  }
}

task<> descriptor::wait_readable(std::source_location where) {
  readiness_wait wait(*impl_, for_input, where);
  co_await wait;
}

task<> descriptor::wait_writable(std::source_location where) {
  readiness_wait wait(*impl_, for_room, where);
  co_await wait;
}

task<> descriptor::wait_either(std::source_location where) {
  readiness_wait wait(*impl_, for_either, where);
  co_await wait;
}

}  // namespace brigade
