// The connector suite over SQLite.
#include "connect/sqlite_database.hpp"
#include "connect/sqlite_sink.hpp"
#include "connect/temporary_folder.hpp"

#include <brigade/connect/record.hpp>
#include <brigade/testing/connector_suite_gtest.hpp>

#include <sqlite3.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using texts = std::vector<std::string>;

/// A connection of the test's own.
class client {
 public:
  explicit client(const std::string& path) {
    if (::sqlite3_open(path.c_str(), &database_) != SQLITE_OK) throw std::runtime_error(path);
    ::sqlite3_busy_timeout(database_, 5000);
  }
  ~client() { ::sqlite3_close(database_); }
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  texts query(const std::string& sql) {
    texts rows;
    const auto add = [](void* to, int count, char** values, char**) {
      if (count > 0 && values[0] != nullptr) static_cast<texts*>(to)->emplace_back(values[0]);
      return 0;
    };
    char* said = nullptr;
    if (::sqlite3_exec(database_, sql.c_str(), add, &rows, &said) != SQLITE_OK) {
      const std::string why = said;
      ::sqlite3_free(said);
      throw std::runtime_error(sql + ": " + why);
    }
    return rows;
  }

 private:
  sqlite3* database_ = nullptr;
};

class table final : public testing::sink_far_side {
 public:
  explicit table(bool dedupe) : dedupe_(dedupe) {
    client(path()).query("create table items(text text check (text != 'bad'))");
  }
  std::unique_ptr<sink> make_sink() override {
    sqlite::writer_options options;
    options.path = path();
    options.table = "items";
    options.dedupe = dedupe_;
    options.busy_timeout = 50ms;
    return make_sqlite_sink(options);
  }
  payload item_of(const std::string& text) const override {
    return payload(record::json("{\"text\":" + json_quoted(text) + "}"));
  }
  texts stored() override { return client(path()).query("select text from items order by rowid"); }
  void go_down() override {
    holder_.emplace(path());
    holder_->query("begin immediate");
  }
  void come_back() override { holder_.reset(); }

 private:
  [[nodiscard]] std::string path() const { return folder_ / "out.db"; }
  test::temporary_folder folder_;
  bool dedupe_;
  std::optional<client> holder_;
};

testing::sink_description sqlite(std::string name, bool dedupe) {
  testing::sink_description what;
  what.name = std::move(name);
  what.make = [dedupe] { return std::make_unique<table>(dedupe); };
  what.texts.bytes.reset();
  what.texts.bad = "bad";
  what.goes_down = true;
  what.exactly_once = true;
  what.keeps_marks = true;
  return what;
}

const bool listed = testing::add_to_gtest(sqlite("sqlite", false)) &&
                    testing::add_to_gtest(sqlite("sqlite_dedupe", true));

}  // namespace
}  // namespace brigade
