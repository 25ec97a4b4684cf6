/// The account of a run as the engine writes it: every outcome, exactly once, durable before the
/// source hears of it. `ledger` is the real one; the test kit has one in memory.
#pragma once
#include <brigade/pipeline/mark.hpp>
#include <brigade/pipeline/outcome.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace brigade {

using wall_time = std::chrono::system_clock::time_point;

/// One failed attempt.
struct attempt_record {
  std::string stage;
  int number = 0;  ///< 0: it charged no attempt (its handler process died)
  int worker = 0;
  std::string error;
  wall_time at;
};

/// What is kept of a dead letter, enough to replay it.
struct letter {
  std::string payload;         ///< as it was at the failed stage
  std::string source_payload;  ///< as it was at the source
  int stage_index = 0;         ///< where replay begins; -1: at the source
  bool replayable = true;      ///< false: the payload has no text form that reads back
};

/// One settled item.
struct settlement {
  std::string id;           ///< position id; a child's has `/N` behind it
  std::string business_id;  ///< empty: none
  std::uint32_t partition = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::string part;  ///< a child's path ("0", "0/2"); empty: the item itself, whose position ends
  outcome result = outcome::delivered;
  std::string stage;  ///< where it was settled
  int attempts = 0;   ///< completed ones, at that stage
  std::string error;
  wall_time taken_at;
  wall_time settled_at;
  std::vector<attempt_record> failed_attempts;  ///< in order, over all stages
  std::unique_ptr<letter> dead;                 ///< for dead_lettered
  std::string replay_of;                        ///< id of the letter this is a replay of
};

/// An item that was simply delivered: at the first attempt, and without a business id.
struct delivered_item {
  std::uint32_t partition = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// What is recorded together.
struct settled_batch {
  settled_batch() = default;
  settled_batch(std::vector<settlement> items_) : items(std::move(items_)) {}
  std::vector<settlement> items;
  std::vector<delivered_item>
      delivered;  ///< none in `items`; for a journal that keeps no row of them
};

/// What a sink wants back when it is opened next (`write_result::token`), and whose it is.
struct sink_token {
  std::string sink = {};   ///< its name in the pipeline
  std::string token = {};  ///< empty: nothing new
};

/// What is to be kept of the source itself.
struct source_note {
  std::optional<std::string> state = {};    ///< when it has changed
  std::vector<std::string> forgotten = {};  ///< partitions that are over; all of them is durable
};

class journal {
 public:
  virtual ~journal() = default;

  /// What the source wants kept; it becomes durable with the batch that is recorded next, which may
  /// be an empty one.
  virtual void keep_with_next(source_note) {}

  /// Queues a batch, to become durable as one; does not wait. Batches become durable in order.
  /// `partitions` are the source's, as known by now; the name at an index changes only once the one
  /// before was forgotten. Returns the batch's number, from 1.
  virtual std::uint64_t record(settled_batch batch, const std::vector<std::string>& partitions,
                               std::vector<sink_token> tokens) = 0;
  /// False: of an item that was simply delivered it wants to know the position only. Asked once a
  /// run.
  [[nodiscard]] virtual bool keeps_delivered() const { return true; }
  /// The run has no time left: what does not become durable at once, because the disk is full,
  /// never will, and `on_failed` is told. From any thread.
  virtual void hurry() {}

  /// Called on a thread of the journal's own: all batches up to `number` are durable.
  std::function<void(std::uint64_t number)> on_durable;
  /// Called on that thread: nothing will become durable any more; the run must end with exit 1.
  std::function<void(std::string error)> on_failed;
  /// Called on that thread when there is no room any more, with what is full, and, with nothing,
  /// when there is again.
  std::function<void(const std::string& what)> on_full;
};

}  // namespace brigade
