/// Where results go: the interface between the engine and an outside system.
#pragma once
#include <brigade/async/task.hpp>
#include <brigade/pipeline/mark.hpp>
#include <brigade/pipeline/payload.hpp>
#include <brigade/pipeline/stage.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

/// One item to write. Valid during `write`.
struct sink_item {
  std::string_view id;   ///< position id
  std::string_view key;  ///< stable over retries, restarts and replays
                         ///< (both empty for a sink that does not want them)
  const payload* value = nullptr;
};

/// What came of a batch: nothing for an item that was written, else why not. Throwing
/// `sink_down` says that no item is to blame and nothing of the batch was written.
struct write_result {
  std::vector<std::optional<failure>> failures;  ///< one entry an item of the batch
  std::string token;  ///< recorded with the batch's outcomes, given back to `open` (file length)
};

/// The far side cannot be reached or has no room: not the items' fault. The batch is tried again.
class sink_down : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What a sink resumes from.
struct sink_resume {
  std::string pipeline;
  std::uint64_t epoch = 1;   ///< `--fresh` starts the next
  std::string token;         ///< of the last batch whose outcomes were recorded; empty: none
  bool has_history = false;  ///< the ledger says that something was delivered in this epoch
  bool ended_well = false;   ///< the run before came to its end, and returned nothing: all that was
                             ///< written is recorded
};

class sink {
 public:
  virtual ~sink() = default;

  /// Opens. A transactional sink answers with the marks it holds for this pipeline and epoch: they
  /// are the authority. Throws std::runtime_error with a message for the user when it cannot.
  virtual task<std::vector<partition_mark>> open(const sink_resume& resume) = 0;

  /// Writes a batch, durably, in order. A transactional sink commits `marks` with the rows in one
  /// transaction; `marks` says what will be finished once this batch is written in full. When an
  /// item of the batch fails for good, the engine settles it and sends what is left again with new
  /// marks: so a transactional sink that finds a failed item rolls back and reports it.
  /// Cancelled: what was begun is finished or rolled back before the exception leaves.
  virtual task<write_result> write(std::span<const sink_item> batch,
                                   std::span<const partition_mark> marks) = 0;
  virtual task<> close();
  /// The token to give back to `open` as long as no batch has recorded one. Kept durably after
  /// `open` and before the first write.
  [[nodiscard]] virtual std::string first_token() const { return {}; }

  /// True: rows and marks are committed together, so a restart neither loses nor repeats a row.
  [[nodiscard]] virtual bool transactional() const { return false; }
  /// False: it does not look at `sink_item::id` and `key`, and they need not be made.
  [[nodiscard]] virtual bool wants_names() const { return true; }
  /// True: an item that fails in a batch is never written later than one behind it, because the
  /// batch is rolled back, or because such an item has failed for good. Where items are to stay in
  /// order, a sink that cannot say so is given one item of a key at a time.
  [[nodiscard]] virtual bool fails_in_order() const { return transactional(); }
  /// Commits marks alone, at the end of a run and when nothing else was written for a while.
  virtual task<> commit_marks(std::span<const partition_mark> marks);
};

}  // namespace brigade
