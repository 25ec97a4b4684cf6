/// The tables, and how a file comes to have them.
///
/// `items` and `attempts` are views. Their rows are kept under the position, which is short, sorted
/// and unique, so that a row costs one insertion at the end of one tree: an id is put together when
/// somebody asks. Only an id that is not `<partition>:<position>` is kept as text. Times are
/// integer milliseconds in those rows, and UTC text in the views and in all other tables.
#include "pipeline/ledger_schema.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace brigade::ledger_detail {
namespace {

constexpr const char* tables = R"sql(
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE runs (
  run INTEGER PRIMARY KEY, pipeline TEXT NOT NULL, epoch INTEGER NOT NULL, pid INTEGER NOT NULL,
  mode TEXT NOT NULL, started_at TEXT NOT NULL,
  active_at TEXT NOT NULL,  -- when something was recorded last
  ended_at TEXT, ended TEXT,  -- normally | killed
  exit INTEGER, error TEXT, report TEXT,
  delivered INTEGER NOT NULL DEFAULT 0, filtered INTEGER NOT NULL DEFAULT 0,
  dead_lettered INTEGER NOT NULL DEFAULT 0, dropped INTEGER NOT NULL DEFAULT 0,
  returned INTEGER NOT NULL DEFAULT 0, retries INTEGER NOT NULL DEFAULT 0);

CREATE TABLE partitions (partition INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE stages (stage INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

CREATE TABLE item_rows (
  partition INTEGER NOT NULL, position INTEGER NOT NULL, part TEXT NOT NULL, run INTEGER NOT NULL,
  outcome INTEGER NOT NULL, stage INTEGER, attempts INTEGER NOT NULL, error TEXT,
  taken_at INTEGER, settled_at INTEGER, business_id TEXT, id TEXT, replay_of TEXT,
  PRIMARY KEY (partition, position, part, run)) WITHOUT ROWID;
CREATE INDEX item_rows_by_id ON item_rows (id) WHERE id IS NOT NULL;

CREATE TABLE attempt_rows (
  partition INTEGER NOT NULL, position INTEGER NOT NULL, part TEXT NOT NULL, run INTEGER NOT NULL,
  sequence INTEGER NOT NULL, stage INTEGER, number INTEGER NOT NULL, worker INTEGER NOT NULL,
  error TEXT, at INTEGER,
  PRIMARY KEY (partition, position, part, run, sequence)) WITHOUT ROWID;

CREATE TABLE business_ids (
  business_id TEXT NOT NULL, partition INTEGER NOT NULL, position INTEGER NOT NULL,
  PRIMARY KEY (business_id, partition, position)) WITHOUT ROWID;

CREATE TABLE dead_letters (
  letter INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, business_id TEXT,
  run INTEGER NOT NULL,
  stage TEXT NOT NULL, stage_index INTEGER NOT NULL, attempts INTEGER NOT NULL,
  error TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'new',  -- new | replayed | dropped
  replayable INTEGER NOT NULL, source TEXT NOT NULL, position INTEGER NOT NULL, part TEXT NOT NULL,
  at TEXT NOT NULL, replay_of TEXT, payload, source_payload);
CREATE INDEX dead_letters_by_id ON dead_letters (id);
CREATE INDEX dead_letters_by_business_id ON dead_letters (business_id)
  WHERE business_id IS NOT NULL;

CREATE TABLE marks (
  pipeline TEXT NOT NULL, source TEXT NOT NULL, epoch INTEGER NOT NULL,
  low INTEGER NOT NULL, above TEXT NOT NULL,
  PRIMARY KEY (pipeline, source, epoch)) WITHOUT ROWID;

-- What the sink had committed when the program was killed before the ledger had: finished, and
-- delivered, but how many items it was is known only once the source has given them again.
CREATE TABLE recovered (
  source TEXT NOT NULL, epoch INTEGER NOT NULL, position INTEGER NOT NULL,
  position_end INTEGER NOT NULL, run INTEGER NOT NULL, at TEXT NOT NULL,
  PRIMARY KEY (source, epoch, position)) WITHOUT ROWID;
)sql";

constexpr const char* views = R"sql(
CREATE VIEW items AS SELECT
  coalesce(i.id, p.name || ':' || i.position || iif(i.part = '', '', '/' || i.part)) AS id,
  i.business_id, i.run,
  CASE i.outcome WHEN 0 THEN 'delivered' WHEN 1 THEN 'filtered' WHEN 2 THEN 'dead_lettered'
                 WHEN 3 THEN 'dropped' ELSE 'returned' END AS outcome,
  s.name AS stage, i.attempts, i.error,
  strftime('%Y-%m-%dT%H:%M:%fZ', i.taken_at / 1000.0, 'unixepoch') AS taken_at,
  strftime('%Y-%m-%dT%H:%M:%fZ', i.settled_at / 1000.0, 'unixepoch') AS settled_at,
  i.replay_of, p.name AS source, i.position, i.part
FROM item_rows i JOIN partitions p ON p.partition = i.partition
LEFT JOIN stages s ON s.stage = i.stage;

CREATE VIEW attempts AS SELECT
  coalesce(i.id, p.name || ':' || a.position || iif(a.part = '', '', '/' || a.part)) AS id,
  a.run, a.sequence, s.name AS stage, a.number AS attempt, a.worker, a.error,
  strftime('%Y-%m-%dT%H:%M:%fZ', a.at / 1000.0, 'unixepoch') AS at,
  p.name AS source, a.position, a.part
FROM attempt_rows a JOIN partitions p ON p.partition = a.partition
LEFT JOIN stages s ON s.stage = a.stage
LEFT JOIN item_rows i ON i.partition = a.partition AND i.position = a.position
                     AND i.part = a.part AND i.run = a.run;

CREATE VIEW repeated_ids AS SELECT b.business_id, p.name || ':' || b.position AS id
FROM business_ids b JOIN partitions p ON p.partition = b.partition
WHERE b.business_id IN (SELECT business_id FROM business_ids GROUP BY business_id
                        HAVING count(*) > 1);
)sql";

constexpr const char* tuning =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;";

[[noreturn]] void fail(const std::filesystem::path& file, std::string_view what) {
  throw ledger_error(fmt::format("{}: {}", file.string(), what));
}

/// The modes count even for a user the kernel lets write anyway: read-only is somebody's wish.
void refuse_read_only(const std::filesystem::path& path, std::string_view advice) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) fail(path, std::strerror(errno));
  if ((status.st_mode & 0222) == 0) fail(path, fmt::format("is read-only; {}", advice));
  if (access(path.c_str(), W_OK) != 0) {
    fail(path, fmt::format("cannot be written: {}; {}", std::strerror(errno), advice));
  }
}

/// A file that was just made is not durable before its folder is.
void sync_folder(const std::filesystem::path& folder) {
  const int handle = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (handle < 0) fail(folder, std::strerror(errno));
  const bool synced = fsync(handle) == 0;
  const int error = errno;
  close(handle);
  if (!synced) fail(folder, fmt::format("cannot be synced: {}", std::strerror(error)));
}

std::filesystem::path folder_of(const std::filesystem::path& file) {
  return std::filesystem::absolute(file).parent_path();
}

/// SQLite would take the process's umask for the mode.
void make_file(const std::filesystem::path& file) {
  const int handle = open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (handle >= 0) {
    close(handle);
    sync_folder(folder_of(file));
  } else if (errno != EEXIST) {
    fail(file, fmt::format("cannot be made: {}", std::strerror(errno)));
  }
}

bool has_table(database& in, std::string_view name) {
  statement query = in.prepare("SELECT 1 FROM sqlite_schema WHERE name = ?");
  query.bind_all(name);
  return query.step();
}

void check_version(database& in, const std::filesystem::path& file) {
  if (!has_table(in, "meta") || meta(in, "schema").empty()) {
    fail(file, "is a SQLite database but not a ledger of brigade; name another file");
  }
  const std::string version = meta(in, "schema");
  if (version != std::to_string(schema_version)) {
    fail(file, fmt::format("is a ledger of version {}, and this brigade reads version {}; use the "
                           "brigade that wrote it, or move the file away to begin a new ledger",
                           version, schema_version));
  }
}

bool is_empty(database& in) {
  statement query = in.prepare("SELECT 1 FROM sqlite_schema LIMIT 1");
  return !query.step();
}

void make_tables(database& in) {
  transaction making(in);
  in.execute(tables);
  in.execute(views);
  set_meta(in, "schema", std::to_string(schema_version));
  making.commit();
}

}  // namespace

void prepare_folder(const std::filesystem::path& file) {
  const std::filesystem::path folder = folder_of(file);
  std::error_code error;
  if (!std::filesystem::exists(folder, error)) {
    std::filesystem::create_directories(folder, error);
    if (error) fail(folder, fmt::format("the folder cannot be made: {}", error.message()));
    sync_folder(folder.parent_path());
  }
  refuse_read_only(folder, "the ledger needs a folder it can write to");
  const auto kind = std::filesystem::status(file, error).type();
  if (kind == std::filesystem::file_type::not_found) return;
  if (kind != std::filesystem::file_type::regular) fail(file, "is not a file; name another one");
  refuse_read_only(file, "make it writable, or name another ledger");
}

database open_for_writing(const std::filesystem::path& file) {
  make_file(file);
  try {
    database opened(file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX);
    if (!is_empty(opened)) check_version(opened, file);
    opened.execute(tuning);
    if (is_empty(opened)) make_tables(opened);
    return opened;
  } catch (const database_error& error) {
    throw explained(file, error);
  }
}

database open_for_reading(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) fail(file, "there is no such ledger");
  try {
    database opened(file, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX);
    if (is_empty(opened)) fail(file, "is an empty ledger: no run has begun");
    check_version(opened, file);
    return opened;
  } catch (const database_error& failure) {
    throw explained(file, failure);
  }
}

std::string meta(database& in, std::string_view key) {
  statement query = in.prepare("SELECT value FROM meta WHERE key = ?");
  query.bind_all(key);
  return query.step() ? query.text(0) : std::string{};
}

void set_meta(database& in, std::string_view key, std::string_view value) {
  in.prepare("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value")
      .run(key, value);
}

ledger_error explained(const std::filesystem::path& file, const database_error& error) {
  const auto with = [&](std::string_view what) {
    return ledger_error(fmt::format("{}: {} ({})", file.string(), what, error.what()));
  };
  switch (error.code()) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return with("is damaged, or no ledger at all; move it away to begin a new one");
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
      return with("cannot be opened; the file and its folder must be there, and writable");
    case SQLITE_FULL:
      return with("the disk is full; make room");
    case SQLITE_BUSY:
      return with("another program holds it locked; wait for it or stop it");
    case SQLITE_IOERR:
      return with("the disk reports an error");
    default:
      return with("SQLite refuses");
  }
}

}  // namespace brigade::ledger_detail
