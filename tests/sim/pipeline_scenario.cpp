#include "sim/pipeline_scenario.hpp"

#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>

#include <algorithm>
#include <utility>

namespace brigade::sim {

using testing::fake_sink_kind;

namespace {

constexpr std::uint64_t steps_max = 200'000;

}  // namespace

pipeline_scenario::beginning::beginning(std::uint64_t seed)
    : random(seed),
      sink_kind(random.one_in(2) ? fake_sink_kind::transactional
                                 : static_cast<fake_sink_kind>(random.below(3))) {}

pipeline_scenario::pipeline_scenario(std::uint64_t seed, const beginning& drawn)
    : life(seed, drawn.random, steps_max), seed_(seed), sink_kind_(drawn.sink_kind) {
  const std::uint64_t count = between(1, 4);
  int transformed = 0;
  for (std::uint64_t n = 0; n < count; ++n) {
    stage_shape shape;
    shape.index = static_cast<int>(n);
    shape.seed = random_.next();
    shape.immediate = chance(4);
    shape.transforms = chance(2);
    shape.transformed_before = transformed;
    transformed += shape.transforms ? 1 : 0;
    shape.in_flight = chance(3) ? 2 : 1;
    shape.together = shape.immediate || shape.seed % 3 != 0 ? 0 : 1 + shape.seed / 3 % 5;
    shape.splits_one_in = chance(3) ? between(2, 5) : 0;
    shape.filters_one_in = chance(3) ? between(3, 8) : 0;
    shape.refuses_one_in = chance(3) ? between(4, 12) : 0;
    shapes_.push_back(shape);
  }
  if (chance(2)) {
    order_ = chance(4) ? item_order::source : item_order::by_key;
    keys_ = between(1, 4);
    holds_keys_ = chance(4);
  }
  fill_the_store();
}

void pipeline_scenario::fill_the_store() {
  const std::uint64_t partitions = between(1, 3);
  const bool has_gaps = chance(4);
  std::vector<std::uint64_t> ends(static_cast<std::size_t>(partitions));
  for (std::uint64_t left = between(1, chance(3) ? 120 : 40); left > 0; --left) {
    const auto which = static_cast<std::size_t>(random_.below(partitions));
    const std::string name = "p" + std::to_string(which) + ":t";
    testing::fake_store::entry item;
    item.begin = ends[which] + (has_gaps ? random_.below(3) : 0);
    item.end = ends[which] = item.begin + between(1, 3);
    item.text = name + ":" + std::to_string(item.begin);
    item.undecodable = chance(30);
    store_.add(name, std::move(item));
  }
}

// --- one run, as a recorded one goes ---

task<> pipeline_scenario::whole_run(mood how) {
  pipeline_plan plan = make_plan(how);
  engine_resume resume = co_await open_ends(plan);
  journal_.begin_run();
  if (how == mood::rough && chance(16)) journal_.break_at(between(1, 12));
  engine work(std::move(plan), &journal_);
  auto running = work.execute(std::move(resume));
  spawn([this, how] { return operate(how); });
  spawn([this] { return staff(chance(2) ? between(1, 40) : 0); });
  const known_while_it_lives known(engine_, work);
  const report account = co_await std::move(running);
  check_report(account);
  check_closed(work);
}

// Whoever sits at the terminal.
task<> pipeline_scenario::operate(mood how) {
  if (how == mood::calm || chance(2)) co_return;
  for (std::uint64_t acts = between(1, 3); acts > 0; --acts) {
    const milliseconds first = some_time(0, chance(2) ? 20 : 200);
    co_await sleep_for(first);
    for (std::uint64_t turns = random_.below(4); turns > 0; --turns) co_await yield();
    if (engine_ == nullptr) co_return;
    switch (random_.below(8)) {
      case 0:
        engine_->stop_now(1, "the operator has had enough");
        break;
      case 1:
      case 2:
        engine_->deadline_now();
        break;
      default:
        engine_->drain();
    }
  }
}

// Workers come and go at any moment.
task<> pipeline_scenario::staff(std::uint64_t changes) {
  for (; changes > 0; --changes) {
    const milliseconds pause = some_time(0, chance(2) ? 3 : 60);
    co_await sleep_for(pause);
    for (std::uint64_t turns = random_.below(4); turns > 0; --turns) co_await yield();
    if (engine_ == nullptr) co_return;
    for (std::uint64_t at_once = between(1, 3); at_once > 0; --at_once) scale_some_stage();
  }
}

void pipeline_scenario::scale_some_stage() {
  const auto which = static_cast<std::size_t>(random_.below(shapes_.size()));
  const int workers = static_cast<int>(between(1, 6));
  const int most = chance(3) ? workers + static_cast<int>(between(1, 4)) : 0;
  allow_workers(which, std::max(workers, most));
  engine_->scale("stage" + std::to_string(which), workers, most);
}

// Those who are to go end what they have, and hung ones are replaced.
void pipeline_scenario::allow_workers(std::size_t stage, int workers) {
  if (stage_log_.workers_max.size() <= stage) stage_log_.workers_max.resize(stage + 1);
  const bool replaces = shapes_[stage].policy.hung_after.count() != 0;
  int& most = stage_log_.workers_max[stage];
  most = std::max(most, replaces ? 2 * workers : workers);
}

pipeline_plan pipeline_scenario::make_plan(mood how) {
  const bool rough = how == mood::rough;
  pipeline_plan plan;
  plan.name = "sim";
  plan.jitter_seed = random_.next() | 1U;
  plan.from = std::make_unique<testing::fake_source>(store_, source_faults(how), random_.next());
  plan.to =
      std::make_unique<testing::fake_sink>(table_, sink_kind_, sink_faults(how), random_.next());
  for (stage_shape& shape : shapes_) {
    draw_policy(shape, how);
    allow_workers(static_cast<std::size_t>(shape.index),
                  std::max(shape.policy.workers, shape.policy.workers_max));
    stage_faults faults;
    faults.delay_max = some_time(0, 8);
    faults.fails_one_in = chance(3) ? 0 : between(3, rough ? 10 : 20);
    faults.kills_one_in = chance(3) ? between(4, 20) : 0;
    faults.fatal_one_in = rough && chance(6) ? 60 : 0;
    faults.hangs_one_in = rough && chance(6) ? 40 : 0;
    faults.close_fails = rough && chance(40);
    plan.stages.push_back(
        {"stage" + std::to_string(shape.index),
         std::make_unique<simulated_stage>(shape, faults, random_.next(), stage_log_),
         shape.policy});
    if (shape.policy.queue_order != queue_kind::priority) continue;
    plan.stages.back().priority = [](const payload& item) {
      return static_cast<double>(item.text().size() % 3);
    };
  }
  plan.sink_rules.retry = shapes_.front().policy.retry;
  plan.sink_rules.attempt_timeout = chance(4) ? some_time(2, 30) : milliseconds(0);
  plan.sink_rules.batch_items_max = static_cast<std::size_t>(between(1, 6));
  plan.sink_rules.batch_age_max = some_time(0, 20);
  if (chance(6)) plan.sink_rules.rate.items = static_cast<std::int64_t>(between(20, 500));
  plan.rules.window_items_max = window_ = static_cast<std::size_t>(between(1, 16));
  if (chance(4)) plan.rules.window_bytes_max = static_cast<std::size_t>(between(1, 300));
  plan.rules.stop_timeout = chance(12) ? some_time(5000, 12'000) : some_time(0, 300);
  plan.rules.give_up_after = rough && chance(2) ? some_time(100, 1000) : milliseconds(0);
  plan.rules.handler_kills_max = static_cast<int>(between(1, 3));
  set_order(plan);
  plan.observer.on_failure = [this](const attempt_failure& failed) {
    require(!final_.contains(std::string(failed.id)), "an item failed that was settled before");
    if (failed.final) given_up_.emplace(failed.id);
  };
  if (chance(4)) watch(plan);
  return plan;
}

void pipeline_scenario::draw_policy(stage_shape& shape, mood how) {
  const bool rough = how == mood::rough;
  stage_policy& policy = shape.policy;
  policy.workers = static_cast<int>(between(1, 3));
  policy.workers_max = chance(4) ? policy.workers + static_cast<int>(between(1, 3)) : 0;
  policy.hung_after = chance(4) ? some_time(5, 2000) : milliseconds(0);
  policy.queue_items_max = static_cast<std::size_t>(between(1, 4));
  policy.queue_order = chance(2) ? queue_kind::fifo : static_cast<queue_kind>(random_.below(3));
  // What was dropped and forgotten in a crash comes again, too late for its place.
  const bool may_drop = order_ == item_order::none || !rough;
  policy.queue_full =
      may_drop && chance(8) ? static_cast<when_full>(random_.below(3)) : when_full::wait;
  policy.rate.items = chance(6) ? static_cast<std::int64_t>(between(20, 500)) : 0;
  policy.retry.attempts_max = static_cast<int>(between(1, 4));
  policy.retry.backoff_min = some_time(1, 30);
  policy.retry.backoff_max = some_time(30, 120);
  policy.failure = rough && chance(8) ? on_error::fail_fast : on_error::isolate;
  if (chance(4)) {
    policy.failure = on_error::tolerate;
    policy.budget.count = chance(3) ? 0 : between(1, 5);
    policy.budget.share = 0.05;
    const bool stops = rough && chance(2);
    policy.budget.then = stops ? error_budget::spent::stop : error_budget::spent::pause;
  }
  policy.attempt_timeout = chance(3) ? some_time(3, 20) : milliseconds(0);
  policy.item_deadline = chance(6) ? some_time(40, 200) : milliseconds(0);
}

void pipeline_scenario::set_order(pipeline_plan& plan) const {
  plan.rules.order = order_;
  if (order_ == item_order::none) return;
  if (holds_keys_) plan.rules.after_letter = after_dead_letter::hold_key;
  if (order_ != item_order::by_key) return;
  plan.order_key = [this](const payload& item) { return key_of(item.text()); };
}

// Of the item that it was at the source; empty: it has none.
std::string pipeline_scenario::key_of(std::string_view id) const {
  if (order_ == item_order::source) return "all";
  std::uint64_t hash = seed_;
  for (const char c : id.substr(0, id.find('/'))) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  }
  const std::uint64_t which = (hash >> 32) % (keys_ + 1);
  return which == keys_ ? std::string() : "key" + std::to_string(which);
}

void pipeline_scenario::watch(pipeline_plan& plan) {
  // A run on a board has workers that measure.
  if (seed_ % 2 == 0) plan.observer.board = std::make_shared<status_board>();
  plan.observer.progress_every = some_time(50, 400);
  plan.observer.on_progress = [this](const progress& now) {
    require(now.in_flight == engine_->account().in_flight, "the progress is not the account's");
    const run_status status = engine_->status();
    require(status.in_flight == now.in_flight, "the status is not the progress");
    std::uint64_t held = 0;
    for (const stage_status& stage : status.stages) {
      held += stage.in_flight;
      require(stage.busy_workers <= stage.workers, "more hands are busy than there are");
    }
    require(status.oldest_item.empty() == (held == 0 && status.in_flight == 0),
            "the oldest item is nobody's");
  };
  plan.observer.on_notice = [this](std::string_view line) {
    require(!line.empty(), "a notice without a word");
  };
}

testing::source_faults pipeline_scenario::source_faults(mood how) {
  testing::source_faults faults;
  faults.read_delay_max = some_time(0, 6);
  faults.read_items_max = static_cast<std::size_t>(between(1, 16));
  faults.trims = chance(2);
  faults.breaks_one_in = how == mood::rough && chance(8) ? 20 : 0;
  return faults;
}

testing::sink_faults pipeline_scenario::sink_faults(mood how) {
  testing::sink_faults faults;
  faults.write_delay_max = some_time(0, 6);
  faults.item_fails_one_in = chance(3) ? between(4, 20) : 0;
  faults.outage_one_in = chance(4) ? between(4, 16) : 0;
  faults.outage_max = some_time(1, how == mood::rough ? 2000 : 300);
  faults.breaks_one_in = how == mood::rough && chance(10) ? 10 : 0;
  return faults;
}

void pipeline_scenario::begin_run() { stage_log_ = {}; }

void pipeline_scenario::check_ended() { require(stage_log_.problem.empty(), stage_log_.problem); }

std::string pipeline_scenario::about() const {
  return engine_ != nullptr ? ", " + engine_->account().line() : "";
}

}  // namespace brigade::sim
