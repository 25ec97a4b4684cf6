#include <brigade/async/descriptor.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>

namespace brigade {
namespace {

using namespace std::chrono_literals;

TEST(descriptor, reads_what_another_task_writes_and_sees_the_end) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  auto writer = [](int fd) -> task<> {
    descriptor out(fd);
    const std::string text(200'000, 'x');
    std::string_view left = text;
    while (!left.empty()) {
      const std::size_t count = co_await out.write_some(left);
      left.remove_prefix(count);
    }
  };
  auto reader = [](int fd, std::size_t& total) -> task<> {
    descriptor in(fd);
    std::array<char, 4096> buffer{};
    for (;;) {
      const std::size_t count = co_await in.read_some(buffer);
      if (count == 0) co_return;
      total += count;
    }
  };
  std::size_t total = 0;
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) {
      group.spawn(reader, ends[0], std::ref(total));
      group.spawn(writer, ends[1]);
    });
  };
  run(main());
  EXPECT_EQ(total, 200'000U);
}

TEST(descriptor, a_cancelled_read_reads_nothing) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  auto main = [&]() -> task<> {
    descriptor in(ends[0]);
    descriptor out(ends[1]);
    std::array<char, 16> buffer{};
    EXPECT_THROW(co_await timeout(1ms, in.read_some(buffer)), timed_out);
    co_await out.write_some("dish");
    const std::size_t count = co_await in.read_some(buffer);
    EXPECT_EQ(count, 4U);
  };
  run(main());
}

TEST(descriptor, reading_in_small_pieces_what_is_always_there_leaves_the_others_their_turns) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const std::string text(1000, 'x');
  ASSERT_EQ(::write(ends[1], text.data(), text.size()), 1000);
  auto main = [&]() -> task<> {
    descriptor input(ends[0]);
    std::size_t had_read = 0;
    std::size_t at_first_turn = 0;
    auto other = [&]() -> task<> {
      at_first_turn = had_read;
      co_return;
    };
    auto reads = [&]() -> task<> {
      std::array<char, 1> byte{};
      while (had_read < 1000) {
        const std::size_t count = co_await input.read_some(byte);
        had_read += count;
      }
    };
    const auto beside = spawn(std::ref(other));
    EXPECT_THROW(co_await timeout(0s, reads()), timed_out);
    co_await beside;
    co_await yield();
    const auto again = spawn(std::ref(other));
    co_await reads();
    EXPECT_GT(at_first_turn, 0U);
    EXPECT_LT(at_first_turn, 1000U);
    co_await again;
  };
  run(main());
  ::close(ends[1]);
}

TEST(descriptor, waits_for_room_and_for_whichever_comes_first) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  auto main = [&]() -> task<> {
    descriptor near(ends[0]);
    descriptor far(ends[1]);
    co_await near.wait_writable();
    co_await near.wait_either();  // there is room
    const std::string much(1 << 16, 'x');
    while (::send(near.fd(), much.data(), much.size(), MSG_DONTWAIT) > 0) {
    }
    EXPECT_THROW(co_await timeout(0s, near.wait_either()), timed_out);
    EXPECT_THROW(co_await timeout(0s, near.wait_writable()), timed_out);
    auto waits = [&]() -> task<> { co_await near.wait_either(); };
    const auto waiting = spawn(std::ref(waits));
    co_await yield();
    co_await far.write_some("a word");  // no room, but something to read
    co_await waiting;
    std::array<char, 16> buffer{};
    EXPECT_EQ(co_await near.read_some(buffer), 6U);
    const auto again = spawn(std::ref(waits));
    co_await yield();
    std::string swallowed(1 << 20, ' ');
    while (far.read_now(swallowed)) {
    }
    co_await again;
  };
  run(main());
}

TEST(descriptor, a_regular_file_is_refused_and_stays_open) {
  const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(file, 0);
  auto main = [&]() -> task<> {
    EXPECT_THROW(descriptor{file}, std::system_error);
    co_return;
  };
  run(main());
  EXPECT_EQ(::close(file), 0);
}

TEST(descriptor_death_test, one_that_is_assigned_over_while_a_task_waits_ends_the_program) {
  const auto assign = [] {
    auto main = []() -> task<> {
      std::array<int, 2> one{};
      std::array<int, 2> two{};
      if (::pipe2(one.data(), O_CLOEXEC) + ::pipe2(two.data(), O_CLOEXEC) != 0) co_return;
      descriptor input(one[0]);
      auto waits = [&]() -> task<> { co_await input.wait_readable(); };
      const auto waiting = spawn(std::ref(waits));
      co_await yield();
      input = descriptor(two[0]);
    };
    run(main());
  };
  EXPECT_DEATH(assign(), "closed while a task waits for it");
}

}  // namespace
}  // namespace brigade
