/// The ledger without its thread: what stands in the file, and each change to it as one
/// transaction.
///
/// A transaction that fails leaves the file as it was and the store ready to try again: marks only
/// ever gain what the failed batch will add again, and names keep the number they were given.
///
/// Throws ledger_error when the file is not to be used, database_error when a write fails.
/// Thread safety: none.
#pragma once
#include "pipeline/ledger_database.hpp"
#include "pipeline/ledger_lock.hpp"
#include "pipeline/letter_file.hpp"
#include "pipeline/mark_ranges.hpp"

#include <brigade/pipeline/ledger.hpp>

#include <array>
#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace brigade::ledger_detail {

/// What `record` was given.
struct queued_batch {
  std::uint64_t number = 0;
  settled_batch settled;
  std::vector<sink_token> tokens;
  source_note note;
};

/// Which partition an index of the source stands for from now on; without a name: none.
struct index_name {
  std::size_t index = 0;
  std::string name;
};

class ledger_store {
 public:
  explicit ledger_store(const ledger_options& options);

  [[nodiscard]] resume_point resume();
  void reconcile(std::span<const partition_mark> sink_marks);
  void keep(std::string_view source_state, std::span<const sink_token> first_tokens);
  std::uint64_t begin_run();
  void name_partitions(std::span<const index_name> names);
  /// One transaction. Returns the business ids that came with another position before.
  std::vector<repeated_id> write(std::span<const queued_batch> batches);
  void end_run(const report& account);

  [[nodiscard]] const ledger_options& options() const { return options_; }
  void never_write_again() { database_.never_write_again(); }

 private:
  struct partition {
    std::string name;
    std::int64_t number = 0;
    bool is_replay = false;
    bool is_stored = false;
    bool is_forgotten = false;  ///< with what is being written
    mark_builder done;
    ranges recovered;  ///< in `done`, but without rows
    bool mark_changed = false;
    bool recovered_changed = false;
  };
  struct stage {
    std::string name;
    std::int64_t number = 0;
    bool is_stored = false;
  };
  struct tally {
    std::array<std::uint64_t, outcome_count> items{};
    std::uint64_t retries = 0;
  };
  struct statements {
    explicit statements(database& in);
    statement item;
    statement attempt;
    statement letter;
    statement letter_replayed;
    statement business_id;
    statement business_id_elsewhere;
    statement mark;
    statement tally;
  };

  void open_letters();
  void check_identity();
  void begin_epoch(std::uint64_t epoch);
  void load_names();
  void load_marks();
  void close_killed_runs();
  void delete_old_rows();

  partition& find_partition(const std::string& name);
  [[nodiscard]] std::string partition_name(std::int64_t number);
  void forget_partition(const std::string& name);
  std::optional<std::int64_t> stage_number(const std::string& name);
  [[nodiscard]] std::int64_t last_run();
  void recover_letters(partition& replay, const ranges& letters);
  void recover_part(partition& in, const mark::part& part);

  void write_settlement(const settlement& item, std::vector<repeated_id>& repeated);
  void write_row(const settlement& item, const partition& in);
  void write_attempts(const settlement& item, const partition& in);
  void write_letter(const settlement& item, const partition& in);
  void write_business_id(const settlement& item, const partition& in,
                         std::vector<repeated_id>& repeated);
  void count_delivered(const delivered_item& item);
  void advance_mark(const settlement& item, partition& in);
  void commit_with_letters(transaction& writing);
  void write_changes();
  void forget_changes();
  [[nodiscard]] std::vector<sink_token> sink_tokens();
  [[nodiscard]] bool ended_well();
  void put_token(std::string_view sink, std::string_view token);
  [[nodiscard]] partition& partition_at(std::uint32_t index);
  [[nodiscard]] bool keeps_row(const settlement& item) const;

  ledger_options options_;
  ledger_lock lock_;
  database database_;
  statements statements_;
  std::uint64_t epoch_ = 1;
  std::int64_t run_ = 0;
  std::list<partition> partitions_;  ///< those with marks, or in use; addresses stay
  std::int64_t last_partition_ = 0;  ///< the highest number there is
  std::unordered_map<std::string, partition*> partition_by_name_;
  std::vector<partition*> partition_by_index_;
  std::deque<stage> stages_;
  tally tally_;
  std::optional<letter_file> letters_;
  std::string letter_lines_;  ///< of the batches that are being written
};

}  // namespace brigade::ledger_detail
