/// A world in memory for an engine: a source, a sink and a journal that are as slow and as unkind
/// as told, and that keep across a crash exactly what real ones would keep.
///
/// What survives stands apart from what does not. A `fake_store` (the far side of a source), a
/// `fake_table` (of a sink) and a `memory_journal` live as long as the test; a `fake_source` and a
/// `fake_sink` belong to one run, and die with it. The order of a run is that of a recorded one:
///
///   resume, open the sink, reconcile, resume, open the source, keep, begin_run, execute
///
/// All chance is drawn from the seeds, all time is the loop's: a run repeats exactly.
///
/// Thread safety: none; everything is called on the thread of a virtual loop, in its tasks.
/// Lifetime: stores, tables and journals outlive the engines that use them.
#pragma once
#include <brigade/pipeline/journal.hpp>
#include <brigade/pipeline/ledger.hpp>
#include <brigade/pipeline/mark.hpp>
#include <brigade/pipeline/sink.hpp>
#include <brigade/pipeline/source.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace brigade::testing {

/// The far side of a source: items in partitions, kept until they are acknowledged.
class fake_store {
 public:
  struct entry {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::string text;          ///< what the item holds: a std::string
    bool undecodable = false;  ///< the source cannot make sense of it
    bool trimmed = false;      ///< acknowledged, and gone for good
  };
  struct partition {
    std::string name;  ///< `<source>:<token>`
    std::vector<entry> entries;
  };

  /// The items of a partition are added in ascending order; they may leave gaps.
  void add(const std::string& partition_name, entry item);
  [[nodiscard]] const std::vector<partition>& partitions() const { return partitions_; }
  /// Ids of the items that a run asked for again after they were trimmed: they are lost.
  [[nodiscard]] const std::vector<std::string>& lost() const { return lost_; }
  /// Called with every acknowledgement, before anything is trimmed.
  std::function<void(const std::string& partition, const mark& finished)> on_acknowledge;

 private:
  friend class fake_source;
  std::vector<partition> partitions_;
  std::vector<std::string> lost_;
};

/// Chances are 1 in n; 0: never.
struct source_faults {
  milliseconds read_delay_max{0};
  std::size_t read_items_max = 64;  ///< a read gives 1 to this many
  bool trims = false;               ///< forgets half of what is acknowledged
  std::uint64_t breaks_one_in = 0;  ///< of the reads: throws
};

/// Reads the partitions of a store in turns, at random; they become known as they are read.
class fake_source final : public source {
 public:
  fake_source(fake_store& from, const source_faults& faults, std::uint64_t seed)
      : store_(from), faults_(faults), random_(seed) {}

  task<> open(std::vector<partition_mark> resume, std::string state) override;
  task<std::vector<source_item>> read(std::size_t items_max) override;
  void acknowledge(std::uint32_t partition, const watermark& at) override;
  task<> close() override;
  [[nodiscard]] const std::vector<std::string>& partitions() const override { return names_; }
  [[nodiscard]] bool finite() const override { return true; }
  [[nodiscard]] std::string fingerprint() const override { return "fake"; }
  [[nodiscard]] bool is_open() const { return open_; }

 private:
  struct cursor {
    std::size_t partition;            ///< in the store
    std::vector<std::size_t> unread;  ///< in its entries; the next is the last
  };
  [[nodiscard]] std::uint32_t index_of(const std::string& name);
  fake_store& store_;
  source_faults faults_;
  random_source random_;
  std::vector<cursor> cursors_;  ///< those with something to read
  std::vector<std::string> names_;
  bool open_ = false;
};

/// The far side of a sink: rows, and for a transactional one the marks committed with them.
struct fake_table {
  struct row {
    std::string id;
    std::string text;
  };
  std::vector<row> rows;
  std::map<std::string, mark> marks;
};

enum class fake_sink_kind : std::uint8_t {
  plain,          ///< at least once
  cut,            ///< cut to the recorded length when it is opened, as a file is
  transactional,  ///< rows and marks at once
};

/// Chances are 1 in n; 0: never.
struct sink_faults {
  milliseconds write_delay_max{0};
  std::uint64_t item_fails_one_in = 0;  ///< a third of them for good
  std::uint64_t outage_one_in = 0;      ///< of the writes; a sink that goes down stays so
  milliseconds outage_max{0};           ///< for up to this long
  std::uint64_t breaks_one_in = 0;      ///< of the writes: throws what no sink should
};

/// Takes strings. A write is cancelled before it commits or not at all.
class fake_sink final : public sink {
 public:
  fake_sink(fake_table& to, fake_sink_kind kind, const sink_faults& faults, std::uint64_t seed)
      : table_(to), kind_(kind), faults_(faults), random_(seed) {}

  task<std::vector<partition_mark>> open(const sink_resume& resume) override;
  task<write_result> write(std::span<const sink_item> batch,
                           std::span<const partition_mark> marks) override;
  task<> commit_marks(std::span<const partition_mark> marks) override;
  task<> close() override;
  [[nodiscard]] bool transactional() const override {
    return kind_ == fake_sink_kind::transactional;
  }
  [[nodiscard]] std::string first_token() const override;
  [[nodiscard]] bool is_open() const { return open_; }

 private:
  [[nodiscard]] milliseconds some_delay() {
    return milliseconds(
        random_.below(static_cast<std::uint64_t>(faults_.write_delay_max.count()) + 1));
  }
  [[nodiscard]] bool chance(std::uint64_t one_in) { return one_in != 0 && random_.one_in(one_in); }
  [[nodiscard]] std::string length() const;
  [[nodiscard]] write_result judge(std::size_t items);
  void put_marks(std::span<const partition_mark> marks);
  fake_table& table_;
  fake_sink_kind kind_;
  sink_faults faults_;
  random_source random_;
  std::optional<detail::time_point> down_until_;
  std::string opened_with_;
  bool open_ = false;
};

/// A journal whose batches become durable in order, each after a random time. Its rows and marks
/// follow the rules of `ledger`; so does the order of the calls. Replays are not for it.
class memory_journal final : public journal {
 public:
  struct row {
    std::uint64_t run = 0;
    std::string partition;
    settlement what;
  };

  explicit memory_journal(std::uint64_t seed, milliseconds delay_max = milliseconds(5));
  ~memory_journal() override;

  [[nodiscard]] resume_point resume() const;
  void reconcile(std::span<const partition_mark> sink_marks);
  void keep(std::string source_state, std::span<const sink_token> first_tokens);
  std::uint64_t begin_run();
  void keep_with_next(source_note note) override;
  std::uint64_t record(settled_batch batch, const std::vector<std::string>& partitions,
                       std::vector<sink_token> tokens) override;
  /// As that of a ledger of failures, when it is told so; its rows are then made of the positions.
  [[nodiscard]] bool keeps_delivered() const override { return keeps_delivered_; }
  void keep_delivered(bool whole) { keeps_delivered_ = whole; }

  /// The disk breaks under this batch of the run (from 1): neither it nor a later one is durable.
  /// After `begin_run`.
  void break_at(std::uint64_t batch) { breaks_at_ = batch; }
  /// Forgets what is not durable, as a crash does. Once the loop has ended.
  void crash();

  /// What is durable, in the order it became so. A row stays where it is.
  [[nodiscard]] const std::deque<row>& rows() const { return rows_; }
  [[nodiscard]] std::uint64_t run() const { return run_; }

 private:
  struct pending;
  struct part_of_source {
    mark_builder done;
    std::vector<mark::range> recovered;  ///< the sink had it; its items are still to be recorded
  };
  void became_durable(pending& batch);
  void add(settlement entry, const std::string& partition);

  random_source random_;
  milliseconds delay_max_;
  bool keeps_delivered_ = true;
  std::deque<row> rows_;
  std::map<std::string, part_of_source> parts_;
  std::map<std::string, std::string> sink_tokens_;
  std::string source_state_;
  source_note note_;  ///< for the next batch
  bool has_history_ = false;
  std::uint64_t run_ = 0;
  std::uint64_t last_ = 0;
  std::uint64_t breaks_at_ = 0;
  bool broken_ = false;
  std::deque<std::unique_ptr<pending>> pending_;
};

}  // namespace brigade::testing
