#include <brigade/async/descriptor.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/timeout.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <string>
#include <string_view>

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

}  // namespace
}  // namespace brigade
