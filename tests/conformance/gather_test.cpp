// asyncio's tests of gather (test_tasks.py), each with the outcome asserted there. Where asyncio
// leaves the siblings of a failed member running, the test spells `keep_running`.

#include <brigade/async/future.hpp>
#include <brigade/async/gather.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;
using ints = std::vector<int>;
using futures = std::vector<future<int>>;

std::exception_ptr an_error(const char* text = "failed") {
  return std::make_exception_ptr(std::runtime_error(text));
}

/// Promises of what is gathered, and their futures.
struct promised {
  explicit promised(loop& owner, int count) {
    for (int i = 0; i < count; ++i) promises.emplace_back(owner);
  }
  [[nodiscard]] futures all() const {
    futures list;
    for (const auto& one : promises) list.push_back(one.get_future());
    return list;
  }
  promise<int>& operator[](std::size_t i) { return promises[i]; }
  std::deque<promise<int>> promises;
};

task<ints> gathers(futures all) { co_return co_await gather(all); }
task<ints> gathers_on(futures all) { co_return co_await gather(keep_running, all); }
task<std::vector<gathered<int>>> collects(futures all) {
  co_return co_await gather(collect_errors, all);
}

class GatherTests : public ::testing::Test {
 protected:
  /// Runs what is ready, and what that makes ready.
  static sleep_operation settle() { return sleep_for(1ms); }
  virtual_loop loop_;
};

TEST_F(GatherTests, success) {
  promised given(loop_, 3);
  auto main = [&]() -> task<> {
    auto all = spawn(gathers, given.all());
    co_await settle();
    given[1].set_value(2);
    co_await settle();
    given[0].set_value(1);
    co_await settle();
    EXPECT_FALSE(all.done());
    given[2].set_value(3);
    co_await settle();
    EXPECT_EQ(all.result(), (ints{1, 2, 3}));
  };
  loop_.run(main());
}

TEST_F(GatherTests, result_exception_success) {
  promised given(loop_, 3);
  auto main = [&]() -> task<> {
    auto all = spawn(collects, given.all());
    co_await settle();
    given[1].set_value(2);
    given[2].set_value(3);
    co_await settle();
    EXPECT_FALSE(all.done());
    given[0].set_value(1);
    co_await settle();
    const auto results = all.result();
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(results[i].value(), static_cast<int>(i) + 1);
  };
  loop_.run(main());
}

TEST_F(GatherTests, one_exception) {
  promised given(loop_, 5);
  int reported = 0;
  loop_.on_unhandled = [&](const std::string&, const std::exception_ptr&) { ++reported; };
  auto main = [&]() -> task<> {
    auto all = spawn(gathers_on, given.all());
    co_await settle();
    const auto error = an_error();
    given[0].set_value(1);
    given[1].set_error(error);
    co_await settle();
    EXPECT_TRUE(all.done());
    EXPECT_EQ(all.error(), error);
    given[2].set_value(3);
    given[3].cancel();
    given[4].set_error(an_error("later"));
    co_await settle();
    EXPECT_EQ(all.error(), error);
  };
  loop_.run(main());
  given.promises.clear();
  EXPECT_EQ(reported, 0);
}

TEST_F(GatherTests, return_exceptions) {
  promised given(loop_, 4);
  auto main = [&]() -> task<> {
    auto all = spawn(collects, given.all());
    co_await settle();
    const auto error = an_error();
    const auto later = an_error("later");
    given[1].set_value(2);
    given[0].set_error(later);
    given[2].set_error(error);
    co_await settle();
    EXPECT_FALSE(all.done());
    given[3].set_value(4);
    co_await settle();
    const auto results = all.result();
    EXPECT_EQ(results[0].error(), later);
    EXPECT_EQ(results[1].value(), 2);
    EXPECT_EQ(results[2].error(), error);
    EXPECT_EQ(results[3].value(), 4);
  };
  loop_.run(main());
}

TEST_F(GatherTests, constructor_empty_sequence_use_running_loop) {
  auto main = []() -> task<> {
    const auto steps = current_loop().steps();
    const ints none = co_await gather(futures{});
    EXPECT_TRUE(none.empty());
    EXPECT_EQ(current_loop().steps(), steps);
  };
  loop_.run(main());
}

TEST_F(GatherTests, constructor_heterogenous_futures) {
  virtual_loop other;
  promise<int> here(loop_);
  promise<int> there(other);
  auto main = [&]() -> task<> {
    bool refused = false;
    try {
      co_await gather(here.get_future(), there.get_future());
    } catch (const invalid_state&) {
      refused = true;
    }
    EXPECT_TRUE(refused);
  };
  loop_.run(main());
}

TEST_F(GatherTests, one_cancellation) {
  promised given(loop_, 5);
  auto main = [&]() -> task<> {
    auto awaits = [](futures all, int& cancelling) -> task<> {
      bool failed = false;
      try {
        co_await gather(keep_running, all);
      } catch (const cancelled&) {
        failed = true;
      }
      // The task itself was not cancelled.
      cancelling = failed ? current_task().cancelling() : -1;
    };
    int cancelling = -1;
    auto all = spawn(awaits, given.all(), std::ref(cancelling));
    co_await settle();
    given[0].set_value(1);
    given[1].cancel();
    co_await settle();
    EXPECT_TRUE(all.done());
    EXPECT_FALSE(all.cancelled());
    EXPECT_EQ(cancelling, 0);
    given[2].set_value(3);
    given[3].cancel();
    given[4].set_value(5);
  };
  loop_.run(main());
}

TEST_F(GatherTests, result_exception_one_cancellation) {
  promised given(loop_, 6);
  auto main = [&]() -> task<> {
    auto all = spawn(collects, given.all());
    co_await settle();
    given[0].set_value(1);
    const auto error = an_error();
    given[1].set_error(error);
    given[2].cancel();
    given[3].set_value(4);
    given[4].set_value(5);
    co_await settle();
    EXPECT_FALSE(all.done());
    given[5].set_value(6);
    co_await settle();
    const auto results = all.result();
    EXPECT_FALSE(all.cancelled());
    EXPECT_EQ(results[0].value(), 1);
    EXPECT_EQ(results[1].error(), error);
    EXPECT_TRUE(results[2].cancelled());
    EXPECT_THROW(std::rethrow_exception(results[2].error()), cancelled);
    EXPECT_EQ(results[3].value() + results[4].value() + results[5].value(), 15);
  };
  loop_.run(main());
}

TEST_F(GatherTests, duplicate_coroutines) {
  auto main = []() -> task<> {
    auto says = [](std::string text) -> task<std::string> { co_return text; };
    auto once = spawn(says, std::string("abc"));
    const std::vector<task_handle<std::string>> all = {once, once, spawn(says, std::string("def")),
                                                       once};
    const auto texts = co_await gather(all);
    EXPECT_EQ(texts, (std::vector<std::string>{"abc", "abc", "def", "abc"}));
  };
  loop_.run(main());
}

TEST_F(GatherTests, cancellation_broadcast) {
  promise<> blocker(loop_);
  auto main = [&]() -> task<> {
    int proofs = 0;
    auto inner = [](future<> on, int& proof) -> task<> {
      co_await on.wait();
      ++proof;
    };
    auto a = spawn(inner, blocker.get_future(), std::ref(proofs));
    auto b = spawn(inner, blocker.get_future(), std::ref(proofs));
    bool cancel_of_a_finished_one = true;
    auto outer = [](task_handle<> first, task_handle<> second, bool& late) -> task<> {
      auto both = gather(first, second);
      bool struck = false;
      try {
        co_await both;
      } catch (const cancelled&) {
        struck = true;
        late = both.cancel_all();
      }
      if (struck) throw cancelled("as it came");
    };
    auto f = spawn(outer, a, b, std::ref(cancel_of_a_finished_one));
    co_await settle();
    EXPECT_TRUE(f.cancel());
    co_await settle();
    EXPECT_TRUE(f.cancelled());
    EXPECT_TRUE(a.cancelled());
    EXPECT_TRUE(b.cancelled());
    EXPECT_FALSE(cancel_of_a_finished_one);
    EXPECT_FALSE(f.cancel());
    EXPECT_EQ(proofs, 0);
  };
  loop_.run(main());
}

TEST_F(GatherTests, exception_marking) {
  // Both orders; neither error is reported besides the one that came out.
  for (const bool first_fails_first : {true, false}) {
    virtual_loop loop;
    int reported = 0;
    loop.on_unhandled = [&](const std::string&, const std::exception_ptr&) { ++reported; };
    auto main = [&]() -> task<> {
      promise<> a;
      promise<> b;
      auto inner = [](future<> on) -> task<> {
        co_await on;
        throw std::runtime_error("should not be reported");
      };
      auto outer = [&](auto starts) -> task<> {
        co_await gather(keep_running, starts(a.get_future()), starts(b.get_future()));
      };
      auto f = spawn(outer, inner);
      co_await settle();
      (first_fails_first ? a : b).set_value();
      co_await settle();
      (first_fails_first ? b : a).set_value();
      co_await settle();
      EXPECT_THROW(f.result(), std::runtime_error);
    };
    loop.run(main());
    EXPECT_EQ(reported, 0);
  }
}

TEST_F(GatherTests, cancel_gather_1) {
  promised given(loop_, 1);
  auto main = [&]() -> task<> {
    auto passes_on = [](future<int> from) -> task<int> { co_return co_await from; };
    std::vector<task<int>> members;
    members.push_back(passes_on(given[0].get_future()));
    auto all = gather(std::move(members));
    std::optional<bool> cancelled_late;
    auto ends_and_cancels = [](promise<int>& member, auto& gathered,
                               std::optional<bool>& late) -> task<> {
      member.set_value(42);
      co_await yield();
      // The member is done, who awaits the gather has not resumed.
      late = gathered.cancel_all();
    };
    spawn(ends_and_cancels, std::ref(given[0]), std::ref(all), std::ref(cancelled_late));
    const ints results = co_await all;
    EXPECT_EQ(cancelled_late, false);
    EXPECT_EQ(results, ints{42});
  };
  loop_.run(main());
}

TEST_F(GatherTests, cancel_gather_2) {
  promised given(loop_, 1);
  auto main = [&]() -> task<> {
    auto f = spawn(collects, given.all());
    co_await settle();
    f.cancel("a reason");
    co_await settle();
    EXPECT_TRUE(f.cancelled());
    EXPECT_TRUE(given[0].cancelled());
    EXPECT_EQ(error_text(f.error()), "cancelled: a reason");
  };
  loop_.run(main());
}

}  // namespace
}  // namespace brigade
