// Hangs that no type can rule out. In each of them brigade names the culprit: who waits, for what,
// at which line, and who has it.

#include <brigade/async.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

/// What the deadlock of `main` says; empty when there was none.
std::string report_of(const std::function<task<>()>& main) {
  virtual_loop loop;
  loop.on_warning = [](const std::string&) {};
  try {
    loop.run(main());
  } catch (const deadlock& found) {
    return found.what();
  }
  return {};
}

/// The line of the report that begins with this, without the indentation.
std::string line_of(const std::string& report, const std::string& begin) {
  const auto at = report.find(begin);
  if (at == std::string::npos) return "no '" + begin + "' in: " + report;
  return report.substr(at, report.find('\n', at) - at);
}

void expect_says(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

template <class F, class... Args>
void start(std::string name, F function, Args... args) {
  spawn(std::move(function), std::move(args)...).set_name(std::move(name));
}

// --- queues ---

task<> produce(queue<int>& jobs) {
  for (int i = 0;; ++i) co_await jobs.put(i);
}
task<> dies_after_one(queue<int>& jobs) { static_cast<void>(co_await jobs.take()); }
task<> consume(queue<int>& jobs) {
  while (auto job = co_await jobs.take()) static_cast<void>(*job);
}

TEST(hangs, producers_at_a_full_queue_whose_consumers_have_died) {
  const std::string report = report_of([]() -> task<> {
    queue<int> jobs(2, "jobs");
    co_await with_group([&](task_group& group) -> task<> {
      group.spawn_named("reader", produce, std::ref(jobs));
      group.spawn_named("worker", dies_after_one, std::ref(jobs));
      co_await jobs.put(-1);
      co_await jobs.join();
    });
  });
  const std::string reader = line_of(report, "task 'reader'");
  expect_says(reader, "waits: put into queue 'jobs' (2 of 2, full), at ");
  expect_says(reader, "hangs_test.cpp:");
  expect_says(line_of(report, "task 'main'"), "queue 'jobs'");
}

TEST(hangs, consumers_of_a_queue_that_nobody_closes) {
  const std::string report = report_of([]() -> task<> {
    queue<int> jobs(2, "jobs");
    co_await with_group([&](task_group& group) {
      group.spawn_named("worker 1", consume, std::ref(jobs));
      group.spawn_named("worker 2", consume, std::ref(jobs));
    });
  });
  expect_says(line_of(report, "task 'main'"), "waits: end of 2 tasks");
  expect_says(line_of(report, "task 'worker 1'"), "take from queue 'jobs' (0 of 2, empty)");
  expect_says(line_of(report, "task 'worker 2'"), "take from queue 'jobs' (0 of 2, empty)");
}

TEST(hangs, a_channel_whose_receiver_keeps_a_sender) {
  const std::string report = report_of([]() -> task<> {
    auto [in, out] = channel<int>(2, "orders");
    static_cast<void>(in.statistics());
    while (auto order = co_await out.receive()) static_cast<void>(*order);
  });
  expect_says(line_of(report, "task 'main'"), "'orders'");
}

TEST(hangs, a_join_whose_tickets_are_held_names_the_holders) {
  virtual_loop loop;
  queue<int> jobs(queue<int>::options(4).name("jobs").note_holders());
  join_result ended;
  auto forgetful = [&]() -> task<> {
    const auto kept = co_await jobs.take();
    co_await sleep_for(1h);
  };
  auto main = [&]() -> task<> {
    co_await jobs.put(1);
    co_await jobs.put(2);
    co_await with_group([&](task_group& group) -> task<> {
      group.spawn_named("forgetful", forgetful);
      ended = co_await jobs.join(5s);
      group.cancel();
    });
  };
  loop.run(main());
  EXPECT_FALSE(ended);
  EXPECT_EQ(ended.queued, 1U);
  EXPECT_EQ(ended.held, 1U);
  ASSERT_EQ(ended.holders.size(), 1U);
  EXPECT_EQ(ended.holders[0].task, "forgetful");
  EXPECT_EQ(ended.holders[0].held_for, 5s);
  expect_says(ended.text, "forgetful");
  expect_says(ended.text, "hangs_test.cpp:");
}

TEST(hangs, a_join_without_a_limit_says_how_many_are_held) {
  const std::string report = report_of([]() -> task<> {
    queue<int> jobs(4, "jobs");
    co_await jobs.put(1);
    const auto kept = co_await jobs.take();
    co_await jobs.join();
  });
  expect_says(line_of(report, "task 'main'"), "join of queue 'jobs'");
  expect_says(line_of(report, "task 'main'"), "1");
}

TEST(hangs, a_select_of_things_that_never_come_names_all_of_them) {
  const std::string report = report_of([]() -> task<> {
    queue<int> jobs(2, "jobs");
    event stop("stop");
    const auto first = co_await select(jobs.take(), stop.wait());
    static_cast<void>(first);
  });
  expect_says(line_of(report, "task 'main'"), "queue 'jobs'");
  expect_says(line_of(report, "task 'main'"), "event 'stop'");
}

// --- locks ---

TEST(hangs, a_lock_whose_holder_waits_for_ever_is_named_with_holder_and_line) {
  const std::string report = report_of([]() -> task<> {
    mutex knife("knife");
    event never("never");
    auto holds = [&]() -> task<> {
      const auto guard = co_await knife.lock();
      co_await never.wait();
    };
    auto wants = [&]() -> task<> { const auto guard = co_await knife.lock(); };
    co_await with_group([&](task_group& group) {
      group.spawn_named("cook", holds);
      group.spawn_named("baker", wants);
    });
  });
  expect_says(line_of(report, "task 'baker'"), "mutex 'knife' taken by task 'cook' at ");
  expect_says(line_of(report, "task 'cook'"), "waits: event 'never'");
}

TEST(hangs, two_locks_in_two_orders_are_named_while_other_work_goes_on) {
  virtual_loop loop;
  std::vector<std::string> warnings;
  loop.on_warning = [&](const std::string& text) { warnings.push_back(text); };
  auto main = [&]() -> task<> {
    mutex knife("knife");
    mutex pan("pan");
    auto both = [](mutex& first, mutex& second) -> task<> {
      const auto one = co_await first.lock();
      co_await yield();
      const auto two = co_await second.lock();
    };
    task_group kitchen("kitchen");
    auto cook = [&](task_group& group) -> task<> {
      group.spawn_named("cook", both, std::ref(knife), std::ref(pan));
      group.spawn_named("baker", both, std::ref(pan), std::ref(knife));
      co_await sleep_for(1s);  // the rest of the program
      EXPECT_EQ(warnings.size(), 1U);
      group.cancel();
    };
    co_await kitchen.run(cook);
  };
  loop.run(main());
  ASSERT_EQ(warnings.size(), 1U);
  expect_says(warnings[0], "tasks wait for each other:");
  expect_says(warnings[0], "'baker' waits: mutex 'knife' taken by task 'cook' at ");
  expect_says(warnings[0], "'cook' waits: mutex 'pan' taken by task 'baker' at ");
}

TEST(hangs, tasks_that_await_each_other_are_named_while_other_work_goes_on) {
  virtual_loop loop;
  std::vector<std::string> warnings;
  loop.on_warning = [&](const std::string& text) { warnings.push_back(text); };
  std::vector<task_handle<>> tasks;
  auto joins = [&](std::size_t other) -> task<> {
    co_await yield();
    co_await tasks[other].join();
  };
  auto main = [&]() -> task<> {
    tasks.push_back(spawn(joins, std::size_t{1}));
    tasks.push_back(spawn(joins, std::size_t{0}));
    tasks[0].set_name("chicken");
    tasks[1].set_name("egg");
    co_await sleep_for(1s);
    for (auto& one : tasks) one.cancel();
  };
  loop.run(main());
  ASSERT_EQ(warnings.size(), 1U);
  expect_says(warnings[0], "'egg' waits: end of task 'chicken'");
  expect_says(warnings[0], "'chicken' waits: end of task 'egg'");
}

TEST(hangs, a_condition_that_nobody_notifies) {
  const std::string report = report_of([]() -> task<> {
    mutex shelf("shelf");
    condition filled(shelf, "filled");
    auto waits = [&]() -> task<> {
      auto guard = co_await shelf.lock();
      co_await filled.wait(guard);
    };
    auto forgets_to_notify = [&]() -> task<> { const auto guard = co_await shelf.lock(); };
    co_await with_group([&](task_group& group) {
      group.spawn_named("cook", waits);
      group.spawn_named("supplier", forgets_to_notify);
    });
  });
  expect_says(line_of(report, "task 'cook'"), "condition 'filled'");
  EXPECT_EQ(report.find("supplier"), std::string::npos);
}

TEST(hangs, a_barrier_that_lacks_a_party) {
  const std::string report = report_of([]() -> task<> {
    barrier table(3, "table");
    auto sits = [&]() -> task<> { static_cast<void>(co_await table.arrive_and_wait()); };
    co_await with_group([&](task_group& group) {
      group.spawn_named("guest 1", sits);
      group.spawn_named("guest 2", sits);
    });
  });
  expect_says(line_of(report, "task 'guest 1'"), "barrier 'table'");
  expect_says(line_of(report, "task 'guest 1'"), "2 of 3");
}

TEST(hangs, a_semaphore_whose_permits_are_never_released) {
  const std::string report = report_of([]() -> task<> {
    semaphore stoves(2, "stoves");
    auto takes = [&]() -> task<> {
      for (int i = 0; i < 3; ++i) co_await stoves.raw_acquire();  // without a guard
    };
    co_await with_group([&](task_group& group) { group.spawn_named("cook", takes); });
  });
  expect_says(line_of(report, "task 'cook'"), "semaphore 'stoves'");
  expect_says(line_of(report, "task 'cook'"), "0 of 2");
}

TEST(hangs, a_gate_that_somebody_does_not_leave) {
  const std::string report = report_of([]() -> task<> {
    gate door("door");
    const auto inside = door.enter();
    co_await door.close();
  });
  expect_says(line_of(report, "task 'main'"), "gate 'door'");
  expect_says(line_of(report, "task 'main'"), "1");
}

TEST(hangs, an_event_that_nobody_sets_and_a_future_that_nobody_fulfils) {
  const std::string report = report_of([]() -> task<> {
    event ready("ready");
    promise<int> answer("answer");
    auto waits = [&]() -> task<> { co_await ready.wait(); };
    auto asks = [](future<int> what) -> task<> { static_cast<void>(co_await what); };
    co_await with_group([&](task_group& group) {
      group.spawn_named("waiter", waits);
      group.spawn_named("asker", asks, answer.get_future());
    });
  });
  expect_says(line_of(report, "task 'waiter'"), "event 'ready'");
  expect_says(line_of(report, "task 'asker'"), "future 'answer'");
}

// --- tasks that do not stop ---

task<> swallows_everything() {
  for (;;) {
    try {
      co_await yield();
    } catch (const cancelled&) {
      continue;
    }
  }
}

TEST(hangs, a_task_that_swallows_its_cancellation_is_named) {
  virtual_loop loop;
  std::vector<std::string> warnings;
  loop.on_warning = [&](const std::string& text) { warnings.push_back(text); };
  auto patient = []() -> task<> {
    for (int i = 0; i < 2000; ++i) {
      try {
        co_await yield();
      } catch (const cancelled&) {
        continue;
      }
    }
  };
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) {
      group.spawn_named("stubborn", patient);
      group.cancel();
    });
  };
  loop.run(main());
  ASSERT_EQ(warnings.size(), 1U);
  expect_says(warnings[0], "task 'stubborn' has swallowed 1000 cancellations");
}

TEST(hangs, an_end_that_one_task_refuses_comes_at_its_deadline_and_names_it) {
  runner_options options;
  options.leftover_timeout = 1ms;
  runner program(options);
  std::vector<std::string> warnings;
  program.loop().on_warning = [&](const std::string& text) { warnings.push_back(text); };
  auto main = []() -> task<> {
    start("stubborn", swallows_everything);
    start("polite", [](std::chrono::nanoseconds time) -> task<> { co_await sleep_for(time); }, 1h);
    co_await yield();
  };
  program.run(main());
  program.close();
  EXPECT_EQ(program.left_behind(), std::vector<std::string>{"stubborn"});
  EXPECT_FALSE(warnings.empty());
  expect_says(warnings.back(), "'stubborn' did not end when the loop did");
}

TEST(hangs, a_thread_that_does_not_return_is_named) {
  std::atomic<bool> begun = false;
  std::atomic<bool> let_go = false;
  auto blocks = [&begun, &let_go](const std::stop_token&) {  // and does not look at it
    begun = true;
    while (!let_go) std::this_thread::yield();
  };
  auto main = [&]() -> task<> {
    auto calls = [&]() -> task<> { co_await to_thread(blocks); };
    auto calling = spawn(calls);
    calling.set_name("import");
    while (!begun) co_await sleep_for(1ms);
    calling.cancel();
    EXPECT_THROW(co_await calling, cancelled);
    const std::vector<abandoned_call> abandoned = abandoned_calls();
    if (abandoned.size() == 1) {
      expect_says(to_string(abandoned[0]), "call of task 'import' at ");
      expect_says(to_string(abandoned[0]), "hangs_test.cpp:");
    } else {
      ADD_FAILURE() << abandoned.size() << " abandoned calls";
    }
  };
  run(main());
  let_go = true;
  while (abandoned_threads() != 0) std::this_thread::yield();
}

TEST(hangs, loops_that_wait_for_each_other_are_a_deadlock_of_all_of_them) {
  shared_queue<int> jobs(4, "jobs");
  auto waits = [&](std::size_t) -> task<> {
    while (auto job = co_await jobs.take()) static_cast<void>(*job);
  };
  std::string report;
  try {
    run_threads(2, waits);
  } catch (const deadlock& found) {
    report = found.what();
  }
  const std::string first = line_of(report, "task 'main'");
  expect_says(first, "queue 'jobs'");
  const auto second = report.rfind("task 'main'");
  EXPECT_NE(second, report.find("task 'main'")) << report;
}

TEST(hangs, what_everybody_waits_for_can_be_asked_while_the_program_runs) {
  virtual_loop loop;
  auto main = []() -> task<> {
    queue<int> jobs(2, "jobs");
    start("worker", consume, std::ref(jobs));
    co_await sleep_for(90s);  // an armed timer: this is no deadlock
    const std::string dump = loop::current().dump_tasks();
    expect_says(line_of(dump, "task 'worker'"), "take from queue 'jobs' (0 of 2, empty), at ");
    expect_says(line_of(dump, "task 'worker'"), ", for 90.000 s");
    jobs.close();
    co_await sleep_for(1ms);  // the worker leaves before its queue goes
  };
  loop.run(main());
}

}  // namespace
}  // namespace brigade
