#include <brigade/async/assert.hpp>
#include <brigade/async/runner.hpp>

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>

namespace brigade {

namespace {

// What the handler may touch. A handler of its own, not a blocked signal that a thread reads:
// threads that were started before the runner would still be ended by it.
std::atomic<int> signal_seen{0};
std::atomic<int> wake_watcher{-1};

extern "C" void note_signal(int signo) {
  if (signal_seen.exchange(signo) != 0) {
    ::signal(signo, SIG_DFL);
    ::raise(signo);
    return;
  }
  const int saved = errno;
  const std::uint64_t one = 1;
  static_cast<void>(!::write(wake_watcher.load(), &one, sizeof one));
  errno = saved;
}

std::string signal_name(int signo) {
  const char* const name = ::sigabbrev_np(signo);
  return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(signo);
}

}  // namespace

interrupted::interrupted(int signal)
    : std::runtime_error("interrupted by " + signal_name(signal)), signal_(signal) {}

// Listens while a main task runs; puts back what was there.
class runner::signal_watch {
 public:
  signal_watch(const std::vector<int>& signals, task_ref main)
      : box_(main.record().owner().mailbox()), strike_(std::make_shared<strike>(std::move(main))) {
    wake_ = ::eventfd(0, EFD_CLOEXEC);
    if (wake_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
    signal_seen = 0;
    const int other = wake_watcher.exchange(wake_);
    BRIGADE_ASSERT(other == -1, "two runners listen for signals at once");
    for (const int signo : signals) listen(signo);
    thread_ = std::thread(&signal_watch::serve, this);
  }
  ~signal_watch() {
    for (const auto& [signo, before] : before_) ::sigaction(signo, &before, nullptr);
    ended_ = true;
    const std::uint64_t one = 1;
    static_cast<void>(!::write(wake_, &one, sizeof one));
    thread_.join();
    wake_watcher = -1;
    ::close(wake_);
  }
  signal_watch(const signal_watch&) = delete;
  signal_watch& operator=(const signal_watch&) = delete;

  /// The signal whose cancellation is all that ended the main task.
  [[nodiscard]] std::optional<int> ended_main() const {
    const task_ref& main = strike_->main;
    if (!strike_->delivered || !main.cancelled()) return std::nullopt;
    if (main.cancelling() > 1) return std::nullopt;  // somebody else cancelled it, too
    return signal_seen.load();
  }

 private:
  void listen(int signo) {
    struct sigaction action{};
    action.sa_handler = note_signal;
    action.sa_flags = SA_RESTART;
    ::sigemptyset(&action.sa_mask);
    struct sigaction before{};
    if (::sigaction(signo, &action, &before) == 0) before_.emplace_back(signo, before);
  }
  void serve() {
    // The handler may run on any thread but has to find another one free to wake the loop.
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    std::uint64_t count = 0;
    while (::read(wake_, &count, sizeof count) < 0 && errno == EINTR) {
    }
    if (ended_ || signal_seen == 0) return;
    box_->post([what = strike_] {
      what->delivered = true;
      what->main.cancel(signal_name(signal_seen));
    });
  }

  // Of the loop's thread; what is posted may be run after the watch has gone.
  struct strike {
    explicit strike(task_ref task) : main(std::move(task)) {}
    task_ref main;
    bool delivered = false;
  };
  std::shared_ptr<detail::mailbox> box_;
  std::shared_ptr<strike> strike_;
  std::vector<std::pair<int, struct sigaction>> before_;
  std::thread thread_;
  std::atomic<bool> ended_{false};
  int wake_ = -1;
};

runner::runner(runner_options options) : options_(std::move(options)) {
  loop_.set_leftover_timeout(options_.leftover_timeout);
}

runner::~runner() { close(); }

void runner::refuse_when_closed() const {
  if (closed_) throw invalid_state("run: this runner is closed");
  loop::refuse_nested_run();
}

void runner::drive(task_ref main) {
  std::optional<int> by;
  {
    const signal_watch watch(options_.signals, main);
    loop_.drive(main.record());
    by = watch.ended_main();
  }
  if (by) throw interrupted(*by);
  loop_.rethrow_deadlock();
}

void runner::close() {
  if (std::exchange(closed_, true)) return;
  left_behind_ = loop_.end_leftovers();
}

}  // namespace brigade
