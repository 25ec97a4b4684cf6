#include <brigade/async/loop.hpp>
#include <brigade/pipeline/status.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <numeric>
#include <utility>

namespace brigade {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

void time_histogram::add(std::chrono::nanoseconds span) noexcept {
  const double seconds = std::chrono::duration<double>(std::max(span, 0ns)).count();
  std::size_t at = 0;
  while (at < bounds.size() && seconds > bounds[at]) ++at;
  ++counts[at];
  sum += seconds;
}

std::uint64_t time_histogram::count() const {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

namespace {

/// Behind the longest timeout: what ran into it has to come to its end, too.
constexpr auto behind_timeout = 5s;

std::string whole_seconds(double seconds) { return fmt::format("{:.0f} s", seconds); }

/// Who holds it up, as far as one can tell from outside.
std::string culprit(const run_status& now) {
  const stage_status* slowest = nullptr;
  for (const stage_status& stage : now.stages) {
    if (stage.busy.empty()) continue;
    const bool longer =
        slowest == nullptr || stage.busy.front().seconds > slowest->busy.front().seconds;
    if (longer) slowest = &stage;
  }
  if (slowest == nullptr) return "nobody works on any item";
  const worker_status& oldest = slowest->busy.front();
  std::string text =
      fmt::format("{} '{}' has {} in work since {}", slowest->is_sink ? "sink" : "stage",
                  slowest->name, oldest.item, whole_seconds(oldest.seconds));
  if (!oldest.waits_for.empty()) text += " (waits: " + oldest.waits_for + ")";
  return text;
}

std::string pauses_text(const run_status& now) {
  std::string text;
  for (const pause_status& pause : now.pauses) {
    if (!pause.stops_intake) continue;
    text += fmt::format("{}{}: {} (since {})", text.empty() ? "" : "; ", pause.reason, pause.text,
                        whole_seconds(pause.seconds));
  }
  return text;
}

}  // namespace

health liveness(const run_status& now, std::chrono::milliseconds stuck_after) {
  if (now.phase != status_phase::running) return {true, std::string(to_string(now.phase))};
  const auto patience = now.attempt_timeout_max.count() == 0
                            ? stuck_after
                            : std::max<std::chrono::milliseconds>(
                                  stuck_after, now.attempt_timeout_max + behind_timeout);
  const double limit = std::chrono::duration<double>(patience).count();
  if (now.silent >= limit) {
    return {false,
            fmt::format("stuck: something has held the loop's thread for {}; before that, {}",
                        whole_seconds(now.silent), culprit(now))};
  }
  if (now.stalled < limit) return {true, "alive"};
  if (!now.waits_because.empty()) {
    return {true, fmt::format("alive; nothing has moved for {}, and should not: {}",
                              whole_seconds(now.stalled), now.waits_because)};
  }
  if (now.in_flight == 0) {
    return {false, fmt::format("stuck: {} outcomes have not become durable for {}",
                               now.window_items, whole_seconds(now.stalled))};
  }
  return {false, fmt::format("stuck: {} items are in flight and nothing has moved for {}; {}",
                             now.in_flight, whole_seconds(now.stalled), culprit(now))};
}

health readiness(const run_status& now) {
  if (now.phase != status_phase::running) {
    const std::string why = now.error.empty() ? "" : ": " + now.error;
    return {false, fmt::format("not ready: {}{}", to_string(now.phase), why)};
  }
  const std::string paused = pauses_text(now);
  if (!paused.empty()) return {false, "not ready: paused: " + paused};
  return {true, "ready"};
}

// Shared with what was posted to a loop, which may outlive the board.
struct status_board::state {
  std::mutex mutex;
  std::condition_variable answered;
  std::shared_ptr<detail::mailbox> box;  ///< of the loop; none: nobody runs
  const loop* where = nullptr;
  std::function<run_status()> take;  ///< called and changed on the loop's thread only
  run_status last;
  clock::time_point taken_at = clock::now();
  std::optional<clock::time_point> asked_at;  ///< and not answered
  std::atomic<clock::rep> beat_at{0};

  void beat() noexcept { beat_at = clock::now().time_since_epoch().count(); }
  void keep(run_status status) {
    const std::lock_guard lock(mutex);
    last = std::move(status);
    taken_at = clock::now();
    asked_at.reset();
    answered.notify_all();
  }
  void answer() {
    beat();
    if (take) keep(take());
  }
  /// With the lock held.
  [[nodiscard]] run_status as_of(clock::time_point now) const {
    run_status status = last;
    status.age = std::chrono::duration<double>(now - taken_at).count();
    if (!box) return status;
    const clock::duration since = now.time_since_epoch() - clock::duration(beat_at.load());
    status.silent = std::max(0.0, std::chrono::duration<double>(since).count());
    return status;
  }
};

status_board::status_board() : state_(std::make_shared<state>()) {}
status_board::~status_board() = default;

run_status status_board::look(std::chrono::milliseconds patience) const {
  state& own = *state_;
  std::unique_lock lock(own.mutex);
  if (!own.box) return own.as_of(clock::now());
  if (own.where == loop::current_if_any()) {
    lock.unlock();
    own.answer();
    lock.lock();
    return own.as_of(clock::now());
  }
  const auto now = clock::now();
  if (now - own.taken_at <= fresh_for) return own.as_of(now);
  if (!own.asked_at) {
    own.asked_at = now;
    own.box->post([shared = state_] { shared->answer(); });
  }
  const auto deadline = *own.asked_at + patience;
  own.answered.wait_until(lock, deadline, [&] { return !own.asked_at; });
  return own.as_of(clock::now());
}

void status_board::attach(loop& where, std::function<run_status()> take) {
  run_status first = take();
  const std::lock_guard lock(state_->mutex);
  state_->take = std::move(take);
  state_->box = where.mailbox();
  state_->where = &where;
  state_->last = std::move(first);
  state_->taken_at = clock::now();
  state_->beat();
}

void status_board::beat() noexcept { state_->beat(); }

void status_board::detach(run_status last) {
  state_->keep(std::move(last));
  const std::lock_guard lock(state_->mutex);
  state_->take = nullptr;
  state_->box.reset();
  state_->where = nullptr;
}

}  // namespace brigade
