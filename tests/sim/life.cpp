#include "sim/life.hpp"

#include <exception>
#include <utility>

namespace brigade::sim {

life::life(std::uint64_t seed, testing::random_source random, std::uint64_t steps_max)
    : random_(random),
      journal_(seed + 1, milliseconds(random_.below(random_.one_in(3) ? 60 : 12))),
      steps_max_(steps_max) {
  journal_.keep_delivered(seed % 2 == 0);
  store_.on_acknowledge = [this](const std::string& partition, const mark& finished) {
    check_acknowledged(partition, finished);
  };
}

std::string life::run() {
  for (std::uint64_t rough = random_.below(6); rough > 0 && !complete_; --rough) {
    play(mood::rough);
    if (!problem_.empty()) return problem_;
  }
  if (!complete_) play(mood::calm);
  require(complete_, "left in peace, the pipeline did not come to its end");
  if (problem_.empty()) check_account();
  if (!problem_.empty()) return problem_;
  play(mood::calm);
  require(taken_ == 0, "all was done, and the next run took items again");
  return problem_;
}

void life::play(mood how) {
  testing::virtual_loop loop(random_.next());
  loop_ = &loop;
  begin_run();
  crashes_ = how == mood::rough && chance(2);
  loop.before_each_step([this] { check_step(); });
  const std::uint64_t latest = chance(3) ? 50 : chance(2) ? 300 : 1500;
  loop.kill_after(crashes_ ? between(1, latest) : steps_max_);
  try {
    loop.run(whole_run(how));
  } catch (const cancelled&) {
    if (!crashes_) problem("it did not end in " + std::to_string(steps_max_) + " steps");
  } catch (const std::exception& error) {
    problem(std::string("a run threw: ") + error.what());
  }
  loop_ = nullptr;
  if (loop.killed()) journal_.crash();
  learn_rows();
  require(store_.lost().empty(),
          "an item was acknowledged, and then asked for again: " +
              (store_.lost().empty() ? std::string() : store_.lost().front()));
  check_ended();
  steps_ += loop.steps();
  const auto time = static_cast<std::uint64_t>(loop.now().time_since_epoch().count());
  trace_ = trace_ * 1'000'003 + loop.steps() + time + journal_.rows().size();
}

task<engine_resume> life::open_ends(pipeline_plan& plan) {
  resume_point point = journal_.resume();
  const std::vector<sink_of_plan> sinks = sinks_of(plan);
  std::vector<partition_mark> marks;
  for (const sink_of_plan& each : sinks) {
    sink_resume history;
    history.pipeline = plan.name;
    history.token = point.token_of(each.name, false);
    history.has_history = point.has_history && sinks.size() == 1;
    const std::vector<partition_mark> own = co_await each.to->open(history);
    if (each.to->transactional()) marks.insert(marks.end(), own.begin(), own.end());
  }
  journal_.reconcile(marks);
  point = journal_.resume();
  engine_resume resume;
  resume.accounted = point.accounted;
  co_await plan.from->open(std::move(point.accounted), point.source_state);
  std::vector<sink_token> first;
  for (const sink_of_plan& each : sinks) first.push_back({each.name, each.to->first_token()});
  journal_.keep(plan.from->state(), first);
  resume.finished = std::move(point.finished);
  co_return resume;
}

void life::check_step() {
  if (!problem_.empty()) return;
  if (engine_ == nullptr) return;
  const report now = engine_->account();
  require(now.adds_up(), "the account does not add up: " + now.line());
  require(now.in_flight <= window_, "more items are in flight than the window holds");
  require(engine_->look().in_flight == now.in_flight, "what is in flight was lost count of");
}

void life::check_acknowledged(const std::string& partition, const mark& finished) {
  learn_rows();
  for (const auto& from : store_.partitions()) {
    if (from.name != partition) continue;
    for (const auto& entry : from.entries) {
      if (!finished.finished(entry.begin)) continue;
      require(final_.contains(entry.text),
              "item " + entry.text + " was acknowledged before its outcome was durable");
    }
  }
}

void life::problem(const std::string& what) {
  if (!problem_.empty()) return;
  problem_ = what + "\n  in run " + std::to_string(journal_.run());
  problem_ += about();
  if (loop_ != nullptr) problem_ += "\n" + loop_->dump_tasks();
}

}  // namespace brigade::sim
