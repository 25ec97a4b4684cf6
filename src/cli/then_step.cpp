#include "cli/then_step.hpp"

#include "cli/program_path.hpp"
#include "connect/exec_log.hpp"

#include <brigade/async/event.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/process.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/async/wait_for.hpp>

#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <utility>

namespace brigade::cli {
namespace {

constexpr std::chrono::seconds grace{2};  // between TERM and KILL

process_options program_of(const pipeline_config& config, const report& account,
                           const std::optional<std::filesystem::path>& report_file) {
  process_options program(config.then->command);
  program.command.front() = program_path(config.folder, program.command.front());
  program.cwd = config.folder;
  program.env = {{"BRIGADE_PIPELINE", config.name},
                 {"BRIGADE_EXIT", std::to_string(account.exit_code)},
                 {"BRIGADE_RUN", std::to_string(account.run)},
                 {"BRIGADE_LEDGER", config.ledger_path().string()},
                 {"PYTHONUNBUFFERED", "1"}};
  if (report_file) {
    program.env.emplace("BRIGADE_REPORT", std::filesystem::absolute(*report_file).string());
  }
  return program;
}

/// The running program.
class last_step {
 public:
  last_step(std::string program, process child)
      : program_(std::move(program)), child_(std::move(child)) {
    child_.input().close();
  }

  [[nodiscard]] stop_target target() {
    return stop_target{[this](std::chrono::nanoseconds left) {
                         left_ = left;
                         stopping_.set();
                       },
                       [this] { hurry_.set(); }};
  }

  task<std::optional<std::string>> finish() {
    co_await with_group([&](task_group& group) { return attend(group); });
    co_return judge();
  }

 private:
  task<> attend(task_group& group) {
    group.spawn(&last_step::copy_output, this);
    group.spawn(&last_step::copy_errors, this);
    group.spawn(&last_step::mind_the_stop, this);
    static_cast<void>(co_await child_.wait());
    co_await log_.last_words(drained_, "its process group", std::chrono::seconds(1));
    group.cancel("the last step has ended");
  }

  task<> copy_output() {
    std::string chunk(std::size_t{64} << 10, '\0');
    for (;;) {
      const std::size_t count = co_await child_.output().read_some(chunk);
      if (count == 0) break;
      std::fwrite(chunk.data(), 1, count, stdout);
      std::fflush(stdout);
    }
    stream_ended();
  }

  task<> copy_errors() {
    co_await log_.copy(child_.errors(), [] { return std::string_view{}; });
    stream_ended();
  }

  task<> mind_the_stop() {
    co_await stopping_.wait();
    try {
      co_await wait_for(hurry_.wait(), left_);
    } catch (const timed_out&) {
      left_ = {};
    }
    ended_ = true;
    child_.signal_group(SIGTERM);
    co_await sleep_for(grace);
    child_.kill_group();
  }

  void stream_ended() {
    if (--streams_open_ == 0) drained_.set();
  }

  [[nodiscard]] std::optional<std::string> judge() const {
    const exit_status& status = *child_.status();
    if (status.success()) return std::nullopt;
    std::string why = fmt::format("then: '{}' {}{}", program_, ended_ ? "ended by the stop, " : "",
                                  to_string(status));
    if (!log_.last_line().empty()) why += ": " + log_.last_line();
    return why;
  }

  std::string program_;
  process child_;
  exec::error_log log_{"then"};
  event stopping_{"a signal"};
  event hurry_{"a second signal"};
  event drained_{"what the last step printed"};
  std::chrono::nanoseconds left_{0};
  int streams_open_ = 2;
  bool ended_ = false;
};

task<std::optional<std::string>> take(std::string name, process_options program,
                                      stop_signals& signals) {
  auto started = process::start(std::move(program));
  process child = co_await std::move(started);
  last_step step(std::move(name), std::move(child));
  const stop_signals::listener listening(&signals, step.target());
  co_return co_await step.finish();
}

}  // namespace

bool is_due(const then_config& step, int exit_code) {
  using enum then_config::condition;
  return step.when == always || (step.when == success) == (exit_code == 0);
}

std::optional<std::string> run_then(const pipeline_config& config, const report& account,
                                    const std::optional<std::filesystem::path>& report_file,
                                    stop_signals& signals) {
  try {
    loop own;
    return own.run(
        take(config.then->command.front(), program_of(config, account, report_file), signals));
  } catch (const std::exception& error) {
    return fmt::format("then: {}", error.what());
  }
}

}  // namespace brigade::cli
