#include <brigade/async/signal.hpp>

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

namespace brigade {
namespace {

// In a process of its own: here other threads run already, and they have the signal unblocked.
TEST(signal, one_is_read_by_its_own_thread) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto listens = [] {
    std::atomic<int> seen{0};
    {
      const signal_thread signals({SIGUSR2}, [&](int signo) {
        seen = signo;
        seen.notify_one();
      });
      ::kill(::getpid(), SIGUSR2);
      seen.wait(0);
    }
    std::_Exit(seen.load() == SIGUSR2 ? 17 : 1);
  };
  EXPECT_EXIT(listens(), ::testing::ExitedWithCode(17), "");
}

}  // namespace
}  // namespace brigade
