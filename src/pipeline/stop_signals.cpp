#include <brigade/async/loop.hpp>
#include <brigade/async/signal.hpp>
#include <brigade/pipeline/drain.hpp>

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

namespace brigade {

using namespace std::chrono_literals;

namespace {

constexpr auto watchdog_grace = 4s;
constexpr int exit_by_watchdog = 1;
constexpr int exit_by_third_interrupt = 130;

// Not stdio: the process may be ended while another thread holds its locks. And only what fits: a
// pipe that nobody reads must not keep the process from ending.
void say(std::string_view line) {
  pollfd room{STDERR_FILENO, POLLOUT, 0};
  if (::poll(&room, 1, 0) != 1 || (room.revents & POLLOUT) == 0) return;
  static_cast<void>(!::write(STDERR_FILENO, line.data(), line.size()));
}

}  // namespace

class stop_signals::implementation {
 public:
  explicit implementation(std::chrono::milliseconds stop_timeout)
      : stop_timeout_(stop_timeout),
        signals_({SIGINT, SIGTERM, SIGUSR1}, [this](int signo) { on_signal(signo); }),
        watchdog_([this](const std::stop_token& ended) { watch(ended); }) {}

  void attach(loop& where, stop_target target) {
    const std::lock_guard lock(mutex_);
    box_ = where.mailbox();
    target_ = std::move(target);
    over_ = false;
    if (first_seen_) tell_to_drain();
    if (hurried_) tell([](const stop_target& running) { running.deadline_now(); });
  }
  bool stop_asked() {
    const std::lock_guard lock(mutex_);
    return first_seen_;
  }
  bool at_deadline() {
    const std::lock_guard lock(mutex_);
    return hurried_ ||
           (deadline_ && std::chrono::steady_clock::now() >= *deadline_ - watchdog_grace);
  }
  void detach() {
    const std::lock_guard lock(mutex_);
    target_.reset();
    box_.reset();
    over_ = true;
  }

 private:
  void on_signal(int signo) {
    const std::lock_guard lock(mutex_);
    if (signo == SIGUSR1) {
      tell([](const stop_target&) { say("brigade: tasks\n" + loop::current().dump_tasks()); });
    } else if (!first_seen_) {
      first_seen_ = true;
      announce("\nstopping: what is under way is finished; Ctrl-C again returns it at once\n");
      end_by(std::chrono::steady_clock::now() + stop_timeout_ + watchdog_grace);
      tell_to_drain();
    } else if (signo == SIGINT && !hurried_) {
      hurried_ = true;
      announce("\nstopping now: unfinished items are returned; Ctrl-C again ends the process\n");
      end_by(std::chrono::steady_clock::now() + watchdog_grace);
      tell([](const stop_target& running) { running.deadline_now(); });
    } else if (signo == SIGINT) {
      say("\nended by a third interrupt; unfinished items are taken again by the next run\n");
      ::_exit(exit_by_third_interrupt);
    }
  }
  /// The last line on stderr is the run's account: nothing is announced behind it.
  void announce(std::string_view line) const {
    if (!over_) say(line);
  }
  void end_by(std::chrono::steady_clock::time_point when) {
    deadline_ = when;
    changed_.notify_all();
  }
  void tell_to_drain() {
    const auto left = *deadline_ - watchdog_grace - std::chrono::steady_clock::now();
    tell([left](const stop_target& running) { running.drain(std::max(left, decltype(left){})); });
  }
  void tell(std::function<void(const stop_target&)> what) {
    if (!box_) return;
    box_->post([this, what = std::move(what)] {
      std::optional<stop_target> running;
      {
        const std::lock_guard lock(mutex_);
        running = target_;
      }
      if (running) what(*running);
    });
  }
  void watch(const std::stop_token& ended) {
    std::unique_lock lock(mutex_);
    while (!ended.stop_requested()) {
      if (!deadline_) {
        changed_.wait(lock, ended, [this] { return deadline_.has_value(); });
      } else if (std::chrono::steady_clock::now() < *deadline_) {
        const auto until = *deadline_;
        changed_.wait_until(lock, ended, until, [&] { return *deadline_ != until; });
      } else {
        say("brigade: the work did not end in time; the process is ended by its watchdog\n");
        ::_exit(exit_by_watchdog);
      }
    }
  }

  std::chrono::milliseconds stop_timeout_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  std::shared_ptr<detail::mailbox> box_;
  std::optional<stop_target> target_;
  bool over_ = false;
  bool first_seen_ = false;
  bool hurried_ = false;
  signal_thread signals_;  // before the watchdog: threads inherit the blocked signals
  std::jthread watchdog_;
};

stop_signals::stop_signals(std::chrono::milliseconds stop_timeout)
    : impl_(std::make_unique<implementation>(stop_timeout)) {}
stop_signals::~stop_signals() = default;
stop_signals::listener::listener(stop_signals* from, engine& target)
    : listener(from, stop_target{[&target](std::chrono::nanoseconds) { target.drain(); },
                                 [&target] { target.deadline_now(); }}) {}
stop_signals::listener::listener(stop_signals* from, stop_target target) : from_(from) {
  if (from_ != nullptr) from_->impl_->attach(loop::current(), std::move(target));
}
stop_signals::listener::~listener() {
  if (from_ != nullptr) from_->impl_->detach();
}
bool stop_signals::stop_asked() const { return impl_->stop_asked(); }
bool stop_signals::at_deadline() const { return impl_->at_deadline(); }

}  // namespace brigade
