#include <brigade/async/asio.hpp>
#include <brigade/async/cancel.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace brigade {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using asio::ip::tcp;
using boost::system::error_code;
using boost::system::system_error;

/// An operation whose end the test decides; it hears of cancellation only when it says so.
template <class... Results>
class by_hand {
 public:
  template <class Token>
  auto async_wait(Token&& token) {
    return asio::async_initiate<Token, void(Results...)>(
        [this](auto handler) {
          ++begun;
          if (refuses) throw std::invalid_argument("not today");
          if (listens) {
            auto slot = asio::get_associated_cancellation_slot(handler);
            slot.assign([this](asio::cancellation_type) {
              asked_to_end = true;
              if (when_asked) when_asked();
            });
          }
          handler_ = std::make_unique<kept<decltype(handler)>>(std::move(handler));
        },
        token);
  }
  void complete(Results... results) {
    const auto handler = std::exchange(handler_, nullptr);
    handler->call(std::move(results)...);
  }
  void forget() { handler_.reset(); }

  int begun = 0;
  bool refuses = false;
  bool listens = false;
  bool asked_to_end = false;
  std::function<void()> when_asked;

 private:
  struct callable {
    virtual ~callable() = default;
    virtual void call(Results... results) = 0;
  };
  template <class Handler>
  struct kept final : callable {
    explicit kept(Handler&& from) : handler(std::move(from)) {}
    void call(Results... results) override { handler(std::move(results)...); }
    Handler handler;
  };
  std::unique_ptr<callable> handler_;
};

/// Two ends of a connection on this machine.
struct connection {
  connection() : near(asio_context()), far(asio_context()) {}
  tcp::socket near;
  tcp::socket far;
};

task<> connect(connection& pair) {
  tcp::acceptor acceptor(asio_context(), tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  const tcp::endpoint at = acceptor.local_endpoint();
  auto call = [](tcp::socket& from, tcp::endpoint to) -> task<> {
    co_await from.async_connect(to, use_await);
  };
  auto caller = spawn(call, std::ref(pair.near), at);
  pair.far = co_await acceptor.async_accept(use_await);
  co_await caller;
}

TEST(asio, a_timer_is_awaited) {
  auto main = []() -> task<> {
    asio::steady_timer timer(asio_context(), 1ms);
    co_await timer.async_wait(use_await);
    EXPECT_GE(asio::steady_timer::clock_type::now(), timer.expiry());
  };
  run(main());
}

TEST(asio, sockets_connect_write_and_read) {
  auto main = []() -> task<> {
    connection pair;
    co_await connect(pair);
    const std::size_t sent =
        co_await asio::async_write(pair.near, asio::buffer("dish", 4), use_await);
    EXPECT_EQ(sent, 4U);
    std::array<char, 4> got{};
    co_await asio::async_read(pair.far, asio::buffer(got), use_await);
    EXPECT_EQ(std::string(got.data(), got.size()), "dish");
  };
  run(main());
}

TEST(asio, an_error_is_thrown_or_comes_in_the_tuple) {
  auto main = []() -> task<> {
    connection pair;
    co_await connect(pair);
    pair.near.close();
    std::array<char, 4> got{};
    std::string thrown;
    try {
      co_await pair.far.async_read_some(asio::buffer(got), use_await);
    } catch (const system_error& error) {
      EXPECT_EQ(error.code(), asio::error::eof);
      thrown = error.what();
    }
    EXPECT_NE(thrown, "");
    auto [code, count] =
        co_await pair.far.async_read_some(asio::buffer(got), asio::as_tuple(use_await));
    EXPECT_EQ(code, asio::error::eof);
    EXPECT_EQ(count, 0U);
  };
  run(main());
}

TEST(asio, results_are_nothing_a_value_or_a_tuple) {
  auto main = []() -> task<> {
    by_hand<> nothing;
    by_hand<std::unique_ptr<int>> value;
    by_hand<error_code, int, std::string> several;
    by_hand<std::exception_ptr, int> failing;
    loop::current().post([&] {
      nothing.complete();
      value.complete(std::make_unique<int>(7));
      several.complete({}, 11, "dish");
      failing.complete(std::make_exception_ptr(std::out_of_range("burnt")), 0);
    });
    auto wait_for_value = [](auto& operation) -> task<std::unique_ptr<int>> {
      co_return co_await operation.async_wait(use_await);
    };
    auto wait_for_several = [](auto& operation) -> task<std::tuple<int, std::string>> {
      co_return co_await operation.async_wait(use_await);
    };
    auto wait_for_failure = [](auto& operation) -> task<int> {
      co_return co_await operation.async_wait(use_await);
    };
    auto one = spawn(wait_for_value, std::ref(value));
    auto two = spawn(wait_for_several, std::ref(several));
    auto three = spawn(wait_for_failure, std::ref(failing));
    co_await nothing.async_wait(use_await);
    const auto seven = co_await one;
    EXPECT_EQ(*seven, 7);
    const auto both = co_await two;
    EXPECT_EQ(both, std::make_tuple(11, std::string("dish")));
    EXPECT_THROW(co_await three, std::out_of_range);
  };
  run(main());
}

TEST(asio, a_cancelled_read_ends_and_the_socket_is_as_before) {
  auto main = []() -> task<> {
    connection pair;
    co_await connect(pair);
    std::array<char, 4> got{};
    auto read = [](tcp::socket& from, std::array<char, 4>& into) -> task<> {
      co_await from.async_read_some(asio::buffer(into), use_await);
      ADD_FAILURE() << "nobody wrote";
    };
    EXPECT_THROW(co_await timeout(1ms, read(pair.far, got)), timed_out);
    co_await pair.near.async_write_some(asio::buffer("dish", 4), use_await);
    const std::size_t count = co_await pair.far.async_read_some(asio::buffer(got), use_await);
    EXPECT_EQ(count, 4U);
  };
  run(main());
}

TEST(asio, a_cancelled_task_waits_until_its_operation_has_ended) {
  auto main = []() -> task<> {
    by_hand<error_code> operation;
    operation.listens = true;
    auto wait = [](auto& on) -> task<> { co_await on.async_wait(use_await); };
    auto waiting = spawn(wait, std::ref(operation));
    co_await sleep_for(0s);
    waiting.cancel("closing");
    EXPECT_TRUE(operation.asked_to_end);
    co_await sleep_for(1ms);
    EXPECT_FALSE(waiting.done());
    EXPECT_NE(loop::current().dump_tasks().find("asio operation, which was asked to end"),
              std::string::npos);
    operation.complete(asio::error::operation_aborted);
    EXPECT_THROW(co_await waiting, cancelled);
  };
  run(main());
}

TEST(asio, an_operation_that_completed_all_the_same_gives_its_result) {
  auto main = []() -> task<> {
    by_hand<error_code, int> operation;
    int got = 0;
    auto wait = [](auto& on, int& into) -> task<> {
      into = co_await on.async_wait(use_await);
      co_await sleep_for(1h);
    };
    auto late = spawn(wait, std::ref(operation), std::ref(got));
    co_await sleep_for(0s);
    late.cancel();
    operation.complete({}, 7);
    EXPECT_THROW(co_await late, cancelled);  // at the wait behind it
    EXPECT_EQ(got, 7);

    auto early = spawn(wait, std::ref(operation), std::ref(got));
    co_await sleep_for(0s);
    operation.complete({}, 8);
    early.cancel();  // it has its result, and has not run yet
    EXPECT_THROW(co_await early, cancelled);
    EXPECT_EQ(got, 8);
  };
  run(main());
}

TEST(asio, an_operation_is_not_begun_in_a_cancelled_scope) {
  auto main = []() -> task<> {
    by_hand<> operation;
    bool failed = false;
    {
      cancel_scope scope;
      scope.cancel("closing");
      try {
        co_await operation.async_wait(use_await);
      } catch (const cancelled&) {
        failed = true;
      }
    }
    EXPECT_TRUE(failed);
    EXPECT_EQ(operation.begun, 0);
  };
  run(main());
}

TEST(asio, an_operation_that_cannot_be_begun_throws_and_the_task_goes_on) {
  auto main = []() -> task<> {
    by_hand<> operation;
    operation.refuses = true;
    EXPECT_THROW(co_await operation.async_wait(use_await), std::invalid_argument);
    co_await sleep_for(0s);
    operation.refuses = false;
    loop::current().post([&] { operation.complete(); });
    co_await operation.async_wait(use_await);
    EXPECT_EQ(operation.begun, 2);
  };
  run(main());
}

TEST(asio, a_handler_that_goes_uncalled_fails_its_wait) {
  auto main = []() -> task<> {
    by_hand<error_code, int> operation;
    loop::current().post([&] { operation.forget(); });
    try {
      co_await operation.async_wait(use_await);
      ADD_FAILURE() << "there was no result";
    } catch (const system_error& error) {
      EXPECT_EQ(error.code(), asio::error::operation_aborted);
    }
  };
  run(main());
}

TEST(asio, a_wait_is_named_and_counts_as_outside) {
  auto main = []() -> task<> {
    by_hand<> reply;
    auto wait = [](auto& on) -> task<> { co_await on.async_wait(use_await("reply of the till")); };
    auto waiting = spawn(wait, std::ref(reply));
    co_await sleep_for(0s);
    const std::string dump = loop::current().dump_tasks();
    EXPECT_NE(dump.find("asio operation 'reply of the till', at "), std::string::npos) << dump;
    EXPECT_NE(dump.find("asio_test.cpp:"), std::string::npos) << dump;
    asio::post(asio_context(), [&] { reply.complete(); });
    co_await waiting;  // no timer, nothing ready: a deadlock, were it not for the operation
  };
  run(main());
}

// --- frames that are destroyed, and loops that end, with an operation under way ---

/// Everything the operation uses is in this frame.
task<> read_for_ever(event& begun) {
  connection pair;
  co_await connect(pair);
  std::array<char, 64> buffer{};
  begun.set();
  co_await asio::async_read(pair.far, asio::buffer(buffer), use_await);
}

TEST(asio, a_frame_destroyed_with_a_read_under_way_ends_it_first) {
  auto main = []() -> task<> {
    event begun;
    auto reader = spawn(read_for_ever, std::ref(begun));
    co_await begun.wait();
    co_await sleep_for(1ms);
    loop::current().kill(reader.record());
    EXPECT_THROW(co_await reader, cancelled);
    co_await sleep_for(1ms);  // the reactor is polled once more
  };
  run(main());
}

TEST(asio, what_an_operation_was_given_outlives_it_in_a_destroyed_frame) {
  struct buffer {
    explicit buffer(const bool& flag) : ended(flag) {}
    ~buffer() { EXPECT_TRUE(ended) << "the operation would write into what has gone"; }
    const bool& ended;
  };
  auto main = []() -> task<> {
    bool ended = false;
    by_hand<error_code> operation;
    operation.listens = true;
    operation.when_asked = [&] {
      asio::post(asio_context(), [&] {  // as a composed operation does: a step, and then the end
        asio::post(asio_context(), [&] {
          ended = true;
          operation.complete(asio::error::operation_aborted);
        });
      });
    };
    auto wait = [](auto& on, const bool& flag) -> task<> {
      const buffer local(flag);
      co_await on.async_wait(use_await);
    };
    auto waiting = spawn(wait, std::ref(operation), std::cref(ended));
    co_await sleep_for(0s);
    loop::current().kill(waiting.record());
    EXPECT_TRUE(ended);
  };
  run(main());
}

TEST(asio, what_a_destroyed_frame_cannot_end_is_left_behind_and_touches_nothing_of_it) {
  auto main = []() -> task<> {
    by_hand<error_code, std::string> operation;
    auto wait = [](auto& on) -> task<> { co_await on.async_wait(use_await); };
    auto waiting = spawn(wait, std::ref(operation));
    co_await sleep_for(0s);
    loop::current().kill(waiting.record());
    operation.complete({}, "for nobody");
    co_await sleep_for(0s);
  };
  run(main());
}

TEST(asio, a_frame_destroyed_before_it_runs_again_gives_up_its_result) {
  auto main = []() -> task<> {
    by_hand<error_code, std::string> operation;
    auto wait = [](auto& on) -> task<> { co_await on.async_wait(use_await); };
    auto waiting = spawn(wait, std::ref(operation));
    co_await sleep_for(0s);
    operation.complete({}, "too late");
    loop::current().kill(waiting.record());
    co_await sleep_for(0s);
  };
  run(main());
}

TEST(asio, a_failing_callback_of_somebody_else_does_not_stop_a_frame_from_going) {
  loop own;
  std::string said;
  own.on_unhandled = [&](const std::string& name, const std::exception_ptr& error) {
    said = name + ": " + error_text(error);
  };
  auto main = []() -> task<> {
    event begun;
    auto reader = spawn(read_for_ever, std::ref(begun));
    co_await begun.wait();
    co_await sleep_for(1ms);
    asio::post(asio_context(), [] { throw std::runtime_error("burnt"); });
    loop::current().kill(reader.record());
  };
  own.run(main());
  EXPECT_EQ(said, "a callback of Asio: burnt");
}

TEST(asio, a_loop_that_ends_cancels_what_is_under_way) {
  bool saw_cancel = false;
  auto reader = [](bool& saw) -> task<> {
    event begun;
    try {
      co_await read_for_ever(begun);
    } catch (const cancelled&) {
      saw = true;
      throw;
    }
  };
  auto main = [&]() -> task<> {
    spawn(reader, std::ref(saw_cancel));
    co_await sleep_for(1ms);
  };
  run(main());
  EXPECT_TRUE(saw_cancel);
}

TEST(asio, a_loop_that_ends_leaves_behind_what_does_not_listen) {
  by_hand<error_code, std::string> operation;  // outlives the loop
  auto wait = [](auto& on) -> task<> { co_await on.async_wait(use_await); };
  auto main = [&]() -> task<> {
    spawn(wait, std::ref(operation));
    co_await sleep_for(0s);
  };
  {
    loop own;
    own.set_leftover_timeout(1ms);
    own.run(main());
    operation.forget();
  }
  EXPECT_EQ(operation.begun, 1);
}

TEST(asio, a_callback_that_is_left_in_the_context_goes_with_it) {
  const auto kept = std::make_shared<int>(1);
  auto main = [&]() -> task<> {
    asio::post(asio_context(), [kept] { ADD_FAILURE() << *kept << ": the loop has ended"; });
    co_return;
  };
  run(main());
  EXPECT_EQ(kept.use_count(), 1);
}

TEST(asio, a_loop_with_virtual_time_has_no_context) {
  auto main = []() -> task<> {
    static_cast<void>(asio_context());
    co_return;
  };
  EXPECT_DEATH(testing::virtual_loop().run(main()), "Asio need a real loop, not one with virtual");
}

TEST(asio, a_callback_is_called_although_tasks_are_always_ready) {
  auto main = []() -> task<> {
    bool called = false;
    asio::steady_timer timer(asio_context(), 1ms);
    timer.async_wait([&](const error_code&) { called = true; });
    const auto give_up = loop::current().now() + 10s;
    while (!called && loop::current().now() < give_up) co_await yield();
    EXPECT_TRUE(called);
  };
  run(main());
}

}  // namespace
}  // namespace brigade
