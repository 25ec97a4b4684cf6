/// The account of a pipeline in one SQLite file: every outcome, durable before the source hears of
/// it, and how far the source is worked off. `brigade report`, `explain` and `dlq` read it.
///
/// Order of calls: `open`, `resume` (what the sink needs to open), `reconcile` (what a
/// transactional sink answered), `resume` again, `begin_run`, then `record` as items settle,
/// `end_run`, `close`.
///
/// Outcomes become durable in batches, on a thread of the ledger's own: it takes all that is queued
/// into one transaction, together with the marks, so rows and marks never disagree. The marks
/// advance over what was recorded only: an item that was returned, or never recorded, stays a hole.
/// A gap between the end of one item and the begin of the next stays one too (the ledger does not
/// see what is taken), so a source does well to let items end where the next begin.
///
/// Replays: a letter that is replayed is settled in the partition `replay_partition`, at the
/// letter's number (`[number, number + 1)`), with `id` and `replay_of` the letter's item id. It
/// touches no mark of the source; any outcome but `returned` marks the letter replayed in the same
/// transaction.
///
/// Errors: a disk that is full is waited out (`on_full`). Any other failed write ends it: nothing
/// is written again, `on_failed` is called once, and what was not reported durable must be
/// returned. Throws ledger_error from everything but `record` and `close`, with one line for the
/// user. Thread safety: `record` and `close` from any thread; the others from one thread at a time.
/// The callbacks run on the ledger's thread, with no lock held, and are set before `begin_run`.
#pragma once
#include <brigade/pipeline/journal.hpp>
#include <brigade/pipeline/mark.hpp>
#include <brigade/pipeline/report.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

/// The ledger cannot be used, or not any more. The message names the file and says what to do.
class ledger_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// For which items rows are kept. Runs, marks and dead letters are in every mode.
enum class ledger_mode : std::uint8_t {
  full,      ///< for all
  failures,  ///< for those not simply delivered at the first attempt
  off,       ///< for none
};

/// Where letters are replayed from, as a partition; its positions are the letters' numbers.
inline constexpr std::string_view replay_partition = "replay";

struct ledger_options {
  ledger_options(std::filesystem::path file, std::string pipeline_name)
      : path(std::move(file)), pipeline(std::move(pipeline_name)) {}
  std::filesystem::path path;           ///< made, with its folder, when absent
  std::string pipeline;                 ///< another pipeline's ledger is refused
  std::filesystem::path pipeline_file;  ///< for `dlq replay`; empty: there is none
  std::string source_fingerprint;       ///< a changed one is refused; empty: neither is checked
  std::string id_expression;            ///< likewise
  bool fresh = false;  ///< begin a new epoch: no marks, and the source and id may have changed
  ledger_mode mode = ledger_mode::full;
  std::chrono::seconds keep{0};   ///< rows of runs that ended longer ago are deleted; 0: never
  std::uint64_t bytes_max = 0;    ///< a file of this size counts as a full disk; 0: any size
  std::filesystem::path letters;  ///< dead letters stand in here as well; empty: they do not
  std::uint64_t letters_bytes_max = 0;  ///< as `bytes_max`, of that file
  std::chrono::milliseconds full_retry_after{1000};
};

/// What a run continues from.
struct resume_point {
  std::uint64_t epoch = 1;
  /// What is finished and must not be worked on again, whoever says so: ledger or sink.
  std::vector<partition_mark> finished;
  /// What has its outcome in the ledger. Less than `finished` after a kill between the commit of a
  /// transactional sink and the ledger's. Opening the source with this makes it give the items in
  /// between again; recording each as `delivered`, in order and without work, completes the
  /// account.
  std::vector<partition_mark> accounted;
  mark replayed;                        ///< of `replay_partition`
  std::vector<sink_token> sink_tokens;  ///< of each sink's last batch in this epoch
  std::string source_state;             ///< what `keep` was given last; empty: nothing
  bool has_history = false;             ///< something was delivered in this epoch
  bool ended_well = false;              ///< the run before came to its end, and returned nothing

  /// What that sink wants back; empty: nothing. Ledgers of old hold one token without a name; and
  /// a sink that is alone may have had another name.
  [[nodiscard]] std::string token_of(std::string_view sink, bool is_alone) const;
};

/// A business id came with another position before.
struct repeated_id {
  std::string business_id;
  std::string id;
  std::string earlier_id;
};

class ledger final : public journal {
 public:
  /// Locks, opens or creates (mode 0600), checks, and closes runs without an end record as killed.
  [[nodiscard]] static std::unique_ptr<ledger> open(const ledger_options& options);
  ~ledger() override;  ///< closes

  [[nodiscard]] resume_point resume() const;
  /// The marks a transactional sink holds, which are the authority: what it has and the ledger has
  /// not becomes finished here too, and is kept as recovered until it is recorded.
  void reconcile(std::span<const partition_mark> sink_marks);
  /// What the source and the sinks want back when they are opened next: the source's state, and a
  /// sink's token for as long as no batch has recorded one. Durable on return.
  void keep(std::string_view source_state, std::span<const sink_token> first_tokens);
  /// Once. Returns the run's number.
  std::uint64_t begin_run();

  void keep_with_next(source_note note) override;
  std::uint64_t record(settled_batch batch, const std::vector<std::string>& partitions,
                       std::vector<sink_token> tokens) override;
  [[nodiscard]] bool keeps_delivered() const override;
  void hurry() override;

  /// Waits until all is durable, the end record too. A run without one counts as killed.
  void end_run(const report& account);
  /// Makes durable what is queued, unless the disk is full, and gives up the lock. Ends the wait of
  /// an `end_run`. Later calls do nothing.
  void close();

  /// As `on_durable`, after the batch with the second of the two is durable.
  std::function<void(const repeated_id&)> on_repeated_id;

 private:
  class writer;
  explicit ledger(std::unique_ptr<writer> made);
  std::unique_ptr<writer> writer_;
};

/// Dead letters that nobody will replay: they leave the lists, and stay in the history of their
/// items. `letters` are numbers; those that were replayed or dropped before stay as they are.
/// Returns how many were dropped, durably. Throws ledger_error, also while another program holds
/// the ledger.
std::size_t drop_letters(const std::filesystem::path& ledger,
                         std::span<const std::uint64_t> letters);

}  // namespace brigade
