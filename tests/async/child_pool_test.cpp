#include <brigade/async/child_pool.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/timeout.hpp>

#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;

process_options shell(const std::string& script) {
  const std::vector<std::string> command = {"sh", "-c", script};
  return process_options(command);
}

/// Answers each line with itself and the child's number.
const std::string echo = "while read -r line; do echo \"$line by $$\"; done";

/// Dead, and not reaped yet.
bool has_ended(const std::string& number) {
  std::ifstream file("/proc/" + number + "/stat");
  std::string text;
  std::getline(file, text);
  return text.find(") Z ") != std::string::npos;
}

child_pool_options sized(std::size_t size) {
  child_pool_options options;
  options.size = size;
  options.name = "echo";
  return options;
}

task<std::string> call(child_pool& pool, std::string item) {
  co_return co_await pool.call(std::move(item));
}

std::string number_of(const std::string& answer) { return answer.substr(answer.rfind(' ') + 1); }

TEST(child_pool, answers_come_back_to_their_calls) {
  auto main = []() -> task<> {
    child_pool pool(shell(echo), sized(2));
    std::vector<task_handle<std::string>> calls;
    for (int item = 0; item < 20; ++item) {
      calls.push_back(spawn(call, std::ref(pool), "item " + std::to_string(item)));
    }
    for (int item = 0; item < 20; ++item) {
      const std::string answer = co_await calls[static_cast<std::size_t>(item)];
      EXPECT_EQ(answer.find("item " + std::to_string(item) + " by "), 0U) << answer;
    }
    EXPECT_EQ(pool.statistics().answered, 20U);
    EXPECT_LE(pool.statistics().started, 2U);
    co_await pool.shutdown();
    EXPECT_EQ(pool.statistics().children, 0U);
    EXPECT_THROW(co_await pool.call("late"), child_pool_closed);
  };
  run(main());
}

TEST(child_pool, a_long_item_and_a_long_answer_cross_without_a_jam) {
  auto main = []() -> task<> {
    child_pool pool(shell("cat"), sized(1));
    const std::string item(400000, 'x');
    const std::string answer = co_await pool.call(item);
    EXPECT_EQ(answer, item);
    co_await pool.shutdown();
  };
  run(main());
}

TEST(child_pool, a_child_that_dies_fails_the_call_it_had_and_is_replaced) {
  const std::string script =
      "while read -r line; do if [ \"$line\" = die ]; then echo 'no more' >&2; exit 3; fi; "
      "echo \"$line\"; done";
  auto main = [&]() -> task<> {
    child_pool pool(shell(script), sized(1));
    EXPECT_EQ(co_await pool.call("one"), "one");
    std::string why;
    try {
      static_cast<void>(co_await pool.call("die"));
    } catch (const child_failed& error) {
      why = error.what();
      EXPECT_EQ(error.status(), exit_status::exited(3));
    }
    EXPECT_EQ(why, "child of pool 'echo' ended (exit code 3) before it answered: no more");
    EXPECT_EQ(co_await pool.call("two"), "two");
    EXPECT_EQ(pool.statistics().started, 2U);
    EXPECT_EQ(pool.statistics().failed, 1U);
    co_await pool.shutdown();
  };
  run(main());
}

TEST(child_pool, one_that_ended_between_calls_is_replaced_unheard) {
  auto main = []() -> task<> {
    child_pool pool(shell("read -r line; echo $$"), sized(1));
    for (int item = 0; item < 5; ++item) {
      const std::string child = co_await pool.call("again");
      while (!has_ended(child)) co_await sleep_for(1ms);
    }
    EXPECT_EQ(pool.statistics().started, 5U);
    EXPECT_EQ(pool.statistics().failed, 0U);
    co_await pool.shutdown();
  };
  run(main());
}

TEST(child_pool, a_call_that_takes_too_long_costs_the_child_its_life) {
  auto options = sized(1);
  options.call_timeout = 500ms;
  auto main = [&]() -> task<> {
    child_pool pool(shell("while read -r line; do [ $line = slow ] && sleep 100; echo $line; done"),
                    options);
    EXPECT_THROW(co_await pool.call("slow"), timed_out);
    pool.set_size(2);
    EXPECT_EQ(co_await pool.call("quick"), "quick");
    co_await pool.shutdown();
  };
  run(main());
}

TEST(child_pool, a_cancelled_call_takes_its_child_along_so_that_no_answer_meets_the_next_call) {
  auto main = []() -> task<> {
    child_pool pool(shell("while read -r line; do sleep 0.02; echo \"$line\"; done"), sized(1));
    auto first = spawn(call, std::ref(pool), "first");
    while (pool.statistics().children == 0) co_await sleep_for(1ms);
    first.cancel();
    EXPECT_THROW(co_await first, cancelled);
    EXPECT_EQ(co_await pool.call("second"), "second");
    EXPECT_EQ(pool.statistics().started, 2U);
    co_await pool.shutdown();
  };
  run(main());
}

TEST(child_pool, a_child_that_says_more_than_it_was_asked_is_replaced) {
  auto options = sized(1);
  options.answer_bytes_max = 10;
  auto main = [&]() -> task<> {
    child_pool two(shell("while read -r line; do printf '%s\\n%s\\n' a b; done"), options);
    EXPECT_THROW(co_await two.call("x"), child_failed);
    co_await two.shutdown();
    child_pool longer(shell("while read -r line; do echo 01234567890; done"), options);
    EXPECT_THROW(co_await longer.call("x"), child_failed);
    co_await longer.shutdown();
  };
  run(main());
}

TEST(child_pool, its_size_changes_while_it_works) {
  auto main = []() -> task<> {
    child_pool pool(shell("while read -r line; do sleep 0.01; echo $$; done"), sized(1));
    auto all = [&](task_group& group) {
      for (int item = 0; item < 6; ++item) group.spawn(call, std::ref(pool), "x");
      pool.set_size(3);
    };
    co_await with_group(std::ref(all));
    EXPECT_EQ(pool.statistics().children, 3U);
    pool.set_size(1);
    EXPECT_EQ(pool.statistics().children, 1U);
    const std::string one = co_await pool.call("x");
    const std::string same = co_await pool.call("x");
    EXPECT_EQ(number_of(one), number_of(same));
    co_await pool.shutdown();
  };
  run(main());
}

TEST(child_pool, shutdown_gives_calls_their_time_and_no_more) {
  auto main = []() -> task<> {
    child_pool pool(shell("trap '' TERM; read -r line; sleep 100; echo never"), sized(1));
    auto stuck = spawn(call, std::ref(pool), "x");
    auto waiting = spawn(call, std::ref(pool), "y");
    while (pool.statistics().children == 0) co_await sleep_for(1ms);
    co_await pool.shutdown(20ms);
    EXPECT_THROW(co_await stuck, child_failed);
    EXPECT_THROW(co_await waiting, child_pool_closed);
  };
  run(main());
}

TEST(child_pool, what_cannot_be_done_is_said) {
  auto main = []() -> task<> {
    const std::vector<std::string> command = {"no-such-program-here"};
    child_pool pool{process_options(command)};
    EXPECT_THROW(co_await pool.call("x"), start_error);
    EXPECT_THROW(co_await pool.call("two\nlines"), std::invalid_argument);
    EXPECT_EQ(pool.name(), "no-such-program-here");
  };
  run(main());
  EXPECT_DEATH(child_pool(shell(echo), sized(0)), "a child pool of no children");
}

TEST(child_pool, a_call_whose_child_could_not_be_started_has_failed) {
  auto main = []() -> task<> {
    const std::vector<std::string> command = {"/no/such/program"};
    child_pool pool{process_options(command)};
    EXPECT_THROW(static_cast<void>(co_await pool.call("x")), start_error);
    EXPECT_EQ(pool.statistics().failed, 1U);
    EXPECT_EQ(pool.statistics().busy, 0U);
    co_await pool.shutdown();
  };
  run(main());
}

}  // namespace
}  // namespace brigade
