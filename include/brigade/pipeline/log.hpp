/// Lines for whoever watches the program: what stages and sinks say that is no item's outcome (a
/// handler's stderr, a handler that was replaced). To stderr, unless somebody shows them better.
///
/// Thread safety: each thread has its own; a run logs on its loop's thread.
#pragma once
#include <functional>
#include <string_view>

namespace brigade {

/// One line, without its newline; written in one piece. A log that cannot be written stops no work.
void log_line(std::string_view line);

/// As long as it lives, this thread's lines go to `show`.
class log_to {
 public:
  explicit log_to(std::function<void(std::string_view)> show);
  ~log_to();
  log_to(const log_to&) = delete;
  log_to& operator=(const log_to&) = delete;

 private:
  std::function<void(std::string_view)> before_;
};

}  // namespace brigade
