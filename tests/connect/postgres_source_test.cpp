// The desks of a source of PostgreSQL, at a real server.
#include "connect/postgres_connection.hpp"
#include "connect/postgres_server.hpp"
#include "connect/postgres_source_claims.hpp"
#include "connect/postgres_source_cursor.hpp"
#include "connect/rows_work.hpp"

#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/timeout.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using postgres::connection;

class postgres_source : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new test::postgres_server; }
  static void TearDownTestSuite() { delete server_; }
  void SetUp() override {
    ask("DROP SCHEMA public CASCADE");
    ask("CREATE SCHEMA public");
    ask("CREATE TABLE orders(id serial PRIMARY KEY, total numeric)");
  }
  static std::string ask(const std::string& sql) { return server_->ask(sql); }
  static postgres::source_place place(rows::reading by = rows::reading::cursor) {
    postgres::source_place made;
    made.conninfo = server_->conninfo();
    made.options.pipeline = "test";
    made.options.source = "main";
    made.options.table = "orders";
    made.options.by = by;
    return made;
  }
  static task<connection> connect() {
    postgres::connect_options where(server_->conninfo());
    auto opening = connection::open(std::move(where));
    co_return co_await std::move(opening);
  }
  static std::string numbers(const std::vector<rows::row>& found) {
    std::string text;
    for (const rows::row& each : found) text += std::to_string(each.number) + ";";
    return text;
  }
  static std::string keys(const std::vector<rows::row>& found) {
    std::string text;
    for (const rows::row& each : found) text += each.id + ";";
    return text;
  }
  static std::string values(const std::vector<rows::row>& found) {
    std::string text;
    for (const rows::row& each : found) text += std::string(each.value.raw()) + ";";
    return text;
  }
  /// What there is once nothing is held back any more.
  static task<std::string> all_behind(postgres::cursor_desk& desk, std::uint64_t low) {
    for (;;) {
      const rows::cursor_rows found = co_await desk.next(low, {100, 1U << 20});
      if (!found.rows.empty() || !found.held_back) co_return numbers(found.rows);
      co_await desk.wait(5ms);
    }
  }
  static test::postgres_server* server_;
};
test::postgres_server* postgres_source::server_ = nullptr;

// Guards: the fence. Each of these transactions has drawn a smaller id than one that is seen.
TEST_F(postgres_source, a_cursor_does_not_pass_an_id_that_may_still_come) {
  auto main = [&]() -> task<> {
    postgres::cursor_desk desk(place());
    co_await desk.open();
    connection late = co_await connect();
    co_await late.query("BEGIN");
    co_await late.query("INSERT INTO orders(total) VALUES (1)");
    ask("INSERT INTO orders(total) VALUES (2)");
    rows::cursor_rows found = co_await desk.next(0, {100, 1U << 20});
    EXPECT_TRUE(found.rows.empty());
    EXPECT_TRUE(found.held_back);
    EXPECT_EQ(found.by, std::to_string(late.backend_pid()));
    // One that began later than what is seen has nothing to do with it.
    connection later = co_await connect();
    co_await later.query("BEGIN");
    co_await later.query("INSERT INTO orders(total) VALUES (3)");
    co_await late.query("COMMIT");
    const std::string first = co_await all_behind(desk, 0);
    EXPECT_EQ(first, "1;2;");
    co_await later.query("ROLLBACK");
    ask("INSERT INTO orders(total) VALUES (4)");
    const std::string second = co_await all_behind(desk, 3);
    EXPECT_EQ(second, "4;");
  };
  run(main());
}

TEST_F(postgres_source, whoever_only_reads_holds_nobody_up) {
  auto main = [&]() -> task<> {
    postgres::cursor_desk desk(place());
    co_await desk.open();
    connection reader = co_await connect();
    co_await reader.query("BEGIN ISOLATION LEVEL SERIALIZABLE");
    co_await reader.query("SELECT count(*) FROM orders");
    connection elsewhere = co_await connect();
    co_await elsewhere.query("CREATE TABLE other(id int)");
    co_await elsewhere.query("BEGIN");
    co_await elsewhere.query("INSERT INTO other VALUES (1)");
    ask("INSERT INTO orders(total) VALUES (1)");
    const rows::cursor_rows found = co_await desk.next(0, {100, 1U << 20});
    EXPECT_EQ(numbers(found.rows), "1;");
  };
  run(main());
}

TEST_F(postgres_source, who_writes_to_a_part_or_to_the_whole_holds_up_both) {
  ask("DROP TABLE orders");
  ask("CREATE TABLE orders(id serial, at int) PARTITION BY RANGE (at)");
  ask("CREATE TABLE orders_low PARTITION OF orders FOR VALUES FROM (0) TO (10)");
  ask("CREATE TABLE orders_high PARTITION OF orders FOR VALUES FROM (10) TO (20)");
  auto main = [&]() -> task<> {
    for (const char* const read : {"orders", "orders_high"}) {
      for (const char* const written : {"orders", "orders_low"}) {
        postgres::source_place where = place();
        where.options.table = read;
        where.options.id = "id";
        postgres::cursor_desk desk(where);
        co_await desk.open();
        connection late = co_await connect();
        co_await late.query("BEGIN");
        co_await late.query(std::string("INSERT INTO ") + written + "(at) VALUES (1)");
        ask("INSERT INTO orders(at) VALUES (11)");
        const rows::cursor_rows found = co_await desk.next(0, {100, 1U << 20});
        EXPECT_TRUE(found.held_back) << read << " while " << written << " is written";
        co_await late.query("ROLLBACK");
      }
    }
  };
  run(main());
}

TEST_F(postgres_source, those_who_claim_at_once_share_the_rows) {
  ask("INSERT INTO orders(total) SELECT i FROM generate_series(1, 300) i");
  auto main = [&]() -> task<> {
    postgres::claim_desk left(place(rows::reading::claim));
    postgres::claim_desk right(place(rows::reading::claim));
    co_await left.open();
    co_await right.open();
    co_await left.take_over("left");
    co_await right.take_over("right");
    std::set<std::string> seen;
    std::size_t count = 0;
    for (std::uint64_t next = 1; next < 300; next += 20) {
      for (postgres::claim_desk* const each : {&left, &right}) {
        const std::vector<rows::row> mine = co_await each->claim(next, 20, false);
        for (const rows::row& one : mine) seen.insert(one.id);
        count += mine.size();
      }
    }
    EXPECT_EQ(count, 300U);
    EXPECT_EQ(seen.size(), 300U);
  };
  run(main());
}

// What a row's own transaction holds is not waited for.
TEST_F(postgres_source, a_row_that_somebody_changes_is_left_for_later) {
  ask("INSERT INTO orders(total) VALUES (1), (2)");
  auto main = [&]() -> task<> {
    postgres::claim_desk desk(place(rows::reading::claim));
    co_await desk.open();
    co_await desk.take_over("me");
    connection busy = co_await connect();
    co_await busy.query("BEGIN");
    co_await busy.query("UPDATE orders SET total = 5 WHERE id = 1");
    const std::vector<rows::row> first = co_await desk.claim(1, 10, true);
    EXPECT_EQ(keys(first), "2;");
    co_await busy.query("COMMIT");
    const std::vector<rows::row> second = co_await desk.claim(2, 10, true);
    EXPECT_EQ(keys(second), "1;");
  };
  run(main());
}

// Guards: the run's number; a claim of before could come to be behind the look at what there is.
TEST_F(postgres_source, a_claim_whose_answer_was_lost_is_found) {
  ask("INSERT INTO orders(total) VALUES (1), (2), (3)");
  auto main = [&]() -> task<> {
    postgres::claim_desk before(place(rows::reading::claim));
    co_await before.open();
    co_await before.take_over("me");
    const std::vector<rows::row> lost = co_await before.claim(1, 2, true);
    EXPECT_EQ(keys(lost), "1;2;");
    postgres::claim_desk now(place(rows::reading::claim));
    co_await now.open();
    const std::vector<rows::row> found = co_await now.take_over("me");
    EXPECT_EQ(keys(found), "1;2;");
    bool refused = false;
    try {
      co_await before.claim(3, 1, false);
    } catch (const std::runtime_error&) {
      refused = true;
    }
    EXPECT_TRUE(refused);
    const std::vector<rows::row> rest = co_await now.claim(3, 5, true);
    EXPECT_EQ(keys(rest), "3;");
  };
  run(main());
}

TEST_F(postgres_source, an_outcome_of_one_who_lost_the_row_changes_nothing) {
  ask("INSERT INTO orders(total) VALUES (1), (2)");
  auto main = [&]() -> task<> {
    postgres::claim_desk slow(place(rows::reading::claim));
    postgres::claim_desk quick(place(rows::reading::claim));
    co_await slow.open();
    co_await quick.open();
    co_await slow.take_over("slow");
    co_await quick.take_over("quick");
    co_await slow.claim(1, 1, true);
    ask("UPDATE _brigade_holders SET leased_until = now() WHERE holder = 'slow'");
    co_await quick.claim(1, 1, true);
    std::vector<rows::settled_row> done;
    done.emplace_back(1, "filtered");
    const std::size_t of_quick = co_await quick.settle(done);
    done.front().result = "delivered";
    const std::size_t of_slow = co_await slow.settle(done);
    EXPECT_EQ(of_quick, 0U);
    EXPECT_EQ(of_slow, 1U);
    EXPECT_EQ(ask("SELECT id, outcome, holder FROM _brigade_claims"), "1,filtered,quick;");
  };
  run(main());
}

TEST_F(postgres_source, what_is_given_back_is_free_at_once) {
  ask("INSERT INTO orders(total) VALUES (1), (2)");
  auto main = [&]() -> task<> {
    postgres::claim_desk first(place(rows::reading::claim));
    postgres::claim_desk second(place(rows::reading::claim));
    co_await first.open();
    co_await second.open();
    co_await first.take_over("first");
    co_await second.take_over("second");
    co_await first.claim(1, 2, true);
    std::vector<rows::settled_row> done;
    done.emplace_back(1, "delivered", "out", "");
    done.emplace_back(2, "returned");
    co_await first.settle(done);
    // As where the answer was lost. What it has given back is nobody's, and no outcome either.
    const std::size_t foreign = co_await first.settle(done);
    EXPECT_EQ(foreign, 0U);
    const std::vector<rows::row> returned = co_await second.claim(1, 5, true);
    EXPECT_EQ(keys(returned), "2;");
    co_await second.release();
    co_await first.take_over("first");
    const std::vector<rows::row> released = co_await first.claim(3, 5, true);
    EXPECT_EQ(keys(released), "2;");
  };
  run(main());
}

// Guards: `.*`, without which a column of that name is taken for the row; names in the statement
// that nobody has; what is set for each session.
TEST_F(postgres_source, any_name_and_setting_will_do) {
  ask("DROP TABLE orders");
  ask("CREATE TABLE orders(id int PRIMARY KEY, o int, x int, item text, key int)");
  ask("INSERT INTO orders VALUES (1, 5, 6, 'c', 1), (2, 7, 8, 'a', 2), (3, 9, 10, 'b', 3)");
  ask("CREATE TABLE mine(which int)");
  ask("INSERT INTO mine VALUES (2), (3)");
  auto main = [&]() -> task<> {
    postgres::source_place where = place(rows::reading::claim);
    where.options.where = "id IN (SELECT which FROM mine)";
    where.options.order = "item";
    postgres::claim_desk whole(where);
    co_await whole.open();
    co_await whole.take_over("whole");
    std::vector<rows::row> found = co_await whole.claim(1, 10, true);
    EXPECT_EQ(values(found), R"({"id":2,"o":7,"x":8,"item":"a","key":2};)"
                             R"({"id":3,"o":9,"x":10,"item":"b","key":3};)");
    where.options.pipeline = "another";
    where.options.order = "key DESC";
    where.options.columns = {"o", "x"};
    postgres::claim_desk some(where);
    co_await some.open();
    co_await some.take_over("some");
    found = co_await some.claim(1, 10, true);
    EXPECT_EQ(values(found), R"({"o":9,"x":10};{"o":7,"x":8};)");
    ask("CREATE TABLE odd(id int PRIMARY KEY, b bytea, d date, f float8)");
    ask("INSERT INTO odd VALUES (1, '\\x005c', '2024-02-29', 0.30000000000000004)");
    where = place();
    where.options.table = "odd";
    where.conninfo +=
        " options='-c bytea_output=escape -c DateStyle=German -c extra_float_digits=0'";
    postgres::cursor_desk cursor(where);
    co_await cursor.open();
    const rows::cursor_rows odd = co_await cursor.next(0, {10, 1U << 20});
    EXPECT_EQ(values(odd.rows),
              R"({"id":1,"b":"\\x005c","d":"2024-02-29","f":0.30000000000000004};)");
  };
  run(main());
}

// Guards: the limit in bytes of a page, and that what is behind it is read next.
TEST_F(postgres_source, a_page_ends_where_rows_have_no_room) {
  ask("ALTER TABLE orders ADD note text");
  ask("INSERT INTO orders(note) SELECT repeat('x', CASE WHEN i > 100 AND i <= 130 THEN 100000 ELSE "
      "10 END) FROM generate_series(1, 400) i");
  auto main = [&]() -> task<> {
    postgres::cursor_desk desk(place());
    co_await desk.open();
    std::uint64_t low = 1;
    std::size_t largest = 0;
    for (;;) {
      const rows::cursor_rows page = co_await desk.next(low, {1000, 300'000});
      if (page.rows.empty()) break;
      std::size_t bytes = 0;
      for (const rows::row& each : page.rows) {
        EXPECT_EQ(each.number, low);
        low = each.number + 1;
        bytes += each.bytes();
      }
      largest = std::max(largest, bytes);
    }
    EXPECT_EQ(low, 401U);
    EXPECT_LE(largest, 401'000U);
    EXPECT_GT(largest, 200'000U);
  };
  run(main());
}

// Guards: the look that locks before the COPY. COPY would see the table as it was when it began to
// wait, where there is nothing of what the ALTER wrote.
TEST_F(postgres_source, a_table_that_is_written_anew_under_a_page_is_read) {
  ask("INSERT INTO orders SELECT n, n FROM generate_series(1, 9) AS n");
  auto main = [&]() -> task<> {
    postgres::cursor_desk desk(place());
    co_await desk.open();
    const rows::cursor_rows before = co_await desk.next(0, {5, 1U << 20});
    EXPECT_EQ(numbers(before.rows), "1;2;3;4;5;");
    connection changes = co_await connect();
    co_await changes.query("BEGIN");
    co_await changes.query("LOCK TABLE orders");
    rows::cursor_rows behind;
    task_group group("page");
    auto body = [&](task_group& in) -> task<> {
      auto next = [&]() -> task<> { behind = co_await desk.next(6, {100, 1U << 20}); };
      in.spawn(next);
      for (int looks = 0; looks < 1000; ++looks) {
        if (ask("SELECT count(*) FROM pg_locks WHERE NOT granted") == "1;") break;
        co_await sleep_for(1ms);
      }
      co_await changes.query("ALTER TABLE orders ALTER COLUMN total TYPE text USING total || 'x'");
      co_await changes.query("COMMIT");
    };
    co_await group.run(body);
    EXPECT_EQ(values(behind.rows),
              R"({"id":6,"total":"6x"};{"id":7,"total":"7x"};{"id":8,"total":"8x"};)"
              R"({"id":9,"total":"9x"};)");
  };
  run(main());
}

TEST_F(postgres_source, columns_are_what_they_are_by_now) {
  ask("INSERT INTO orders VALUES (1, 1)");
  auto main = [&]() -> task<> {
    postgres::cursor_desk desk(place());
    co_await desk.open();
    ask("ALTER TABLE orders ALTER COLUMN total TYPE text USING 'one', ADD COLUMN is_paid boolean");
    const rows::cursor_rows page = co_await desk.next(0, {100, 1U << 20});
    EXPECT_EQ(values(page.rows), R"({"id":1,"total":"one","is_paid":null};)");
    ask("ALTER TABLE orders ALTER COLUMN id TYPE text");
    ask("INSERT INTO orders(id) VALUES ('2')");
    EXPECT_THROW(co_await desk.next(2, {100, 1U << 20}), std::runtime_error);
  };
  run(main());
}

// Guards: asking by name who writes; by the number that the name had, nobody would.
TEST_F(postgres_source, a_cursor_knows_who_writes_to_a_table_that_took_the_place_of_another) {
  auto main = [&]() -> task<> {
    postgres::cursor_desk desk(place());
    co_await desk.open();
    ask("CREATE TABLE fresh(id int PRIMARY KEY DEFAULT nextval('orders_id_seq'), total numeric)");
    ask("BEGIN; ALTER TABLE orders RENAME TO old; ALTER TABLE fresh RENAME TO orders; COMMIT");
    connection late = co_await connect();
    co_await late.query("BEGIN");
    co_await late.query("INSERT INTO orders(total) VALUES (1)");
    ask("INSERT INTO orders(total) VALUES (2)");
    const rows::cursor_rows found = co_await desk.next(0, {100, 1U << 20});
    EXPECT_TRUE(found.rows.empty());
    EXPECT_EQ(found.by, std::to_string(late.backend_pid()));
    co_await late.query("COMMIT");
    const std::string all = co_await all_behind(desk, 0);
    EXPECT_EQ(all, "1;2;");
  };
  run(main());
}

TEST_F(postgres_source, a_row_says_the_same_whatever_bytes_it_has) {
  ask("DROP TABLE orders");
  ask("CREATE TABLE orders(id int PRIMARY KEY, a text, b text, c text, d json)");
  ask(R"(INSERT INTO orders VALUES (1, E'\\N', NULL, '', NULL), (2, E'a\tb\nc\\d\re\bf\fg\vh',
      E'\x01\x7f', E'\\', '{"a": "\\t"}'), (3, '\.', '"', 'ü', '[1,
 2]'))");
  auto main = [&]() -> task<> {
    postgres::cursor_desk cursor(place());
    co_await cursor.open();
    const rows::cursor_rows read = co_await cursor.next(0, {10, 1U << 20});
    postgres::claim_desk claims(place(rows::reading::claim));
    co_await claims.open();
    co_await claims.take_over("one");
    const std::vector<rows::row> claimed = co_await claims.claim(1, 10, true);
    EXPECT_EQ(read.rows.size(), 3U);
    EXPECT_EQ(values(read.rows), values(claimed));
  };
  run(main());
}

// Guards: the type without a length that a key is read as: `character` would cut it to one.
TEST_F(postgres_source, keys_of_a_fixed_length_are_found_again) {
  ask("DROP TABLE orders");
  ask("CREATE TABLE orders(id char(5) PRIMARY KEY)");
  ask("INSERT INTO orders VALUES ('AB'), ('ABCDE'), ('ABCDF')");
  auto main = [&]() -> task<> {
    postgres::claim_desk before(place(rows::reading::claim));
    co_await before.open();
    co_await before.take_over("one");
    const std::vector<rows::row> first = co_await before.claim(1, 2, true);
    EXPECT_EQ(first.size(), 2u);
    postgres::claim_desk after(place(rows::reading::claim));
    co_await after.open();
    const std::vector<rows::row> again = co_await after.take_over("one");
    EXPECT_EQ(keys(again), "AB;ABCDE;");
  };
  run(main());
}

TEST_F(postgres_source, a_row_without_an_id_is_no_item) {
  ask("DROP TABLE orders");
  ask("CREATE TABLE orders(id int)");
  ask("INSERT INTO orders VALUES (1), (NULL), (2)");
  auto main = [&]() -> task<> {
    postgres::source_place where = place(rows::reading::claim);
    where.options.id = "id";
    postgres::claim_desk desk(where);
    co_await desk.open();
    co_await desk.take_over("one");
    const std::vector<rows::row> found = co_await desk.claim(1, 10, true);
    EXPECT_EQ(keys(found), "1;2;");
  };
  run(main());
}

TEST_F(postgres_source, a_cursor_ends_behind_the_largest_id_there_can_be) {
  ask("ALTER TABLE orders ALTER id TYPE bigint");
  ask("INSERT INTO orders VALUES (0, 1), (9223372036854775807, 2)");
  auto main = [&]() -> task<> {
    postgres::cursor_desk desk(place());
    co_await desk.open();
    const std::string found = co_await all_behind(desk, 0);
    EXPECT_EQ(found, "0;9223372036854775807;");
    const std::string more = co_await all_behind(desk, std::uint64_t{1} << 63);
    EXPECT_EQ(more, "");
  };
  run(main());
}

/// Claims are never to be had, and everything else is.
class refusing_desk final : public rows::claim_desk {
 public:
  explicit refusing_desk(int& tries) : tries_(tries) {}
  task<> open() override { co_return; }
  task<> wait(std::chrono::milliseconds most) override { co_await sleep_for(most); }
  task<std::vector<rows::row>> take_over(std::string) override {
    co_return std::vector<rows::row>();
  }
  task<std::uint64_t> last_number() override { co_return 0; }
  task<std::vector<rows::row>> claim(std::uint64_t, std::size_t, bool) override {
    ++tries_;
    throw rows::outage("it takes too long");
    co_return std::vector<rows::row>();
  }
  task<std::size_t> settle(const std::vector<rows::settled_row>&) override { co_return 0; }
  task<> renew() override { co_return; }
  task<> release() override { co_return; }

 private:
  int& tries_;
};

// Guards: failures of a claim are counted by themselves; a server that does anything else was taken
// for one that is back, and was asked twenty times a second, for ever and in silence.
TEST_F(postgres_source, claims_that_always_fail_are_tried_less_and_less_often) {
  int tries = 0;
  auto main = [&]() -> task<> {
    const auto between = std::make_shared<rows::exchange>();
    rows::work_options options;
    options.table = place(rows::reading::claim).options;
    options.holder = "one";
    auto body = [&](task_group& group) -> task<> {
      group.spawn(rows::work_with_claims, between, options, std::make_unique<refusing_desk>(tries));
      group.spawn(&rows::exchange::take, between.get(), std::size_t{10});
      co_await sleep_for(1000ms);
      between->ask_to_stop();
      group.cancel();
    };
    co_await with_group(body);
  };
  run(main());
  EXPECT_GE(tries, 3);
  EXPECT_LE(tries, 6);
}

}  // namespace
}  // namespace brigade
