// Room on the disk under an intake journal: how much entries leave of it, and how it comes back.
#include "connect/intake_store.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <limits>
#include <system_error>

namespace brigade {
namespace {

using ledger_detail::database_error;
using ledger_detail::statement;
using ledger_detail::transaction;

// What entries leave of the disk beside what the log has: a step of trimming takes less.
constexpr std::uint64_t room_kept = std::uint64_t{256} << 10;
constexpr std::uint64_t room_to_shrink = std::uint64_t{32} << 10;
constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max() / 2;
constexpr std::uint64_t trimmed_at_a_step = 16;  // each mostly a page, and one of the index

}  // namespace

std::uint64_t intake_store::left_of_disk() const {
  struct statvfs disk{};
  if (::statvfs(file_.c_str(), &disk) != 0) return no_limit;  // writing says what is wrong
  return std::uint64_t{disk.f_bavail} * disk.f_frsize;
}

intake_store::page_bytes intake_store::bytes_of_pages() {
  statement pages = database_.prepare(
      "SELECT freelist_count * page_size, (page_count - freelist_count) * page_size "
      "FROM pragma_freelist_count, pragma_page_count, pragma_page_size");
  if (!pages.step()) return {};
  return {pages.unsigned_integer(0), pages.unsigned_integer(1)};
}

// The log grows by what is written, and the file, at the latest when the log is moved into it, by
// what that has then and the pages do not take that were trimmed.
bool intake_store::has_room(std::uint64_t cost) {
  const std::uint64_t free = left_of_disk();
  std::error_code none;
  const std::uintmax_t log = std::filesystem::file_size(file_.string() + "-wal", none);
  const std::uint64_t to_move = (none ? 0 : log) + cost;
  if (free >= cost + to_move + room_kept) return true;
  const std::uint64_t trimmed = bytes_of_pages().unused;
  // Less is kept where the file need not grow: else it would stand still right behind the limit.
  return to_move <= trimmed && free >= cost + room_kept / 2;
}

// What was trimmed has left pages in the file which take what the log has. Somebody who reads just
// now, or a disk without any room, only puts it off.
void intake_store::empty_log() {
  try {
    database_.execute("PRAGMA wal_checkpoint(TRUNCATE)");
  } catch (const database_error&) {
  }
}

// What was trimmed is of no use while the log has no room: others may have taken what the disk had
// besides, the ledger, say. So it goes back to the disk, once what is left can be written anew.
void intake_store::shrink() {
  const page_bytes pages = bytes_of_pages();
  if (pages.unused < room_kept || pages.used + room_to_shrink > left_of_disk()) return;
  try {
    database_.execute("VACUUM");
  } catch (const database_error& error) {
    if (error.code() != SQLITE_FULL && error.code() != SQLITE_BUSY) explain(error);
  }
  empty_log();
}

// Where there is hardly room for the log, little is removed at a time, and less where that is much.
void intake_store::trim_in_steps(std::uint64_t to) {
  std::uint64_t step = trimmed_at_a_step;
  while (trimmed_ < to) {
    std::vector<intake_place> none;
    try {
      write_now({}, std::min(to, trimmed_ + step), none);
    } catch (const intake_disk_full&) {
      if (step == 1) throw;
      step /= 2;
    }
    if (!has_room(0)) empty_log();
  }
}

void intake_store::find_room(std::uint64_t cost, std::uint64_t trim_to) {
  if (!has_room(cost)) {
    empty_log();
    trim_in_steps(std::min(trim_to, next_));
    empty_log();
    if (!has_room(cost)) shrink();
  }
  if (!has_room(cost)) throw intake_disk_full(file_.string() + ": the journal's disk is full");
  try {
    transaction trying(database_);
    statements_.set_trimmed.run(trimmed_);
    trying.commit();
  } catch (const database_error& error) {
    explain(error);
  }
}

}  // namespace brigade
