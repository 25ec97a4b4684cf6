// The co_await expressions that brigade is written in, and that its users write, with brigade's own
// types: each leaves as many owning objects alive as it found, with every compiler that builds
// this.
#include <brigade/async.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace {

using namespace std::chrono_literals;
using brigade::queue;
using brigade::task;
using brigade::task_group;

int alive = 0;

class owner {
 public:
  explicit owner(int value = 1) : value_(std::make_unique<int>(value)) { ++alive; }
  owner(const owner& other) : value_(std::make_unique<int>(*other.value_)) { ++alive; }
  owner(owner&& other) noexcept : value_(std::move(other.value_)) { ++alive; }
  ~owner() { --alive; }
  [[nodiscard]] int value() const { return *value_; }

 private:
  std::unique_ptr<int> value_;
};

task<owner> made(int value) {
  co_await brigade::yield();
  co_return owner(value);
}
task<> put_one(queue<owner>& orders, owner one) { co_await orders.put(std::move(one)); }
task<> put_three(queue<owner>& orders) {
  for (int value = 1; value <= 3; ++value) co_await orders.put(owner(value));
  orders.close();
}
task<> sum_all(queue<owner>& orders, int& sum) {
  while (auto ticket = co_await orders.take()) {
    co_await brigade::sleep_for(1ms);
    sum += ticket->value();
  }
}
task<> take_for_ever(queue<owner>& orders) {
  for (;;) {
    auto ticket = co_await orders.take();
    EXPECT_EQ(ticket->value(), 1);
  }
}

class shapes : public testing::Test {
 protected:
  void SetUp() override { alive = 0; }
  void TearDown() override { EXPECT_EQ(alive, 0); }
  static void run(task<> whole) { brigade::testing::virtual_loop(1).run(std::move(whole)); }
};

TEST_F(shapes, awaits_a_temporary_task_with_an_owning_argument_and_result) {
  auto whole = []() -> task<> {
    owner got = co_await made(7);
    EXPECT_EQ(got.value(), 7);
    queue<owner> orders(1);
    co_await put_one(orders, owner(8));
    co_await put_one(orders, std::move(got));
  };
  EXPECT_THROW(run(whole()), brigade::deadlock);  // no one takes the second
}

TEST_F(shapes, puts_temporaries_and_takes_tickets) {
  int sum = 0;
  auto whole = [](int& total) -> task<> {
    queue<owner> orders(1);
    co_await brigade::with_group([&](task_group& group) {
      group.spawn(put_three, std::ref(orders));
      group.spawn(sum_all, std::ref(orders), std::ref(total));
      group.spawn(sum_all, std::ref(orders), std::ref(total));
    });
  };
  run(whole(sum));
  EXPECT_EQ(sum, 6);
}

TEST_F(shapes, spawns_a_lambda_with_owning_captures) {
  int seen = 0;
  auto whole = [](int& total) -> task<> {
    co_await brigade::with_group([&](task_group& group) {
      group.spawn([held = owner(5), &total]() -> task<> {
        co_await brigade::yield();
        total = held.value();
      });
    });
  };
  run(whole(seen));
  EXPECT_EQ(seen, 5);
}

TEST_F(shapes, destroys_arguments_once_when_a_child_throws_amid_temporaries) {
  auto whole = []() -> task<> {
    co_await brigade::with_group([](task_group& group) {
      group.spawn(
          [](owner held) -> task<> {
            const owner other = co_await made(held.value());
            throw std::runtime_error(std::to_string(other.value()));
          },
          owner(3));
      group.spawn([](owner held) -> task<> { co_await brigade::sleep_for(held.value() * 1h); },
                  owner(4));
    });
  };
  EXPECT_THROW(run(whole()), brigade::exception_group);
}

TEST_F(shapes, times_out_a_task_that_holds_owners) {
  auto whole = []() -> task<> {
    queue<owner> orders(4);
    co_await orders.put(owner(1));
    bool late = false;
    try {
      co_await brigade::timeout(1s, take_for_ever(orders));
    } catch (const brigade::timed_out&) {
      late = true;
    }
    EXPECT_TRUE(late);
    const owner got = co_await brigade::timeout(1s, made(9));
    EXPECT_EQ(got.value(), 9);
  };
  run(whole());
}

TEST_F(shapes, destroys_the_arguments_of_a_task_that_never_ran) {
  queue<owner> orders(1);
  {
    const auto never = put_one(orders, owner(2));
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0);
}

TEST_F(shapes, destroys_what_a_cancelled_task_holds) {
  auto wait_with = [](owner held) -> task<> {
    const owner other(held.value());
    co_await brigade::sleep_for(1h);
  };
  auto whole = [](auto body) -> task<> {
    co_await brigade::with_group([&](task_group& group) {
      auto handle = group.spawn(body, owner(2));
      handle.cancel();
    });
    EXPECT_EQ(alive, 0);
  };
  run(whole(wait_with));
}

// Without the count: the thread drops the call when it is done with it, maybe after the result.
TEST(shapes_on_threads, calls_a_named_callable_that_owns) {
  auto whole = []() -> task<std::string> {
    auto call = [held = std::string("longer than any small ")](const std::string& given) {
      return held + given;
    };
    const std::string both = co_await brigade::to_thread(std::move(call), std::string("buffer"));
    co_return both;
  };
  EXPECT_EQ(brigade::run(whole()), "longer than any small buffer");
}

}  // namespace
