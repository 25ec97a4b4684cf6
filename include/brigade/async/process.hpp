/// A child process with pipes at its standard streams, waited for without blocking the loop.
///
/// A child has a process group of its own and inherits no descriptor but 0, 1 and 2; its signal
/// mask and dispositions are the defaults. It is killed by the kernel when this process ends,
/// however that comes about. Its command is never given to a shell: the program is looked up in
/// PATH, or, with a slash in it, taken as a path (a relative one is relative to `cwd`).
///
/// When the child has ended, whatever is left of its group is killed too. Destroying a `process`
/// kills the group and reaps the child, without waiting: nothing is left over.
///
/// The first start sets SIGPIPE to be ignored, unless the program handles it: writing to a child
/// that is gone gives EPIPE.
///
/// Thread safety: the loop's thread; one task at a time in `wait` or `end`.
/// Lifetime: not longer than its loop.
#pragma once
#include <brigade/async/descriptor.hpp>
#include <brigade/async/task.hpp>

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace brigade {

/// How a process ended.
class exit_status {
 public:
  static exit_status exited(int code) { return exit_status(code, 0); }
  static exit_status signalled(int signal) { return exit_status(0, signal); }

  [[nodiscard]] bool success() const { return code_ == 0 && signal_ == 0; }
  [[nodiscard]] bool was_signalled() const { return signal_ != 0; }
  /// The exit code; 0 when a signal ended it.
  [[nodiscard]] int code() const { return code_; }
  /// The signal that ended it, or 0.
  [[nodiscard]] int signal() const { return signal_; }
  friend bool operator==(const exit_status&, const exit_status&) = default;

 private:
  exit_status(int code, int signal) : code_(code), signal_(signal) {}
  int code_;
  int signal_;
};

/// "exit code 1", "killed by SIGKILL".
[[nodiscard]] std::string to_string(const exit_status& status);

/// The program could not be started. `what()` names it and says why.
class start_error : public std::runtime_error {
 public:
  start_error(const std::string& message, int error)
      : std::runtime_error(message), code_(error, std::generic_category()) {}
  [[nodiscard]] const std::error_code& code() const { return code_; }

 private:
  std::error_code code_;
};

struct process_options {
  explicit process_options(std::vector<std::string> command_) : command(std::move(command_)) {}
  std::vector<std::string> command;        ///< the program and its arguments; not empty
  std::map<std::string, std::string> env;  ///< added to this process's own, or put over it
  std::filesystem::path cwd;               ///< where it runs; empty: here
  /// For many short-lived children: where the loop's thread is the process's main one, it forks
  /// by itself. Two thread switches less a start (a tenth of a millisecond where the processors are
  /// busy); but the loop stands still until exec has succeeded, 0.2 ms if the program is on a local
  /// disk. On other threads it makes no difference: the kernel would kill the child with its
  /// thread.
  bool start_here = false;
};

/// The file that `start` runs: a name without a slash is looked up in PATH, that of `env` if it is
/// there; one with a slash is given back as it is. Throws start_error when there is none.
[[nodiscard]] std::string find_program(const process_options& options);

class process {
 public:
  /// Completes:  when the program runs, in the sense that exec has succeeded.
  /// Cancelled:  throws `cancelled`; a child that was started all the same is killed and reaped.
  /// Throws:     start_error when there is no such program or it cannot be run, std::system_error
  ///             when this process is out of descriptors or processes.
  static task<process> start(process_options options);

  process(process&& other) noexcept;
  process& operator=(process&&) = delete;
  ~process();

  [[nodiscard]] pid_t id() const { return id_; }
  descriptor& input() { return input_; }    ///< writes to its standard input
  descriptor& output() { return output_; }  ///< reads from its standard output
  descriptor& errors() { return errors_; }  ///< reads from its standard error

  /// Completes:  when the child has ended; at once when it had been waited for before. What it left
  ///             in its pipes can still be read.
  /// Cancelled:  throws `cancelled`; the child goes on.
  task<exit_status> wait();
  /// Known once `wait` or `end` has completed.
  [[nodiscard]] const std::optional<exit_status>& status() const { return status_; }

  /// Sends to the child and all of its group; nothing when it has been waited for.
  void signal_group(int signal) noexcept;
  void kill_group() noexcept;

  /// Closes its standard input, asks the group to end (TERM), kills it after `grace`, and waits.
  /// Its output should be read meanwhile, or it may hang on a full pipe until it is killed.
  /// Cancelled:  kills it at once; throws `cancelled`.
  task<exit_status> end(std::chrono::nanoseconds grace = std::chrono::seconds(2));

 private:
  process(pid_t id, descriptor ended, descriptor input, descriptor output, descriptor errors);
  void reap();

  pid_t id_;
  std::optional<exit_status> status_;
  descriptor ended_;  ///< readable once the child has ended (a pidfd)
  descriptor input_;
  descriptor output_;
  descriptor errors_;
};

}  // namespace brigade
