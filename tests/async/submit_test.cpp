#include <brigade/async/event.hpp>
#include <brigade/async/outside_hold.hpp>
#include <brigade/async/submit.hpp>
#include <brigade/async/thread.hpp>
#include <brigade/async/timeout.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using box_ptr = std::shared_ptr<detail::mailbox>;

/// Runs `client` on a thread while a loop serves what it submits.
template <class F>
void with_loop(F client) {
  auto main = [&]() -> task<> {
    auto box = loop::current().mailbox();
    co_await to_thread([&client, &box] { client(box); });
  };
  run(main());
}

task<int> twice(int number) {
  co_await yield();
  co_return 2 * number;
}
task<std::string> own(std::unique_ptr<std::string> text) { co_return std::move(*text); }
task<> fail() {
  co_await yield();
  throw std::runtime_error("on the loop");
}
task<> for_ever() { co_await sleep_for(1h); }

TEST(submit, gives_its_value_to_the_thread) {
  with_loop([](const box_ptr& box) {
    EXPECT_EQ(submit(box, twice, 21).get(), 42);
    EXPECT_EQ(submit(box, own, std::make_unique<std::string>("moved")).get(), "moved");
  });
}

TEST(submit, many_threads_may_do_so_at_once) {
  with_loop([](const box_ptr& box) {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&box] {
        for (int i = 0; i < 200; ++i) EXPECT_EQ(submit(box, twice, i).get(), 2 * i);
      });
    }
  });
}

TEST(submit, its_error_comes_out_on_the_thread) {
  with_loop([](const box_ptr& box) { EXPECT_THROW(submit(box, fail).get(), std::runtime_error); });
}

TEST(submit, an_error_that_nobody_asks_for_is_reported_by_the_loop) {
  std::vector<std::string> reported;
  loop own_loop;
  own_loop.on_unhandled = [&](const std::string&, const std::exception_ptr& error) {
    reported.push_back(error_text(error));
  };
  auto main = [&]() -> task<> {
    auto box = loop::current().mailbox();
    co_await to_thread([&box] {
      static_cast<void>(submit(box, fail));
      auto ended = submit(box, fail);
      while (!ended.done()) std::this_thread::yield();
    });
    while (reported.size() < 2) co_await yield();
  };
  own_loop.run(main());
  EXPECT_EQ(reported, (std::vector<std::string>{"on the loop", "on the loop"}));
}

TEST(submit, the_threads_patience_ends_and_the_task_is_cancelled) {
  with_loop([](const box_ptr& box) {
    auto slow = submit(box, for_ever);
    EXPECT_FALSE(slow.wait_for(1ms));
    EXPECT_FALSE(slow.is_cancelled());
    EXPECT_THROW(slow.get_within(1ms), timed_out);
    EXPECT_THROW(slow.get(), cancelled);
    EXPECT_TRUE(slow.is_cancelled());
    slow.cancel();
  });
}

TEST(submit, a_loop_that_goes_first_says_so) {
  std::optional<submission<void>> running;
  std::optional<submission<int>> never_began;
  box_ptr box;
  {
    loop own_loop;
    box = own_loop.mailbox();
    auto main = [&]() -> task<> {
      running.emplace(submit(box, for_ever));
      co_await yield();
      never_began.emplace(submit(box, twice, 1));
    };
    own_loop.run(main());
  }
  EXPECT_THROW(running->get(), cancelled);
  EXPECT_THROW(never_began->get(), cancelled);
  EXPECT_THROW(submit(box, twice, 1).get(), cancelled);
}

TEST(submit, blocking_the_loop_that_would_have_to_answer_is_a_misuse) {
  auto main = []() -> task<> {
    auto answer = submit(loop::current().mailbox(), twice, 1);
    static_cast<void>(answer.get());
    co_return;
  };
  EXPECT_DEATH(run(main()), "would block it");
}

}  // namespace
}  // namespace brigade
