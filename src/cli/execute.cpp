#include "cli/execute.hpp"

#include "cli/admin_endpoint.hpp"
#include "cli/business_id.hpp"
#include "cli/conditional_stage.hpp"
#include "cli/exit_code.hpp"
#include "cli/failure_log.hpp"
#include "cli/fork_components.hpp"
#include "cli/replay_source.hpp"
#include "cli/report_file.hpp"
#include "cli/then_step.hpp"

#include <brigade/async/thread.hpp>
#include <brigade/connect/record.hpp>
#include <brigade/pipeline/log.hpp>
#include <brigade/pipeline/recorded_run.hpp>

#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace brigade::cli {

namespace {

/// A line on stderr; how a run ends does not depend on whether that can be written.
void say(const std::string& line) { std::fputs((line + '\n').c_str(), stderr); }

/// What a run shows on stderr while it goes.
class display {
 public:
  display(const std::string& name, progress_mode mode)
      : name_(name),
        progress_(mode, name, stderr_output()),
        failures_([this](const auto& line) { progress_.log(line); }),
        log_([this](std::string_view line) { progress_.log(line); }) {}

  [[nodiscard]] run_observer observer() {
    run_observer result;
    result.on_progress = [this](const progress& now) { update(now); };
    result.on_failure = [this](const attempt_failure& event) {
      failures_.add(failure_event{event.stage, event.id, event.error, event.attempt, event.final,
                                  event.is_dropped});
    };
    result.on_notice = [this](std::string_view line) { notice(line); };
    return result;
  }
  void notice(std::string_view line) { progress_.log(fmt::format("{}: {}", name_, line)); }
  /// Nothing moves any more; lines of the log still come.
  void pause() { progress_.clear(); }
  void end(const report& account) {
    failures_.end();
    progress_.clear();
    if (!account.error.empty()) say(fmt::format("{}: {}", name_, account.error));
    say(account.line());
  }

 private:
  void update(const progress& now) {
    const auto count = [&](outcome result) {
      return now.settled[static_cast<std::size_t>(result)];
    };
    progress_snapshot shown;
    shown.taken = now.taken;
    shown.delivered = count(outcome::delivered);
    shown.filtered = count(outcome::filtered);
    shown.dead_lettered = count(outcome::dead_lettered);
    shown.dropped = count(outcome::dropped);
    shown.in_flight = now.in_flight;
    shown.retrying = now.retrying;
    shown.bytes_done = now.units_done;
    shown.bytes_before = now.units_before;
    if (now.units_total != 0) shown.bytes_total = now.units_total;
    shown.seconds = now.seconds;
    shown.rate = rate(shown);
    progress_.update(shown);
    failures_.tick(now.seconds);
  }
  /// Over the last second or so: short enough to see a stall, long enough not to flicker.
  double rate(const progress_snapshot& now) {
    const double passed = now.seconds - since_seconds_;
    if (passed >= 1.0) {
      rate_ = static_cast<double>(now.done() - since_done_) / passed;
      since_seconds_ = now.seconds;
      since_done_ = now.done();
    }
    if (rate_ == 0 && now.seconds > 0) rate_ = static_cast<double>(now.done()) / now.seconds;
    return rate_;
  }

  std::string name_;
  progress_display progress_;
  failure_log failures_;
  log_to log_;
  double rate_ = 0;
  double since_seconds_ = 0;
  std::uint64_t since_done_ = 0;
};

/// The keys of which a dead letter waits to be replayed: nothing passes it in a later run, either.
std::vector<held_key> held_keys(const pipeline_plan& plan, const std::filesystem::path& path) {
  std::vector<held_key> held;
  if (plan.rules.after_letter != after_dead_letter::hold_key) return held;
  const ledger_reader reader(path);
  for (const letter_row& row : reader.dead_letters({})) {
    payload value(record::from_text(reader.letter(row.number).source_payload));
    if (row.stage_index < 0 || plan.from->decode(value)) continue;
    const std::string key = plan.order_key(value);
    if (!key.empty()) held.push_back({key, row.id, row.stage_index, row.partition, row.position});
  }
  return held;
}

ledger_options account_of(const pipeline_config& config, const std::filesystem::path& path) {
  ledger_options options(path, config.name);
  options.pipeline_file = config.file;
  options.mode = config.ledger.mode;
  if (config.ledger.keep) {
    options.keep = std::chrono::duration_cast<std::chrono::seconds>(*config.ledger.keep);
  }
  if (config.ledger.bytes_max) options.bytes_max = *config.ledger.bytes_max;
  options.letters = config.ledger.letters;
  options.letters_bytes_max = config.ledger.letters_bytes_max.value_or(0);
  return options;
}

/// How many calls on threads nobody waits for any more. Most end in a moment.
std::size_t calls_left_behind() {
  for (int i = 0; i < 20 && abandoned_threads() != 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return abandoned_threads();
}

/// What is said of a run, and done after it.
struct run_frame {
  progress_mode progress = progress_mode::automatic;
  std::optional<std::filesystem::path> report;
  const pipeline_config* last_step_of = nullptr;  ///< null: none
  std::filesystem::path unknown_ledger;  ///< where nobody was told of it yet; empty: they were
  std::shared_ptr<status_board> board{};
};

void add_error(report& result, const std::string& why) {
  if (!result.error.empty()) result.error += "; ";
  result.error += why;
}

void fail(report& result, const std::string& why) {
  add_error(result, why);
  result.exit_code = exit_failed;
}

void take_last_step(report& result, const run_frame& frame, ledger& account,
                    stop_signals& signals) {
  if (!is_due(*frame.last_step_of->then, result.exit_code)) return;
  if (signals.at_deadline()) {
    add_error(result, "then: not started, the run was stopped and has no time left");
    return;
  }
  // It may want to read it.
  if (frame.report) static_cast<void>(write_report(result.json() + "\n", *frame.report));
  const auto why = run_then(*frame.last_step_of, result, frame.report, signals);
  if (!why) return;
  fail(result, *why);
  if (result.run == 0) return;  // it could not even begin
  try {
    account.end_run(result);  // it has an end; this one is the truth
  } catch (const ledger_error& broken) {
    fail(result, broken.what());
  }
}

int run_and_show(pipeline_plan plan, ledger& account, stop_signals& signals,
                 const run_frame& frame) {
  display shown(plan.name, frame.progress);
  plan.observer = shown.observer();
  plan.observer.board = frame.board;
  recorded_run whole(std::move(plan));
  whole.account = &account;
  whole.signals = &signals;
  report result = run_recorded(std::move(whole));
  if (frame.last_step_of != nullptr && frame.last_step_of->then) {
    shown.pause();
    take_last_step(result, frame, account, signals);
  }
  account.close();
  if (frame.report) {
    if (const auto why = write_report(result.json() + "\n", *frame.report)) fail(result, *why);
  }
  const std::size_t left_behind = calls_left_behind();
  if (left_behind != 0) {
    shown.notice(
        fmt::format("calls on threads that did not end and are abandoned: {}", left_behind));
  }
  if (!frame.unknown_ledger.empty() && result.count(outcome::dead_lettered) > 0) {
    shown.notice(
        fmt::format("see the dead letters:  brigade dlq ls {}", frame.unknown_ledger.string()));
  }
  shown.end(result);
  if (left_behind != 0) {
    // A call that never returns must not keep the process; all it could still do is accounted for.
    std::fflush(nullptr);
    std::_Exit(result.exit_code);
  }
  return result.exit_code;
}

/// The parts lie in the order in which a walk through the file meets them.
class plan_maker {
 public:
  explicit plan_maker(pipeline_parts& parts) : parts_(parts) {}

  void make(const chain_config& chain, chain_plan& plan) {
    for (const stage_config& stage : chain.stages) plan.stages.push_back(make_stage(stage));
    if (!chain.has_sink()) return;
    plan.sink_name = chain.sink.use.context.name;
    plan.to = std::move(parts_.sinks[sinks_made_++]);
    plan.sink_rules = chain.sink.policy;
  }

 private:
  stage_plan make_stage(const stage_config& stage) {
    std::unique_ptr<stage_body> body = std::move(parts_.stages[stages_made_++]);
    if (stage.when) {
      body = std::make_unique<conditional_stage>(stage.when->text, std::move(body));
    }
    stage_plan plan{stage.use.context.name, std::move(body), stage.policy};
    if (stage.priority) plan.priority = priority_of(stage.priority->text);
    if (is_batch(*stage.use.what)) plan.batch = batch_rules(stage.use.values);
    if (!is_fork(*stage.use.what)) return plan;
    plan.fork = std::make_unique<fork_plan>();
    if (is_tee(*stage.use.what)) plan.fork->what = fork_plan::kind::tee;
    for (const branch_config& branch : stage.branches) {
      branch_plan& made = plan.fork->branches.emplace_back();
      made.required = branch.required;
      make(branch.chain, made.chain);
    }
    return plan;
  }

  pipeline_parts& parts_;
  std::size_t stages_made_ = 0;
  std::size_t sinks_made_ = 0;
};

/// A pipe that nobody reads and a limit on the size of files (`ulimit -f`) are errors of the call
/// that meets them, which has a message for the user; no reason to end at once.
void take_errors_for_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

}  // namespace

pipeline_plan plan_of(const pipeline_config& config, pipeline_parts parts) {
  pipeline_plan plan;
  plan.name = config.name;
  plan.source_name = config.source.context.name;
  plan.from = std::move(parts.source);
  plan_maker(parts).make(config, plan);
  plan.rules = config.run;
  if (config.id) plan.business_id = business_id_of(config.id->text);
  if (config.order_by) plan.order_key = business_id_of(config.order_by->text);
  return plan;
}

int run_pipeline(const pipeline_config& config, pipeline_parts parts, const run_options& options) {
  take_errors_for_signals();
  if (options.report) {
    if (const auto why = trouble_with_report(*options.report)) throw std::runtime_error(*why);
  }
  stop_signals signals(config.run.stop_timeout);
  const admin_endpoint admin(config, signals);
  pipeline_plan plan = plan_of(config, std::move(parts));
  ledger_options account = account_of(config, config.ledger_path());
  account.source_fingerprint = plan.from->fingerprint();
  account.id_expression = config.id ? config.id->text : "";
  account.fresh = options.fresh;
  const auto opened = ledger::open(account);
  plan.held = held_keys(plan, config.ledger_path());
  return run_and_show(std::move(plan), *opened, signals,
                      run_frame{options.progress, options.report, &config,
                                config.file.empty() ? config.ledger_path() : "", admin.board()});
}

int replay_letters(const pipeline_config& config, pipeline_parts parts,
                   const replay_options& options) {
  take_errors_for_signals();
  stop_signals signals(config.run.stop_timeout);
  // Before it is opened for writing, which would make a ledger where the name is misspelt.
  const ledger_reader reader(options.ledger);
  const auto opened = ledger::open(account_of(config, options.ledger));
  std::vector<letter_row> letters;
  for (const letter_row& row : reader.dead_letters(options.which)) {
    letters.push_back(reader.letter(row.number));
  }
  if (letters.empty()) say(fmt::format("{}: there is no such dead letter to replay", config.name));
  pipeline_plan plan = plan_of(config, std::move(parts));
  auto from =
      std::make_unique<replay_source>(std::move(letters), stage_names(plan), options.from_start,
                                      std::move(plan.from), plan.order_key);
  plan.replay = [letters_of = from.get()](std::uint64_t number) {
    return letters_of->entry(number);
  };
  plan.from = std::move(from);
  return run_and_show(std::move(plan), *opened, signals, run_frame{});
}

}  // namespace brigade::cli
