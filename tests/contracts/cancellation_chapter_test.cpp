// The code in docs/cancellation.md.

#include <brigade/async.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

std::vector<std::string> logged;
void log(std::string text) { logged.push_back(std::move(text)); }

task<std::string> fetch(std::string page, std::chrono::milliseconds takes) {
  co_await sleep_for(takes);
  co_return "<" + page + ">";
}
task<> work_for_ever() { co_await sleep_for(24h); }

class cancellation_chapter : public ::testing::Test {
 protected:
  void SetUp() override { logged.clear(); }
};

TEST_F(cancellation_chapter, one_wait_ends_once) {
  virtual_loop loop;
  auto stubborn = []() -> task<> {
    try {
      co_await sleep_for(1h);
    } catch (const cancelled& why) {
      log(why.reason());  // caught, and not thrown again
    }
    co_await sleep_for(1h);  // is not cancelled: that was once
  };
  auto main = [&]() -> task<> {
    auto running = spawn(stubborn);
    co_await sleep_for(1s);
    running.cancel("enough");
    co_await running;
    EXPECT_FALSE(running.cancelled());
  };
  loop.run(main());
  EXPECT_EQ(logged, std::vector<std::string>{"enough"});
}

TEST_F(cancellation_chapter, a_scope_stays_cancelled) {
  virtual_loop loop;
  auto stubborn = []() -> task<> {
    try {
      co_await sleep_for(1h);
    } catch (const cancelled&) {
      log("swallowed");
    }
    co_await sleep_for(1h);  // fails, too: the deadline has passed
  };
  auto main = [&]() -> task<> { EXPECT_THROW(co_await timeout(1s, stubborn()), timed_out); };
  loop.run(main());
  EXPECT_EQ(logged, std::vector<std::string>{"swallowed"});
}

TEST_F(cancellation_chapter, deadlines) {
  virtual_loop loop;
  auto main = []() -> task<> {
    std::string page = co_await timeout(2s, fetch("start", 1s));
    page += co_await wait_for(fetch("next", 1s), 2s);  // the same, without a frame of its own

    event ready("ready");
    try {
      co_await wait_for(ready.wait(), 10ms);  // any operation
    } catch (const timed_out&) {
      log("not ready");
    }

    auto patient = [](timeout_scope& limit) -> task<> {
      for (int part = 1; part <= 5; ++part) {
        co_await fetch("part", 800ms);
        limit.reschedule(loop::current().now() + 1s);  // a second for each part
      }
    };
    co_await with_timeout(1s, patient);
    log(page);
  };
  loop.run(main());
  EXPECT_EQ(logged, (std::vector<std::string>{"not ready", "<start><next>"}));
}

TEST_F(cancellation_chapter, cleanup_that_waits) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto talk = []() -> task<std::string> { co_return co_await fetch("answer", 10s); };
    auto hang_up = []() -> task<> {
      co_await sleep_for(1s);
      log("hung up");
    };
    auto conversation = [&]() -> task<> { log(co_await with_cleanup(talk, hang_up, 5s)); };
    auto talking = spawn(conversation);
    co_await sleep_for(2s);
    talking.cancel("no time");
    EXPECT_THROW(co_await talking, cancelled);
  };
  loop.run(main());
  EXPECT_EQ(logged, std::vector<std::string>{"hung up"});
}

TEST_F(cancellation_chapter, by_hand_behind_the_handler) {
  virtual_loop loop;
  auto connection = []() -> task<> {
    std::exception_ptr failed;
    try {
      co_await work_for_ever();
    } catch (...) {
      failed = std::current_exception();
    }
    auto say_goodbye = []() -> task<> { co_await sleep_for(1s); };
    co_await shielded(5s, say_goodbye());
    log("goodbye");
    if (failed) std::rethrow_exception(failed);
  };
  auto main = [&]() -> task<> { EXPECT_THROW(co_await timeout(1s, connection()), timed_out); };
  loop.run(main());
  EXPECT_EQ(logged, std::vector<std::string>{"goodbye"});
}

TEST_F(cancellation_chapter, what_is_passed_on_and_what_is_shielded) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto report = spawn(fetch, "report", 10s);

    auto as_a_call = [&]() -> task<> { log(co_await report); };           // cancels the task
    auto only_waits = [&]() -> task<> { log(co_await shield(report)); };  // leaves it alone

    auto waiting = spawn(only_waits);
    co_await sleep_for(1s);
    waiting.cancel();
    co_await sleep_for(1s);
    EXPECT_TRUE(waiting.cancelled());
    EXPECT_FALSE(report.done());

    auto calling = spawn(as_a_call);
    co_await sleep_for(1s);
    calling.cancel();
    co_await sleep_for(1s);
    EXPECT_TRUE(report.cancelled());
  };
  loop.run(main());
}

TEST_F(cancellation_chapter, a_scope_of_ones_own) {
  virtual_loop loop;
  auto main = []() -> task<> {
    cancel_scope search;
    auto give_up = [&]() -> task<> {
      co_await sleep_for(1s);
      search.cancel("found elsewhere");
    };
    spawn(give_up);
    try {
      co_await fetch("needle", 10s);
    } catch (const cancelled&) {
      if (!search.caused_cancellation()) throw;  // it was for somebody further out
      search.cancellation_ended();
      log(search.reason());
    }
  };
  loop.run(main());
  EXPECT_EQ(logged, std::vector<std::string>{"found elsewhere"});
}

TEST_F(cancellation_chapter, groups) {
  virtual_loop loop;
  auto main = []() -> task<> {
    co_await with_group([](task_group& group) -> task<> {
      group.spawn(work_for_ever);
      co_await sleep_for(1s);
      group.cancel("that will do");  // ends the children and this body; nothing leaves the group
    });
    log("after the group");
  };
  loop.run(main());
  EXPECT_EQ(logged, std::vector<std::string>{"after the group"});
}

TEST_F(cancellation_chapter, the_end_of_a_program) {
  auto swallows = []() -> task<> {
    for (;;) {
      try {
        co_await yield();
      } catch (const cancelled&) {
      }
    }
  };
  auto main = [&]() -> task<> {
    spawn(swallows).set_name("stubborn");
    co_await yield();
  };
  runner_options options;
  options.leftover_timeout = 1ms;
  runner program(options);
  program.loop().on_warning = [](const std::string& text) { log(text); };
  program.run(main());
  program.close();  // cancels what is left over, and waits, at most so long
  for (const std::string& name : program.left_behind()) log(name + " did not stop");

  EXPECT_EQ(logged.back(), "stubborn did not stop");
}

}  // namespace
}  // namespace brigade
