// Workers that come and go: by order, by load, and in the place of one that hangs.
#include "pipeline/engine_fixture.hpp"

#include <brigade/async/mutex.hpp>
#include <brigade/async/timeout.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using testing::virtual_loop;

using test::numbers;

constexpr int most_workers = 32;

/// What a stage's work takes.
using effort = std::function<task<>()>;

task<> nap(milliseconds span) { co_await sleep_for(span); }

/// Half of the items take 1 ms, the other half 100 ms.
effort bimodal(std::uint64_t seed) {
  return [random = testing::random_source(seed)]() mutable {
    const milliseconds span(random.one_in(2) ? 1 : 100);
    return nap(span);
  };
}

effort wait_of(milliseconds span) {
  return [span] { return nap(span); };
}

task<> use(mutex& processor, milliseconds span) {
  auto turn = co_await processor.lock();
  co_await sleep_for(span);
}

/// One at a time, as on one processor.
effort one_at_a_time(mutex& processor) {
  return [&processor] { return use(processor, 1ms); };
}

task<int> pass_after(effort& work, int item) {
  co_await work();
  co_return item;
}

/// How a stage was staffed, looked at every 10 ms, and how much it got done.
struct course_of_staff {
  std::vector<int> wanted;
  std::vector<std::uint64_t> done;

  [[nodiscard]] int most() const { return *std::ranges::max_element(wanted); }
  [[nodiscard]] std::uint64_t done_between(std::chrono::seconds from,
                                           std::chrono::seconds to) const {
    return done.at(static_cast<std::size_t>(to / 10ms)) -
           done.at(static_cast<std::size_t>(from / 10ms));
  }
  /// How often it turned from more workers to fewer, or back.
  [[nodiscard]] int turns() const {
    int count = 0;
    int direction = 0;
    for (std::size_t n = 1; n < wanted.size(); ++n) {
      const int step = wanted[n] - wanted[n - 1];
      if (step * direction < 0) ++count;
      if (step != 0) direction = step;
    }
    return count;
  }
};

task<> watch(engine& own, std::chrono::seconds how_long, course_of_staff& seen,
             const std::function<void(milliseconds)>& at_each_look) {
  for (milliseconds at = 0ms; at <= how_long; at += 10ms) {
    const report now = own.account();
    EXPECT_TRUE(now.adds_up());
    seen.wanted.push_back(now.stages[0].workers_wanted);
    seen.done.push_back(now.stages[0].passed);
    if (at_each_look) at_each_look(at);
    co_await sleep_for(10ms);
  }
  own.stop_now(0, "seen enough");
}

/// A stage with all the items it can take, for a while.
course_of_staff staffed_under_load(
    effort work, stage_policy policy, std::chrono::seconds how_long,
    const std::function<std::optional<int>(int)>& next = [](int n) { return n; },
    const std::function<void(engine&, milliseconds)>& act = {}) {
  int last = 0;
  auto generate = [&]() { return next(++last); };
  engine own(pipeline("elastic")
                 .from(generate)
                 .stage(
                     "work", [&](int item) { return pass_after(work, item); }, policy)
                 .to("null", [](int) {})
                 .take_plan(),
             nullptr);
  virtual_loop where(1);
  course_of_staff seen;
  auto main = [&]() -> task<> {
    auto watching = spawn(watch, std::ref(own), how_long, std::ref(seen),
                          std::function<void(milliseconds)>([&](milliseconds at) {
                            if (act) act(own, at);
                          }));
    const report result = co_await own.execute({});
    EXPECT_TRUE(result.adds_up());
    EXPECT_EQ(result.in_flight, 0U);
    watching.cancel();
  };
  where.run(main());
  return seen;
}

constexpr stage_policy elastic{.workers = 1, .workers_max = most_workers};

double best_of_fixed(const std::function<effort()>& load) {
  double best = 0;
  for (int workers = 1; workers <= most_workers; workers *= 2) {
    const course_of_staff seen = staffed_under_load(load(), {.workers = workers}, 20s);
    best = std::max(best, static_cast<double>(seen.done_between(0s, 20s)) / 20);
  }
  return best;
}

struct load_case {
  std::string name;
  std::function<effort(mutex&)> load;
};

class scaling_reaches_the_best_fixed_number : public ::testing::TestWithParam<load_case> {};

TEST_P(scaling_reaches_the_best_fixed_number, of_workers_within_15_percent) {
  mutex processor;
  const auto load = [&] { return GetParam().load(processor); };
  const double best = best_of_fixed(load);
  const course_of_staff seen = staffed_under_load(load(), elastic, 300s);
  for (const std::chrono::seconds from : {10s, 60s, 200s}) {
    const double reached = static_cast<double>(seen.done_between(from, from + 60s)) / 60;
    EXPECT_GE(reached, best * 0.85) << "from " << from.count() << " s on";
  }
  EXPECT_LE(seen.turns(), 20) << "in 300 s";
}

INSTANTIATE_TEST_SUITE_P(
    workers, scaling_reaches_the_best_fixed_number,
    ::testing::Values(load_case{"one_processor", one_at_a_time},
                      load_case{"waits_of_5_ms", [](mutex&) { return wait_of(5ms); }},
                      load_case{"waits_of_1_or_100_ms", [](mutex&) { return bimodal(7); }}),
    [](const auto& which) { return which.param.name; });

TEST(elastic_workers, are_not_more_than_a_trial_where_more_bring_nothing) {
  mutex processor;
  const course_of_staff seen = staffed_under_load(one_at_a_time(processor), elastic, 60s);
  EXPECT_LE(seen.most(), 2);
  EXPECT_LE(std::ranges::count(seen.wanted, 2), 60);  // 0.6 s of 60
}

TEST(elastic_workers, are_no_more_for_work_that_never_waits) {
  int last = 0;
  engine own(pipeline("busy")
                 .from([&]() -> std::optional<int> {
                   return ++last > 1000 ? std::nullopt : std::optional(last);
                 })
                 .stage(
                     "work", [](int item) { return item; }, elastic)
                 .to("slow", [](int) { return nap(1ms); })
                 .take_plan(),
             nullptr);
  virtual_loop where(1);
  auto main = [&]() -> task<report> { co_return co_await own.execute({}); };
  const report result = where.run(main());
  EXPECT_EQ(result.count(outcome::delivered), 1000U);
  EXPECT_EQ(result.stages[0].workers.size(), 1U);
}

// Whatever is behind a stage and slower than it is no reason for more workers.
TEST(elastic_workers, are_no_more_than_what_comes_next_can_take) {
  int last = 0;
  engine own(pipeline("slow end")
                 .from([&]() -> std::optional<int> {
                   return ++last > 20'000 ? std::nullopt : std::optional(last);
                 })
                 .stage(
                     "work",
                     [](int item) -> task<int> {
                       co_await sleep_for(5ms);
                       co_return item;
                     },
                     elastic)
                 .stage("slow", [](int) { return nap(5ms); }, {.workers = 4})
                 .to("null", [](int) {})
                 .take_plan(),
             nullptr);
  virtual_loop where(1);
  course_of_staff seen;
  auto main = [&]() -> task<> {
    auto watching =
        spawn(watch, std::ref(own), 24s, std::ref(seen), std::function<void(milliseconds)>());
    static_cast<void>(co_await own.execute({}));
    watching.cancel();
  };
  where.run(main());
  EXPECT_GE(seen.done_between(10s, 20s), 7000U);
  EXPECT_LE(*std::ranges::max_element(seen.wanted.begin() + 1000, seen.wanted.end()), 8);
}

TEST(elastic_workers, come_back_down_when_there_is_less_to_do_and_go_up_again) {
  virtual_loop* clock = nullptr;
  int late = 0;
  const auto act = [&](engine& own, milliseconds at) {
    clock = static_cast<virtual_loop*>(&loop::current());
    const int wanted = own.account().stages[0].workers_wanted;
    if (at > 20s && at < 30s && wanted > 1) ++late;
    if (at == 9s || at == 39s) EXPECT_EQ(wanted, most_workers);
  };
  // From 10 s to 30 s an item every 100 ms, before and after as many as can be taken.
  engine own(pipeline("tides")
                 .from([&]() -> task<std::optional<int>> {
                   const auto at = loop::current().now().time_since_epoch();
                   const bool ebb = at > 10s && at < 30s;
                   if (ebb) co_await sleep_for(100ms);
                   co_return 1;
                 })
                 .stage(
                     "work",
                     [](int item) -> task<int> {
                       co_await sleep_for(5ms);
                       co_return item;
                     },
                     elastic)
                 .to("null", [](int) {})
                 .take_plan(),
             nullptr);
  virtual_loop where(1);
  course_of_staff seen;
  auto main = [&]() -> task<> {
    auto watching =
        spawn(watch, std::ref(own), 40s, std::ref(seen),
              std::function<void(milliseconds)>([&](milliseconds at) { act(own, at); }));
    static_cast<void>(co_await own.execute({}));
    watching.cancel();
  };
  where.run(main());
  EXPECT_EQ(late, 0);
}

TEST(elastic_workers, do_not_oscillate_under_a_load_that_needs_some_of_them) {
  // An item a millisecond, each 10 ms of work, with bursts: 10 workers' worth.
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    testing::random_source random(seed);
    engine own(pipeline("steady")
                   .from([&]() -> task<std::optional<int>> {
                     co_await sleep_for(milliseconds(random.below(3)));
                     co_return 1;
                   })
                   .stage(
                       "work",
                       [&](int item) -> task<int> {
                         co_await sleep_for(milliseconds(random.below(21)));
                         co_return item;
                       },
                       elastic)
                   .to("null", [](int) {})
                   .take_plan(),
               nullptr);
    virtual_loop where(seed);
    course_of_staff seen;
    auto main = [&]() -> task<> {
      auto watching =
          spawn(watch, std::ref(own), 300s, std::ref(seen), std::function<void(milliseconds)>());
      static_cast<void>(co_await own.execute({}));
      watching.cancel();
    };
    where.run(main());
    EXPECT_LE(seen.turns(), 20) << "seed " << seed;
    EXPECT_GE(seen.done_between(60s, 300s), 235'000U);
    std::cout << seed << " most " << seen.most() << " turns " << seen.turns() << " "
              << seen.done_between(60s, 300s) << "\n";
    for (std::size_t n = 1; n < seen.wanted.size(); ++n)
      if (seen.wanted[n] != seen.wanted[n - 1]) std::cout << n * 10 << ":" << seen.wanted[n] << " ";
    std::cout << "\n";
  }
}

}  // namespace
}  // namespace brigade
