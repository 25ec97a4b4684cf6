#include "pipeline/engine_state.hpp"

#include <brigade/async/timeout.hpp>
#include <brigade/pipeline/engine.hpp>

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <random>

namespace brigade {

using detail::run_phase;

engine::engine(pipeline_plan made, journal* account)
    : impl_(std::make_unique<implementation>(std::move(made), account)) {}
engine::~engine() = default;
pipeline_plan& engine::plan() { return impl_->plan; }
task<report> engine::execute(engine_resume resume) { return impl_->execute(std::move(resume)); }
void engine::drain() { impl_->drain(); }
void engine::deadline_now() { impl_->deadline_now(); }
void engine::stop_now(int exit_code, std::string why) {
  impl_->stop_now(exit_code, std::move(why));
}
void engine::scale(std::string_view stage, int workers, int workers_max) {
  impl_->scale(stage, workers, workers_max);
}
report engine::account() const { return impl_->account(); }
progress engine::look() const { return impl_->look(); }
run_status engine::status() { return impl_->status(); }

namespace {
constexpr std::chrono::seconds close_limit{10};
// The watchdog waits four seconds after a stop's deadline.
constexpr std::chrono::milliseconds close_after_deadline{3600};
constexpr std::chrono::milliseconds stopped_close_min{300};
}  // namespace

namespace detail {

stage_run::stage_run(int index_, stage_plan& plan)
    : index(index_),
      name(std::move(plan.name)),
      body(std::move(plan.body)),
      collects(plan.batch),
      policy(plan.policy),
      immediate(body != nullptr && body->immediate()),
      wants_names(body != nullptr && body->wants_names()),
      per_worker(body != nullptr ? body->in_flight_per_worker() : 1),
      input(policy.queue_items_max, name,
            stage_store(plan.priority ? queue_kind::priority : policy.queue_order)),
      priority(std::move(plan.priority)) {
  for (int id = 0; id < policy.workers; ++id) add_worker();
  set_workers(policy.workers, policy.workers_max);
}

namespace {

stage_policy policy_of(const sink_policy& rules) {
  stage_policy policy;
  policy.retry = rules.retry;
  policy.attempt_timeout = rules.attempt_timeout;
  policy.queue_items_max = rules.batch_items_max;
  return policy;
}

std::uint64_t weight_of(const item* one) { return one == nullptr ? 0 : one->weight; }

std::uint64_t weight_of(const link_list& items) {
  std::uint64_t weight = 0;
  for (const link* node = items.front(); node != items.end(); node = node->next) {
    weight += static_cast<const item::hook*>(node)->self->weight;
  }
  return weight;
}

}  // namespace

stage_run::stage_run(int index_, chain_plan& plan, bool required)
    : index(index_),
      name(plan.sink_name),
      end(std::make_unique<sink_end>(*plan.to, plan.sink_rules)),
      policy(policy_of(plan.sink_rules)),
      wants_names(plan.to->wants_names()),
      input(policy.queue_items_max, name) {
  add_worker();
  end->required = required;
  set_rate(end->rate, plan.sink_rules.rate, name);
}

std::uint64_t stage_run::walk_retries() const {
  return weight_of(retrying) + weight_of(due) + weight_of(requeued);
}

std::uint64_t stage_run::walk() const {
  std::uint64_t count = weight_of(parked) + walk_retries();
  if (weighs) {
    for (std::size_t i = 0; i < input.size(); ++i) count += input.peek(i)->weight;
  } else {
    count += input.size();
  }
  for (const work_slot& slot : slots) {
    count += weight_of(slot.current);
    for (const item* other : slot.more) count += other->weight;
    for (const item* child : slot.children) count += child->weight;
  }
  return count;
}

}  // namespace detail

engine::implementation::implementation(pipeline_plan made, journal* account)
    : plan(std::move(made)), journal_(account), random_state_(plan.jitter_seed) {
  if (random_state_ == 0) random_state_ = std::random_device{}();
  lay_out();
  prepare_entries();
}

engine::implementation::~implementation() {
  *self_ = nullptr;
  while (!live_.empty()) {
    item* left = static_cast<item::hook*>(live_.front())->self;
    if (left->retry_armed() && loop::current_if_any() != nullptr) left->disarm_retry();
    left->live.unlink();
    delete left;
  }
}

task<report> engine::implementation::execute(engine_resume resume) {
  loop_ = &loop::current();
  loop_->refresh_now();
  started_ = loop_->now();
  resume_ = std::move(resume);
  source_wants_outcomes_ = plan.from->wants_outcomes();
  if (journal_ != nullptr) listen_to_journal();
  if (plan.observer.board) show_on_board();
  if (plan.outcomes) plan.outcomes->on_room = [this] { window_moved_.set(); };
  // with_group keeps it in its own frame while it runs.
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines)
  auto course = [this](task_group& helpers) -> task<> {
    helpers_ = &helpers;
    helpers.spawn_named("bookkeeper", [this] { return keep_books(); }).set_background();
    helpers.spawn_named("progress", [this] { return report_progress(); }).set_background();
    helpers.spawn_named("foreman", [this] { return look_at_workers(); }).set_background();
    if (!plan.from->finite() && journal_ != nullptr) {
      helpers.spawn_named("state keeper", [this] { return keep_state(); }).set_background();
    }
    if (plan.observer.board) {
      helpers.spawn_named("status board", [this] { return keep_board(); }).set_background();
    }
    co_await work();
    phase_ = run_phase::closing;
    return_the_rest();
    flush({});
    co_await all_durable();
    co_await keep_last_state();
    co_await close_all();
    helpers_ = nullptr;
    helpers.cancel("the run is over");
  };
  struct on_every_way_out {
    explicit on_every_way_out(implementation& engine) : own(engine) {}
    ~on_every_way_out() { own.leave_nothing_behind(); }
    implementation& own;
  };
  const on_every_way_out guard(*this);
  co_await with_group(course);
  report result = account();
  result.exit_code = exit_code();
  co_return result;
}

// Nothing may point into groups that have ended or a loop that is gone.
void engine::implementation::leave_nothing_behind() {
  helpers_ = nullptr;
  work_group_ = nullptr;
  return_the_rest();
  is_over_ = true;
  if (plan.observer.board) leave_board();
  if (plan.outcomes) plan.outcomes->on_room = nullptr;
}

// The journal speaks on a thread of its own, and may have a last word when the engine is gone.
void engine::implementation::listen_to_journal() {
  journal_keeps_delivered_ = journal_->keeps_delivered();
  const auto tell = [box = loop_->mailbox(), self = self_](auto what) {
    box->post([self, what] {
      if (*self != nullptr) what(**self);
    });
  };
  journal_->on_durable = [tell](std::uint64_t number) {
    tell([number](implementation& own) { own.durable_up_to(number); });
  };
  journal_->on_failed = [tell](const std::string& error) {
    tell([error](implementation& own) { own.journal_failed(error); });
  };
  journal_->on_full = [tell](const std::string& what) {
    tell([what](implementation& own) {
      own.journal_full_ = what;
      own.journal_full_since_ = own.loop_->now();
      own.notice(what.empty() ? "outcomes can be recorded again: there is room"
                              : what + ": waiting for room, nothing is lost");
    });
  };
}

task<> engine::implementation::open_all() {
  for (auto& stage : stages_) {
    if (stage->body) co_await stage->body->open(stage->wanted);
  }
  learn_partitions();
}

task<> engine::implementation::open_unless_stopped() {
  cancel_scope opening;
  const detail::lent_scope lent(open_scope_, opening);
  try {
    co_await open_all();
  } catch (const cancelled&) {
    if (!opening.caused_cancellation()) throw;
  }
}

task<> engine::implementation::work() {
  std::exception_ptr failed;
  try {
    co_await open_unless_stopped();
    if (phase_ != run_phase::running) co_return;
    auto body = [this](task_group& group) { spawn_work(group); };
    co_await with_group(body);
  } catch (const exception_group& group) {
    failed = group.errors().front();  // the others ended because of it
  } catch (const std::exception&) {
    failed = std::current_exception();
  }
  work_group_ = nullptr;
  if (failed) stop_now(1, error_text(failed));
}

void engine::implementation::spawn_work(task_group& group) {
  work_group_ = &group;
  auto keep = [this](task_handle<> handle) { work_tasks_.push_back(std::move(handle)); };
  keep(group.spawn_named("intake", [this] { return intake(); }));
  keep(group.spawn_named("staffing", [this] { return keep_staffed(); }));
  for (auto& stage : stages_) {
    stage_run* run = stage.get();
    keep(group.spawn_named(run->name + " retries", [this, run] { return requeue_due(*run); }));
    if (run->is_sink()) {
      keep(group.spawn_named(run->name + " delivery", [this, run] { return deliver(*run); }));
      continue;
    }
    if (run->collects) {
      keep(group.spawn_named(run->name + " collector", [this, run] { return collect(*run); }));
      continue;
    }
    while (run->workers.size() < static_cast<std::size_t>(run->wanted)) run->add_worker();
    for (std::size_t id = 0; id < static_cast<std::size_t>(run->wanted); ++id) bring_in(*run, id);
  }
}

// A stage that does not close in time is destroyed with its engine, and its processes with it. One
// that fails to close is named, and does not keep the others open.
task<> engine::implementation::close_stages() {
  loop_->refresh_now();
  std::chrono::nanoseconds limit = close_limit;
  if (stop_deadline_) {
    const auto left = *stop_deadline_ + close_after_deadline - loop_->now();
    limit = std::clamp<std::chrono::nanoseconds>(left, stopped_close_min, close_limit);
  }
  deadline_scope patience(limit);
  for (auto& stage : stages_) {
    if (!stage->body) continue;
    try {
      co_await stage->body->close();
    } catch (const cancelled&) {
      if (!patience.caused_cancellation()) throw;
    } catch (const std::exception& failed) {
      stop_now(1, failed.what());
    }
  }
}

// What fails to close does not keep the others open. Where it was not required nobody minds.
task<> engine::implementation::close_one(task<> closing, bool required) {
  try {
    co_await std::move(closing);
  } catch (const std::exception& failed) {
    close_failed(failed.what(), required);
  }
}

void engine::implementation::close_failed(const std::string& why, bool required) {
  if (required) {
    stop_now(1, why);
  } else {
    notice(why);
  }
}

task<> engine::implementation::close_all() {
  bool sound = !journal_broken_ && stop_code_ != 1;
  for (const auto& stage : stages_) sound = sound && !(stage->is_sink() && stage->end->writing);
  co_await close_stages();
  for (const auto& stage : stages_) {
    if (stage->is_sink()) co_await close_sink(*stage, sound);
  }
  co_await close_one(plan.from->close(), true);
}

// A sink that is down has its marks when it is there again.
task<> engine::implementation::close_sink(stage_run& stage, bool sound) {
  sink& to = *stage.end->to;
  const bool is_down = stage.end->outage_since.has_value();
  if (to.transactional() && sound && !is_down) co_await commit_last_marks(stage);
  co_await close_one(to.close(), stage.end->required);
}

// What the last batch did not bring along. The ledger knows it as well, so a sink that goes down
// now, or says nothing until the deadline, is no failure of the run.
task<> engine::implementation::commit_last_marks(stage_run& stage) {
  const std::vector<partition_mark> marks = marks_with(stage, {});
  if (marks.empty()) co_return;
  loop_->refresh_now();
  std::chrono::nanoseconds limit = close_limit;
  if (stop_deadline_) {
    limit = std::clamp<std::chrono::nanoseconds>(*stop_deadline_ - loop_->now(), stopped_close_min,
                                                 close_limit);
  }
  std::string why;
  try {
    auto committing = stage.end->to->commit_marks(marks);
    co_await timeout(limit, std::move(committing));
  } catch (const sink_down& down) {
    why = down.what();
  } catch (const timed_out& late) {
    why = late.what();
  } catch (const std::exception& failed) {
    close_failed(failed.what(), stage.end->required);
  }
  if (why.empty()) co_return;
  why = "sink '" + stage.name + "' has not got the last marks: " + why;
  if (journal_ == nullptr) {
    close_failed(why, stage.end->required);
  } else {
    notice(why);
  }
}

int engine::implementation::exit_code() const {
  const auto count = [&](outcome result) { return settled_[static_cast<std::size_t>(result)]; };
  if (stop_code_ != 0) return stop_code_;
  const bool cut_short = plan.from->finite() && !source_ended_;
  if (cut_short || count(outcome::returned) != 0) return 5;
  if (count(outcome::dead_lettered) != 0 || count(outcome::dropped) != 0) return 3;
  return 0;
}

void engine::implementation::notice(std::string_view line) const {
  if (plan.observer.on_notice) plan.observer.on_notice(line);
}

task<> engine::implementation::report_progress() {
  if (!plan.observer.on_progress) co_return;
  for (;;) {
    co_await sleep_for(plan.observer.progress_every);
    std::exception_ptr failed;
    try {
      plan.observer.on_progress(look());
    } catch (...) {
      failed = std::current_exception();
    }
    if (!failed) continue;
    stop_now(1, "progress: " + error_text(failed));
    co_return;
  }
}

double engine::implementation::seconds_since_start() const {
  if (loop_ == nullptr) return 0;  // not begun
  return std::chrono::duration<double>(loop_->now() - started_).count();
}

report engine::implementation::account() const {
  report result;
  result.pipeline = plan.name;
  result.taken = taken_;
  result.settled = settled_;
  result.sources = sources_;
  for (const detail::link* node = live_.front(); node != live_.end(); node = node->next) {
    const item& work = *static_cast<const item::hook*>(node)->self;
    if (work.is_child() || work.joined != nullptr) continue;
    ++result.in_flight;
    ++result.sources[partition_source_[work.partition]].in_flight;
  }
  result.seconds = seconds_since_start();
  for (const auto& stage : stages_) {
    stage_report line;
    line.name = stage->name;
    line.in = stage->in;
    line.born = stage->born;
    line.passed = stage->passed;
    line.settled = stage->settled;
    line.in_flight = stage->walk();
    line.retries = stage->retries;
    line.workers = stage->workers;
    line.workers_wanted = stage->wanted;
    result.retries += stage->retries;
    result.stages.push_back(std::move(line));
  }
  result.dead_letters = dead_letters_;
  result.error = stop_reason_;
  return result;
}

progress engine::implementation::look() const {
  progress result;
  result.taken = taken_;
  result.settled = settled_;
  std::uint64_t done = 0;
  for (const std::uint64_t count : settled_) done += count;
  result.in_flight = taken_ - done;
  for (const auto& stage : stages_) result.retrying += stage->walk_retries();
  result.units_before = units_before_;
  // What is taken is not done: those in flight count as much as their fellows, on the whole.
  const double share = taken_ == 0 ? 0 : static_cast<double>(done) / static_cast<double>(taken_);
  result.units_done =
      units_before_ + static_cast<std::uint64_t>(static_cast<double>(units_taken_) * share);
  result.units_total = plan.from->size_total().value_or(0);
  result.seconds = seconds_since_start();
  return result;
}

void fault_point(std::string_view point) {
  static const char* const chosen = std::getenv("BRIGADE_DIE_AT");
  if (chosen == nullptr) return;
  std::string_view name = chosen;
  int nth = 1;
  if (const std::size_t colon = name.find(':'); colon != std::string_view::npos) {
    nth = std::atoi(chosen + colon + 1);
    name = name.substr(0, colon);
  }
  static int passed = 0;
  if (name == point && ++passed == nth) ::kill(::getpid(), SIGKILL);
}

}  // namespace brigade
