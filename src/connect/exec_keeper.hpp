/// Keeps one worker's handler process: starts it when there is something to do, carries requests
/// and answers, ends it when its desk says so, and starts the next one.
#pragma once
#include "connect/exec_desk.hpp"
#include "connect/exec_log.hpp"

#include <brigade/async/cancel.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/process.hpp>
#include <brigade/async/task.hpp>

#include <memory>
#include <optional>
#include <string>

namespace brigade::exec {

struct keeper_options {
  explicit keeper_options(process_options program_, std::string label_)
      : program(std::move(program_)), label(std::move(label_)) {}
  process_options program;
  std::string label;  ///< stands before each line of the log
  int in_flight = 1;
  milliseconds timeout{0};
  std::size_t line_bytes_max = line_bytes_usual;  ///< of an answer
};

class keeper final : private desk::port {
 public:
  explicit keeper(keeper_options options);

  [[nodiscard]] desk& orders() { return desk_; }
  /// The keeper's own task: ends after `close`. Cancelled: kills the handler.
  task<> keep();
  /// The handler gets the end of its input and time to finish; then TERM, then KILL.
  void close() noexcept;

 private:
  void handler_wanted() noexcept override { wanted_.set(); }
  void output_ready() noexcept override { output_.set(); }
  void condemned() noexcept override { attention_.set(); }
  void order_out() noexcept override { order_out_.set(); }
  void silent(const std::string& why) noexcept override { log_line(log_.label(), why); }

  task<> serve(process& child);
  task<> attend(task_group& group, process& child);
  task<> end_child(process& child);
  task<bool> ended_within(milliseconds limit);
  void hear_it_out(process& child);
  task<> watch(process& child);
  task<> write_requests(process& child);
  task<> write_all(process& child);
  task<> read_answers(process& child);
  task<> read_errors(process& child);
  /// False: nothing has come, or it was the end.
  bool take_answers(process& child);
  task<> mind_clock();
  void report_end(process& child);
  [[nodiscard]] std::string way_it_ended(const exit_status& status) const;

  keeper_options options_;
  desk desk_;
  error_log log_;
  event wanted_{"a handler is wanted"};
  event output_{"requests to write"};
  event order_out_{"an order that is out"};
  event attention_{"the handler's end"};
  event exited_{"the handler's exit"};
  event drained_{"the handler's last words"};
  line_buffer answers_;
  bool answers_ended_ = false;
  int streams_open_ = 0;
  std::uint64_t bytes_unread_ = 0;
  std::string gone_;  ///< what a handler that lives has closed
  bool was_told_to_end_ = false;
  cancel_scope* writing_ = nullptr;  ///< cancelled to close the handler's input
  bool closing_ = false;
};

}  // namespace brigade::exec
