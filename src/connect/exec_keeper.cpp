#include "connect/exec_keeper.hpp"

#include "connect/exec_protocol.hpp"

#include <brigade/async/error.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/async/wait_for.hpp>

#include <signal.h>
#include <sys/ioctl.h>

#include <exception>
#include <system_error>
#include <utility>

namespace brigade::exec {

namespace {

constexpr milliseconds finish_time{500};  // between the end of its input and TERM
constexpr milliseconds end_time{2000};    // between TERM and KILL
constexpr milliseconds last_words_time{200};
constexpr int last_reads_max = 64;  // of what others may go on writing into its pipe
constexpr int exit_not_executable = 126;
constexpr int exit_not_found = 127;

/// What is still in a pipe that this is the writing end of.
std::uint64_t bytes_in(const descriptor& pipe) {
  int bytes = 0;
  if (::ioctl(pipe.fd(), FIONREAD, &bytes) != 0) return 0;
  return static_cast<std::uint64_t>(bytes);
}

}  // namespace

keeper::keeper(keeper_options options)
    : options_(std::move(options)),
      desk_(*this, options_.in_flight, options_.timeout, options_.line_bytes_max),
      log_(options_.label) {}

void keeper::close() noexcept {
  closing_ = true;
  wanted_.set();
  attention_.set();
}

task<> keeper::keep() {
  for (;;) {
    co_await wanted_.wait();
    wanted_.clear();
    if (closing_) co_return;
    std::string trouble;
    try {
      process child = co_await process::start(options_.program);
      co_await serve(child);
      report_end(child);
    } catch (const std::exception& error) {
      trouble = error.what();
    }
    if (!trouble.empty()) desk_.cannot_start(trouble);
  }
}

task<> keeper::serve(process& child) {
  if (!closing_) attention_.clear();
  output_.clear();
  exited_.clear();
  drained_.clear();
  log_.forget();
  answers_.drop_rest();
  answers_ended_ = was_told_to_end_ = false;
  gone_.clear();
  bytes_unread_ = 0;
  streams_open_ = 2;
  desk_.handler_began(loop::current().now());
  co_await with_group([&](task_group& group) { return attend(group, child); });
}

task<> keeper::attend(task_group& group, process& child) {
  group.spawn(&keeper::read_answers, this, std::ref(child));
  group.spawn(&keeper::read_errors, this, std::ref(child));
  group.spawn(&keeper::write_requests, this, std::ref(child));
  group.spawn(&keeper::mind_clock, this);
  group.spawn(&keeper::watch, this, std::ref(child));
  co_await attention_.wait();
  co_await end_child(child);
  hear_it_out(child);
  co_await log_.last_words(drained_, "the handler's process group", last_words_time);
  group.cancel("the handler has ended");
}

task<> keeper::end_child(process& child) {
  const bool condemned = !desk_.condemnation().empty();
  if (condemned && !desk_.condemned_gently()) {
    child.kill_group();
  } else {
    if (writing_ != nullptr) writing_->cancel("the handler's input is closed");
    bool ended = exited_.is_set();
    if (!ended && !condemned) ended = co_await ended_within(finish_time);
    if (!ended) {
      was_told_to_end_ = true;
      child.signal_group(SIGTERM);
      ended = co_await ended_within(end_time);
    }
    if (!ended) child.kill_group();
  }
  co_await exited_.wait();
}

task<bool> keeper::ended_within(milliseconds limit) {
  bool ended = true;
  try {
    co_await wait_for(exited_.wait(), limit);
  } catch (const timed_out&) {
    ended = false;
  }
  co_return ended;
}

/// What it said before it ended is in the pipes by now, whoever else may hold them open.
void keeper::hear_it_out(process& child) {
  log_.copy_now(child.errors(), desk_.only_item());
  int reads = 0;
  while (reads < last_reads_max && take_answers(child)) ++reads;
}

task<> keeper::watch(process& child) {
  static_cast<void>(co_await child.wait());
  exited_.set();
  attention_.set();
}

task<> keeper::write_requests(process& child) {
  cancel_scope scope;
  writing_ = &scope;
  try {
    co_await write_all(child);
  } catch (const cancelled&) {
    writing_ = nullptr;
    if (!scope.caused_cancellation()) throw;
  } catch (const std::system_error&) {  // it reads no more; what it has answered still counts
    writing_ = nullptr;
    if (gone_.empty()) gone_ = "closed its stdin";
    attention_.set();
  }
  bytes_unread_ = bytes_in(child.input());
  child.input().close();
}

task<> keeper::write_all(process& child) {
  std::string bytes;
  for (;;) {
    co_await output_.wait();
    output_.clear();
    bytes = desk_.take_output(std::move(bytes));
    std::string_view left = bytes;
    while (!left.empty()) {
      const std::size_t count = co_await child.input().write_some(left);
      desk_.wrote(count);
      left.remove_prefix(count);
    }
  }
}

task<> keeper::read_answers(process& child) {
  while (!answers_ended_) {
    co_await child.output().wait_readable();
    while (take_answers(child)) {
      co_await yield();  // the attempts go on, and their next requests become one write
    }
  }
  if (gone_.empty()) gone_ = "closed its stdout";
  attention_.set();
  if (--streams_open_ == 0) drained_.set();
}

bool keeper::take_answers(process& child) {
  if (answers_ended_) return false;
  const std::optional<std::size_t> count = child.output().read_now(answers_.space());
  if (!count) return false;
  answers_ended_ = *count == 0;
  if (answers_ended_) return false;
  log_.copy_now(child.errors(), desk_.only_item());  // said before it answered
  answers_.filled(*count);
  const auto now = loop::current().now();
  while (const auto line = answers_.next()) desk_.line_came(*line, now);
  desk_.part_came(answers_.rest());
  if (answers_.rest().size() > options_.line_bytes_max) answers_.drop_rest();
  return true;
}

task<> keeper::read_errors(process& child) {
  std::function<std::string_view()> item = [this]() -> std::string_view {
    return desk_.only_item();
  };
  co_await log_.copy(child.errors(), std::move(item));
  if (--streams_open_ == 0) drained_.set();
}

task<> keeper::mind_clock() {
  for (;;) {
    const auto deadline = desk_.next_deadline();
    if (deadline) {
      co_await sleep_until(*deadline);
      desk_.time_passed(loop::current().now());
    } else {
      order_out_.clear();
      co_await order_out_.wait();
    }
  }
}

std::string keeper::way_it_ended(const exit_status& status) const {
  std::string how;
  if (was_told_to_end_ && !gone_.empty()) how = gone_ + " and lived on, ";
  how += to_string(status);
  if (!answers_.rest().empty()) how += ", in the middle of an answer";
  return how;
}

void keeper::report_end(process& child) {
  const exit_status status = *child.status();
  handler_end end;
  end.how = way_it_ended(status);
  end.bytes_unread = bytes_unread_;
  end.last_words = log_.last_line();
  end.never_started = status.code() == exit_not_executable || status.code() == exit_not_found;
  if (!desk_.condemnation().empty()) {
    log_line(log_.label(), desk_.condemnation());
  } else if (!closing_) {
    log_line(log_.label(), "handler ended (" + end.how + ")");
  }
  desk_.handler_ended(end);
}

}  // namespace brigade::exec
