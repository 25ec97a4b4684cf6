// Workers that come and go: by order, by load, and in the place of one that hangs.
#include "pipeline/engine_fixture.hpp"

#include <brigade/async/group.hpp>
#include <brigade/async/mutex.hpp>
#include <brigade/async/timeout.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
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

/// Runs for a while; `act` is called every 10 ms.
course_of_staff observe(pipeline_plan plan, std::chrono::seconds how_long,
                        const std::function<void(engine&, milliseconds)>& act = {},
                        std::uint64_t seed = 1) {
  engine own(std::move(plan), nullptr);
  virtual_loop where(seed);
  course_of_staff seen;
  const auto look = [&](milliseconds at) {
    if (act) act(own, at);
  };
  auto main = [&]() -> task<> {
    auto watching = spawn(watch, std::ref(own), how_long, std::ref(seen),
                          std::function<void(milliseconds)>(look));
    const report result = co_await own.execute({});
    EXPECT_TRUE(result.adds_up());
    EXPECT_EQ(result.in_flight, 0U);
    watching.cancel();
  };
  where.run(main());
  return seen;
}

auto endless() {
  return [last = 0]() mutable { return std::optional(++last); };
}

/// A stage with all the items it can take.
pipeline_plan loaded(effort& work, const stage_policy& policy) {
  return pipeline("elastic")
      .from(endless())
      .stage(
          "work", [&work](int item) { return pass_after(work, item); }, policy)
      .to("null", [](int) {})
      .take_plan();
}

course_of_staff staffed_under_load(effort work, const stage_policy& policy,
                                   std::chrono::seconds how_long) {
  return observe(loaded(work, policy), how_long);
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
  const course_of_staff seen = observe(pipeline("busy")
                                           .from(endless())
                                           .stage(
                                               "work", [](int item) { return item; }, elastic)
                                           .to("slow", [](int) { return nap(1ms); })
                                           .take_plan(),
                                       10s);
  EXPECT_EQ(seen.most(), 1);
  EXPECT_GT(seen.done_between(0s, 10s), 5000U);
}

// Whatever is behind a stage and slower than it is no reason for more workers.
TEST(elastic_workers, are_no_more_than_what_comes_next_can_take) {
  effort five = wait_of(5ms);
  const auto work = [&](int item) { return pass_after(five, item); };
  const course_of_staff seen = observe(pipeline("slow end")
                                           .from(endless())
                                           .stage("work", work, elastic)
                                           .stage("slow", work, {.workers = 4})
                                           .to("null", [](int) {})
                                           .take_plan(),
                                       30s);
  EXPECT_GE(seen.done_between(10s, 30s), 15'000U);
  EXPECT_LE(*std::max_element(seen.wanted.begin() + 1100, seen.wanted.end()), 8);
}

TEST(elastic_workers, come_back_down_when_there_is_less_to_do_and_go_up_again) {
  // From 10 s to 30 s an item every 100 ms, before and after as many as can be taken.
  std::optional<detail::time_point> began;
  const auto tides = [&]() -> task<std::optional<int>> {
    if (!began) began = loop::current().now();
    const auto at = loop::current().now() - *began;
    if (at > 10s && at < 30s) co_await sleep_for(100ms);
    co_return 1;
  };
  effort five = wait_of(5ms);
  const auto work = [&](int item) { return pass_after(five, item); };
  const course_of_staff seen = observe(
      pipeline("tides").from(tides).stage("work", work, elastic).to("null", [](int) {}).take_plan(),
      40s);
  EXPECT_EQ(seen.wanted.at(900), most_workers);
  for (std::size_t look = 2100; look < 3000; ++look) ASSERT_EQ(seen.wanted[look], 1) << look;
  EXPECT_EQ(seen.wanted.at(3900), most_workers);
  EXPECT_LE(seen.turns(), 2);
}

TEST(elastic_workers, do_not_oscillate_under_a_load_that_needs_some_of_them) {
  // An item a millisecond, each 10 ms of work, unevenly: 10 workers have just too little time.
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    testing::random_source random(seed);
    const auto source = [&]() -> task<std::optional<int>> {
      co_await sleep_for(milliseconds(random.below(3)));
      co_return 1;
    };
    effort uneven = [&] { return nap(milliseconds(random.below(21))); };
    const auto work = [&](int item) { return pass_after(uneven, item); };
    const course_of_staff seen = observe(pipeline("steady")
                                             .from(source)
                                             .stage("work", work, elastic)
                                             .to("null", [](int) {})
                                             .take_plan(),
                                         300s, {}, seed);
    EXPECT_LE(seen.turns(), 20) << "seed " << seed;
    EXPECT_GE(seen.done_between(60s, 300s), 235'000U) << "seed " << seed;
    EXPECT_LE(*std::max_element(seen.wanted.begin() + 6000, seen.wanted.end()), 24);
  }
}

// --- by order ---

TEST(scaling, takes_effect_at_once_and_at_any_time) {
  effort five = wait_of(5ms);
  const auto act = [](engine& own, milliseconds at) {
    if (at == 1s) own.scale("work", 8);
    if (at == 2s) own.scale("work", 2);
    if (at == 3s) {
      own.scale("work", 16);
      own.scale("work", 1);
      own.scale("work", 4);
    }
  };
  const course_of_staff seen = observe(loaded(five, {.workers = 1}), 4s, act);
  const auto rate = [&](int second) {
    return seen.done.at(static_cast<std::size_t>(second) * 100 + 99) -
           seen.done.at(static_cast<std::size_t>(second) * 100 + 1);
  };
  EXPECT_NEAR(static_cast<double>(rate(0)), 196, 4);
  EXPECT_NEAR(static_cast<double>(rate(1)), 8 * 196, 24);
  EXPECT_NEAR(static_cast<double>(rate(2)), 2 * 196, 8);
  EXPECT_NEAR(static_cast<double>(rate(3)), 4 * 196, 16);
}

TEST(scaling, may_come_before_the_run_and_be_a_range) {
  effort five = wait_of(5ms);
  engine own(loaded(five, {.workers = 8}), nullptr);
  own.scale("work", 2);
  own.scale("work", 3, 12);
  EXPECT_EQ(own.account().stages[0].workers_wanted, 3);
  const auto act = [](engine& running, milliseconds at) {
    if (at == 0s) running.scale("work", 3, 12);
    if (at == 5s) {
      EXPECT_EQ(running.account().stages[0].workers_wanted, 12);
      running.scale("work", 5);
    }
  };
  const course_of_staff seen = observe(loaded(five, {.workers = 8}), 6s, act);
  EXPECT_EQ(seen.wanted.back(), 5);
}

TEST(scaling, of_what_is_not_there_or_to_nothing_is_refused) {
  effort five = wait_of(5ms);
  engine own(loaded(five, {}), nullptr);
  EXPECT_THROW(own.scale("wrok", 2), std::invalid_argument);
  EXPECT_THROW(own.scale("null", 2), std::invalid_argument) << "a sink has no workers";
  EXPECT_THROW(own.scale("work", 0), std::invalid_argument);
}

// Before its first step, in the middle, and when it is over.
TEST(scaling, of_a_run_that_was_started_in_a_group) {
  virtual_loop where(1);
  std::vector<int> most;
  int at_work = 0;
  const auto work = [&](int item) -> task<int> {
    most.push_back(++at_work);
    co_await sleep_for(10ms);
    --at_work;
    co_return item;
  };
  report result;
  auto body = [&](task_group& group) -> task<> {
    pipeline_run day =
        pipeline("day").from(numbers(300)).stage("work", work).to("null", [](int) {}).start(group);
    EXPECT_THROW(day.scale("wrok", 2), std::invalid_argument);
    EXPECT_THROW(day.scale("work", 0), std::invalid_argument);
    day.scale("work", 3);
    co_await sleep_for(105ms);
    EXPECT_EQ(*std::ranges::max_element(most), 3);
    EXPECT_THROW(day.scale("wrok", 2), std::invalid_argument);
    day.scale("work", 7);
    result = co_await day.finished();
    day.scale("work", 1);
  };
  auto main = [&]() -> task<> { co_await with_group(body); };
  where.run(main());
  EXPECT_EQ(result.count(outcome::delivered), 300U);
  EXPECT_EQ(*std::ranges::max_element(most), 7);
}

// From the second item on four have to meet, on as many threads.
TEST(scaling, of_a_stage_that_blocks_gives_each_worker_a_thread) {
  loop where;
  auto together = std::make_shared<std::barrier<>>(4);
  const auto meet = [together](int item) {
    if (item > 1) together->arrive_and_wait();
    return item;
  };
  engine* running = nullptr;
  const auto deliver = [&](int item) {
    if (item == 1) running->scale("meet", 4);
  };
  engine own(pipeline("threads")
                 .from(numbers(41))
                 .blocking("meet", meet, {.workers = 1})
                 .to("null", deliver)
                 .take_plan(),
             nullptr);
  running = &own;
  auto main = [&]() -> task<report> { co_return co_await own.execute({}); };
  EXPECT_EQ(where.run(main()).count(outcome::delivered), 41U);
}

/// Counts attempts that begin and end, and what it is told of its workers.
class staffed_stage final : public stage_body {
 public:
  struct log {
    std::set<int> here;
    int at_work = 0;
    int most_at_work = 0;
    int cut_short = 0;
    int strangers = 0;
    int began = 0;
    int ended = 0;
  };
  staffed_stage(log& seen, int in_flight) : log_(seen), in_flight_(in_flight) {}
  task<> open(int workers) override {
    for (int id = 0; id < workers; ++id) log_.here.insert(id);
    co_return;
  }
  void worker_begins(int worker) override {
    ++log_.began;
    EXPECT_TRUE(log_.here.insert(worker).second);
  }
  void worker_ended(int worker) override {
    ++log_.ended;
    EXPECT_EQ(log_.here.erase(worker), 1U);
  }
  [[nodiscard]] int in_flight_per_worker() const override { return in_flight_; }
  task<attempt_result> run(payload&, const attempt_info& info) override {
    if (!log_.here.contains(info.worker)) ++log_.strangers;
    log_.most_at_work = std::max(log_.most_at_work, ++log_.at_work);
    bool whole = false;
    struct on_exit {
      ~on_exit() {
        --seen.at_work;
        if (!whole) ++seen.cut_short;
      }
      log& seen;
      bool& whole;
    } const leaving{log_, whole};
    co_await sleep_for(7ms);
    whole = true;
    co_return attempt_result::unchanged();
  }

 private:
  log& log_;
  int in_flight_;
};

TEST(scaling, lets_a_worker_end_its_item_and_tells_the_stage) {
  for (const int in_flight : {1, 3}) {
    staffed_stage::log seen;
    pipeline_plan plan = pipeline("told").from(numbers(4000)).to("null", [](int) {}).take_plan();
    stage_plan stage;
    stage.name = "work";
    stage.body = std::make_unique<staffed_stage>(seen, in_flight);
    stage.policy.workers = 4;
    plan.stages.push_back(std::move(stage));
    engine own(std::move(plan), nullptr);
    virtual_loop where(3);
    testing::random_source random(5);
    auto operate = [&]() -> task<> {
      for (int n = 0; n < 100; ++n) {
        own.scale("work", 1 + static_cast<int>(random.below(9)));
        co_await sleep_for(milliseconds(random.below(12)));
      }
      own.scale("work", 2);
    };
    auto main = [&]() -> task<report> {
      auto operating = spawn(operate);
      report result = co_await own.execute({});
      operating.cancel();
      co_return result;
    };
    const report result = where.run(main());
    EXPECT_EQ(result.count(outcome::delivered), 4000U);
    EXPECT_EQ(seen.cut_short, 0);
    EXPECT_EQ(seen.strangers, 0);
    EXPECT_GT(seen.ended, 20);
    EXPECT_EQ(seen.here.size(), 2U);
    EXPECT_LE(seen.most_at_work, 9 * in_flight);
    EXPECT_LE(result.stages[0].workers.size(), 18U) << "numbers are given again";
    std::uint64_t items = 0;
    for (const worker_report& each : result.stages[0].workers) items += each.items;
    EXPECT_EQ(items, 4000U) << "also of those who have gone";
  }
}

// --- hung items ---

struct hanging {
  explicit hanging(milliseconds span_) : span(span_) {}
  milliseconds span;
  std::set<int> which;
  std::vector<std::string> notices;

  task<int> work(int item) {
    if (which.contains(item)) {
      co_await sleep_for(span);
    } else {
      co_await sleep_for(10ms);
    }
    co_return item;
  }
  report run(int items, const stage_policy& policy) {
    ready_pipeline ready = pipeline("hangs")
                               .from(numbers(items))
                               .stage(
                                   "work", [this](int item) { return work(item); }, policy)
                               .to("null", [](int) {});
    run_observer observer;
    observer.on_notice = [this](std::string_view line) { notices.emplace_back(line); };
    ready.observe(observer);
    virtual_loop where(1);
    return test::run_on(where, ready.take_plan());
  }
};

TEST(a_hung_item, is_named_and_its_worker_replaced_until_it_ends) {
  hanging stage(20s);
  stage.which = {5};
  const report result = stage.run(2000, {.workers = 2, .hung_after = 1s});
  EXPECT_EQ(result.count(outcome::delivered), 2000U);
  // Without another worker it were 20 s for one of two; so the other items take half of that.
  ASSERT_EQ(stage.notices.size(), 2U);
  EXPECT_TRUE(stage.notices[0].starts_with(
      "stage 'work': item items:0:4 has been in work for 1.0 s, attempt 1, at work worker "))
      << stage.notices[0];
  EXPECT_TRUE(stage.notices[0].ends_with(", which waits: sleep; another worker takes its place"))
      << stage.notices[0];
  EXPECT_TRUE(stage.notices[1].ends_with(" has ended after all")) << stage.notices[1];
  EXPECT_EQ(result.stages[0].workers.size(), 3U);
  EXPECT_LT(result.seconds, 20.1);
}

TEST(a_hung_item, is_only_named_when_nothing_is_said) {
  hanging stage(20min);
  stage.which = {1};
  const report result = stage.run(3, {.workers = 2});
  EXPECT_EQ(result.count(outcome::delivered), 3U);
  EXPECT_EQ(result.stages[0].workers.size(), 2U);
  ASSERT_EQ(stage.notices.size(), 2U);
  EXPECT_NE(stage.notices[0].find("in work for 5.0 min"), std::string::npos) << stage.notices[0];
}

TEST(a_hung_item, is_nobodys_business_with_never) {
  hanging stage(100h);
  stage.which = {1};
  const report result = stage.run(3, {.workers = 2, .hung_after = stage_policy::hung_never});
  EXPECT_EQ(result.count(outcome::delivered), 3U);
  EXPECT_TRUE(stage.notices.empty());
}

TEST(hung_items, are_replaced_no_more_often_than_there_are_workers) {
  hanging stage(1h);
  for (int item = 1; item <= 100; ++item) stage.which.insert(item);
  const report result = stage.run(100, {.workers = 3, .hung_after = 1s});
  EXPECT_EQ(result.count(outcome::delivered), 100U);
  EXPECT_EQ(result.stages[0].workers.size(), 6U);
  const auto refused = [](const std::string& line) { return line.ends_with("may be replaced"); };
  EXPECT_GT(std::ranges::count_if(stage.notices, refused), 0);
}

TEST(a_hung_item, does_not_keep_a_range_from_scaling) {
  hanging stage(30s);
  stage.which = {1, 2};
  const report result = stage.run(20'000, {.workers = 1, .workers_max = 8, .hung_after = 500ms});
  EXPECT_EQ(result.count(outcome::delivered), 20'000U);
  EXPECT_LT(result.seconds, 32);
}

// A worker that waits for room in the next queue is not hung.
TEST(a_hung_item, is_none_that_waits_for_what_comes_next) {
  std::vector<std::string> notices;
  ready_pipeline ready = pipeline("late")
                             .from(numbers(200))
                             .stage("work", [](int item) -> task<int> { co_return item; },
                                    {.workers = 2, .hung_after = 100ms})
                             .stage("slow", [](int) { return nap(1s); },
                                    {.queue_items_max = 1, .hung_after = stage_policy::hung_never})
                             .to("null", [](int) {});
  run_observer observer;
  observer.on_notice = [&](std::string_view line) { notices.emplace_back(line); };
  ready.observe(observer);
  virtual_loop where(1);
  const report result = test::run_on(where, ready.take_plan());
  EXPECT_EQ(result.count(outcome::delivered), 200U);
  EXPECT_TRUE(notices.empty()) << notices.front();
}

}  // namespace
}  // namespace brigade
