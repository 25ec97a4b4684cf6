/// What a child writes to its standard error, line by line into our log.
#pragma once
#include <brigade/async/descriptor.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/task.hpp>

#include <functional>
#include <string>
#include <string_view>

namespace brigade::exec {

/// One line of the log.
void log_line(std::string_view label, std::string_view text);

class error_log {
 public:
  static constexpr std::size_t line_bytes_max = 4096;  ///< what is longer is cut

  /// `label` stands before each line: "charge[worker 0]".
  explicit error_log(std::string label) : label_(std::move(label)) {}

  /// Completes:  at the end of the stream. `item` gives the id to name, or nothing.
  task<> copy(descriptor& from, std::function<std::string_view()> item);
  /// The last line that was not blank.
  [[nodiscard]] const std::string& last_line() const { return last_line_; }
  void forget() { last_line_.clear(); }
  [[nodiscard]] const std::string& label() const { return label_; }
  /// Waits a second for what a child that has ended left in its pipes, until it is `drained`; then
  /// says that something outside `its_group` keeps them open.
  task<> last_words(event& drained, std::string_view its_group) const;

 private:
  void take(std::string_view line, std::string_view item);

  std::string label_;
  std::string last_line_;
};

}  // namespace brigade::exec
