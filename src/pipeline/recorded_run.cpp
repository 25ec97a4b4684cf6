#include <brigade/async/cancel.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/pipeline/recorded_run.hpp>

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>

namespace brigade {

namespace {

constexpr int repeated_ids_shown = 10;

// Where there are several sinks, each says truthfully what is finished; what any of them has is.
// They may share a database, so each keeps its marks under a name of its own.
task<std::vector<partition_mark>> open_sinks(pipeline_plan& plan, const resume_point& point) {
  const std::vector<sink_of_plan> sinks = sinks_of(plan);
  const bool is_alone = sinks.size() == 1;
  std::vector<partition_mark> all;
  for (const sink_of_plan& each : sinks) {
    sink_resume history;
    history.pipeline = is_alone ? plan.name : plan.name + "/" + each.name;
    history.epoch = point.epoch;
    history.token = point.token_of(each.name, is_alone);
    // Which of several has something, nobody knows: one may never have been sent an item.
    history.has_history = point.has_history && is_alone;
    history.ended_well = point.ended_well;
    const std::vector<partition_mark> marks = co_await each.to->open(history);
    if (each.to->transactional()) all.insert(all.end(), marks.begin(), marks.end());
  }
  co_return all;
}

// Opens source and sinks, and says what the run continues from.
task<engine_resume> open_ends(pipeline_plan& plan, ledger* account) {
  engine_resume resume;
  resume_point point;
  if (account != nullptr) point = account->resume();
  const std::vector<sink_of_plan> sinks = sinks_of(plan);
  const std::vector<partition_mark> marks = co_await open_sinks(plan, point);
  if (account != nullptr) {
    const bool answers =
        std::ranges::any_of(sinks, [](const auto& each) { return each.to->transactional(); });
    if (answers) {
      if (point.has_history || !marks.empty()) fault_point("in_recovery");
      account->reconcile(marks);
    }
    point = account->resume();
    if (plan.replay) {
      const partition_mark replayed{std::string(replay_partition), point.replayed};
      point.finished.push_back(replayed);
      point.accounted.push_back(replayed);
    }
  }
  resume.accounted = point.accounted;
  co_await plan.from->open(std::move(point.accounted), point.source_state);
  if (account != nullptr) {
    std::vector<sink_token> first;
    for (const auto& each : sinks) first.push_back({each.name, each.to->first_token()});
    account->keep(plan.replay ? point.source_state : plan.from->state(), first);
  }
  resume.finished = std::move(point.finished);
  co_return resume;
}

// Told on the ledger's thread; said on the loop's.
void report_repeated_ids(ledger& account, std::function<void(std::string_view)> say) {
  if (!say) return;
  account.on_repeated_id = [box = loop::current().mailbox(), say,
                            shown = 0](const repeated_id& twice) mutable {
    if (++shown > repeated_ids_shown) return;
    box->post([say, twice, last = shown == repeated_ids_shown] {
      say("id '" + twice.business_id + "' of " + twice.id + " was seen before, at " +
          twice.earlier_id + (last ? "; the ledger's view repeated_ids has all of them" : ""));
    });
  };
}

report not_begun(const pipeline_plan& plan, int exit_code, std::string error) {
  report result;
  result.pipeline = plan.name;
  result.exit_code = exit_code;
  result.error = std::move(error);
  return result;
}

// While the ends are opened, which a lock or a silent server can draw out, a signal gives that up:
// nothing has been taken. Nothing comes back then.
task<std::optional<engine_resume>> open_unless_stopped(recorded_run& run) {
  cancel_scope opening;
  const auto give_up = [&opening] { opening.cancel("stopping"); };
  const stop_signals::listener listening(
      run.signals, stop_target{[give_up](std::chrono::nanoseconds) { give_up(); }, give_up});
  try {
    co_return co_await open_ends(run.plan, run.account);
  } catch (const cancelled&) {
    if (!opening.caused_cancellation()) throw;
  }
  co_return std::nullopt;
}

// Whoever wants to know the engine does so while it runs, however that ends.
class shown {
 public:
  shown(const recorded_run& run, engine& target) : run_(run) {
    if (run_.on_engine) run_.on_engine(&target);
  }
  ~shown() {
    if (run_.on_engine) run_.on_engine(nullptr);
  }
  shown(const shown&) = delete;
  shown& operator=(const shown&) = delete;

 private:
  const recorded_run& run_;
};

task<report> run_engine(engine& work, engine_resume resume, const recorded_run& run) {
  const stop_signals::listener listening(run.signals, work);
  const shown while_it_runs(run, work);
  co_return co_await work.execute(std::move(resume));
}

// A ledger that broke has said so in the report already, as a rule; the report is told all the
// same.
void end_account(ledger& account, report& result) {
  try {
    account.end_run(result);
  } catch (const std::exception& broken) {
    if (result.error.empty()) result.error = broken.what();
    result.exit_code = 1;
  }
}

}  // namespace

task<report> execute_recorded(recorded_run run) {
  std::optional<engine_resume> resume;
  std::optional<std::string> error;  // without a word, perhaps
  try {
    resume = co_await open_unless_stopped(run);
  } catch (const std::exception& why) {
    error = why.what();
  }
  if (error) co_return not_begun(run.plan, 1, std::move(*error));
  if (!resume) {
    co_return not_begun(run.plan, run.plan.from->finite() ? 5 : 0,
                        "stopped before source and sink were open");
  }
  if (run.account != nullptr) report_repeated_ids(*run.account, run.plan.observer.on_notice);
  const std::uint64_t number = run.account != nullptr ? run.account->begin_run() : 1;
  engine work(std::move(run.plan), run.account);
  report result = co_await run_engine(work, std::move(*resume), run);
  result.run = number;
  if (run.account != nullptr) {
    end_account(*run.account, result);
    // What the ledger said last is waiting; it is heard before the run is over.
    co_await sleep_for(std::chrono::milliseconds(1));
  }
  co_return result;
}

report run_recorded(recorded_run run) {
  loop own;
  // Whoever does not end by the stop protocol does not get more time here.
  own.set_leftover_timeout(std::chrono::milliseconds(100));
  return own.run(execute_recorded(std::move(run)));
}

}  // namespace brigade
