/// The file of an intake journal: what came in and cannot be asked for again, in SQLite.
///
/// A row an item, under its position: 1, 2, 3, ... in the order of arrival. A position is given
/// once, also across restarts, and however much was trimmed. The token is drawn when the file is
/// made: it names the positions, so that those of another journal are not taken for these.
///
/// The file is in WAL mode with full sync: what a call of `write` added is on the disk, or so the
/// disk says, when it returns, and either all of it or nothing. Mode 0600. A lock on a file beside
/// it keeps every other program out, and another journal of this one.
///
/// Should somebody move it away or delete it meanwhile, the next `write` throws, and adds nothing.
///
/// It never takes the last room of its disk: entries leave as much as it takes to move the log into
/// the file and to trim, so that what is finished gives room again.
///
/// Throws std::runtime_error with the file's name and what to do instead.
/// Thread safety: none; a store and a reader of the same file may be used at the same time.
#pragma once
#include "connect/inode.hpp"
#include "pipeline/ledger_database.hpp"
#include "pipeline/ledger_lock.hpp"

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace brigade {

struct intake_entry {
  std::string payload;  ///< any bytes
  std::string id;       ///< what its sender calls it; empty: nothing
};

/// Where an entry is, or the earlier one with its id.
struct intake_place {
  std::uint64_t position = 0;
  bool known = false;  ///< its id was there already: nothing was added
};

struct intake_item {
  std::uint64_t position = 0;
  std::string payload;
  std::string id;
};

/// What an entry takes of a journal's `bytes_max`.
[[nodiscard]] std::uint64_t intake_cost(const intake_entry& entry);

/// There is no room on the disk. Nothing was changed; the same call may be made again.
class intake_disk_full : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class intake_store {
 public:
  /// Opens the file, or makes it; its folder must be there. An id is known until so many
  /// positions have been finished behind it.
  intake_store(std::filesystem::path file, std::uint64_t ids_kept);

  [[nodiscard]] const std::string& token() const { return token_; }
  /// The position that the next entry gets.
  [[nodiscard]] std::uint64_t next() const { return next_; }
  /// Gives no position before `position` any more: what is known elsewhere to have been given.
  void skip_to(std::uint64_t position);
  /// Everything before it has been removed.
  [[nodiscard]] std::uint64_t trimmed() const { return trimmed_; }
  /// The cost of all that is in it.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

  /// One transaction: removes what is before `trim_to`, and adds the entries, for each of which it
  /// appends a place. Throws intake_disk_full too; something may have been removed then.
  void write(std::span<const intake_entry> entries, std::uint64_t trim_to,
             std::vector<intake_place>& places);
  /// Returns when entries of this cost have room. Throws as `write`.
  void find_room(std::uint64_t cost, std::uint64_t trim_to);
  /// After an error that is no full disk: closing writes nothing either.
  void never_write_again() { database_.never_write_again(); }

 private:
  struct statements {
    explicit statements(ledger_detail::database& in);
    ledger_detail::statement add;
    ledger_detail::statement place_of_id;
    ledger_detail::statement cost_before;
    ledger_detail::statement remove_before;
    ledger_detail::statement empty_before;
    ledger_detail::statement forget_before;
    ledger_detail::statement set_trimmed;
  };
  using inodes = std::array<inode, 2>;  ///< of the file and its log

  struct page_bytes {
    std::uint64_t unused = 0;
    std::uint64_t used = 0;
  };

  [[noreturn]] void explain(const ledger_detail::database_error& error) const;
  void load();
  [[nodiscard]] inodes inodes_now() const;
  void check_names() const;
  void write_now(std::span<const intake_entry> entries, std::uint64_t trim_to,
                 std::vector<intake_place>& places);
  [[nodiscard]] bool has_room(std::uint64_t cost);
  [[nodiscard]] std::uint64_t left_of_disk() const;
  page_bytes bytes_of_pages();
  void shrink();
  void trim_in_steps(std::uint64_t to);
  void empty_log();
  intake_place add(const intake_entry& entry, std::uint64_t position);
  std::uint64_t trim(std::uint64_t to);

  std::filesystem::path file_;
  std::uint64_t ids_kept_;
  ledger_detail::ledger_lock lock_;
  ledger_detail::database database_;
  statements statements_;
  inodes inodes_;  ///< when it was opened
  std::string token_;
  std::uint64_t next_ = 1;
  std::uint64_t trimmed_ = 1;
  std::uint64_t bytes_ = 0;
  bool has_ids_ = false;
};

/// A second connection to the file, which only reads.
class intake_reader {
 public:
  explicit intake_reader(const std::filesystem::path& file);
  /// What is durable at or behind `from`, in order: at most `items_max`, and no more once
  /// `bytes_max` is reached.
  [[nodiscard]] std::vector<intake_item> read(std::uint64_t from, std::size_t items_max,
                                              std::size_t bytes_max);

 private:
  std::filesystem::path file_;
  ledger_detail::database database_;
  ledger_detail::statement items_;
};

}  // namespace brigade
