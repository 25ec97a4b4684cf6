// From the source into the first queue, as far as the window allows.
#include "pipeline/engine_state.hpp"

#include <brigade/async/timeout.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace brigade {

using detail::item;
using detail::run_phase;

namespace {
// How many items are asked of the source at once: enough to pay for a read, few enough to stop
// soon.
constexpr std::size_t read_items_max = 512;
}  // namespace

task<> engine::implementation::intake() {
  {
    cancel_scope scope;
    const detail::lent_scope lent(intake_scope_, scope);
    std::exception_ptr failed;
    try {
      bool more = true;
      while (more && phase_ == run_phase::running) more = co_await take_some();
      source_ended_ = !more;
    } catch (const cancelled&) {
      // One that the source threw by itself must not take the intake along.
      if (!scope.caused_cancellation() && loop_->running()->interrupted()) {
        plan.from->stopping();
        throw;
      }
      if (!scope.caused_cancellation()) failed = std::current_exception();
    } catch (const std::exception&) {
      failed = std::current_exception();
    }
    if (!source_ended_) plan.from->stopping();
    if (failed) stop_now(1, "source '" + plan.source_name + "': " + error_text(failed));
  }
  // What was read but never put into the first queue has not been started: it goes back, unless it
  // could not be asked for again; then it is finished like what is under way. So is the one that
  // waits for room when the source has no end: a run that is drained has then nothing to return.
  if (plan.from->replayable()) in_hand_ = {};
  if (!plan.from->replayable() || !plan.from->finite()) co_await take_in_hand();
  in_hand_ = {};
  if (arriving_ != nullptr) {
    settle(*std::exchange(arriving_, nullptr), outcome::returned, plan.source_name,
           "stopped before it was started");
  }
  upstream_ended(*stages_.front());
}

task<bool> engine::implementation::take_some() {
  while (!window_open()) {
    window_moved_.clear();
    co_await window_moved_.wait();
  }
  const std::size_t unread = plan.outcomes ? plan.outcomes->unread() : 0;
  const std::size_t room = plan.rules.window_items_max - window_items_ - unread;
  std::vector<source_item> taken = co_await plan.from->read(std::min(room, read_items_max));
  if (taken.empty()) co_return false;
  learn_partitions();
  co_await keep_state_before_items();
  in_hand_ = detail::taken_items(std::move(taken));
  co_await take_in_hand();
  co_return true;
}

task<> engine::implementation::take_in_hand() {
  while (arriving_ != nullptr || !in_hand_.empty()) {
    if (arriving_ == nullptr) {
      while (!window_open()) {
        window_moved_.clear();
        co_await window_moved_.wait();
      }
      if (phase_ != run_phase::running && plan.from->replayable()) co_return;
      arriving_ = receive(in_hand_.take());
      if (arriving_ == nullptr) continue;
    }
    const int start =
        arriving_->replay == nullptr ? 0 : std::max(arriving_->replay->stage_index, 0);
    stage_run& entry = *stages_[static_cast<std::size_t>(start)];
    if (entry.selective) [[unlikely]] {
      while (!key_has_room(*arriving_)) {
        window_moved_.clear();
        co_await window_moved_.wait();
      }
      co_await enter(nullptr, entry, arriving_);
    } else {
      co_await entry.input.put_from(arriving_);  // and accounted for in the same step
      arrive(entry, *std::exchange(arriving_, nullptr));
    }
  }
}

bool engine::implementation::window_open() const {
  const std::size_t unread = plan.outcomes ? plan.outcomes->unread() : 0;
  return window_items_ + unread < plan.rules.window_items_max &&
         window_bytes_ < plan.rules.window_bytes_max;
}

void engine::implementation::learn_partitions() {
  const std::vector<std::string>& known = plan.from->partitions();
  if (partitions_.size() < known.size()) {
    partitions_.resize(known.size());
    watermarks_.resize(known.size(), watermark(mark{}));
    finished_before_.resize(known.size());
    partition_source_.resize(known.size());
    while (names_.size() < known.size()) names_.emplace_back(std::string(), std::string());
  }
  for (std::size_t index = 0; index < known.size(); ++index) {
    if (partitions_[index] != known[index]) learn_partition(index, known[index]);
  }
}

void engine::implementation::learn_partition(std::size_t index, const std::string& name) {
  const auto mark_of = [](const std::vector<partition_mark>& marks, const std::string& partition) {
    for (const partition_mark& entry : marks) {
      if (entry.partition == partition) return std::optional<mark>(entry.at);
    }
    return std::optional<mark>();
  };
  std::optional<mark> finished = mark_of(resume_.finished, name);
  const mark accounted = mark_of(resume_.accounted, name).value_or(mark{});
  units_before_ += accounted.low;
  for (const mark::range& above : accounted.above) units_before_ += above.end - above.begin;
  const auto gaps = plan.replay ? watermark::gaps::stay : watermark::gaps::bridged;
  watermarks_[index] = watermark(accounted, gaps);
  if (finished == accounted) finished.reset();
  finished_before_[index] = std::move(finished);
  partitions_[index] = name;
  names_[index] = detail::item_names(plan.name, name);
  partition_source_[index] = source_of(name);
}

bool engine::implementation::note_source(source::state_kept when) {
  source_note note;
  note.state = plan.from->changed_state(when);
  learn_partitions();
  const std::vector<std::uint32_t> over = plan.from->take_forgotten();
  for (const std::uint32_t index : over) {
    note.forgotten.push_back(partitions_[index]);
    forget_partition(index);
  }
  const bool changed = note.state.has_value();
  if (journal_ != nullptr && (changed || !over.empty())) journal_->keep_with_next(std::move(note));
  return changed;
}

void engine::implementation::forget_partition(std::uint32_t index) {
  BRIGADE_ASSERT(watermarks_[index].unfinished() == 0, "a partition with items was forgotten");
  for (auto& stage : stages_) {
    if (!stage->is_sink() || !stage->end->to->transactional()) continue;
    stage->end->forgotten.push_back(partitions_[index]);
  }
  partitions_[index].clear();
  watermarks_[index] = watermark(mark{});
  finished_before_[index].reset();
}

// Should the program be killed when a sink has marks of a partition, the state must say which
// partition that is. Cancelled: the items are not received; the source gives them again.
task<> engine::implementation::keep_state_before_items() {
  if (!note_source(source::state_kept::before_items)) co_return;
  if (journal_ == nullptr || journal_broken_) co_return;
  record_outbox();
  const std::uint64_t number = in_journal_.back().number;
  while (!in_journal_.empty() && in_journal_.front().number <= number) {
    window_moved_.clear();
    co_await window_moved_.wait();
  }
}

// A partition is named `<source>:<token>`.
std::size_t engine::implementation::source_of(const std::string& partition) {
  const std::string name = partition.substr(0, partition.find(':'));
  const auto same = std::ranges::find(sources_, name, &source_report::name);
  const auto at = static_cast<std::size_t>(same - sources_.begin());
  if (same == sources_.end()) sources_.push_back(source_report{name, 0, {}, 0});
  return at;
}

void detail::item::make_key() const {
  std::array<char, 20> digits{};
  char* const stop = std::to_chars(digits.data(), digits.data() + digits.size(), begin).ptr;
  key_.reserve(names->front.size() + digits.size());
  key_.append(names->front).append(digits.data(), stop);
}

// The item, or none when it is settled already.
item* engine::implementation::receive(source_item taken) {
  auto* made = new item(std::move(taken.value));
  ++taken_;
  ++sources_[partition_source_[taken.partition]].taken;
  units_taken_ += taken.end - taken.begin;
  made->partition = taken.partition;
  made->begin = taken.begin;
  made->end = taken.end;
  made->taken = loop_->now();
  made->taken_at = wall_now();
  made->bytes = made->value.bytes();
  window_items_ += 1;
  window_bytes_ += made->bytes;
  live_.push_back(&made->live);
  if (plan.replay) made->replay = plan.replay(taken.begin);
  made->names = &names_[taken.partition];
  if (taken.id) made->set_key(plan.name + ":" + *taken.id);
  if (made->replay != nullptr) made->set_key(plan.name + ":" + made->replay->id);
  if (!taken.undecodable) taken.undecodable = name_item(*made);
  made->slot = watermarks_[taken.partition].taken(taken.begin, taken.end);
  const auto& before = finished_before_[taken.partition];
  if (before && before->finished(taken.begin)) {
    // The sink had it before the ledger could say so: the account is completed, no work is done.
    settle(*made, outcome::delivered, stages_.back()->name, {});
    return nullptr;
  }
  if (!taken.undecodable) taken.undecodable = order_item(*made);
  if (!taken.undecodable) return made;
  bury_at_source(*made, *taken.undecodable);
  return nullptr;
}

// An item that its user's function cannot name or order is dead: it would be so at every start.
std::optional<std::string> engine::implementation::name_item(item& made) {
  try {
    if (plan.business_id) made.business_id = plan.business_id(made.value);
    return std::nullopt;
  } catch (const std::exception& failed) {
    return std::string("its id: ") + failed.what();
  }
}

std::optional<std::string> engine::implementation::order_item(item& made) {
  try {
    learn_order(made);
    return std::nullopt;
  } catch (const std::exception& failed) {
    return std::string("its key: ") + failed.what();
  }
}

void engine::implementation::bury_at_source(item& made, const std::string& error) {
  made.attempts = 1;
  auto dead = std::make_unique<letter>();
  dead->payload = dead->source_payload = made.value.text();
  dead->stage_index = -1;
  if (plan.observer.on_failure) {
    plan.observer.on_failure({made.id(), "source", error, 1, true});
  }
  settle(made, outcome::dead_lettered, "source", error, std::move(dead));
}

}  // namespace brigade
