#include <brigade/async/thread.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/pipeline/drain.hpp>
#include <brigade/pipeline/pipeline.hpp>
#include <brigade/pipeline/recorded_run.hpp>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <optional>

namespace brigade {
namespace {

using namespace std::chrono_literals;

// What a child process does, and how the parent sees it end. The stop protocol is a process's, so
// each row of its table is tested on one; times are real, bounds are generous.
class process_under_test {
 public:
  explicit process_under_test(const std::function<int()>& body) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    ready_ = ends[0];
    pid_ = ::fork();
    if (pid_ == 0) {
      ready_write = ends[1];
      std::freopen("/dev/null", "w", stderr);
      ::_exit(body());
    }
    ::close(ends[1]);
  }
  ~process_under_test() {
    if (!status_) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(ready_);
  }
  static void say_ready() { static_cast<void>(!::write(ready_write, "r", 1)); }
  void wait_ready() const {
    char got = 0;
    ASSERT_EQ(::read(ready_, &got, 1), 1);
  }
  void send(int signo) const { ::kill(pid_, signo); }
  /// The exit code; by then it took this long from now.
  int wait_exit() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    status_ = status;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  static inline int ready_write = -1;
  pid_t pid_ = 0;
  int ready_ = -1;
  std::optional<int> status_;
};

std::optional<int> endless() { return 1; }

template <class Work>
int run_until_stopped(Work work, std::chrono::milliseconds stop_timeout) {
  run_policy rules;
  rules.stop_timeout = stop_timeout;
  auto ready = pipeline("endless")
                   .from(endless)
                   .stage("work", work, {.workers = 2, .queue_items_max = 4})
                   .to("out", [](int) {});
  return ready.rules(rules).stop_on_signals().run().exit_code;
}

task<int> short_work(int item) {
  process_under_test::say_ready();
  co_await sleep_for(10ms);
  co_return item;
}

task<int> long_work(int item) {
  process_under_test::say_ready();
  co_await sleep_for(1h);
  co_return item;
}

int spins(int item) {
  process_under_test::say_ready();
  const volatile bool forever = true;
  while (forever) {
  }
  return item;
}

task<int> thread_that_ignores_its_token(int item) {
  process_under_test::say_ready();
  co_await to_thread([] { ::pause(); });
  co_return item;
}

TEST(drain, the_first_signal_finishes_what_is_under_way) {
  for (const int signo : {SIGTERM, SIGINT}) {
    process_under_test child([] { return run_until_stopped(short_work, 20s); });
    child.wait_ready();
    child.send(signo);
    EXPECT_EQ(child.wait_exit(), 5);
  }
}

// As a locked table or a silent server makes it.
class sink_that_never_opens final : public sink {
 public:
  task<std::vector<partition_mark>> open(const sink_resume&) override {
    process_under_test::say_ready();
    co_await sleep_for(1h);
    co_return std::vector<partition_mark>{};
  }
  task<write_result> write(std::span<const sink_item>, std::span<const partition_mark>) override {
    co_return write_result{};
  }
};

int open_until_stopped() {
  pipeline_plan plan =
      pipeline("opening").from(std::vector<int>{1, 2}).to("out", [](int) {}).take_plan();
  plan.to = std::make_unique<sink_that_never_opens>();
  stop_signals signals(20s);
  recorded_run run(std::move(plan));
  run.signals = &signals;
  return run_recorded(std::move(run)).exit_code;
}

TEST(drain, a_signal_while_the_sink_is_opened_gives_that_up) {
  process_under_test child([] { return open_until_stopped(); });
  child.wait_ready();
  const auto began = std::chrono::steady_clock::now();
  child.send(SIGTERM);
  EXPECT_EQ(child.wait_exit(), 5);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 10s);
}

TEST(drain, at_the_deadline_the_rest_is_returned) {
  process_under_test child([] { return run_until_stopped(long_work, 200ms); });
  child.wait_ready();
  const auto began = std::chrono::steady_clock::now();
  child.send(SIGTERM);
  EXPECT_EQ(child.wait_exit(), 5);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 5s);
}

TEST(drain, a_second_interrupt_is_the_deadline) {
  process_under_test child([] { return run_until_stopped(long_work, 1h); });
  child.wait_ready();
  child.send(SIGINT);
  ::usleep(50'000);  // two signals of one number at once are one
  child.send(SIGINT);
  EXPECT_EQ(child.wait_exit(), 5);
}

TEST(drain, a_third_interrupt_ends_the_process) {
  process_under_test child([] { return run_until_stopped(spins, 1h); });
  child.wait_ready();
  for (int i = 0; i < 3; ++i) {
    child.send(SIGINT);
    ::usleep(50'000);
  }
  EXPECT_EQ(child.wait_exit(), 130);
}

TEST(drain, the_watchdog_ends_a_coroutine_that_spins) {
  process_under_test child([] { return run_until_stopped(spins, 100ms); });
  child.wait_ready();
  const auto began = std::chrono::steady_clock::now();
  child.send(SIGTERM);
  EXPECT_EQ(child.wait_exit(), 1);
  const auto took = std::chrono::steady_clock::now() - began;
  EXPECT_GE(took, 4s);
  EXPECT_LT(took, 7s);
}

TEST(drain, a_thread_that_ignores_its_token_is_abandoned) {
  process_under_test child([] { return run_until_stopped(thread_that_ignores_its_token, 100ms); });
  child.wait_ready();
  const auto began = std::chrono::steady_clock::now();
  child.send(SIGTERM);
  EXPECT_EQ(child.wait_exit(), 5);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 5s);
}

}  // namespace
}  // namespace brigade
