// Everything in which a task can wait, torn down in the middle: killed after every step, in order
// and in seeded disorder, and failing at every call that may fail. What is left is found by the
// census, by the assertions of the primitives, by `for_each_step` and by the sanitizers.
//
// A scenario is a function and a line in the table at the end.
#include <brigade/async/barrier.hpp>
#include <brigade/async/condition.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/gate.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/limiter.hpp>
#include <brigade/async/mutex.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/async/semaphore.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/counted.hpp>
#include <brigade/testing/fault.hpp>
#include <brigade/testing/sequencer.hpp>
#include <brigade/testing/steps.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <functional>
#include <ostream>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::census;
using testing::counted;
using testing::fail_at;
using testing::virtual_loop;

// Gives up after `patience`; that it ran out is no error.
task<> with_patience(std::chrono::nanoseconds patience, task<> body) {
  try {
    co_await timeout(patience, std::move(body));
  } catch (const timed_out&) {
  }
}

struct queue_life {
  explicit queue_life(fail_at& at) : fault(at) {}
  task<> produces(int first) {
    for (int i = 0; i < 3; ++i) {
      counted item(items, first + i);
      fault.pass();
      co_await jobs.put(std::move(item));
    }
  }
  task<> consumes(std::chrono::milliseconds pause) {
    while (auto job = co_await jobs.take()) {
      co_await sleep_for(pause);
      fault.pass();
      if (job->value() == 2) job.fail();
    }
  }
  task<> puts_in_vain() { co_await jobs.put(counted(items, 100)); }
  task<> main() {
    co_await with_group([this](task_group& group) -> task<> {
      group.spawn(&queue_life::consumes, this, 2ms);
      group.spawn(&queue_life::consumes, this, 3ms);
      auto first = group.spawn(&queue_life::produces, this, 0);
      auto second = group.spawn(&queue_life::produces, this, 10);
      auto struck = group.spawn(&queue_life::puts_in_vain, this);
      co_await yield();
      struck.cancel();
      co_await with_patience(2ms, produces(20));
      co_await first.join();
      co_await second.join();
      fault.pass();
      jobs.close();
      co_await jobs.join();
    });
    EXPECT_TRUE(jobs.abort().empty());
  }
  fail_at& fault;
  census items;
  queue<counted> jobs{1, "jobs"};
};

struct event_life {
  explicit event_life(fail_at& at) : fault(at) {}
  task<> waits(int id) {
    const counted held(items, id);
    co_await ready.wait();
    fault.pass();
    co_await again.wait();
  }
  task<> main() {
    co_await with_group([this](task_group& group) -> task<> {
      for (const int id : {1, 2, 3}) group.spawn(&event_life::waits, this, id);
      auto struck = group.spawn(&event_life::waits, this, 4);
      co_await with_patience(1ms, waits(5));
      fault.pass();
      ready.set();
      struck.cancel();
      ready.clear();
      co_await yield();
      again.set();
    });
  }
  fail_at& fault;
  census items;
  event ready{"ready"};
  event again{"again"};
};

struct mutex_life {
  explicit mutex_life(fail_at& at) : fault(at) {}
  task<> locks(int id) {
    for (int i = 0; i < 2; ++i) {
      auto guard = co_await lock.lock();
      {
        const counted held(items, id);
        co_await sleep_for(1ms);
        fault.pass();
        EXPECT_EQ(items.held(), 1);
      }
      if (id == 2) co_await keeps(std::move(guard));
    }
  }
  task<> keeps(mutex::guard guard) {
    co_await yield();
    guard.unlock();
  }
  task<> locks_first(task_group& group) {
    auto guard = co_await lock.lock();
    auto struck = group.spawn(&mutex_life::locks, this, 4);
    co_await yield();
    guard.unlock();
    struck.cancel();
  }
  task<> main() {
    co_await with_group([this](task_group& group) -> task<> {
      for (const int id : {1, 2, 3}) group.spawn(&mutex_life::locks, this, id);
      group.spawn(&mutex_life::locks_first, this, std::ref(group));
      co_await with_patience(2ms, locks(5));
    });
  }
  fail_at& fault;
  census items;
  mutex lock{"lock"};
};

struct condition_life {
  explicit condition_life(fail_at& at) : fault(at) {}
  task<> takes() {
    auto guard = co_await changed.lock();
    co_await changed.wait(guard, [this] { return !shelf.empty(); });
    fault.pass();
    shelf.pop_front();
  }
  task<> brings(int count) {
    for (int i = 0; i < count; ++i) {
      const auto guard = co_await changed.lock();
      shelf.emplace_back(items, i);
      fault.pass();
      changed.notify();
      co_await yield();
    }
  }
  task<> main() {
    co_await with_group([this](task_group& group) -> task<> {
      auto struck = group.spawn(&condition_life::takes, this);
      for (int i = 0; i < 3; ++i) group.spawn(&condition_life::takes, this);
      co_await with_patience(1ms, takes());
      group.spawn(&condition_life::brings, this, 2);
      co_await yield();
      struck.cancel();
      co_await brings(2);
    });
  }
  fail_at& fault;
  census items;
  std::deque<counted> shelf;
  mutex lock{"lock"};
  condition changed{lock, "changed"};
};

struct semaphore_life {
  explicit semaphore_life(fail_at& at) : fault(at) {}
  task<> uses(int count) {
    const auto permit = co_await ovens.acquire(count);
    const counted held(items, count);
    co_await sleep_for(1ms);
    fault.pass();
  }
  task<> main() {
    co_await with_group([this](task_group& group) -> task<> {
      for (const int count : {1, 2, 1, 2}) group.spawn(&semaphore_life::uses, this, count);
      auto struck = group.spawn(&semaphore_life::uses, this, 2);
      group.spawn(&semaphore_life::uses, this, 1);
      co_await with_patience(1ms, uses(2));
      struck.cancel();
      ovens.set_limit(3);
      co_await sleep_for(1ms);
      fault.pass();
      ovens.set_limit(2);
      co_await uses(2);
    });
    EXPECT_EQ(ovens.value(), 2);
  }
  fail_at& fault;
  census items;
  bounded_semaphore ovens{2, "ovens"};
};

struct barrier_life {
  explicit barrier_life(fail_at& at) : fault(at) {}
  task<> goes_round(int id) {
    const counted held(items, id);
    for (int round = 0; round < 3; ++round) {
      try {
        co_await wall.arrive_and_wait();
      } catch (const broken_barrier&) {
      }
      fault.pass();
    }
  }
  task<> main() {
    co_await with_group([this](task_group& group) -> task<> {
      auto struck = group.spawn(&barrier_life::goes_round, this, 0);
      for (const int id : {1, 2, 3}) group.spawn(&barrier_life::goes_round, this, id);
      co_await yield();
      struck.cancel();
      co_await with_patience(1ms, goes_round(4));
      wall.reset();
      co_await with_patience(1ms, goes_round(5));
      fault.pass();
      wall.abort();
    });
  }
  fail_at& fault;
  census items;
  barrier wall{3, "wall"};
};

struct gate_life {
  explicit gate_life(fail_at& at) : fault(at) {}
  task<> works(int id) {
    const auto inside = orders.try_enter();
    if (!inside) co_return;
    const counted held(items, id);
    co_await sleep_for(id * 1ms);
    fault.pass();
  }
  task<> closes() { co_await orders.close(); }
  task<> main() {
    co_await with_group([this](task_group& group) -> task<> {
      for (const int id : {1, 2, 3}) group.spawn(&gate_life::works, this, id);
      co_await yield();
      group.spawn(&gate_life::closes, this);
      co_await with_patience(1ms, closes());
      fault.pass();
      co_await orders.close();
      EXPECT_FALSE(orders.try_enter());
    });
  }
  fail_at& fault;
  census items;
  gate orders{"orders"};
};

struct limiter_life {
  explicit limiter_life(fail_at& at) : fault(at) {}
  task<> calls(int count) {
    const counted held(items, count);
    co_await rate.acquire(count);
    fault.pass();
  }
  task<> main() {
    co_await with_group([this](task_group& group) -> task<> {
      for (const int count : {2, 1, 2}) group.spawn(&limiter_life::calls, this, count);
      auto struck = group.spawn(&limiter_life::calls, this, 2);
      group.spawn(&limiter_life::calls, this, 1);
      co_await with_patience(2ms, calls(2));
      struck.cancel();
      co_await calls(1);
    });
  }
  fail_at& fault;
  census items;
  limiter rate{1, 1ms, 2, "rate"};
};

struct group_life {
  explicit group_life(fail_at& at) : fault(at) {}
  task<> works(int depth) {
    const counted held(items, depth);
    co_await yield();
    fault.pass();
    if (depth == 0) co_return;
    co_await with_group([this, depth](task_group& group) {
      group.spawn(&group_life::works, this, depth - 1);
      group.spawn(eager, &group_life::works, this, depth - 1);
    });
    co_await sleep_for(1ms);
  }
  task<> is_cancelled() {
    co_await with_group([this](task_group& group) -> task<> {
      group.spawn(&group_life::works, this, 1);
      co_await sleep_for(1ms);
      group.cancel();
      co_await sleep_for(1h);
    });
  }
  task<> main() {
    co_await with_patience(1ms, works(2));
    co_await is_cancelled();
    co_await works(1);
  }
  fail_at& fault;
  census items;
};

struct timeout_life {
  explicit timeout_life(fail_at& at) : fault(at) {}
  task<> sleeps(std::chrono::milliseconds duration) {
    const counted held(items, 1);
    co_await sleep_for(duration);
    fault.pass();
    co_await yield();
  }
  task<> cleans_up() {
    try {
      co_await sleeps(1000ms);
    } catch (const cancelled&) {
    }
    auto cleaning = sleeps(2ms);
    co_await shielded(5ms, std::move(cleaning));
  }
  task<> main() {
    co_await with_patience(3ms, with_patience(1ms, sleeps(2ms)));
    co_await with_patience(2ms, cleans_up());
    co_await with_patience(9ms, sleeps(1ms));
  }
  fail_at& fault;
  census items;
};

struct join_life {
  explicit join_life(fail_at& at) : fault(at) {}
  task<counted> makes(int value) {
    counted made(items, value);
    co_await sleep_for(1ms);
    fault.pass();
    co_return made;
  }
  task<> awaits(task_handle<counted> from) {
    const counted got = co_await from;
    EXPECT_EQ(got.value(), 1);
  }
  task<> joins(task_handle<counted> from) {
    const counted got = co_await from.join();
    fault.pass();
    EXPECT_EQ(got.value(), 1);
  }
  task<> main() {
    co_await with_group([this](task_group& group) -> task<> {
      auto made = group.spawn(&join_life::makes, this, 1);
      group.spawn(&join_life::awaits, this, made);
      auto struck = group.spawn(&join_life::joins, this, made);
      group.spawn(&join_life::joins, this, made);
      co_await yield();
      struck.cancel();
      auto in_vain = group.spawn(&join_life::makes, this, 2);
      auto waits = group.spawn(&join_life::awaits, this, in_vain);
      co_await yield();
      waits.cancel();  // and with it what it awaits
      co_await joins(made);
    });
  }
  fail_at& fault;
  census items;
};

struct sequencer_life {
  explicit sequencer_life(fail_at& at) : fault(at) {}
  task<> takes_turns(std::size_t first) {
    for (const std::size_t position : {first, first + 2, first + 4}) {
      const auto turn = co_await in_order(position);
      const counted held(items, static_cast<int>(position));
      co_await yield();
      fault.pass();
    }
  }
  task<> main() {
    co_await with_group([this](task_group& group) {
      group.spawn(&sequencer_life::takes_turns, this, 1U);
      group.spawn(&sequencer_life::takes_turns, this, 0U);
    });
  }
  fail_at& fault;
  census items;
  testing::sequencer in_order;
};

struct scenario {
  const char* name;
  void (*run)(virtual_loop& loop, fail_at& fault);
  friend std::ostream& operator<<(std::ostream& out, const scenario& one) {
    return out << one.name;
  }
};

template <class Life>
void live(virtual_loop& loop, fail_at& fault) {
  Life life(fault);
  loop.run(life.main());
}

class teardown : public ::testing::TestWithParam<scenario> {};

TEST_P(teardown, killed_after_every_step_it_leaves_nothing) {
  const auto run = [&](virtual_loop& loop) {
    fail_at never(0);
    GetParam().run(loop, never);
  };
  EXPECT_GT(testing::for_each_step(run), 5U);
  for (std::uint64_t seed = 1; seed <= 20; ++seed) testing::for_each_step(run, seed);
}

TEST_P(teardown, failing_at_every_call_it_leaves_nothing) {
  for (std::uint64_t seed = 0; seed <= 20; ++seed) {
    const std::uint64_t calls = testing::for_each_failure([&](fail_at& fault) {
      virtual_loop loop(seed);
      GetParam().run(loop, fault);
    });
    EXPECT_GT(calls, 0U);
  }
}

INSTANTIATE_TEST_SUITE_P(
    all, teardown,
    ::testing::Values(scenario{"queue", live<queue_life>}, scenario{"event", live<event_life>},
                      scenario{"mutex", live<mutex_life>},
                      scenario{"condition", live<condition_life>},
                      scenario{"semaphore", live<semaphore_life>},
                      scenario{"barrier", live<barrier_life>}, scenario{"gate", live<gate_life>},
                      scenario{"limiter", live<limiter_life>}, scenario{"group", live<group_life>},
                      scenario{"timeout", live<timeout_life>}, scenario{"join", live<join_life>},
                      scenario{"sequencer", live<sequencer_life>}),
    [](const auto& of) { return of.param.name; });

}  // namespace
}  // namespace brigade
