// Rows of an SQLite table as items, behind an id and by claim.
#include "connect/components.hpp"
#include "connect/rows_desk.hpp"
#include "connect/sqlite_cursor.hpp"
#include "connect/sqlite_database.hpp"
#include "connect/temporary_folder.hpp"

#include <brigade/async/loop.hpp>
#include <brigade/connect/sqlite.hpp>

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using test::temporary_folder;
using fields = std::vector<std::pair<std::string, field_value>>;

class sqlite_source : public ::testing::Test {
 protected:
  void execute(const std::string& sql) {
    sqlite::database base(folder_ / "in.db", 1s);
    char* error = nullptr;
    ASSERT_EQ(sqlite3_exec(base.handle(), sql.c_str(), nullptr, nullptr, &error), SQLITE_OK)
        << error;
  }
  /// Columns divided by `,`, rows by `;`.
  std::string query(const std::string& sql) {
    sqlite::database base(folder_ / "in.db", 1s);
    sqlite::statement rows(base, sql);
    std::string text;
    while (rows.step()) {
      for (int at = 0; at < sqlite3_column_count(rows.handle()); ++at) {
        text += (at > 0 ? "," : "") + (rows.is_null(at) ? "NULL" : rows.text(at));
      }
      text += ";";
    }
    return text;
  }
  std::unique_ptr<source> make(const std::string& by, fields given = {}) {
    registry known;
    register_sqlite(known);
    const component& entry = *known.find(component_kind::source, "sqlite");
    fields all = {{"file", std::string("in.db")}, {"by", by}};
    const auto is_query = [](const auto& each) { return each.first == "query"; };
    if (std::ranges::none_of(given, is_query)) all.emplace_back("table", std::string("orders"));
    for (auto& each : given) all.push_back(std::move(each));
    return entry.make_source(test::settings_for(entry, std::move(all)),
                             test::context_in(folder_.path()));
  }
  static std::vector<partition_mark> marks(const source& of, mark at) {
    partition_mark known;
    known.partition = of.partitions().front();
    known.at = std::move(at);
    return {known};
  }
  static void open(source& at, std::vector<partition_mark> resume = {}, std::string state = {}) {
    run(at.open(std::move(resume), std::move(state)));
  }
  std::unique_ptr<source> opened(const std::string& by, fields given = {}) {
    auto at = make(by, std::move(given));
    open(*at);
    return at;
  }
  std::string open_error(const std::string& by, fields given = {}) {
    auto at = make(by, std::move(given));
    try {
      open(*at);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "no error";
  }
  /// `begin id json;` of each item that is read; `max` at most.
  static std::string read(source& from, std::size_t max = 100) {
    std::vector<source_item> items;
    auto reads = [&]() -> task<> { items = co_await from.read(max); };
    run(reads());
    std::string text;
    for (const source_item& each : items) {
      text += std::to_string(each.begin) + " " + each.id.value_or("") + " " +
              std::string(each.value.get<record>().raw());
      if (each.undecodable) text += " !" + *each.undecodable;
      text += ";";
    }
    return text;
  }
  static void settle(source& at, std::uint64_t number, outcome result,
                     std::string_view error = {}) {
    settled_item what;
    what.begin = number;
    what.result = result;
    what.stage = "charge";
    what.error = error;
    at.settled(what);
  }
  void four_orders() {
    execute(
        "CREATE TABLE orders(id INTEGER PRIMARY KEY); INSERT INTO orders VALUES (10), (20), "
        "(30), (40)");
  }

  temporary_folder folder_;
};

TEST_F(sqlite_source, values_are_json) {
  execute(
      "CREATE TABLE orders(id INTEGER PRIMARY KEY, r REAL, t TEXT, b BLOB, n, yes BOOLEAN, j JSON);"
      "INSERT INTO orders VALUES (1, 2.0, 'a\"b', x'00ff', NULL, 1, '{\"a\":' || char(10) || "
      "'[1]}'), (2, 1e300, '', x'', 9007199254740993, 7, 'no json')");
  const auto at = opened("cursor");
  EXPECT_EQ(read(*at),
            R"(1  {"id":1,"r":2.0,"t":"a\"b","b":"\\x00ff","n":null,"yes":true,"j":{"a": [1]}};)"
            R"(2  {"id":2,"r":1e+300,"t":"","b":"\\x","n":9007199254740993,"yes":7,)"
            R"("j":"no json"};)");
  EXPECT_EQ(read(*at), "");
  EXPECT_EQ(at->partitions(), std::vector<std::string>{"main:orders"});
}

TEST_F(sqlite_source, a_row_that_is_no_json_is_there_and_says_why) {
  execute(
      "CREATE TABLE orders(id INTEGER PRIMARY KEY, v); INSERT INTO orders VALUES "
      "(1, CAST(x'ff41' AS TEXT)), (2, 9e999)");
  const auto at = opened("cursor");
  const std::string items = read(*at);
  EXPECT_NE(items.find("!column 'v' is not UTF-8"), std::string::npos) << items;
  EXPECT_NE(items.find("!column 'v' is infinite"), std::string::npos) << items;
  payload bad(record::line("{\"v\":inf}"));
  EXPECT_TRUE(at->decode(bad));
  payload good(record::json("{\"v\":1}"));
  EXPECT_FALSE(at->decode(good));
}

TEST_F(sqlite_source, a_cursor_resumes_behind_its_mark_and_leaves_out_what_is_finished) {
  four_orders();
  const auto first = opened("cursor");
  auto again = make("cursor");
  mark done;
  done.low = 11;
  done.above.push_back({30, 31});
  open(*again, marks(*first, done));
  EXPECT_EQ(read(*again), "20  {\"id\":20};40  {\"id\":40};");
  EXPECT_EQ(read(*again), "");
}

TEST_F(sqlite_source, columns_conditions_and_queries_choose) {
  execute(
      "CREATE TABLE orders(id INTEGER PRIMARY KEY, a, b); INSERT INTO orders VALUES (1, 2, 3), "
      "(2, 3, 4), (3, 4, 5)");
  const std::vector<std::string> columns = {"b"};
  EXPECT_EQ(read(*opened("cursor", {{"columns", columns}, {"where", std::string("a > 2")}})),
            "2  {\"b\":4};3  {\"b\":5};");
  const std::string sum = "SELECT id * 2 AS twice, a + b AS sum FROM orders";
  EXPECT_EQ(read(*opened("cursor", {{"query", sum}, {"id", std::string("twice")}})),
            "2  {\"twice\":2,\"sum\":5};4  {\"twice\":4,\"sum\":7};6  {\"twice\":6,\"sum\":9};");
  EXPECT_EQ(
      read(*opened("claim", {{"order", std::string("a DESC")}}), 2),
      "1 main:orders:3 {\"id\":3,\"a\":4,\"b\":5};2 main:orders:2 {\"id\":2,\"a\":3,\"b\":4};");
}

TEST_F(sqlite_source, with_a_lag_a_row_waits_for_smaller_ones) {
  four_orders();
  sqlite::table_place place;
  place.path = folder_ / "in.db";
  place.options.table = "orders";
  place.options.lag = 1h;
  sqlite::cursor_desk late(place);
  place.options.lag = 0ms;
  sqlite::cursor_desk at_once(place);
  run(late.open());
  run(at_once.open());
  const rows::cursor_rows held = run(late.next(0, {10, 1U << 20}));
  EXPECT_TRUE(held.rows.empty());
  EXPECT_TRUE(held.held_back);
  EXPECT_EQ(run(at_once.next(0, {10, 1U << 20})).rows.size(), 4U);
}

TEST_F(sqlite_source, a_page_ends_where_rows_have_no_room) {
  execute(
      "CREATE TABLE orders(id INTEGER PRIMARY KEY, note TEXT); "
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) "
      "INSERT INTO orders SELECT i, hex(zeroblob(50000)) FROM n");
  sqlite::table_place place;
  place.path = folder_ / "in.db";
  place.options.table = "orders";
  sqlite::cursor_desk desk(place);
  run(desk.open());
  EXPECT_EQ(run(desk.next(1, {100, 250'000})).rows.size(), 3U);
  EXPECT_EQ(run(desk.next(4, {100, 1})).rows.size(), 1U);
  EXPECT_EQ(run(desk.next(5, {2, 1U << 20})).rows.back().number, 6U);
  EXPECT_EQ(run(desk.next(7, {100, 1U << 30})).rows.size(), 14U);
}

TEST_F(sqlite_source, two_rows_with_one_id_are_no_cursors_business) {
  execute("CREATE TABLE orders(id INTEGER); INSERT INTO orders VALUES (1), (1)");
  const auto at = opened("cursor", {{"id", std::string("id")}});
  EXPECT_THROW(read(*at), std::runtime_error);
}

TEST_F(sqlite_source, two_rows_with_one_id_are_seen_also_where_a_page_ends_between_them) {
  execute(
      "CREATE TABLE orders(id INTEGER, v); INSERT INTO orders VALUES (1, 'a'), (2, 'b'), (2, 'c')");
  sqlite::table_place place;
  place.path = folder_ / "in.db";
  place.options.table = "orders";
  place.options.id = "id";
  sqlite::cursor_desk desk(place);
  run(desk.open());
  EXPECT_THROW(run(desk.next(1, {2, 1U << 20})), std::runtime_error);
  EXPECT_THROW(run(desk.next(2, {100, 1})), std::runtime_error);
  EXPECT_EQ(run(desk.next(1, {1, 1U << 20})).rows.size(), 1U);
}

// Guards: names are of the page; kept, `b` would be given as `a`.
TEST_F(sqlite_source, columns_are_what_they_are_by_now) {
  for (const std::string by : {"claim", "cursor"}) {
    execute(
        "CREATE TABLE orders(id INTEGER PRIMARY KEY, a, b); "
        "INSERT INTO orders VALUES (1, 'a', 'b')");
    const auto at = opened(by, {{"mode", std::string("tail")}, {"poll", 5ms}});
    EXPECT_NE(read(*at).find(R"({"id":1,"a":"a","b":"b"})"), std::string::npos) << by;
    execute(
        "ALTER TABLE orders DROP COLUMN a; ALTER TABLE orders ADD COLUMN c DEFAULT 'c'; "
        "INSERT INTO orders(id, b) VALUES (2, 'b')");
    EXPECT_NE(read(*at).find(R"({"id":2,"b":"b","c":"c"})"), std::string::npos) << by;
    run(at->close());
    execute("DROP TABLE orders");
  }
}

TEST_F(sqlite_source, a_database_that_is_moved_away_while_it_runs_ends_the_run) {
  for (const std::string by : {"claim", "cursor"}) {
    four_orders();
    const auto at = opened(by, {{"mode", std::string("tail")}, {"poll", 5ms}});
    EXPECT_NE(read(*at), "");
    std::filesystem::rename(folder_ / "in.db", folder_ / ("old." + by));
    try {
      ADD_FAILURE() << read(*at);
    } catch (const std::runtime_error& said) {
      EXPECT_EQ(said.what(),
                folder_ / "in.db" + " was moved away, replaced or deleted while the run was on");
    }
    run(at->close());
  }
}

TEST_F(sqlite_source, claims_have_their_rows_outcomes) {
  execute(
      "CREATE TABLE orders(id TEXT PRIMARY KEY); INSERT INTO orders VALUES ('a'), ('b'), "
      "('c'), (NULL)");
  const auto at = opened("claim");
  EXPECT_EQ(read(*at),
            "1 main:orders:a {\"id\":\"a\"};2 main:orders:b {\"id\":\"b\"};"
            "3 main:orders:c {\"id\":\"c\"};");
  settle(*at, 1, outcome::delivered);
  settle(*at, 2, outcome::dead_lettered, "no such card");
  settle(*at, 3, outcome::returned);
  run(at->close());
  EXPECT_EQ(query("SELECT pipeline, source, id, outcome, stage, error FROM _brigade_claims"),
            "test,main:orders,a,delivered,charge,NULL;"
            "test,main:orders,b,dead_lettered,charge,no such card;"
            "test,main:orders,c,NULL,NULL,NULL;");
  EXPECT_EQ(read(*opened("claim")), "1 main:orders:c {\"id\":\"c\"};");
}

// Guards: the positions of claims; without them the next run would not know which of its rows the
// ledger or a transactional sink has already.
TEST_F(sqlite_source, after_a_kill_what_is_finished_is_marked_and_the_rest_is_given_once_more) {
  four_orders();
  auto killed = opened("claim");
  const std::string state = killed->state();
  mark done;
  done.low = 2;
  done.above.push_back({3, 4});
  const std::vector<partition_mark> resume = marks(*killed, done);
  EXPECT_EQ(read(*killed, 3),
            "1 main:orders:10 {\"id\":10};2 main:orders:20 {\"id\":20};"
            "3 main:orders:30 {\"id\":30};");
  killed.reset();
  const auto next = make("claim");
  open(*next, resume, state);
  EXPECT_EQ(read(*next), "2 main:orders:20 {\"id\":20};");
  EXPECT_EQ(query("SELECT id, outcome FROM _brigade_claims WHERE outcome IS NOT NULL"),
            "10,finished;30,finished;");
  EXPECT_EQ(query("SELECT count(*) FROM _brigade_claims WHERE holder <> ''"), "3;");
  const std::string last = read(*next);
  EXPECT_TRUE(last.ends_with(" main:orders:40 {\"id\":40};")) << last;
  EXPECT_GT(std::stoi(last), 3) << "numbers are never used again";
}

TEST_F(sqlite_source, what_a_sink_may_have_stays_claimed_when_it_is_closed) {
  four_orders();
  const auto stopped = opened("claim");
  const std::string state = stopped->state();
  read(*stopped, 2);
  settled_item maybe;
  maybe.begin = 2;
  maybe.result = outcome::returned;
  maybe.in_doubt = true;
  stopped->settled(maybe);
  settle(*stopped, 1, outcome::returned);
  run(stopped->close());
  mark done;
  done.above.push_back({2, 3});
  const auto next = make("claim");
  open(*next, marks(*stopped, done), state);
  EXPECT_EQ(query("SELECT id, outcome FROM _brigade_claims WHERE outcome IS NOT NULL"),
            "20,finished;");
  const std::string given = read(*next) + read(*next);
  EXPECT_NE(given.find("main:orders:10 "), std::string::npos) << given;
  EXPECT_EQ(given.find("main:orders:20 "), std::string::npos) << given;
}

TEST_F(sqlite_source, what_a_sink_has_a_part_of_stays_claimed_also_when_nobody_took_it) {
  four_orders();
  auto killed = opened("claim");
  const std::string state = killed->state();
  mark done;
  done.parts.push_back({2, "one"});
  const std::vector<partition_mark> resume = marks(*killed, done);
  read(*killed, 2);
  killed.reset();
  const auto stopped = make("claim");
  open(*stopped, resume, state);
  EXPECT_EQ(read(*stopped, 1), "1 main:orders:10 {\"id\":10};");
  run(stopped->close());
  EXPECT_EQ(query("SELECT token FROM _brigade_claims WHERE id = 20 AND holder <> ''"), "2;");
  const auto next = make("claim");
  open(*next, resume, state);
  EXPECT_EQ(read(*next), "1 main:orders:10 {\"id\":10};2 main:orders:20 {\"id\":20};");
  settle(*next, 2, outcome::delivered);
  run(next->close());
  EXPECT_EQ(query("SELECT id FROM _brigade_claims WHERE holder <> ''"), "20;");
}

TEST_F(sqlite_source, a_row_goes_to_one_until_its_lease_is_over) {
  four_orders();
  const auto first = opened("claim");
  EXPECT_NE(read(*first), "");
  const auto second = opened("claim");
  EXPECT_EQ(read(*second), "");
  const auto third = opened("claim");
  execute("UPDATE _brigade_holders SET leased_until = 0 WHERE holder = '" + first->state() + "'");
  EXPECT_NE(read(*third), "");
  settle(*first, 1, outcome::delivered);
  settle(*third, 1, outcome::filtered);
  run(first->close());
  run(third->close());
  EXPECT_EQ(query("SELECT id, outcome FROM _brigade_claims WHERE outcome IS NOT NULL"),
            "10,filtered;");
}

TEST_F(sqlite_source, two_with_the_same_state_are_found_out) {
  four_orders();
  const auto first = opened("claim");
  const auto second = make("claim");
  open(*second, {}, first->state());
  EXPECT_THROW(read(*first), std::runtime_error);
  EXPECT_NE(read(*second), "");
}

TEST_F(sqlite_source, what_cannot_be_read_is_said_when_it_is_opened) {
  EXPECT_NE(open_error("cursor").find("in.db: there is no such file"), std::string::npos);
  execute("CREATE TABLE items(a, b, PRIMARY KEY(a, b))");
  EXPECT_NE(open_error("cursor").find("there is no table 'orders'; there are: items"),
            std::string::npos);
  const std::string two_keys = open_error("claim", {{"table", std::string("items")}});
  EXPECT_NE(two_keys.find("no primary key of one column; say with 'id'"), std::string::npos);
  execute("CREATE TABLE orders(id INTEGER PRIMARY KEY); INSERT INTO orders VALUES (-5)");
  EXPECT_NE(open_error("cursor").find("a row has the id '-5': a cursor needs integers from 0 on"),
            std::string::npos);
  EXPECT_NE(open_error("claim", {{"where", std::string("nope = 1")}}).find("nope"),
            std::string::npos);
}

TEST_F(sqlite_source, what_makes_no_sense_is_refused_before_anything_is_opened) {
  const auto error = [&](const std::string& by, fields given) {
    return test::config_error_of([&] { make(by, std::move(given)); });
  };
  const std::string text = "x";
  EXPECT_EQ(error("claim", {{"lease", 10ms}}),
            "lease: a lease is at least 1s long: it is renewed three times in it");
  EXPECT_EQ(error("cursor", {{"lease", 10000ms}}),
            "lease: 'lease' is for 'by: claim': a cursor claims nothing");
  EXPECT_EQ(error("claim", {{"query", text}}),
            "query: 'query' is for 'by: cursor': rows are claimed in a table");
  EXPECT_EQ(error("cursor", {{"query", text}}),
            "id: a 'query' needs 'id': the column of it that grows");
  EXPECT_EQ(error("claim", {{"table", std::string("_brigade_claims")}}),
            "table: '_brigade_claims' is a reserved name");
}

TEST_F(sqlite_source, a_claim_finds_two_rows_with_one_id) {
  execute("CREATE TABLE orders(id INT); INSERT INTO orders VALUES (1), (2), (2)");
  auto at = opened("claim", {{"id", std::string("id")}});
  std::string why;
  try {
    why = read(*at);
  } catch (const std::runtime_error& error) {
    why = error.what();
  }
  EXPECT_NE(why.find("two rows have the id '2'"), std::string::npos) << why;
  run(at->close());
  EXPECT_EQ(query("SELECT count(*) FROM _brigade_claims WHERE holder <> ''"), "0;");
}

}  // namespace
}  // namespace brigade
