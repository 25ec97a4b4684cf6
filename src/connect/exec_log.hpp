/// What a child writes to its standard error, line by line into our log.
#pragma once
#include "connect/exec_protocol.hpp"

#include <brigade/async/descriptor.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/task.hpp>

#include <chrono>
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
  /// What has come by now, as much as a pipe holds; also while `copy` waits. What a child printed
  /// before it did something else, such as answering, is then in the log before that.
  void copy_now(descriptor& from, std::string_view item);
  /// The last line that was not blank.
  [[nodiscard]] const std::string& last_line() const { return last_line_; }
  /// For the next child.
  void forget();
  [[nodiscard]] const std::string& label() const { return label_; }
  /// Waits for the end of the pipes of a child that has ended, until they are `drained`, at most
  /// for `limit`; then says that something outside `its_group` keeps them open.
  task<> last_words(event& drained, std::string_view its_group,
                    std::chrono::milliseconds limit) const;

 private:
  /// False: nothing was there, or it was the end.
  bool read_more(descriptor& from, std::string_view item);
  /// False: there is no whole line.
  bool take_line(std::string_view item);
  void take(std::string_view line, std::string_view item);

  std::string label_;
  std::string last_line_;
  line_buffer lines_;
  bool skipping_ = false;  ///< the rest of a line that was cut
  bool ended_ = false;
};

}  // namespace brigade::exec
