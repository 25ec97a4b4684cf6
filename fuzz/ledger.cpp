// A ledger that somebody has damaged: its rows say anything, or its bytes do. Reading it, and going
// on with it, gives an answer or an error for the user.
//
// An input is edits, one a line: `TCV...`, where T and C choose a table and one of its columns, and
// V the value to put there: i, r, t and b for an integer, a real, a text or a blob of what follows,
// else NULL. An input that begins with `!` is bytes instead: three for a place, and one to put
// there.
#include "fuzz.hpp"

#include <brigade/pipeline/ledger.hpp>
#include <brigade/pipeline/ledger_reader.hpp>

#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace brigade::fuzz {
namespace {

struct column {
  std::string table;
  std::string name;
};

class folder {
 public:
  folder() {
    std::string name = (std::filesystem::temp_directory_path() / "fuzz_ledger_XXXXXX").string();
    demand(::mkdtemp(name.data()) != nullptr, "a temporary folder");
    path_ = name;
  }
  ~folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  [[nodiscard]] std::filesystem::path operator/(const char* name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

settlement settled(std::uint64_t begin, outcome result) {
  settlement item;
  item.id = "main:8f3a:" + std::to_string(begin);
  item.begin = begin;
  item.end = begin + 10;
  item.result = result;
  item.stage = "charge";
  item.attempts = 1;
  item.taken_at = wall_time(std::chrono::milliseconds(1'700'000'000'123));
  item.settled_at = wall_time(std::chrono::milliseconds(1'700'000'001'456));
  if (result != outcome::dead_lettered) return item;
  item.error = "no";
  item.business_id = "order-7";
  item.failed_attempts.push_back({"charge", 1, 3, "no", item.settled_at});
  item.dead = std::make_unique<letter>();
  item.dead->payload = R"({"total": 5})";
  item.dead->source_payload = "line:5";
  return item;
}

ledger_options options_for(const std::filesystem::path& file) {
  ledger_options options(file, "orders");
  options.source_fingerprint = "file orders.ndjson";
  return options;
}

std::string sound_ledger(const std::filesystem::path& file) {
  {
    const auto account = ledger::open(options_for(file));
    account->keep(R"({"files":[]})", {});
    account->begin_run();
    std::vector<settlement> batch;
    batch.push_back(settled(0, outcome::delivered));
    batch.push_back(settled(20, outcome::dead_lettered));
    batch.push_back(settled(40, outcome::filtered));
    account->record(std::move(batch), {"main:8f3a"}, {{"receipts", "5 out.ndjson"}});
    report done;
    done.pipeline = "orders";
    done.taken = 3;
    account->end_run(done);
  }
  std::ifstream from(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(from), {}};
}

class database {
 public:
  explicit database(const std::filesystem::path& file) {
    demand(sqlite3_open(file.c_str(), &open_) == SQLITE_OK, "a database");
  }
  ~database() { sqlite3_close(open_); }
  database(const database&) = delete;
  database& operator=(const database&) = delete;

  std::vector<column> columns() {
    std::vector<column> found;
    const char* const sql =
        "SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c "
        "WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' ORDER BY 1, 2";
    const auto add = [](void* to, int, char** values, char**) {
      static_cast<std::vector<column>*>(to)->push_back({values[0], values[1]});
      return 0;
    };
    demand(sqlite3_exec(open_, sql, add, &found, nullptr) == SQLITE_OK, "the tables");
    return found;
  }

  void put(const column& where, char type, std::string_view value) {
    const std::string sql = "UPDATE OR IGNORE " + where.table + " SET " + where.name + " = ?";
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(open_, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK) return;
    const int bytes = static_cast<int>(value.size());
    const std::string number(value);
    if (type == 'i') sqlite3_bind_int64(statement, 1, std::strtoll(number.c_str(), nullptr, 10));
    if (type == 'r') sqlite3_bind_double(statement, 1, std::strtod(number.c_str(), nullptr));
    if (type == 't') sqlite3_bind_text(statement, 1, value.data(), bytes, SQLITE_TRANSIENT);
    if (type == 'b') sqlite3_bind_blob(statement, 1, value.data(), bytes, SQLITE_TRANSIENT);
    sqlite3_step(statement);
    sqlite3_finalize(statement);
  }

 private:
  sqlite3* open_ = nullptr;
};

struct world {
  folder at;
  std::string sound = sound_ledger(at / "sound.ledger.db");
  std::vector<column> columns = database(at / "sound.ledger.db").columns();
};

void write(const std::filesystem::path& file, std::string_view bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

void damage_bytes(std::string& image, std::string_view edits) {
  for (; edits.size() >= 4; edits.remove_prefix(4)) {
    std::size_t place = 0;
    for (const char c : edits.substr(0, 3)) place = place * 256 + static_cast<unsigned char>(c);
    image[place % image.size()] = edits[3];
  }
}

void damage_rows(const std::filesystem::path& file, const world& known, std::string_view edits) {
  database open(file);
  while (!edits.empty()) {
    const std::size_t end = std::min(edits.find('\n'), edits.size());
    const std::string_view edit = edits.substr(0, end);
    edits.remove_prefix(std::min(end + 1, edits.size()));
    if (edit.size() < 3) continue;
    const auto chosen =
        static_cast<unsigned char>(edit[0]) * 16U + static_cast<unsigned char>(edit[1]);
    open.put(known.columns[chosen % known.columns.size()], edit[2], edit.substr(3));
  }
}

template <class Call>
void attempt(Call call) {
  try {
    call();
  } catch (const ledger_error&) {  // for the user
  }
}

void read_all(const std::filesystem::path& file) {
  std::optional<ledger_reader> reader;
  attempt([&] { reader.emplace(file); });
  if (!reader) return;
  attempt([&] { static_cast<void>(reader->pipeline()); });
  attempt([&] { static_cast<void>(reader->pipeline_file()); });
  attempt([&] { static_cast<void>(reader->runs()); });
  attempt([&] { static_cast<void>(reader->run_report().json()); });
  for (const char* const id : {"main:8f3a:20", "order-7", "main:8f3a:20/0", "replay:1"}) {
    attempt([&] { static_cast<void>(reader->history(id)); });
  }
  letter_filter every;
  every.include_settled = true;
  attempt([&] {
    for (const letter_row& letter : reader->dead_letters(every)) {
      attempt([&] { static_cast<void>(reader->letter(letter.number)); });
    }
  });
}

void go_on_with(const std::filesystem::path& file) {
  attempt([&] {
    const auto account = ledger::open(options_for(file));
    static_cast<void>(account->resume());
    account->begin_run();
  });
}

void run(std::string_view input) {
  static const world known;
  const std::filesystem::path file = known.at / "damaged.ledger.db";
  for (const char* const rest : {"damaged.ledger.db-wal", "damaged.ledger.db-shm"}) {
    std::filesystem::remove(known.at / rest);
  }
  std::string image = known.sound;
  const bool as_bytes = input.starts_with('!');
  if (as_bytes) damage_bytes(image, input.substr(1));
  write(file, image);
  if (!as_bytes) damage_rows(file, known, input);
  read_all(file);
  if (chance(input).below(4) == 0) go_on_with(file);
}

}  // namespace
}  // namespace brigade::fuzz

BRIGADE_FUZZ(ledger, brigade::fuzz::run);
