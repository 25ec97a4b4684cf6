#include "connect/intake_store.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <random>
#include <stdexcept>
#include <system_error>

namespace brigade {
namespace {

using ledger_detail::database;
using ledger_detail::database_error;
using ledger_detail::statement;
using ledger_detail::transaction;

// What a row costs beside its bytes, roughly.
constexpr std::uint64_t row_bytes = 32;
constexpr std::string_view version = "1";

// A row of a finished item stays, without its payload, as long as its id is to be known.
constexpr const char* tables = R"sql(
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE items (position INTEGER PRIMARY KEY, cost INTEGER NOT NULL, id TEXT, payload);
CREATE UNIQUE INDEX items_by_id ON items (id) WHERE id IS NOT NULL;
)sql";

// What is trimmed soon is mostly never moved from the log into the file, so that log may grow.
// Pages that are freed are not written: some builds of SQLite fill each with zeros, and then
// trimming would take as much of the disk as it gives back.
constexpr const char* tuning =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;"
    "PRAGMA journal_size_limit = 67108864; PRAGMA secure_delete = FAST;"
    "PRAGMA temp_store = MEMORY;";

std::string error_text(int number) { return std::generic_category().message(number); }

[[noreturn]] void fail(const std::filesystem::path& file, const std::string& what) {
  throw std::runtime_error(file.string() + ": " + what);
}

[[noreturn]] void explain(const std::filesystem::path& file, const database_error& error) {
  const std::string said = " (" + std::string(error.what()) + ")";
  switch (error.code()) {
    case SQLITE_FULL:
      throw intake_disk_full(file.string() + ": the journal's disk is full");
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      fail(file, "is damaged, or no intake journal at all; move it away to begin a new one" + said);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
      fail(file, "cannot be opened; the file and its folder must be there, and writable" + said);
    case SQLITE_BUSY:
      fail(file, "another program holds it locked; wait for it or stop it" + said);
    default:
      fail(file, "the journal cannot be written or read" + said);
  }
}

std::filesystem::path folder_of(const std::filesystem::path& file) {
  return std::filesystem::absolute(file).parent_path();
}

std::filesystem::path checked(std::filesystem::path file) {
  std::error_code ignored;
  const std::filesystem::path folder = folder_of(file);
  if (!std::filesystem::is_directory(folder, ignored)) {
    fail(file, "there is no folder " + folder.string() + "; make it, or name another file");
  }
  const auto kind = std::filesystem::status(file, ignored).type();
  if (kind != std::filesystem::file_type::not_found &&
      kind != std::filesystem::file_type::regular) {
    fail(file, "is not a file; name another one");
  }
  return file;
}

// A file that was just made is not durable before its folder is.
void sync_folder(const std::filesystem::path& folder) {
  const int handle = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (handle < 0) fail(folder, error_text(errno));
  const bool synced = ::fsync(handle) == 0;
  const int error = errno;
  ::close(handle);
  if (!synced) fail(folder, "cannot be synced: " + error_text(error));
}

// SQLite would take the process's umask for the mode.
const std::filesystem::path& made(const std::filesystem::path& file) {
  const int handle = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (handle >= 0) {
    ::close(handle);
    sync_folder(folder_of(file));
  } else if (errno != EEXIST) {
    fail(file, "cannot be made: " + error_text(errno));
  }
  return file;
}

std::string draw_token() {
  std::random_device draw;
  std::array<char, 8> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), draw(), 16).ptr;
  return {digits.data(), end};
}

std::string meta(database& in, std::string_view key) {
  statement query = in.prepare("SELECT value FROM meta WHERE key = ?");
  query.bind_all(key);
  return query.step() ? query.text(0) : std::string{};
}

bool is_empty(database& in) {
  statement query = in.prepare("SELECT 1 FROM sqlite_schema LIMIT 1");
  return !query.step();
}

bool has_meta(database& in) {
  statement query = in.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'meta'");
  return query.step();
}

void make_tables(database& in) {
  transaction making(in);
  in.execute(tables);
  statement set = in.prepare("INSERT INTO meta VALUES (?, ?)");
  set.run("intake_journal", version);
  set.run("token", draw_token());
  set.run("trimmed", 1);
  making.commit();
}

database open_database(const std::filesystem::path& file) {
  try {
    database opened(made(file), SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX);
    const bool is_new = is_empty(opened);
    const std::string found =
        is_new || !has_meta(opened) ? std::string() : meta(opened, "intake_journal");
    if (!is_new && found != version) {
      fail(file, found.empty() ? "is a database but no intake journal; name another file"
                               : "is an intake journal of version " + found +
                                     ", which this brigade does not read");
    }
    opened.execute(tuning);
    if (is_new) make_tables(opened);
    return opened;
  } catch (const database_error& error) {
    explain(file, error);
  }
}

}  // namespace

std::uint64_t intake_cost(const intake_entry& entry) {
  return entry.payload.size() + entry.id.size() + row_bytes;
}

void intake_store::explain(const database_error& error) const { brigade::explain(file_, error); }

intake_store::statements::statements(database& in)
    : add(in.prepare("INSERT INTO items VALUES (?, ?, ?, ?) "
                     "ON CONFLICT (id) WHERE id IS NOT NULL DO NOTHING")),
      place_of_id(in.prepare("SELECT position FROM items WHERE id = ?")),
      cost_before(in.prepare("SELECT total(cost) FROM items WHERE position >= ? AND position < ?")),
      remove_before(in.prepare("DELETE FROM items "
                               "WHERE position >= ? AND position < ? AND id IS NULL")),
      empty_before(in.prepare("UPDATE items SET payload = NULL, cost = 0 "
                              "WHERE position >= ? AND position < ?")),
      forget_before(in.prepare("DELETE FROM items WHERE position < ?")),
      set_trimmed(in.prepare("UPDATE meta SET value = ? WHERE key = 'trimmed'")) {}

intake_store::intake_store(std::filesystem::path file, std::uint64_t ids_kept)
    : file_(checked(std::move(file))),
      ids_kept_(ids_kept),
      lock_(file_),
      database_(open_database(file_)),
      statements_(database_) {
  try {
    load();
  } catch (const database_error& error) {
    explain(error);
  }
  inodes_ = inodes_now();
}

intake_store::inodes intake_store::inodes_now() const {
  return {inode_of(file_), inode_of(file_.string() + "-wal")};
}

// What is written to a file without its name, no run will find again.
void intake_store::check_names() const {
  if (inodes_now() == inodes_) return;
  fail(file_,
       "it, or its -wal file, was moved away or deleted while the run was on; put both back, "
       "or begin without both");
}

void intake_store::load() {
  token_ = meta(database_, "token");
  statement trimmed = database_.prepare("SELECT value FROM meta WHERE key = 'trimmed'");
  if (token_.empty() || !trimmed.step()) {
    fail(file_, "is damaged: it has no token; move it away to begin a new one");
  }
  trimmed_ = trimmed.unsigned_integer(0);
  statement last = database_.prepare("SELECT max(position) FROM items");
  last.step();
  next_ = std::max(last.unsigned_integer(0) + 1, trimmed_);
  statement sum = database_.prepare("SELECT total(cost) FROM items WHERE position >= ?");
  sum.bind_all(trimmed_);
  sum.step();
  bytes_ = sum.unsigned_integer(0);
  statement ids = database_.prepare("SELECT 1 FROM items WHERE id IS NOT NULL LIMIT 1");
  has_ids_ = ids.step();
}

void intake_store::skip_to(std::uint64_t position) { next_ = std::max(next_, position); }

void intake_store::write(std::span<const intake_entry> entries, std::uint64_t trim_to,
                         std::vector<intake_place>& places) {
  trim_to = std::min(trim_to, next_);
  std::uint64_t cost = 0;
  for (const intake_entry& each : entries) cost += intake_cost(each);
  if (!entries.empty() && !has_room(cost)) find_room(cost, trim_to);
  try {
    write_now(entries, trim_to, places);
    return;
  } catch (const intake_disk_full&) {
    if (trim_to <= trimmed_) throw;
  }
  // It may be the trimming that has no room at once.
  empty_log();
  trim_in_steps(trim_to);
  if (!entries.empty()) write_now(entries, 0, places);
}

void intake_store::write_now(std::span<const intake_entry> entries, std::uint64_t trim_to,
                             std::vector<intake_place>& places) {
  const std::size_t places_before = places.size();
  std::uint64_t next = next_;
  std::uint64_t bytes_now = bytes_;
  try {
    transaction writing(database_);
    if (trim_to > trimmed_) bytes_now -= trim(trim_to);
    for (const intake_entry& entry : entries) {
      places.push_back(add(entry, next));
      if (places.back().known) continue;
      ++next;
      bytes_now += intake_cost(entry);
    }
    check_names();
    writing.commit();
  } catch (const database_error& error) {
    places.resize(places_before);
    explain(error);
  }
  next_ = next;
  bytes_ = bytes_now;
  trimmed_ = std::max(trimmed_, trim_to);
}

intake_place intake_store::add(const intake_entry& entry, std::uint64_t position) {
  const std::uint64_t cost = intake_cost(entry);
  if (entry.id.empty()) {
    statements_.add.run(position, cost, std::nullopt, ledger_detail::bytes{entry.payload});
    return {position, false};
  }
  has_ids_ = true;
  statements_.add.run(position, cost, entry.id, ledger_detail::bytes{entry.payload});
  if (database_.changes() == 1) return {position, false};
  statements_.place_of_id.bind_all(entry.id);
  if (!statements_.place_of_id.step()) fail(file_, "is damaged: an id is and is not there");
  const std::uint64_t earlier = statements_.place_of_id.unsigned_integer(0);
  statements_.place_of_id.reset();
  return {earlier, true};
}

// What it frees.
std::uint64_t intake_store::trim(std::uint64_t to) {
  statements_.cost_before.bind_all(trimmed_, to);
  statements_.cost_before.step();
  const std::uint64_t freed = statements_.cost_before.unsigned_integer(0);
  statements_.cost_before.reset();
  statements_.remove_before.run(trimmed_, to);
  if (has_ids_) {
    statements_.empty_before.run(trimmed_, to);
    if (to > ids_kept_) statements_.forget_before.run(to - ids_kept_);
  }
  statements_.set_trimmed.run(to);
  return freed;
}

intake_reader::intake_reader(const std::filesystem::path& file) try
    : file_(file),
      database_(file, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX),
      items_(database_.prepare("SELECT position, payload, id FROM items "
                               "WHERE position >= ? AND payload IS NOT NULL ORDER BY position")) {
} catch (const database_error& error) {
  explain(file, error);
}

std::vector<intake_item> intake_reader::read(std::uint64_t from, std::size_t items_max,
                                             std::size_t bytes_max) {
  std::vector<intake_item> found;
  std::size_t size = 0;
  try {
    items_.bind_all(from);
    while (found.size() < items_max && size < bytes_max && items_.step()) {
      found.push_back({items_.unsigned_integer(0), items_.text(1), items_.text(2)});
      size += found.back().payload.size();
    }
    items_.reset();  // a read transaction that is left open keeps the log from being emptied
  } catch (const database_error& error) {
    explain(file_, error);
  }
  return found;
}

}  // namespace brigade
