// Nothing is allocated in steady state: frames and records are recycled, waiters live in frames.
// In a program of its own, for it replaces operator new.
#include <brigade/async.hpp>

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <thread>

namespace {

std::uint64_t allocations = 0;

void* counted(std::size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t bytes) { return counted(bytes); }
void* operator new[](std::size_t bytes) { return counted(bytes); }
void* operator new(std::size_t bytes, std::align_val_t) { return counted(bytes); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace {

using brigade::queue;
using brigade::task;
using brigade::task_group;

constexpr int warm_up = 5'000;
constexpr int rounds = 20'000;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool frames_are_recycled = false;
#elif defined(__has_feature)
constexpr bool frames_are_recycled = !__has_feature(address_sanitizer);
#else
constexpr bool frames_are_recycled = true;
#endif

class Allocation : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!frames_are_recycled) GTEST_SKIP() << "frames come from malloc here, see frame_pool.hpp";
  }
};

/// What was allocated from the end of the warm-up to the end of the rounds.
class steady_state {
 public:
  void begin(int round) {
    if (round == warm_up) before_ = allocations;
  }
  void end() { spent_ = allocations - before_; }
  [[nodiscard]] std::uint64_t spent() const { return spent_; }

 private:
  std::uint64_t before_ = 0;
  std::uint64_t spent_ = ~std::uint64_t{0};
};

task<> produce(queue<int>& out, steady_state& state) {
  for (int i = 0; i < warm_up + rounds; ++i) {
    state.begin(i);
    co_await out.put(i);
  }
  co_await out.join();
  state.end();
  out.close();
}
task<> consume(queue<int>& in) {
  while (auto ticket = co_await in.take()) static_cast<void>(*ticket);
}
task<> pass_on(queue<int>& in, queue<int>& out) {
  while (auto ticket = co_await in.take()) co_await out.put(*ticket);
}

std::uint64_t stream(std::size_t capacity, int consumers) {
  queue<int> between(capacity);
  steady_state state;
  auto body = [&](task_group& group) {
    for (int i = 0; i < consumers; ++i) group.spawn(consume, std::ref(between));
    group.spawn(produce, std::ref(between), std::ref(state));
  };
  brigade::run(brigade::with_group(std::ref(body)));
  return state.spent();
}

TEST_F(Allocation, the_counter_counts) {
  const std::uint64_t before = allocations;
  const auto some = std::make_unique<int>(1);
  EXPECT_EQ(allocations, before + static_cast<std::uint64_t>(*some));
}

TEST_F(Allocation, a_stream_through_a_queue_of_one_allocates_nothing) {
  EXPECT_EQ(stream(1, 1), 0U);
}

TEST_F(Allocation, a_stream_through_a_wide_queue_allocates_nothing) {
  EXPECT_EQ(stream(1024, 1), 0U);
}

TEST_F(Allocation, a_queue_with_eight_consumers_and_join_allocates_nothing) {
  EXPECT_EQ(stream(64, 8), 0U);
}

TEST_F(Allocation, a_pipeline_of_three_stages_allocates_nothing) {
  queue<int> first(64);
  queue<int> second(64);
  queue<int> third(64);
  steady_state state;
  auto stages = [&](task_group& group) -> task<> {
    for (int i = 0; i < 4; ++i) {
      group.spawn(pass_on, std::ref(first), std::ref(second));
      group.spawn(pass_on, std::ref(second), std::ref(third));
      group.spawn(consume, std::ref(third));
    }
    co_await produce(first, state);
    group.cancel();
  };
  brigade::run(brigade::with_group(std::ref(stages)));
  EXPECT_EQ(state.spent(), 0U);
}

task<int> answer(int with) { co_return with; }
task<> give_way() { co_await brigade::yield(); }

task<> spawn_and_join(steady_state& state) {
  for (int i = 0; i < warm_up + rounds; ++i) {
    state.begin(i);
    auto handle = brigade::spawn(answer, i);
    const int result = co_await handle;
    EXPECT_EQ(result, i);
  }
  state.end();
}

TEST_F(Allocation, a_task_spawned_and_joined_allocates_nothing) {
  steady_state state;
  brigade::run(spawn_and_join(state));
  EXPECT_EQ(state.spent(), 0U);
}

task<> spawn_in_groups(steady_state& state) {
  for (int i = 0; i < warm_up + rounds; i += 4) {
    state.begin(i);
    auto body = [](task_group& group) {
      for (int child = 0; child < 4; ++child) group.spawn(give_way);
    };
    co_await brigade::with_group(std::ref(body));
  }
  state.end();
}

TEST_F(Allocation, a_group_of_tasks_that_yield_allocates_nothing) {
  steady_state state;
  brigade::run(spawn_in_groups(state));
  EXPECT_EQ(state.spent(), 0U);
}

task<> set_timeouts(steady_state& state) {
  for (int i = 0; i < warm_up + rounds; ++i) {
    state.begin(i);
    co_await brigade::timeout(std::chrono::seconds(1), give_way());
  }
  state.end();
}

TEST_F(Allocation, a_timeout_set_and_lifted_allocates_nothing) {
  steady_state state;
  brigade::run(set_timeouts(state));
  EXPECT_EQ(state.spent(), 0U);
}

std::uint64_t sum = 0;

task<> wait_for_an_item(queue<std::uint64_t>& from) {
  while (auto ticket = co_await from.take()) sum += *ticket;
}

/// By itself, or clang may find that the frame can be on the stack.
[[gnu::noinline]] std::coroutine_handle<> frame_on_the_heap(queue<std::uint64_t>& from) {
  return wait_for_an_item(from).release();
}

/// Two frames one after the other, in a thread that has recycled none.
std::size_t bytes_of_a_frame() {
  queue<std::uint64_t> nothing_comes(1);
  const auto one = frame_on_the_heap(nothing_comes);
  const auto next = frame_on_the_heap(nothing_comes);
  const auto bytes = static_cast<char*>(next.address()) - static_cast<char*>(one.address());
  next.destroy();
  one.destroy();
  return static_cast<std::size_t>(bytes);
}

TEST_F(Allocation, a_task_that_waits_for_an_item_takes_at_most_280_bytes) {
  std::size_t frame = 0;
  std::thread([&] { frame = bytes_of_a_frame(); }).join();
  EXPECT_GT(frame, sizeof(brigade::ticket<std::uint64_t>));
  EXPECT_LE(frame + sizeof(brigade::detail::spawned<void>), 280U);
}

struct alignas(16) wide {
  std::array<char, 16> bytes{};
};

template <std::size_t Bytes>
task<bool> has_it_aligned() {
  wide one;
  std::array<char, Bytes> rest{};
  co_await brigade::yield();
  rest[0] = one.bytes[0];
  const auto address = reinterpret_cast<std::uintptr_t>(&one);
  co_return address % 16 == static_cast<std::uintptr_t>(rest[0]);
}

task<int> count_aligned() {
  int aligned = 0;
  for (int i = 0; i < 100; ++i) {
    const bool some = co_await has_it_aligned<8>();
    const bool more = co_await has_it_aligned<16>();
    const bool most = co_await has_it_aligned<24>();
    aligned += int{some} + int{more} + int{most};
  }
  co_return aligned;
}

TEST_F(Allocation, what_is_aligned_to_16_in_a_frame_is_so) {
  EXPECT_EQ(brigade::run(count_aligned()), 300);
}

}  // namespace
