/// Failures in the log, with a limit: the first ten of a kind in full, then counts.
///
/// A kind is a stage and the shape of an error: the same words with other numbers are alike. So a
/// million failing items cannot bury the one failure that is different.
///
/// Time is what the caller says, in seconds since the run began. Thread safety: one thread.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace brigade::cli {

/// One failed attempt, or the last one.
struct failure_event {
  std::string_view stage;
  std::string_view id;  ///< of the item
  std::string_view error;
  int attempts = 0;         ///< completed ones, with this one
  bool final = false;       ///< the item is dead-lettered; else it will be tried again
  bool is_dropped = false;  ///< it is final, and dropped: there is no letter of it
};

class failure_log {
 public:
  using emit_line = std::function<void(const std::string&)>;
  explicit failure_log(emit_line emit) : emit_(std::move(emit)) {}

  void add(const failure_event& event);
  /// Every ten seconds, says how many more there were; call it as often as you like.
  void tick(double seconds);
  /// At the end: how many there were of each kind that was not shown in full.
  void end();

 private:
  struct kind {
    std::string label;  // `stage 'charge'`, and what became of the items
    std::string error;  // the first one's
    std::uint64_t count = 0;
    std::uint64_t counted = 0;  // of those, said so
  };
  kind& kind_of(const failure_event& event, const std::string& error);

  emit_line emit_;
  std::map<std::string, kind> kinds_;
  double next_seconds_ = 10;
};

/// The error with its numbers taken out: `order # declined`.
[[nodiscard]] std::string error_shape(std::string_view error);

}  // namespace brigade::cli
