/// How a run is going: one live line on a terminal, or a line in the log every ten seconds.
///
/// Rendering is pure, so that tests need neither a terminal nor time. Nothing here waits, and time
/// is what the snapshots say. Thread safety: one thread.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace brigade::cli {

/// A run as it is now.
struct progress_snapshot {
  std::uint64_t taken = 0;
  std::uint64_t delivered = 0;
  std::uint64_t filtered = 0;
  std::uint64_t dead_lettered = 0;
  std::uint64_t dropped = 0;
  std::uint64_t in_flight = 0;
  std::uint64_t retrying = 0;      ///< of those in flight: waiting for their next attempt
  double rate = 0;                 ///< items settled a second, lately
  std::uint64_t bytes_done = 0;    ///< of the source, with those of the runs before
  std::uint64_t bytes_before = 0;  ///< of those: done when this run began
  std::optional<std::uint64_t> bytes_total{};  ///< when the source knows it
  double seconds = 0;                          ///< since the run began

  [[nodiscard]] std::uint64_t done() const {
    return delivered + filtered + dead_lettered + dropped;
  }
};

/// At most `width` columns, no newline; what matters least is left out first.
[[nodiscard]] std::string progress_bar(std::string_view name, const progress_snapshot& now,
                                       std::size_t width);
/// `orders: 6120 done, 1234/s, in flight 64, failed 3, retrying 2, 0:12`
[[nodiscard]] std::string progress_line(std::string_view name, const progress_snapshot& now);

enum class progress_mode : std::uint8_t { automatic, bar, log, none };

/// Where progress is shown.
struct progress_output {
  std::function<void(std::string_view)> write;
  std::function<std::size_t()> width;  ///< columns, as of now
  bool is_terminal = false;
};
/// The process's stderr.
[[nodiscard]] progress_output stderr_output();

class progress_display {
 public:
  progress_display(progress_mode mode, std::string name, progress_output output);
  ~progress_display();  ///< takes the live line away
  progress_display(const progress_display&) = delete;
  progress_display& operator=(const progress_display&) = delete;

  /// Redraws the live line; in log mode writes one when ten seconds have passed. Call it a few
  /// times a second.
  void update(const progress_snapshot& now);
  /// Writes a line of the log; the live line stays below it.
  void log(std::string_view line);
  /// Takes the live line away. The next `update` draws it again.
  void clear();

 private:
  progress_mode mode_;
  std::string name_;
  progress_output output_;
  std::string drawn_;  // the live line, when there is one
  double next_line_seconds_;
};

}  // namespace brigade::cli
