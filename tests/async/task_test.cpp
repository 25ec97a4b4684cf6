#include <brigade/async/loop.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/task.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

task<int> add(int a, int b) { co_return a + b; }

task<int> chained() {
  const int first = co_await add(1, 2);
  const int second = co_await add(first, 4);
  co_return second;
}

TEST(task, a_chain_of_coroutines_gives_its_value) {
  virtual_loop loop;
  EXPECT_EQ(loop.run(chained()), 7);
}

task<> fails() {
  throw std::runtime_error("spoiled");
  co_return;
}

TEST(task, an_error_comes_out_of_run) {
  virtual_loop loop;
  EXPECT_THROW(loop.run(fails()), std::runtime_error);
}

task<std::string> moves_out(std::unique_ptr<std::string> text) { co_return std::move(*text); }

TEST(task, a_move_only_argument_and_result_pass_through) {
  virtual_loop loop;
  EXPECT_EQ(loop.run(moves_out(std::make_unique<std::string>("dish"))), "dish");
}

task<std::uint64_t> many_children(int count) {
  std::uint64_t sum = 0;
  for (int i = 0; i < count; ++i) {
    const int part = co_await add(i, 1);
    sum += static_cast<std::uint64_t>(part);
  }
  co_return sum;
}

TEST(task, a_million_children_that_finish_at_once_need_constant_stack) {
  virtual_loop loop;
  EXPECT_EQ(loop.run(many_children(1'000'000)), 500'000'500'000ULL);
}

task<> suspending_child() { co_await yield(); }

task<int> many_suspending_children(int count) {
  int done = 0;
  for (int i = 0; i < count; ++i) {
    co_await suspending_child();
    ++done;
  }
  co_return done;
}

TEST(task, children_that_suspend_need_constant_stack) {
  virtual_loop loop;
  EXPECT_EQ(loop.run(many_suspending_children(200'000)), 200'000);
}

struct counted {
  explicit counted(int& alive) : alive_(&alive) { ++*alive_; }
  counted(const counted& other) : alive_(other.alive_) { ++*alive_; }
  ~counted() { --*alive_; }
  int* alive_;
};

task<> holds(counted item) {
  static_cast<void>(item);
  co_await sleep_for(1h);
}

TEST(task, one_that_was_never_awaited_frees_its_arguments) {
  int alive = 0;
  {
    const task<> never = holds(counted(alive));
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0);
}

TEST(task, one_left_over_when_the_loop_ends_is_cancelled_and_freed) {
  int alive = 0;
  virtual_loop loop;
  auto main = [](int& count) -> task<> {
    spawn(holds, counted(count));
    co_await yield();
  };
  loop.run(main(alive));
  EXPECT_EQ(alive, 0);
}

struct moves_twice {
  explicit moves_twice(int moves) : moves_left(moves) {}
  moves_twice(moves_twice&& other) : moves_left(other.moves_left) {
    if (--moves_left == 0) throw std::runtime_error("moved once too often");
  }
  int moves_left;
};

TEST(task, a_result_that_throws_when_it_is_moved_is_the_error_of_its_task) {
  int errors = 0;
  for (int moves = 1; moves <= 8; ++moves) {
    virtual_loop loop;
    auto gives = [](int left) -> task<moves_twice> { co_return moves_twice(left); };
    auto main = [&]() -> task<> {
      const auto giving = spawn(gives, moves);
      try {
        static_cast<void>(co_await giving);
      } catch (const std::runtime_error&) {
        ++errors;
      }
    };
    loop.run(main());
  }
  EXPECT_GT(errors, 1);
  EXPECT_LT(errors, 8);
}

}  // namespace
}  // namespace brigade
