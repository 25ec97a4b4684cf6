/// child_pool: work for long-lived child processes, the twin of `thread_pool`: as many at once as
/// its size says; the size may change while it works.
///
/// `child_pool pool(process_options(command)); std::string answer = co_await pool.call(item);`
///
/// The protocol: a child reads one line from its standard input, the item, and writes one line to
/// its standard output, the answer, before it reads the next; the pool adds and takes off the line
/// breaks. What it writes to its standard error is dropped, but for the last line, which stands in
/// errors. A child has one call at a time. It must flush each answer.
///
/// Children are started when there is work for them. One that ends, that answers what it was not
/// asked, or whose call timed out or was cancelled, is killed with its whole process group and
/// replaced at the next call; only the call it had fails. One that ended between calls is replaced
/// without anybody hearing of it.
///
/// Thread safety: the loop's thread. Lifetime: not longer than its loop; destroying it while a call
/// waits is a misuse (asserted), destroying it otherwise kills the children.
#pragma once
#include <brigade/async/event.hpp>
#include <brigade/async/process.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/async/task.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

struct child_pool_options {
  child_pool_options() = default;
  std::size_t size = 1;                        ///< children at once; at least 1 (asserted)
  std::chrono::nanoseconds call_timeout{0};    ///< 0: none
  std::size_t answer_bytes_max = 1024 * 1024;  ///< a longer answer is an error of the child
  std::string name;                            ///< in reports; empty: the program's
};

/// A child failed the call it had: `what()` says how.
class child_failed : public std::runtime_error {
 public:
  child_failed(const std::string& message, std::optional<exit_status> status)
      : std::runtime_error(message), status_(status) {}
  /// How it ended; nothing when it was killed for what it did.
  [[nodiscard]] const std::optional<exit_status>& status() const { return status_; }

 private:
  std::optional<exit_status> status_;
};

/// The pool takes no more calls.
class child_pool_closed : public std::runtime_error {
 public:
  explicit child_pool_closed(std::string_view pool_name);
};

struct child_pool_statistics {
  std::size_t size = 0;
  std::size_t children = 0;  ///< alive
  std::size_t busy = 0;
  std::size_t waiting = 0;  ///< calls that wait for a child
  std::uint64_t answered = 0;
  std::uint64_t failed = 0;   ///< calls
  std::uint64_t started = 0;  ///< children
};

class child_pool {
 public:
  explicit child_pool(process_options command, child_pool_options options = {});
  ~child_pool();
  child_pool(const child_pool&) = delete;
  child_pool& operator=(const child_pool&) = delete;

  /// Has a child work on `item`; calls are served in the order they came.
  ///
  /// Completes:  with the child's answer.
  /// Cancelled:  throws `cancelled`; a child that has the item is killed.
  /// Throws:     `child_failed`; `timed_out` when `call_timeout` has passed since the child was
  ///             given the item; `start_error`; `child_pool_closed`; std::invalid_argument when
  ///             the item has a line break in it.
  task<std::string> call(std::string item);

  /// At least 1 (asserted). Surplus children are ended when they have answered.
  void set_size(std::size_t size);
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] child_pool_statistics statistics() const;

  /// Takes no more calls; those that wait for a child fail with `child_pool_closed`. Children that
  /// work have `grace` to answer; then, and idle ones at once, each has its standard input closed
  /// and is asked to end (TERM), and killed `grace` later.
  /// Completes:  when no child is left.
  /// Cancelled:  kills them; throws `cancelled`.
  task<> shutdown(std::chrono::nanoseconds grace = std::chrono::seconds(2));

 private:
  class worker;
  class seat;
  enum class reply : std::uint8_t { answered, ended, never_got_it, too_long, unasked };

  task<std::string> attempt(const std::string& line, bool& try_again);
  task<reply> ask(worker& one, const std::string& line, std::string& answer);
  task<std::unique_ptr<worker>> free_worker();
  [[noreturn]] void fail(reply how, const worker& one, const std::optional<exit_status>& status);
  static task<> write_all(worker& one, std::string_view rest);
  static task<> drain_errors(worker& one);
  static task<reply> read_answer(worker& one, std::size_t bytes_max, std::string& answer);
  static task<std::optional<exit_status>> end_of(worker& one);
  static task<> end_gently(std::unique_ptr<worker> one, std::chrono::nanoseconds grace);
  task<> nobody_works();
  void drop_permits();
  void end_surplus();

  process_options command_;
  child_pool_options options_;
  std::string name_;
  std::size_t size_;
  queue<char> permits_;      ///< one for each child that may work
  std::size_t surplus_ = 0;  ///< permits in use that are not to come back
  std::vector<std::unique_ptr<worker>> idle_;
  std::vector<worker*> working_;
  std::size_t busy_ = 0;
  event idle_again_;  ///< no call has a permit
  std::uint64_t answered_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t started_ = 0;
  bool closed_ = false;
};

}  // namespace brigade
