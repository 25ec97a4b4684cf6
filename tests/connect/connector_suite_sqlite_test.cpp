// The connector suite over SQLite.
#include "connect/sqlite_client.hpp"
#include "connect/sqlite_database.hpp"
#include "connect/sqlite_sink.hpp"
#include "connect/suite_kit.hpp"
#include "connect/temporary_folder.hpp"

#include <brigade/connect/record.hpp>
#include <brigade/connect/sqlite.hpp>
#include <brigade/testing/connector_suite_gtest.hpp>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using test::fields;
using test::sqlite_client;
using texts = std::vector<std::string>;

class table final : public testing::sink_far_side {
 public:
  explicit table(bool dedupe) : dedupe_(dedupe) {
    sqlite_client(path()).query("create table items(text text check (text != 'bad'))");
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
    return payload(record::json(test::text_object(text)));
  }
  texts stored() override {
    return sqlite_client(path()).query("select text from items order by rowid");
  }
  void go_down() override {
    holder_.emplace(path());
    holder_->query("begin immediate");
  }
  void come_back() override { holder_.reset(); }

 private:
  [[nodiscard]] std::string path() const { return folder_ / "out.db"; }
  test::temporary_folder folder_;
  bool dedupe_;
  std::optional<sqlite_client> holder_;
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

class rows_to_read final : public testing::source_far_side {
 public:
  explicit rows_to_read(fields more) : more_(std::move(more)) {
    sqlite_client(folder_ / "in.db").query("create table items(id integer primary key, text)");
  }
  std::unique_ptr<source> make_source() override {
    const fields given = {{"file", std::string("in.db")},
                          {"table", std::string("items")},
                          {"poll", std::chrono::milliseconds(5)}};
    return test::source_of(register_sqlite, "sqlite", test::joined(given, more_),
                           test::context_in(folder_.path()));
  }
  void feed(const texts& items) override {
    sqlite_client(folder_ / "in.db").each("insert into items(text) values (?1)", items);
  }
  std::string text_of(const payload& item) const override { return test::text_in(item); }
  // There is none before a source was open.
  std::size_t acknowledged() override {
    sqlite_client base(folder_ / "in.db");
    const texts there = base.query("select 1 from sqlite_master where name = '_brigade_claims'");
    if (there.empty()) return 0;
    return std::stoul(base.query("select count(outcome) from _brigade_claims").front());
  }
  void go_down() override { std::filesystem::rename(folder_ / "in.db", folder_ / "away"); }
  void come_back() override { std::filesystem::rename(folder_ / "away", folder_ / "in.db"); }

 private:
  test::temporary_folder folder_;
  fields more_;
};

testing::source_description rows(std::string name, const std::string& by, const std::string& mode) {
  testing::source_description what;
  what.name = std::move(name);
  what.make = [by, mode] {
    return std::make_unique<rows_to_read>(fields{{"by", by}, {"mode", mode}});
  };
  what.texts.bytes.reset();
  what.texts.bad = "no UTF-8: \xff";
  what.goes_down = true;
  what.fed_while_open = mode == "tail";
  what.hears_acknowledgements = by == "claim";
  return what;
}

const bool listed = testing::add_to_gtest(sqlite("sqlite", false)) &&
                    testing::add_to_gtest(sqlite("sqlite_dedupe", true)) &&
                    testing::add_to_gtest(rows("sqlite_claim", "claim", "once")) &&
                    testing::add_to_gtest(rows("sqlite_claim_tail", "claim", "tail")) &&
                    testing::add_to_gtest(rows("sqlite_cursor", "cursor", "once")) &&
                    testing::add_to_gtest(rows("sqlite_cursor_tail", "cursor", "tail"));

}  // namespace
}  // namespace brigade
