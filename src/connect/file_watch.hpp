/// Says that something may have happened in some folders: a hint, on which nothing rests.
#pragma once
#include <brigade/async/descriptor.hpp>
#include <brigade/async/task.hpp>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace brigade {

/// Thread safety: the loop's thread.
class folder_watch {
 public:
  enum class hint : std::uint8_t { nothing, written, renamed };

  /// Begins to watch. Where the system has no more watches to give, it says so, once, and there are
  /// no hints.
  [[nodiscard]] std::optional<std::string> begin();
  /// These from now on. Returns what could not be watched, as one line; each said once.
  [[nodiscard]] std::optional<std::string> watch(const std::vector<std::string>& folders);
  /// What has happened since this was asked last. Does not wait.
  [[nodiscard]] hint take();
  [[nodiscard]] bool is_watching() const { return events_.has_value(); }
  /// Completes when `take` has something to say. Only while it is watching.
  task<> wait() { return events_->wait_readable(); }
  void end();

 private:
  std::optional<descriptor> events_;
  std::map<std::string, int> watched_;  ///< -1: it was said that it cannot be
};

}  // namespace brigade
