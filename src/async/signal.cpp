#include <brigade/async/signal.hpp>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <thread>
#include <utility>

namespace brigade {

class signal_thread::implementation {
 public:
  implementation(std::initializer_list<int> signals, std::function<void(int)> on_signal)
      : on_signal_(std::move(on_signal)) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signo : signals) sigaddset(&set, signo);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    signals_ = ::signalfd(-1, &set, SFD_CLOEXEC);
    end_ = ::eventfd(0, EFD_CLOEXEC);
    if (signals_ < 0 || end_ < 0) {
      throw std::system_error(errno, std::generic_category(), "cannot listen for signals");
    }
    thread_ = std::thread(&implementation::serve, this);
  }
  ~implementation() {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(end_, &one, sizeof one));
    thread_.join();
    ::close(signals_);
    ::close(end_);
  }

 private:
  void serve() {
    for (;;) {
      std::array<pollfd, 2> waits = {pollfd{signals_, POLLIN, 0}, pollfd{end_, POLLIN, 0}};
      if (::poll(waits.data(), waits.size(), -1) < 0) continue;
      if (waits[1].revents != 0) return;
      signalfd_siginfo info{};
      if (::read(signals_, &info, sizeof info) == sizeof info) {
        on_signal_(static_cast<int>(info.ssi_signo));
      }
    }
  }
  std::function<void(int)> on_signal_;
  int signals_ = -1;
  int end_ = -1;
  std::thread thread_;
};

signal_thread::signal_thread(std::initializer_list<int> signals, std::function<void(int)> on_signal)
    : impl_(std::make_unique<implementation>(signals, std::move(on_signal))) {}
signal_thread::~signal_thread() = default;

}  // namespace brigade
