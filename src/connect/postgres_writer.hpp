/// The sink's own connection: rows and marks, one transaction a batch.
///
/// Tables of its own, in the schema of the rows' table:
///   _brigade_marks   see postgres_marks.hpp
///   _brigade_keys("table", key)   with `dedupe`: what has been written
///
/// Thread safety: the loop's thread.
#pragma once
#include "connect/postgres_connection.hpp"
#include "connect/postgres_loader.hpp"
#include "connect/postgres_marks.hpp"
#include "connect/postgres_table.hpp"

#include <brigade/async/task.hpp>
#include <brigade/connect/record.hpp>
#include <brigade/pipeline/sink.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace brigade::postgres {

struct writer_options {
  explicit writer_options(connect_options where_) : where(std::move(where_)) {}
  connect_options where;
  table_options into;
  bool dedupe = false;
  bool copies = true;  ///< by COPY, else by INSERT
  /// How long it may be unknown whether a COMMIT came to be; 0: for ever.
  std::chrono::milliseconds give_up_after{0};
};

class writer {
 public:
  explicit writer(writer_options options);

  /// Connects, making what is missing, and gives the marks held for this pipeline and epoch.
  /// Throws std::runtime_error for the user.
  task<std::vector<partition_mark>> open(const sink_resume& resume);
  /// Writes all rows and the marks, or nothing: then some failures are there.
  ///
  /// Cancelled: the connection is closed, and nothing was written; but a COMMIT that was under way
  /// is waited for, and what it came to is found out.
  /// Throws: sink_down or fatal_error; then nothing was written.
  task<std::vector<std::optional<failure>>> write(std::span<const sink_item> items,
                                                  std::span<const partition_mark> marks);
  /// Throws as `write`.
  task<> commit_marks(std::span<const partition_mark> marks);
  /// How much the marks would cover with these: it only grows.
  [[nodiscard]] std::uint64_t covered_with(std::span<const partition_mark> marks) const {
    return known_.with(marks).covered();
  }
  void close() noexcept;

 private:
  using failures = std::vector<std::optional<failure>>;
  using reasons = std::vector<std::optional<std::string>>;
  struct search;
  enum class first_try : std::uint8_t {
    written,
    bad_rows,  ///< nothing was written, for some of the rows do not fit
    unknown,   ///< nothing was written; the batch has to be looked at as a whole
  };

  task<connection> connect_first();
  task<> wait_for_lock(connection& base);
  task<> check_history(connection& base, const sink_resume& resume);
  task<> reconnect();
  task<> take_lock_again(connection& base);
  [[noreturn]] void throw_for_engine(const error& why) const;

  [[nodiscard]] std::optional<std::string> prepare(placed_row& to, const record& value);
  [[nodiscard]] std::optional<std::string> problem_of(const placed_row& row) const;
  task<failures> write_once(std::span<const sink_item> items, const mark_rows& next);
  task<> blame_no_row_for_a_change();
  task<std::optional<error>> try_all(loader& with, std::span<const row_to_load> rows,
                                     const mark_rows& next);
  task<std::optional<error>> try_in_one(loader& with, std::span<const row_to_load> rows,
                                        const mark_rows& next);
  task<first_try> try_at_once(std::span<const sink_item> items, const mark_rows& next);
  task<std::optional<error>> finish_in_one(loader& with, task<> loading, const mark_rows& next);
  task<reasons> find_bad_rows(loader& with, std::span<const row_to_load> rows);
  task<> narrow(search& in, std::size_t from, std::size_t to);
  task<bool> fits(search& in, std::size_t from, std::size_t to);
  task<> retry_deferred(search& in);
  /// With what is still queued. Throws as a script does, `lost` only where it was not committed.
  task<> commit(std::string before, mark_rows next);
  task<> commit_shielded(std::string before, mark_rows next);
  task<bool> was_committed(const mark_rows& next);
  task<> roll_back();
  [[nodiscard]] mark_rows next_marks(std::span<const partition_mark> marks, bool has_rows);

  writer_options options_;
  std::string label_;
  table table_;
  std::optional<mark_table> marks_;
  loader_options loading_;
  std::optional<connection> base_;
  int last_pid_ = 0;                    ///< of the session that had the lock
  mark_rows known_;                     ///< what stands in the database
  std::optional<mark_rows> uncertain_;  ///< or this, when a COMMIT was not answered
  std::optional<unsigned> staged_for_;  ///< the table's version the temporary table is for
  std::uint64_t commits_ = 0;           ///< tells apart what would be the same marks
  json_text::object_shape shape_;
  std::vector<placed_row> rows_;  ///< of the batch; kept for their memory
};

}  // namespace brigade::postgres
