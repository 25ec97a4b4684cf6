#include "pipeline/worker_scaler.hpp"

#include <algorithm>
#include <cmath>

namespace brigade::detail {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

namespace {

// What more workers have to bring, and what fewer may cost.
constexpr double gain_min = 1.1;
constexpr double loss_max = 0.95;
constexpr double loss_of_best_max = 0.9;
// A step that brought less than this is soon looked at from the other side.
constexpr double gain_clear = 1.5;
constexpr double change_min = 1.3;

// A difference counts when it is so many times its likely error. One too many is tried away again,
// one too few is only missed: that a trial brings nothing has to be surer.
constexpr double sigmas_yes = 1.5;
constexpr double sigmas_no = 2;
constexpr double error_of_start_max = 0.25;
constexpr std::uint64_t looks_min = 8;
constexpr nanoseconds start_max = 1s;
constexpr nanoseconds trial_max = 5s;
constexpr nanoseconds settle_max = 2s;

// Of the looks: from this share on a stage is short of workers, up to this one it has enough.
constexpr double waiting_much = 0.8;
constexpr double waiting_half = 0.5;
constexpr double waiting_little = 0.1;

constexpr nanoseconds hold_min = 2s;
constexpr nanoseconds hold_long = 60s;
constexpr nanoseconds hold_max = 120s;
constexpr nanoseconds usual_span = 5s;

constexpr nanoseconds quiet_span = 5s;
// Beside those who were at work, one for so many of them stays as a reserve.
constexpr int reserve_one_in = 4;

double seconds(nanoseconds span) { return std::chrono::duration<double>(span).count(); }

}  // namespace

// --- the meter ---

void rate_meter::begin(time_point now, std::uint64_t done, bool waiting) {
  began_ = now_ = now;
  done_at_first_ = done_ = done;
  looks_ = 1;
  waited_ = waiting ? 1 : 0;
  stretches_.clear();
  looks_per_stretch_ = 1;
  looks_in_last_ = 0;
}

void rate_meter::add(time_point now, std::uint64_t done, bool waiting) {
  ++looks_;
  waited_ += waiting ? 1 : 0;
  if (looks_in_last_ == 0) {
    if (stretches_.size() == stretches_max) merge_pairs();
    stretches_.emplace_back();
  }
  stretches_.back().items += static_cast<double>(done - done_);
  stretches_.back().seconds += seconds(now - now_);
  looks_in_last_ = (looks_in_last_ + 1) % looks_per_stretch_;
  now_ = now;
  done_ = done;
}

void rate_meter::merge_pairs() {
  for (std::size_t n = 0; n < stretches_.size() / 2; ++n) {
    const stretch& one = stretches_[2 * n];
    const stretch& other = stretches_[2 * n + 1];
    stretches_[n] = {one.items + other.items, one.seconds + other.seconds};
  }
  stretches_.resize(stretches_.size() / 2);
  looks_per_stretch_ *= 2;
}

double rate_meter::rate() const {
  const double span = seconds(elapsed());
  return span == 0 ? 0 : static_cast<double>(count()) / span;
}

// Of the scatter of the stretches around what the rate makes expected, and of a count's own grain.
double rate_meter::variance() const {
  const auto items = static_cast<double>(count());
  if (items == 0 || stretches_.size() < 2) return 1;
  double scatter = 0;
  for (const stretch& each : stretches_) {
    const double expected = rate() * each.seconds;
    if (expected == 0) continue;
    scatter += (each.items - expected) * (each.items - expected) / expected;
  }
  scatter /= static_cast<double>(stretches_.size() - 1);
  return scatter / items + 1 / (items * items);
}

// --- the scaler ---

void worker_scaler::patience::renew(time_point now) {
  until = now + hold;
  hold = std::min(hold * 2, hold_max);
}

int worker_scaler::look(const sight& seen) {
  if (!begun_) {
    begun_ = true;
    start_over(seen);
    quiet_since_ = seen.now;
    return wanted_;
  }
  if (course_ == course::steady) {
    be_steady(seen);
  } else {
    try_out(seen);
  }
  let_the_idle_go(seen);
  return wanted_;
}

// With a load it has not seen before: what trials have shown holds no more.
void worker_scaler::start_over(const sight& seen) {
  more_ = {hold_min, seen.now};
  fewer_ = {hold_min, seen.now + hold_min};
  best_ = 0;
  usual_.reset();
  course_ = course::steady;
  meter_.begin(seen.now, seen.done, seen.waiting);
}

bool worker_scaler::is_measured(const rate_meter& meter) const {
  const auto items_min = static_cast<std::uint64_t>(std::max(2, wanted_));
  if (meter.looks() <= looks_min || meter.count() < items_min) return false;
  return meter.elapsed() >= start_max || meter.variance() < error_of_start_max * error_of_start_max;
}

void worker_scaler::be_steady(const sight& seen) {
  meter_.add(seen.now, seen.done, seen.waiting);
  if (meter_.looks() >= looks_min && meter_.waiting() < waiting_much) {
    meter_.begin(seen.now, seen.done, seen.waiting);
    return;
  }
  if (!is_measured(meter_)) return;
  if (wanted_ < most_ && seen.now >= more_.until) {
    return begin_trial(seen, course::trying_more, std::min(wanted_ * 2, most_));
  }
  if (wanted_ > least_ && seen.now >= fewer_.until) {
    return begin_trial(seen, course::trying_fewer, std::max(wanted_ / 2, least_));
  }
  if (meter_.elapsed() >= usual_span) notice_change(seen);
}

// The throughput of as many workers is not what it was: what they do has changed.
void worker_scaler::notice_change(const sight& seen) {
  const double rate = meter_.rate();
  const double limit = std::log(change_min) + sigmas_no * std::sqrt(2 * meter_.variance());
  if (usual_ && std::abs(std::log(rate / *usual_)) > limit) return start_over(seen);
  if (!usual_) usual_ = rate;
  meter_.begin(seen.now, seen.done, seen.waiting);
}

void worker_scaler::begin_trial(const sight& seen, course how, int workers) {
  before_ = meter_;
  workers_before_ = wanted_;
  wanted_ = workers;
  course_ = how;
  settled_ = false;
  trial_began_ = seen.now;
  done_at_trial_ = seen.done;
  items_at_trial_.clear();
  for (const worker_report& each : seen.workers) items_at_trial_.push_back(each.items);
}

// The first items that new workers end are the quick ones, so the throughput of the first moments
// says nothing. Once each has ended one, all are in the middle of something.
bool worker_scaler::has_settled(const sight& seen) const {
  if (seen.now - trial_began_ < look_every) return false;
  int moved = 0;
  for (std::size_t id = 0; id < seen.workers.size(); ++id) {
    const std::uint64_t before = id < items_at_trial_.size() ? items_at_trial_[id] : 0;
    if (seen.workers[id].items != before) ++moved;
  }
  if (moved >= wanted_) return true;
  const auto many = static_cast<std::uint64_t>(wanted_) * 4;
  return seen.now - trial_began_ >= settle_max && seen.done - done_at_trial_ >= many;
}

worker_scaler::verdict worker_scaler::exceeds(double factor) const {
  if (meter_.looks() <= looks_min || before_.rate() == 0) return verdict::open;
  if (meter_.count() < static_cast<std::uint64_t>(std::max(2, wanted_))) return verdict::open;
  const double margin = std::log(meter_.rate() / before_.rate()) - std::log(factor);
  const double error =
      std::sqrt(meter_.variance() + before_.variance()) * (margin > 0 ? sigmas_yes : sigmas_no);
  const auto patient_until = static_cast<std::uint64_t>(wanted_) * 2 + 2;
  const bool late = meter_.elapsed() >= trial_max && meter_.count() >= patient_until;
  if (std::abs(margin) < error && !late) return verdict::open;
  return margin > 0 ? verdict::yes : verdict::no;
}

void worker_scaler::try_out(const sight& seen) {
  if (!settled_) {
    settled_ = has_settled(seen);
    meter_.begin(seen.now, seen.done, seen.waiting);
    return;
  }
  meter_.add(seen.now, seen.done, seen.waiting);
  if (meter_.looks() > looks_min && meter_.waiting() < waiting_half) return end_trial(seen, true);
  const bool more = course_ == course::trying_more;
  const verdict found = exceeds(more ? gain_min : loss_max);
  if (found == verdict::open) return;
  const bool near_best = more || meter_.rate() >= best_ * loss_of_best_max;
  end_trial(seen, found == verdict::yes && near_best);
}

void worker_scaler::end_trial(const sight& seen, bool stays) {
  const bool more = course_ == course::trying_more;
  const double gain = before_.rate() == 0 ? 0 : meter_.rate() / before_.rate();
  course_ = course::steady;
  patience& same = more ? more_ : fewer_;
  if (!stays) {
    wanted_ = workers_before_;
    same.renew(seen.now);
    if (more && fewer_.until < seen.now + hold_min) fewer_.until = seen.now + hold_min;
    meter_.begin(seen.now, seen.done, seen.waiting);
    return;
  }
  usual_.reset();
  if (more) {
    best_ = 0;
    more_ = {hold_min, seen.now};
    const nanoseconds hold = gain < gain_clear ? hold_min : hold_long;
    fewer_ = {hold, seen.now + hold};
    return;  // what was measured is what the next trial is compared with
  }
  best_ = std::max(best_, before_.rate());
  fewer_ = {hold_min, seen.now + hold_min};
  more_.until = std::max(more_.until, seen.now + hold_long);
  meter_.begin(seen.now, seen.done, seen.waiting);
}

void worker_scaler::let_the_idle_go(const sight& seen) {
  ++quiet_looks_;
  quiet_waited_ += seen.waiting ? 1 : 0;
  peak_ = std::max(peak_, seen.busy);
  if (seen.now - quiet_since_ < quiet_span) return;
  const double waiting = static_cast<double>(quiet_waited_) / static_cast<double>(quiet_looks_);
  const int enough = std::max(least_, peak_ + peak_ / reserve_one_in);
  if (waiting < waiting_little && enough < wanted_) {
    wanted_ = enough;
    start_over(seen);
  }
  quiet_since_ = seen.now;
  quiet_looks_ = quiet_waited_ = 0;
  peak_ = 0;
}

}  // namespace brigade::detail
