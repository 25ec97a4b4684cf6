/// What a stage does with one item: the interface between the engine and the work.
///
/// The engine owns the item, counts the attempts and decides what a failure means; a stage body
/// makes one attempt and says what came of it. It never settles, retries or logs an item itself.
#pragma once
#include <brigade/async/task.hpp>
#include <brigade/pipeline/outcome.hpp>
#include <brigade/pipeline/payload.hpp>
#include <brigade/pipeline/policy.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brigade {

/// Why an attempt failed.
struct failure {
  explicit failure(verdict kind_, std::string error_,
                   std::optional<milliseconds> retry_after_ = std::nullopt)
      : kind(kind_), error(std::move(error_)), retry_after(retry_after_) {}
  verdict kind;
  std::string error;                        ///< for people: one line, no trailing newline
  std::optional<milliseconds> retry_after;  ///< what the far side asked for
  bool killed_handler = false;  ///< the attempt ended its handler process: charges no attempt,
                                ///< counts a kill; the third makes the item poison
  bool timed_out = false;       ///< for who counts reasons
};

/// What one attempt gave.
class attempt_result {
 public:
  enum class kind : std::uint8_t { unchanged, passed, filtered, split, failed, routed };

  /// The item goes on as it is.
  static attempt_result unchanged() { return attempt_result(kind::unchanged); }
  /// The item goes on as `value`.
  static attempt_result passed(payload value) {
    attempt_result result(kind::passed);
    result.value_ = std::move(value);
    return result;
  }
  static attempt_result filtered() { return attempt_result(kind::filtered); }
  /// The item goes on as these, one or more; it is settled when all of them are.
  static attempt_result split(std::vector<payload> values) {
    attempt_result result(kind::split);
    result.values_ = std::move(values);
    return result;
  }
  /// Of a stage where the ways part: the item goes on as it is, down that branch.
  static attempt_result routed(std::size_t branch) {
    attempt_result result(kind::routed);
    result.branch_ = branch;
    return result;
  }
  static attempt_result failed(failure why) {
    attempt_result result(kind::failed);
    result.failure_ = std::make_unique<failure>(std::move(why));
    return result;
  }

  [[nodiscard]] kind what() const { return kind_; }
  [[nodiscard]] payload& value() { return value_; }
  [[nodiscard]] std::vector<payload>& values() { return values_; }
  [[nodiscard]] const failure& why() const { return *failure_; }
  [[nodiscard]] std::size_t branch() const { return branch_; }

 private:
  explicit attempt_result(kind what) : kind_(what) {}
  kind kind_;
  payload value_;
  std::vector<payload> values_;
  std::unique_ptr<failure> failure_;
  std::size_t branch_ = 0;
};

/// What a stage body may know of the item it works on. Valid during the attempt.
struct attempt_info {
  std::string_view id;   ///< position id, e.g. `main:8f3a:40960`; a child's has `/N` behind it
  std::string_view key;  ///< pipeline name and id: stable over retries, restarts and replays
                         ///< (both empty for a body that does not want them)
  int attempt = 1;       ///< 1 for the first
  int worker = 0;        ///< which worker, 0 to workers - 1
};

/// One attempt of several that are made together.
struct attempt_request {
  payload* item;
  attempt_info info;
};

/// The work of one stage. One object serves all workers of the stage, on one loop.
class stage_body {
 public:
  virtual ~stage_body() = default;

  /// Before the first item; throws what makes the run impossible. Workers 0 to `workers` - 1 are
  /// about to begin.
  virtual task<> open(int workers);
  /// After the last item, also when the run failed; must end what `open` started.
  virtual task<> close();

  /// The number of workers changes while it runs: one more begins, and will make attempts; or one
  /// has ended, with no attempt under way, and makes none unless it begins again. A number is given
  /// again. Neither may wait; `close` ends those that are left.
  virtual void worker_begins(int worker);
  virtual void worker_ended(int worker);

  /// How many items one worker may have in work at once (a child process with `in_flight: 64`).
  [[nodiscard]] virtual int in_flight_per_worker() const { return 1; }

  /// True: `run` minds the attempt timeout itself, for it knows when the work on an item begins
  /// (a handler that is restarted begins again); the engine sets no timer.
  [[nodiscard]] virtual bool minds_timeout() const { return false; }

  /// False: it does not look at `attempt_info::id` and `key`, and they need not be made.
  [[nodiscard]] virtual bool wants_names() const { return true; }

  /// True: `run_now` is the whole work, does not wait, and is called instead of `run`.
  [[nodiscard]] virtual bool immediate() const { return false; }
  /// One attempt that does not wait. An exception is a retryable failure with its text, except
  /// `permanent_error` and `fatal_error`.
  virtual attempt_result run_now(payload& item, const attempt_info& info);
  /// One attempt that may wait. `item` stays unchanged unless the attempt succeeds.
  /// Cancelled: leaves no trace of the attempt behind but side effects; the item is the engine's.
  virtual task<attempt_result> run(payload& item, const attempt_info& info);
  /// How many items a worker may take at once now, for `run_together`; 0: one, for `run`.
  [[nodiscard]] virtual std::size_t together_max() const { return 0; }
  /// An attempt at each, as `run` and `run_now` make one, by one worker. Gives as many results, in
  /// that order, and throws nothing but `cancelled`. Cancelled: as `run`, for all of them.
  virtual task<std::vector<attempt_result>> run_together(
      const std::vector<attempt_request>& requests);
  /// Of a stage that collects: one item that holds copies of these, which `run_now` has let in.
  virtual payload join(std::span<const payload* const> items);
};

/// What an exception thrown by an attempt says about the item; `cancelled` as any other.
[[nodiscard]] attempt_result failed_by(const std::exception_ptr& error);

/// Thrown by a stage function: this item will never succeed; it is not tried again.
class permanent_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
/// Thrown by a stage function: the whole run cannot go on.
class fatal_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace brigade
