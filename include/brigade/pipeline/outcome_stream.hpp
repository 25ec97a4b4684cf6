/// The outcomes of a run, one after the other, to read while it runs.
///
///   outcome_stream outcomes = run.outcomes();
///   while (auto told = co_await outcomes.next()) note(told->id, told->result);
///
/// Each item that was taken is told of exactly once, when its outcome is recorded (with a ledger:
/// durable); of an item that was split, its own outcome, which is the worst of its children's.
/// What is not read yet keeps its place in the window: who reads too slowly slows the intake down,
/// and who reads nothing stops it. Destroying the stream ends that; nobody is told then.
///
/// Thread safety: the loop of the run. Lifetime: its own; it may outlive the run.
#pragma once
#include <brigade/async/task.hpp>
#include <brigade/pipeline/outcome.hpp>

#include <memory>
#include <optional>
#include <string>

namespace brigade {

/// What became of one item.
struct item_outcome {
  std::string id;           ///< of its position
  std::string business_id;  ///< what `id` gave; empty: none
  outcome result = outcome::delivered;
  std::string stage;  ///< where; for a split item, where it was split
  std::string error;  ///< of a dead letter, or why it was returned
  int attempts = 0;
};

namespace detail {
class outcome_board;
}

class outcome_stream {
 public:
  explicit outcome_stream(std::shared_ptr<detail::outcome_board> from);
  outcome_stream(outcome_stream&& other) noexcept = default;
  outcome_stream& operator=(outcome_stream&&) = delete;
  ~outcome_stream();

  /// Completes:  with the next outcome; with nothing once the run has ended and all are read.
  /// Cancelled:  throws `cancelled`; nothing is lost.
  task<std::optional<item_outcome>> next();

 private:
  std::shared_ptr<detail::outcome_board> board_;
};

}  // namespace brigade
