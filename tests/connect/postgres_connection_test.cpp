#include "connect/postgres_connection.hpp"

#include "connect/postgres_server.hpp"

#include <brigade/async/error.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <functional>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using postgres::connect_options;
using postgres::connection;
using postgres::error_kind;
using postgres::parameter;
using postgres::result;
using postgres::statement;

/// Runs `body` with a connection to `server`.
template <class Body>
void with_connection(const test::postgres_server& server, Body body) {
  auto main = [&]() -> task<> {
    connect_options where(server.conninfo());
    connection base = co_await connection::open(where);
    co_await body(base);
  };
  run(main());
}

/// What `what` threw.
task<postgres::error> error_of(task<> what) {
  std::optional<postgres::error> thrown;
  try {
    co_await std::move(what);
  } catch (const postgres::error& why) {
    thrown.emplace(why);
  }
  if (!thrown) thrown.emplace(error_kind::other, "", "no error");
  co_return *thrown;
}

TEST(postgres_connection, answers_with_rows_nulls_types_and_counts) {
  const test::postgres_server server;
  with_connection(server, [](connection& base) -> task<> {
    std::vector<parameter> values;
    values.emplace_back("17");
    values.emplace_back(std::nullopt, 25);
    values.push_back(parameter::binary(std::string("\0\0\0\x05", 4), 23));
    const result row = co_await base.query("SELECT $1::int8 AS a, $2 AS b, $3 AS c, 'ü'", values);
    EXPECT_EQ(row.rows(), 1U);
    EXPECT_EQ(row.columns(), 4U);
    EXPECT_EQ(row.name(0), "a");
    EXPECT_EQ(row.type(0), 20U);
    EXPECT_EQ(row.integer(0, 0), 17);
    EXPECT_TRUE(row.is_null(0, 1));
    EXPECT_EQ(row.text(0, 2), "5");
    EXPECT_EQ(row.text(0, 3), "ü");
    const auto all = co_await base.script(
        "CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 5)");
    EXPECT_EQ(all.size(), 2U);
    EXPECT_EQ(all[1].affected(), 5U);
    EXPECT_GE(base.server_version(), 150000);
  });
}

TEST(postgres_connection, goes_on_behind_an_error_and_says_which_statement_it_was) {
  const test::postgres_server server;
  with_connection(server, [](connection& base) -> task<> {
    auto wrong = [&]() -> task<> { co_await base.query("SELECT 1/0"); };
    const auto division = co_await error_of(wrong());
    EXPECT_EQ(division.sqlstate(), "22012");
    EXPECT_EQ(division.kind(), error_kind::row);
    auto third = [&]() -> task<> { co_await base.script("BEGIN; SELECT 1; SELEC 2; SELECT 3"); };
    const auto syntax = co_await error_of(third());
    EXPECT_EQ(syntax.kind(), error_kind::other);
    auto second = [&]() -> task<> { co_await base.script("BEGIN; SELECT * FROM no_such_table"); };
    const auto table = co_await error_of(second());
    EXPECT_EQ(table.kind(), error_kind::missing);
    EXPECT_EQ(table.statement(), 1U);
    EXPECT_TRUE(base.in_transaction());
    co_await base.script("ROLLBACK");
    EXPECT_FALSE(base.in_transaction());
    EXPECT_TRUE(base.is_open());
  });
}

TEST(postgres_connection, sends_statements_together_and_prepares_each_once) {
  const test::postgres_server server;
  with_connection(server, [](connection& base) -> task<> {
    co_await base.script("CREATE TABLE t (a int PRIMARY KEY)");
    for (int round = 0; round < 2; ++round) {
      std::vector<statement> all;
      for (int i = 0; i < 500; ++i) {
        std::vector<parameter> value;
        value.emplace_back(std::to_string(round * 500 + i), 23);
        all.emplace_back("INSERT INTO t VALUES ($1)", std::move(value));
      }
      const auto results = co_await base.pipeline(all);
      EXPECT_EQ(results.size(), 500U);
      EXPECT_EQ(results.back().affected(), 1U);
    }
    const result prepared = co_await base.query("SELECT count(*) FROM pg_prepared_statements");
    EXPECT_EQ(prepared.integer(0, 0), 1);
    std::vector<statement> twice;
    twice.emplace_back("INSERT INTO t VALUES (1000)");
    twice.emplace_back("INSERT INTO t VALUES (7)");
    twice.emplace_back("INSERT INTO t VALUES (1001)");
    auto fails = [&]() -> task<> { co_await base.pipeline(twice); };
    const auto why = co_await error_of(fails());
    EXPECT_EQ(why.sqlstate(), "23505");
    EXPECT_EQ(why.statement(), 1U);
    const result count = co_await base.query("SELECT count(*) FROM t");
    EXPECT_EQ(count.integer(0, 0), 1000);  // none of the three
  });
}

TEST(postgres_connection, copies_in_more_than_the_sockets_hold_while_the_server_talks) {
  const test::postgres_server server;
  with_connection(server, [](connection& base) -> task<> {
    co_await base.script(
        "CREATE TABLE t (a int, b text); CREATE FUNCTION talk() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN RAISE NOTICE '%', repeat('x', 2000); RETURN new; END $$; CREATE TRIGGER talk "
        "BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION talk(); SET client_min_messages=notice");
    std::string rows;
    for (int i = 0; i < 5000; ++i) rows += std::to_string(i) + "\t" + std::string(2000, 'y') + "\n";
    const auto results = co_await base.copy_in("BEGIN; COPY t FROM STDIN", rows);
    EXPECT_EQ(results.size(), 2U);
    EXPECT_EQ(results.back().affected(), 5000U);
    auto fails = [&]() -> task<> {
      co_await base.copy_in("SAVEPOINT s; COPY t FROM STDIN", "1\ta\nx\tb\n");
    };
    const auto why = co_await error_of(fails());
    EXPECT_EQ(why.sqlstate(), "22P02");
    EXPECT_EQ(why.statement(), 1U);
    EXPECT_STREQ(why.what(), "invalid input syntax for type integer: \"x\" (column a)");
    co_await base.script("COMMIT");
  });
  EXPECT_EQ(server.ask("SELECT count(*) FROM t"), "0;");  // COMMIT of what had failed
}

TEST(postgres_connection, cancelled_in_a_question_is_closed_and_its_transaction_rolled_back) {
  const test::postgres_server server;
  server.ask("CREATE TABLE t (a int)");
  with_connection(server, [&](connection& base) -> task<> {
    co_await base.script("BEGIN; INSERT INTO t VALUES (1)");
    auto sleeps = [&]() -> task<> { co_await base.query("SELECT pg_sleep(600)"); };
    EXPECT_THROW(co_await timeout(50ms, sleeps()), timed_out);
    EXPECT_FALSE(base.is_open());
    const auto why = co_await error_of(sleeps());
    EXPECT_EQ(why.kind(), error_kind::lost);
    connect_options where(server.conninfo());
    connection other = co_await connection::open(where);
    co_await other.script("BEGIN; LOCK TABLE t; COMMIT");  // waits until the first has gone
    const result rows = co_await other.query("SELECT count(*) FROM t");
    EXPECT_EQ(rows.integer(0, 0), 0);
  });
}

TEST(postgres_connection, hears_notifications_and_is_whole_after_a_wait_for_one_was_cancelled) {
  const test::postgres_server server;
  with_connection(server, [&](connection& base) -> task<> {
    co_await base.listen("Jobs");
    auto hears = [&]() -> task<> { co_await base.next_notification(); };
    EXPECT_THROW(co_await timeout(10ms, hears()), timed_out);
    connect_options where(server.conninfo());
    connection other = co_await connection::open(where);
    co_await other.query("SELECT pg_notify('Jobs', 'first'), pg_notify('Jobs', 'second')");
    const auto first = co_await base.next_notification();
    EXPECT_EQ(first.channel + ":" + first.payload, "Jobs:first");
    const auto second = base.take_notification();
    EXPECT_EQ(second.value().payload, "second");
    EXPECT_FALSE(base.take_notification());
  });
}

TEST(postgres_connection, is_lost_with_its_server_and_another_is_opened_patiently) {
  test::postgres_server server;
  auto main = [&]() -> task<> {
    connect_options where(server.conninfo());
    connection base = co_await connection::open(where);
    auto waits = [&]() -> task<> { co_await base.query("SELECT pg_sleep(600)"); };
    auto restarts = [&]() -> task<> {
      co_await sleep_for(100ms);
      server.stop();
    };
    const auto restarting = spawn(std::ref(restarts));
    const auto why = co_await error_of(waits());
    co_await restarting;
    EXPECT_EQ(why.kind(), error_kind::lost);
    EXPECT_EQ(why.sqlstate(), "57P01");
    int failures = 0;
    auto count = [&](const postgres::error& failed) {
      EXPECT_EQ(failed.kind(), error_kind::outage) << failed.what();
      if (++failures == 2) server.start();
    };
    base = co_await connection::open_patiently(where, count);
    EXPECT_EQ(failures, 2);
    const result one = co_await base.query("SELECT 1");
    EXPECT_EQ(one.integer(0, 0), 1);
  };
  run(main());
}

TEST(postgres_connection, says_why_it_cannot_be_opened) {
  const test::postgres_server server;
  const auto kind_with = [&](const std::string& more) {
    std::optional<error_kind> kind;
    auto main = [&]() -> task<> {
      auto opens = [&]() -> task<> {
        connect_options where(server.conninfo() + " " + more);
        co_await connection::open(where);
      };
      const auto why = co_await error_of(opens());
      kind = why.kind();
    };
    run(main());
    return kind;
  };
  EXPECT_EQ(kind_with("user=nobody_known"), error_kind::denied);
  EXPECT_EQ(kind_with("dbname=nothing"), error_kind::missing);
  EXPECT_EQ(kind_with("port=1"), error_kind::outage);
  EXPECT_EQ(kind_with("host=no.such.host.invalid"), error_kind::outage);
}

TEST(postgres_connection, gives_up_a_peer_that_is_silent_from_the_start) {
  test::postgres_server server;
  server.send(SIGSTOP);
  auto main = [&]() -> task<> {
    auto opens = [&]() -> task<> {
      connect_options where(server.conninfo());
      where.connect_timeout = 200ms;
      co_await connection::open(where);
    };
    const auto why = co_await error_of(opens());
    EXPECT_EQ(why.kind(), error_kind::outage);
  };
  run(main());
}

TEST(postgres_connection, never_repeats_a_password) {
  for (const std::string text :
       {"password=s3cret host", "postgresql://u:s3cret@h:port/x", "postgresql://u:s3cret@[h/x",
        "host=h password='s3cret", "postgresql://u:s3cret@h/x?s3cret=1"}) {
    const auto problem = postgres::conninfo_problem(text);
    EXPECT_TRUE(!problem || problem->find("s3cret") == std::string::npos) << *problem;
    EXPECT_EQ(postgres::conninfo_label(text).find("s3cret"), std::string::npos) << text;
  }
  EXPECT_TRUE(postgres::conninfo_problem("nonsense"));
  EXPECT_EQ(postgres::conninfo_label("postgresql://u:s3cret@db.example:5433/shop"),
            "db.example:5433/shop");
}

TEST(postgres_connection, knows_what_is_to_be_done_about_an_sqlstate) {
  EXPECT_EQ(postgres::kind_of("57P01"), error_kind::lost);
  EXPECT_EQ(postgres::kind_of("53300"), error_kind::outage);
  EXPECT_EQ(postgres::kind_of("25006"), error_kind::outage);
  EXPECT_EQ(postgres::kind_of("57014"), error_kind::outage);
  EXPECT_EQ(postgres::kind_of("40001"), error_kind::conflict);
  EXPECT_EQ(postgres::kind_of("40P01"), error_kind::conflict);
  EXPECT_EQ(postgres::kind_of("23505"), error_kind::row);
  EXPECT_EQ(postgres::kind_of("22P02"), error_kind::row);
  EXPECT_EQ(postgres::kind_of("42501"), error_kind::denied);
  EXPECT_EQ(postgres::kind_of("42P01"), error_kind::missing);
  EXPECT_EQ(postgres::kind_of("42601"), error_kind::other);
  EXPECT_EQ(postgres::kind_of("54001"), error_kind::row);
  EXPECT_EQ(postgres::kind_of("55000"), error_kind::other);
  EXPECT_EQ(postgres::kind_of("MY001"), error_kind::row);
  EXPECT_EQ(postgres::kind_of(""), error_kind::other);
}

TEST(postgres_connection, quotes_names_and_texts) {
  EXPECT_EQ(postgres::quoted_name("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(postgres::quoted_literal("it's \\"), "E'it''s \\\\'");
}

}  // namespace
}  // namespace brigade
