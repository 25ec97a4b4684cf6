// `protocol: once`: a process an item. Exit 0 with one result on its standard output is ok, 75
// retryable, 126 and 127 fatal; a signal counts as a kill, any other exit code is permanent.
#include "connect/exec_command.hpp"
#include "connect/exec_desk.hpp"
#include "connect/exec_log.hpp"
#include "connect/exec_protocol.hpp"
#include "connect/exec_stage.hpp"
#include "connect/json_text.hpp"

#include <brigade/async/cleanup.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/async/wait_for.hpp>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace brigade::exec {

namespace {

constexpr int exit_try_again = 75;  // EX_TEMPFAIL of sysexits.h
constexpr int exit_not_executable = 126;
constexpr int exit_not_found = 127;
constexpr milliseconds end_time{2000};  // between TERM and KILL
constexpr milliseconds last_words_time{200};
constexpr std::size_t read_bytes = std::size_t{64} << 10;  // what a pipe holds

/// One process, from its start to its end.
class single_run {
 public:
  single_run(process child, const exec_options& options, const attempt_info& info,
             std::string_view input)
      : child_(std::move(child)),
        options_(options),
        log_(worker_label(options, info.worker)),
        id_(info.id),
        input_(input) {}

  /// Cancelled: the command is asked to end, and killed two seconds later.
  task<attempt_result> finish();

 private:
  task<> work();
  task<> attend(task_group& group);
  task<> wait_in_time();
  task<> feed();
  task<> collect();
  task<> copy_errors();
  task<> end();
  bool take_output();
  void hear_it_out();
  void stream_ended() {
    if (--streams_open_ == 0) drained_.set();
  }
  [[nodiscard]] attempt_result judge() const;
  [[nodiscard]] std::string words(const std::string& otherwise) const;

  process child_;
  const exec_options& options_;
  error_log log_;
  std::string_view id_;
  std::string_view input_;
  std::string output_;
  bool output_ended_ = false;
  bool too_much_ = false;
  bool late_ = false;
  int streams_open_ = 2;
  event drained_{"what the command printed"};
};

task<attempt_result> single_run::finish() {
  auto body = [this] { return work(); };
  auto cleanup = [this] { return end(); };
  co_await with_cleanup(body, cleanup, end_time + end_time);
  co_return judge();
}

task<> single_run::work() {
  co_await with_group([this](task_group& group) { return attend(group); });
}

task<> single_run::attend(task_group& group) {
  group.spawn(&single_run::feed, this);
  group.spawn(&single_run::collect, this);
  group.spawn(&single_run::copy_errors, this);
  co_await wait_in_time();
  hear_it_out();
  co_await log_.last_words(drained_, "the command's process group", last_words_time);
  group.cancel("the command has ended");
}

task<> single_run::wait_in_time() {
  if (options_.timeout.count() != 0) {
    try {
      static_cast<void>(co_await wait_for(child_.wait(), options_.timeout));
      co_return;
    } catch (const timed_out&) {
      late_ = true;
    }
    child_.kill_group();
  }
  static_cast<void>(co_await child_.wait());
}

task<> single_run::end() {
  if (child_.status()) co_return;
  static_cast<void>(co_await child_.end(end_time));
}

task<> single_run::feed() {
  std::string_view left = input_;
  try {
    while (!left.empty()) {
      const std::size_t count = co_await child_.input().write_some(left);
      left.remove_prefix(count);
    }
  } catch (const std::system_error&) {  // it need not read its input
    left = {};
  }
  child_.input().close();
}

task<> single_run::collect() {
  while (!output_ended_) {
    co_await child_.output().wait_readable();
    while (take_output()) co_await yield();
  }
  stream_ended();
}

/// False: nothing has come, or no more is wanted.
bool single_run::take_output() {
  if (output_ended_) return false;
  const std::size_t had = output_.size();
  output_.resize(had + read_bytes);
  const std::optional<std::size_t> count =
      child_.output().read_now(std::span<char>(output_).subspan(had));
  output_.resize(had + count.value_or(0));
  if (!count) return false;
  too_much_ = output_.size() > options_.line_bytes_max;
  output_ended_ = *count == 0 || too_much_;
  if (too_much_) child_.kill_group();
  return !output_ended_;
}

/// What it said before it ended is in the pipes by now, whoever else may hold them open.
void single_run::hear_it_out() {
  while (take_output()) {
  }
  log_.copy_now(child_.errors(), id_);
}

task<> single_run::copy_errors() {
  std::function<std::string_view()> item = [this] { return id_; };
  co_await log_.copy(child_.errors(), std::move(item));
  stream_ended();
}

std::string single_run::words(const std::string& otherwise) const {
  return log_.last_line().empty() ? otherwise : log_.last_line() + " (" + otherwise + ")";
}

attempt_result failed(verdict kind, std::string why) {
  return attempt_result::failed(failure(kind, std::move(why)));
}

/// One JSON value, over as many lines as it likes; or else one line of text.
attempt_result result_from(std::string_view output) {
  if (!json_text::check(output)) {
    std::string text(json_text::trimmed(output));
    std::ranges::replace_if(text, [](char c) { return c == '\n' || c == '\r'; }, ' ');
    return attempt_result::passed(payload(record::json(std::move(text))));
  }
  if (output.ends_with('\n')) output.remove_suffix(1);
  if (output.empty()) {
    return failed(verdict::permanent,
                  "the command succeeded but printed no result; print the item to pass it on");
  }
  if (output.find('\n') != std::string_view::npos) {
    return failed(verdict::permanent,
                  "the command printed several lines that are not one JSON value: '" +
                      one_line(output.substr(0, output.find('\n')), 120) + "' ...");
  }
  return attempt_result::passed(payload(record::line(std::string(output))));
}

attempt_result single_run::judge() const {
  const exit_status status = *child_.status();
  const std::string how = to_string(status);
  if (late_) {
    failure why(verdict::retryable,
                words("the command did not end within " + duration_text(options_.timeout)));
    why.timed_out = true;
    return attempt_result::failed(std::move(why));
  }
  if (too_much_) {
    return failed(verdict::permanent, "the command printed more than " +
                                          std::to_string(options_.line_bytes_max) +
                                          " bytes, which is max_line");
  }
  if (status.was_signalled()) {
    failure why(verdict::retryable, words("handler ended: " + how));
    why.killed_handler = true;
    return attempt_result::failed(std::move(why));
  }
  switch (status.code()) {
    case 0:
      return result_from(output_);
    case exit_try_again:
      return failed(verdict::retryable, words(how));
    case exit_not_executable:
    case exit_not_found:
      return failed(verdict::fatal, words(how));
    default:
      return failed(verdict::permanent, words(how));
  }
}

class once_stage final : public stage_body {
 public:
  explicit once_stage(exec_options options)
      : options_(std::move(options)), command_(options_.program.command) {
    options_.program.start_here = true;
  }

  [[nodiscard]] int in_flight_per_worker() const override { return options_.in_flight; }
  [[nodiscard]] bool minds_timeout() const override { return true; }
  task<attempt_result> run(payload& item, const attempt_info& info) override;

 private:
  exec_options options_;
  command_template command_;
};

task<attempt_result> once_stage::run(payload& item, const attempt_info& info) {
  const record& value = item.get<record>();
  const std::string input = value.json_text();
  process_options program = options_.program;
  program.command = command_.fill(input);
  program.env.emplace("BRIGADE_KEY", info.key);
  program.env.emplace("BRIGADE_ATTEMPT", std::to_string(info.attempt));
  std::optional<attempt_result> refused;
  try {
    process child = co_await process::start(std::move(program));
    single_run running(std::move(child), options_, info, input);
    co_return co_await running.finish();
  } catch (const start_error& error) {
    // Arguments that are too long are the item's doing; all else is the command's.
    const bool too_long = error.code() == std::errc::argument_list_too_long;
    refused = failed(too_long ? verdict::permanent : verdict::fatal, error.what());
  }
  co_return std::move(*refused);
}

}  // namespace

std::unique_ptr<stage_body> make_once_stage(exec_options options) {
  return std::make_unique<once_stage>(std::move(options));
}

}  // namespace brigade::exec
