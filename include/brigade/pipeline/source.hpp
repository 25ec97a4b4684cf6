/// Where items come from: the interface between the engine and an outside system.
///
/// The source is the buffer: what it gave is acknowledged only once its final outcome is durable,
/// and a source that is asked again gives again what was never acknowledged.
#pragma once
#include <brigade/async/task.hpp>
#include <brigade/pipeline/mark.hpp>
#include <brigade/pipeline/outcome.hpp>
#include <brigade/pipeline/payload.hpp>
#include <brigade/pipeline/watermark.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

/// One item as read. Within a partition `begin` ascends, and `begin < end <= next begin`.
struct source_item {
  explicit source_item(payload value_, std::uint32_t partition_, std::uint64_t begin_,
                       std::uint64_t end_)
      : value(std::move(value_)), partition(partition_), begin(begin_), end(end_) {}
  payload value;
  std::uint32_t partition;  ///< index into `source::partitions()`
  std::uint64_t begin;
  std::uint64_t end;
  std::optional<std::string> undecodable;  ///< why; dead-lettered at stage `source`, one attempt
  /// Its position id, `<source>:...`, where it is not known by the offset: a row by its primary
  /// key, a request by what its client calls it. Where the far side gives the same item again, in
  /// this run or another, it gives it the same id.
  std::optional<std::string> id;
};

/// What became of an item. Valid during `source::settled`.
struct settled_item {
  std::uint32_t partition = 0;
  std::uint64_t begin = 0;
  outcome result = outcome::delivered;
  std::string_view stage;  ///< where
  std::string_view error;  ///< of a dead letter, or why it was returned
  /// Returned, though a sink that keeps marks may have it: the marks that the next run opens the
  /// source with say so. It must not be given under another position before.
  bool in_doubt = false;
};

class source {
 public:
  virtual ~source() = default;

  /// Opens, and continues behind `resume` (one entry for each partition known from before), with
  /// the `state` that was kept last; empty: none was.
  /// Throws std::runtime_error with a message for the user when it cannot.
  virtual task<> open(std::vector<partition_mark> resume, std::string state) = 0;
  /// What `open` wants back beside the marks (which file has which token). Kept durably, also
  /// across `--fresh`, after `open` and before the first item's outcome.
  [[nodiscard]] virtual std::string state() const { return {}; }
  /// When `state` may be written down anew.
  enum class state_kept : std::uint8_t {
    before_items,   ///< after each read: what is given then is durable before its items go on
    with_outcomes,  ///< with a batch of outcomes, in one transaction
    at_end,         ///< when the run is over
  };
  /// `state()`, when it is to be written down again; asked at each of these moments. Nothing: it
  /// has not changed, or can wait.
  [[nodiscard]] virtual std::optional<std::string> changed_state(state_kept when);
  /// Partitions that are over, each once: all they gave is acknowledged, and nothing more will
  /// come, in no later run either. Their marks are forgotten; from then on they have no name, and
  /// their index may be used again.
  [[nodiscard]] virtual std::vector<std::uint32_t> take_forgotten();
  /// For a value that comes back from a dead letter of stage `source`: gives it the shape `read`
  /// would give it, or says why it cannot be decoded, still.
  [[nodiscard]] virtual std::optional<std::string> decode(payload& value) const;
  /// The next items, at most `items_max`, as soon as there are any; none: the source is at its end.
  /// Gives no item that `resume` called finished. Cancelled: loses nothing; the next call goes on.
  virtual task<std::vector<source_item>> read(std::size_t items_max) = 0;
  /// The run takes nothing more, though the source is not at its end: a signal, or the run ends for
  /// another reason. Once, also when nobody is in `read` because there is no room; outcomes of what
  /// it gave may still come. Neither waits nor throws.
  virtual void stopping();
  /// True: it is told of each of its items, by `settled`. Asked once a run.
  [[nodiscard]] virtual bool wants_outcomes() const { return false; }
  /// An item's outcome, `returned` too, once it is durable, and before `acknowledge` speaks of it;
  /// of one that could not be recorded: `returned`. What `read` gave and the engine never received,
  /// because a stop came first, is not spoken of (only where it is `replayable`).
  /// Neither waits nor throws.
  virtual void settled(const settled_item& what);
  /// What is finished, durably; called as it advances. `at.at()` is its mark.
  virtual void acknowledge(std::uint32_t partition, const watermark& at);
  virtual task<> close();

  /// The partitions seen so far, in the order of their index: `<source>:<token>`. Grows only; a
  /// name changes only where a partition was forgotten.
  [[nodiscard]] virtual const std::vector<std::string>& partitions() const = 0;
  /// True: it ends by itself. Decides what a stop before the end means, and `give_up_after`.
  [[nodiscard]] virtual bool finite() const = 0;
  /// False: what it gave cannot be asked for again (a pipe); `check` warns.
  [[nodiscard]] virtual bool replayable() const { return true; }
  /// Units (bytes) there are in all, when that is known: for the progress line.
  [[nodiscard]] virtual std::optional<std::uint64_t> size_total() const { return std::nullopt; }
  /// What identifies the source in the pipeline file; another one under the same name is refused.
  [[nodiscard]] virtual std::string fingerprint() const = 0;
};

}  // namespace brigade
