// How many workers a stage with a range of them should have: a climb by measured throughput.
//
//   more     items wait for a worker: twice as many are tried; they stay when the throughput rises
//            by a tenth or more, else the stage goes back
//   fewer    now and then half as many are tried, and stay when nothing is lost by it; and when
//            nothing has waited for a while, those that had nothing to do go
//
// What it judges by is throughput, not latency or load, so it needs not know what the work waits
// for: a processor that is busy, a service that answers no faster, a full queue further on. A trial
// lasts until the difference stands out of the noise. What a trial has shown holds for twice as
// long each time it is shown again, so a steady load sees ever fewer of them.
//
// Pure: it is told the time and what is to be seen, and says how many.
#pragma once
#include <brigade/async/detail/timer.hpp>
#include <brigade/pipeline/report.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace brigade::detail {

/// Counts over time, in a few stretches: how fast, and how sure that is.
class rate_meter {
 public:
  static constexpr std::size_t stretches_max = 16;

  void begin(time_point now, std::uint64_t done, bool waiting);
  void add(time_point now, std::uint64_t done, bool waiting);
  [[nodiscard]] double rate() const;
  /// The square of the relative error that the counts' own scatter makes likely.
  [[nodiscard]] double variance() const;
  [[nodiscard]] std::uint64_t count() const { return done_ - done_at_first_; }
  [[nodiscard]] std::chrono::nanoseconds elapsed() const { return now_ - began_; }
  [[nodiscard]] std::uint64_t looks() const { return looks_; }
  /// The share of looks at which something waited for a worker.
  [[nodiscard]] double waiting() const {
    return looks_ == 0 ? 1 : static_cast<double>(waited_) / static_cast<double>(looks_);
  }

 private:
  struct stretch {
    double items = 0;
    double seconds = 0;
  };
  void merge_pairs();

  time_point began_;
  time_point now_;
  std::uint64_t done_at_first_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t looks_ = 0;
  std::uint64_t waited_ = 0;
  std::vector<stretch> stretches_;  ///< the last one may be unfinished
  std::size_t looks_per_stretch_ = 1;
  std::size_t looks_in_last_ = 0;
};

class worker_scaler {
 public:
  struct sight {
    time_point now;
    std::uint64_t done = 0;  ///< attempts that succeeded, in all
    bool waiting = false;    ///< an item waits, and all it needs is a worker
    int busy = 0;            ///< workers that are at work
    std::span<const worker_report> workers;
  };
  worker_scaler(int least, int most) : least_(least), most_(most), wanted_(least) {}

  /// Called every `look_every`, more or less.
  static constexpr std::chrono::milliseconds look_every{10};
  [[nodiscard]] int look(const sight& seen);
  [[nodiscard]] int wanted() const { return wanted_; }

 private:
  enum class course : std::uint8_t { steady, trying_more, trying_fewer };
  /// When the next trial in a direction is due, and how long its result will hold.
  struct patience {
    std::chrono::nanoseconds hold{};
    time_point until{};
    void renew(time_point now);
  };
  enum class verdict : std::uint8_t { open, yes, no };

  void be_steady(const sight& seen);
  void try_out(const sight& seen);
  void begin_trial(const sight& seen, course how, int workers);
  void end_trial(const sight& seen, bool stays);
  void notice_change(const sight& seen);
  void let_the_idle_go(const sight& seen);
  void start_over(const sight& seen);
  [[nodiscard]] bool has_settled(const sight& seen) const;
  [[nodiscard]] bool is_measured(const rate_meter& meter) const;
  /// Whether the trial's throughput is more than `factor` times what it was before.
  [[nodiscard]] verdict exceeds(double factor) const;

  int least_;
  int most_;
  int wanted_;
  bool begun_ = false;
  course course_ = course::steady;
  rate_meter meter_;
  rate_meter before_;       ///< a trial: what it is compared with
  int workers_before_ = 0;  ///< a trial: where it goes back to
  bool settled_ = false;    ///< a trial: its workers are all in the middle of their work
  time_point trial_began_;
  std::uint64_t done_at_trial_ = 0;
  std::vector<std::uint64_t> items_at_trial_;  ///< of each worker
  double best_ = 0;              ///< throughput that fewer workers must still come near
  std::optional<double> usual_;  ///< throughput with as many workers as now
  patience more_;
  patience fewer_;

  time_point quiet_since_;
  std::uint64_t quiet_looks_ = 0;
  std::uint64_t quiet_waited_ = 0;
  int peak_ = 0;
};

}  // namespace brigade::detail
