#include "async/process_spawner.hpp"

#include <brigade/async/assert.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/process.hpp>
#include <brigade/async/timeout.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace brigade {

namespace {

using detail::spawn_step;

bool is_program(const std::string& path) {
  struct stat about = {};
  return ::stat(path.c_str(), &about) == 0 && S_ISREG(about.st_mode) &&
         ::access(path.c_str(), X_OK) == 0;
}

std::string_view search_path(const process_options& options) {
  if (const auto own = options.env.find("PATH"); own != options.env.end()) return own->second;
  const char* inherited = std::getenv("PATH");
  return inherited != nullptr ? inherited : "/usr/local/bin:/usr/bin:/bin";
}

std::vector<std::string> environment_of(const process_options& options) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string name(text.substr(0, text.find('=')));
    if (!options.env.contains(name)) result.emplace_back(text);
  }
  for (const auto& [name, value] : options.env) result.push_back(name + "=" + value);
  return result;
}

std::string why_not_run(int error) {
  std::string why = std::strerror(error);
  if (error == ENOENT) why += " (neither it nor, for a script, the program in its first line?)";
  if (error == ENOEXEC) why += " (a script needs a first line like #!/bin/sh)";
  return why;
}

[[noreturn]] void throw_start_error(const detail::spawn_outcome& outcome,
                                    const process_options& options) {
  const std::string& name = options.command.front();
  switch (outcome.step) {
    case spawn_step::exec:
      throw start_error("cannot run '" + name + "': " + why_not_run(outcome.error), outcome.error);
    case spawn_step::directory:
      throw start_error("cannot run '" + name + "' in folder '" + options.cwd.string() +
                            "': " + std::strerror(outcome.error),
                        outcome.error);
    default:
      throw std::system_error(outcome.error, std::generic_category(),
                              "cannot start a process for '" + name + "'");
  }
}

/// Sees to it that a child which nobody waits for any more does not stay.
struct abandon_on_exit {
  std::shared_ptr<detail::spawn_job> job;
  ~abandon_on_exit() {
    if (job != nullptr) job->abandon();
  }
};

descriptor end_watcher(pid_t id) {
  const int fd = detail::open_pidfd(id);  // closes on exec by itself
  if (fd < 0) {
    const int error = errno;
    detail::spawner::instance().bury(id);
    throw std::system_error(error, std::generic_category(), "cannot watch a process");
  }
  return descriptor(fd);
}

// By the thread that is there for it.
task<detail::spawn_outcome> start_elsewhere(detail::spawn_plan plan) {
  detail::pipe_ends finished;
  descriptor started(finished.read.release());
  abandon_on_exit guard{
      std::make_shared<detail::spawn_job>(std::move(plan), std::move(finished.write))};
  detail::spawner::instance().start(guard.job);
  co_await started.wait_readable();
  co_return std::exchange(guard.job, nullptr)->take();
}

}  // namespace

// Looked up here and not in the child, where nothing may allocate.
std::string find_program(const process_options& options) {
  const std::string& name = options.command.front();
  if (name.find('/') != std::string::npos) return name;
  std::string_view folders = search_path(options);
  while (!name.empty()) {
    const std::size_t colon = folders.find(':');
    const std::filesystem::path folder(folders.substr(0, colon));
    const std::string candidate = std::filesystem::absolute(folder / name).string();
    if (is_program(candidate)) return candidate;
    if (colon == std::string_view::npos) break;
    folders.remove_prefix(colon + 1);
  }
  throw start_error("command '" + name + "' not found in PATH", ENOENT);
}

std::string to_string(const exit_status& status) {
  if (!status.was_signalled()) return "exit code " + std::to_string(status.code());
  const char* name = ::sigabbrev_np(status.signal());
  return name != nullptr ? "killed by SIG" + std::string(name)
                         : "killed by signal " + std::to_string(status.signal());
}

task<process> process::start(process_options options) {
  BRIGADE_ASSERT(!options.command.empty(), "process::start needs a command");
  detail::spawn_plan plan;
  plan.program = find_program(options);
  plan.arguments = options.command;
  plan.environment = environment_of(options);
  plan.directory = options.cwd.string();
  detail::pipe_ends in;
  detail::pipe_ends out;
  detail::pipe_ends err;
  plan.streams[0] = std::move(in.read);
  plan.streams[1] = std::move(out.write);
  plan.streams[2] = std::move(err.write);
  descriptor input(in.write.release());
  descriptor output(out.read.release());
  descriptor errors(err.read.release());
  detail::spawn_outcome outcome;
  if (options.start_here && detail::on_main_thread()) {
    outcome = detail::spawner::instance().start_here(std::move(plan));
  } else {
    auto elsewhere = start_elsewhere(std::move(plan));
    outcome = co_await std::move(elsewhere);
  }
  if (outcome.step != spawn_step::done) throw_start_error(outcome, options);
  descriptor ended = end_watcher(outcome.id);
  co_return process(outcome.id, std::move(ended), std::move(input), std::move(output),
                    std::move(errors));
}

process::process(pid_t id, descriptor ended, descriptor input, descriptor output, descriptor errors)
    : id_(id),
      ended_(std::move(ended)),
      input_(std::move(input)),
      output_(std::move(output)),
      errors_(std::move(errors)) {}

process::process(process&& other) noexcept
    : id_(std::exchange(other.id_, -1)),
      status_(other.status_),
      ended_(std::move(other.ended_)),
      input_(std::move(other.input_)),
      output_(std::move(other.output_)),
      errors_(std::move(other.errors_)) {}

process::~process() {
  if (id_ > 0 && !status_) detail::spawner::instance().bury(id_);
}

task<exit_status> process::wait() {
  if (!status_) {
    co_await ended_.wait_readable();
    reap();
  }
  co_return *status_;
}

void process::reap() {
  // As long as the child is not reaped its number, which is the group's, cannot be another's.
  kill_group();
  siginfo_t info = {};
  int result = 0;
  do {
    result = ::waitid(P_PID, static_cast<id_t>(id_), &info, WEXITED);
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    const int error = errno;
    id_ = -1;
    throw std::system_error(error, std::generic_category(),
                            "cannot learn how a child process ended (is SIGCHLD ignored?)");
  }
  const bool by_itself = info.si_code == CLD_EXITED;
  status_ =
      by_itself ? exit_status::exited(info.si_status) : exit_status::signalled(info.si_status);
}

void process::signal_group(int signal) noexcept {
  if (id_ > 0 && !status_) ::kill(-id_, signal);
}

void process::kill_group() noexcept { signal_group(SIGKILL); }

task<exit_status> process::end(std::chrono::nanoseconds grace) {
  struct kill_on_exit {
    process& child;
    ~kill_on_exit() { child.kill_group(); }
  };
  const kill_on_exit guard{*this};
  input_.close();
  signal_group(SIGTERM);
  bool ended = true;
  try {
    static_cast<void>(co_await timeout(grace, wait()));
  } catch (const timed_out&) {
    ended = false;
  }
  if (!ended) kill_group();
  co_return co_await wait();
}

}  // namespace brigade
