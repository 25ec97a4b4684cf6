// What a crew of threads costs, and what happens when the machine has no more of it.
#include <brigade/async/shared_queue.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/thread_pool.hpp>
#include <brigade/async/threads.hpp>
#include <brigade/async/timeout.hpp>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <system_error>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)  // sanitizers need much memory themselves

// From here on the process gets little more memory: not enough for the stack of a thread.
rlimit allow_no_more_than(std::size_t spare) {
  rlimit before{};
  ::getrlimit(RLIMIT_AS, &before);
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  rlimit now = before;
  now.rlim_cur = pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) + spare;
  ::setrlimit(RLIMIT_AS, &now);
  return before;
}

void calls_without_memory_for_threads() {
  thread_pool pool(1, "small");
  const auto seven = [] { return 7; };
  int refused = 0;
  int answer = 0;
  auto main = [&]() -> task<> {
    const rlimit before = allow_no_more_than(std::size_t{1} << 20);
    for (int i = 0; i < 3; ++i) {
      try {
        static_cast<void>(co_await pool.run(seven));
      } catch (const std::system_error&) {
        ++refused;
      }
    }
    ::setrlimit(RLIMIT_AS, &before);
    answer = co_await timeout(5s, pool.run(seven));
  };
  run(main());
  std::_Exit(refused == 3 && answer == 7 ? 0 : 1);
}

void loops_without_memory_for_threads() {
  shared_queue<int> jobs(2, "jobs");
  auto waits = [&](std::size_t) -> task<> { static_cast<void>(co_await jobs.take()); };
  allow_no_more_than(std::size_t{200} << 20);
  try {
    run_threads(100, waits);
  } catch (const std::system_error&) {
    std::_Exit(jobs.statistics().getters_waiting == 0 ? 0 : 1);
  }
  std::_Exit(1);
}

// In a process of their own: what other tests have left of their threads would do for these.
TEST(threads_limits_death_test, a_thread_that_cannot_be_started_is_an_error_and_no_lost_place) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(calls_without_memory_for_threads(), ::testing::ExitedWithCode(0), "");
}

TEST(threads_limits_death_test, loops_that_cannot_be_started_end_those_that_run) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(loops_without_memory_for_threads(), ::testing::ExitedWithCode(0), "");
}

TEST(threads, what_a_thread_leaves_of_its_frames_serves_the_next) {
  auto main = [](std::size_t) -> task<> {
    auto works = []() -> task<> { co_await yield(); };
    std::vector<task_handle<>> all;
    for (int i = 0; i < 2000; ++i) all.push_back(spawn(works));
    for (const auto& one : all) co_await one;
  };
  const auto resident = [] {
    std::size_t pages = 0;
    std::ifstream statm("/proc/self/statm");
    statm >> pages >> pages;
    return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  };
  for (int i = 0; i < 5; ++i) run_threads(2, main);
  const std::size_t before = resident();
  for (int i = 0; i < 40; ++i) run_threads(2, main);
  EXPECT_LT(resident(), before + (std::size_t{8} << 20));
}

#endif

}  // namespace
}  // namespace brigade
