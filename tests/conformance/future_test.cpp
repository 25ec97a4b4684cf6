// asyncio's tests of futures (test_futures.py), each with the outcome asserted there.

#include <brigade/async/future.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;
using strings = std::vector<std::string>;

std::exception_ptr an_error(const char* text = "failed") {
  return std::make_exception_ptr(std::runtime_error(text));
}

/// Tells what nobody has awaited.
class reports {
 public:
  explicit reports(loop& of) {
    of.on_unhandled = [this](const std::string& name, const std::exception_ptr& error) {
      lines.push_back(name + ": " + error_text(error));
    };
  }
  strings lines;
};

TEST(FutureTests, initial_state) {
  virtual_loop loop;
  promise<int> answer(loop);
  const future<int> f = answer.get_future();
  EXPECT_FALSE(f.cancelled());
  EXPECT_FALSE(f.done());
  answer.cancel();
  EXPECT_TRUE(f.cancelled());
}

TEST(FutureTests, cancel) {
  virtual_loop loop;
  promise<int> answer(loop);
  future<int> f = answer.get_future();
  EXPECT_TRUE(f.cancel());
  EXPECT_TRUE(f.cancelled());
  EXPECT_TRUE(f.done());
  EXPECT_THROW(static_cast<void>(f.result()), cancelled);
  EXPECT_THROW(std::rethrow_exception(f.error()), cancelled);
  EXPECT_THROW(answer.set_value(1), invalid_state);
  EXPECT_THROW(answer.set_error(an_error()), invalid_state);
  EXPECT_FALSE(f.cancel());
}

TEST(FutureTests, result) {
  virtual_loop loop;
  promise<int> answer(loop);
  future<int> f = answer.get_future();
  EXPECT_THROW(static_cast<void>(f.result()), invalid_state);
  answer.set_value(42);
  EXPECT_FALSE(f.cancelled());
  EXPECT_TRUE(f.done());
  EXPECT_EQ(f.result(), 42);
  EXPECT_EQ(f.error(), nullptr);
  EXPECT_THROW(answer.set_value(43), invalid_state);
  EXPECT_THROW(answer.set_error(an_error()), invalid_state);
  EXPECT_FALSE(f.cancel());
  EXPECT_EQ(f.result(), 42);
}

TEST(FutureTests, exception) {
  virtual_loop loop;
  promise<int> answer(loop);
  future<int> f = answer.get_future();
  EXPECT_THROW(static_cast<void>(f.error()), invalid_state);
  const auto error = an_error();
  answer.set_error(error);
  EXPECT_FALSE(f.cancelled());
  EXPECT_TRUE(f.done());
  EXPECT_THROW(static_cast<void>(f.result()), std::runtime_error);
  EXPECT_EQ(f.error(), error);
  EXPECT_THROW(answer.set_value(1), invalid_state);
  EXPECT_THROW(answer.set_error(an_error()), invalid_state);
  EXPECT_FALSE(f.cancel());
}

TEST(FutureTests, yield_from_twice) {
  virtual_loop loop;
  auto main = []() -> task<> {
    promise<int> answer;
    const future<int> f = answer.get_future();
    answer.set_value(42);
    const auto steps = current_loop().steps();
    EXPECT_EQ(co_await f, 42);
    EXPECT_EQ(co_await f, 42);
    EXPECT_EQ(current_loop().steps(), steps);
  };
  loop.run(main());
}

TEST(FutureTests, set_result_unless_cancelled) {
  virtual_loop loop;
  promise<int> answer(loop);
  const future<int> f = answer.get_future();
  answer.cancel();
  EXPECT_FALSE(answer.try_set_value(2));
  EXPECT_TRUE(f.cancelled());
}

TEST(FutureTests, tb_logger_abandoned) {
  virtual_loop loop;
  const reports reported(loop);
  {
    const promise<int> dropped(loop);
  }
  EXPECT_EQ(reported.lines, strings{});
}

TEST(FutureTests, tb_logger_result_unretrieved) {
  virtual_loop loop;
  const reports reported(loop);
  {
    promise<int> answer(loop);
    const future<int> f = answer.get_future();
    answer.set_value(42);
  }
  EXPECT_EQ(reported.lines, strings{});
}

TEST(FutureTests, tb_logger_exception_retrieved) {
  virtual_loop loop;
  const reports reported(loop);
  {
    promise<int> answer(loop);
    const future<int> f = answer.get_future();
    answer.set_error(an_error());
    EXPECT_NE(f.error(), nullptr);
  }
  EXPECT_EQ(reported.lines, strings{});
}

TEST(FutureTests, tb_logger_exception_unretrieved) {
  virtual_loop loop;
  const reports reported(loop);
  {
    promise<int> answer(loop, "answer");
    const future<int> f = answer.get_future();
    answer.set_error(an_error());
    EXPECT_EQ(reported.lines, strings{});
  }
  EXPECT_EQ(reported.lines, strings{"answer: failed"});
}

TEST(FutureTests, wrap_future) {
  auto main = []() -> task<> {
    auto [there, here] = make_thread_future<std::unique_ptr<std::string>>();
    std::thread worker(
        [](thread_promise<std::unique_ptr<std::string>> answer) {
          answer.set_value(std::make_unique<std::string>("from a thread"));
        },
        std::move(there));
    const auto text = co_await here;
    EXPECT_EQ(*text, "from a thread");
    worker.join();
  };
  run(main());
}

TEST(FutureTests, wrap_future_cancel) {
  auto main = []() -> task<> {
    auto [there, here] = make_thread_future<int>();
    const std::stop_token stop = there.stop_token();
    here.cancel();
    EXPECT_TRUE(stop.stop_requested());
    std::thread worker([](thread_promise<int> answer) { answer.set_value(1); }, std::move(there));
    worker.join();
    co_await yield();
    EXPECT_TRUE(here.cancelled());
  };
  run(main());
}

/// Callbacks that note that they ran.
class DoneCallbackTests : public ::testing::Test {
 protected:
  done_callback notes(std::string name) {
    return [this, name = std::move(name)] { calls_.push_back(name); };
  }
  /// What has run when the loop has turned.
  strings calls_after_a_turn() {
    auto turn = []() -> task<> { co_await sleep_for(1ms); };
    loop_.run(turn());
    return calls_;
  }
  virtual_loop loop_;
  promise<std::string> promise_{loop_};
  future<std::string> future_ = promise_.get_future();
  strings calls_;
};

TEST_F(DoneCallbackTests, callbacks_invoked_on_set_result) {
  future_.add_done_callback(notes("a"));
  future_.add_done_callback(notes("b"));
  EXPECT_EQ(calls_after_a_turn(), strings{});
  promise_.set_value("foo");
  EXPECT_EQ(calls_, strings{});
  EXPECT_EQ(calls_after_a_turn(), (strings{"a", "b"}));
  EXPECT_EQ(future_.result(), "foo");
}

TEST_F(DoneCallbackTests, callbacks_invoked_on_set_exception) {
  future_.add_done_callback([this] { calls_.push_back(error_text(future_.error())); });
  promise_.set_error(an_error("boom"));
  EXPECT_EQ(calls_, strings{});
  EXPECT_EQ(calls_after_a_turn(), strings{"boom"});
}

TEST_F(DoneCallbackTests, callbacks_remove_first_callback) {
  const done_callback a = notes("a");
  future_.add_done_callback(a);
  future_.add_done_callback(notes("b"));
  future_.add_done_callback(notes("c"));
  EXPECT_EQ(future_.remove_done_callback(a), 1U);
  promise_.set_value("foo");
  EXPECT_EQ(calls_after_a_turn(), (strings{"b", "c"}));
}

TEST_F(DoneCallbackTests, callbacks_remove_first_and_second_callback) {
  const done_callback a = notes("a");
  const done_callback b = notes("b");
  future_.add_done_callback(a);
  future_.add_done_callback(b);
  future_.add_done_callback(notes("c"));
  EXPECT_EQ(future_.remove_done_callback(a), 1U);
  EXPECT_EQ(future_.remove_done_callback(b), 1U);
  promise_.set_value("foo");
  EXPECT_EQ(calls_after_a_turn(), strings{"c"});
}

TEST_F(DoneCallbackTests, callbacks_remove_third_callback) {
  const done_callback c = notes("c");
  future_.add_done_callback(notes("a"));
  future_.add_done_callback(notes("b"));
  future_.add_done_callback(c);
  EXPECT_EQ(future_.remove_done_callback(c), 1U);
  promise_.set_value("foo");
  EXPECT_EQ(calls_after_a_turn(), (strings{"a", "b"}));
}

TEST_F(DoneCallbackTests, remove_done_callback) {
  const done_callback a = notes("a");
  const done_callback b = notes("b");
  const done_callback c = notes("c");
  future_.add_done_callback(a);
  future_.add_done_callback(b);
  future_.add_done_callback(c);
  future_.add_done_callback(c);
  EXPECT_EQ(future_.remove_done_callback(b), 1U);
  EXPECT_EQ(future_.remove_done_callback(b), 0U);
  EXPECT_EQ(future_.remove_done_callback(c), 2U);
  EXPECT_EQ(future_.remove_done_callback(c), 0U);
  promise_.set_value("foo");
  EXPECT_EQ(calls_after_a_turn(), strings{"a"});
  EXPECT_EQ(future_.remove_done_callback(a), 0U);
}

}  // namespace
}  // namespace brigade
