// What the sink does about its connection, its marks, and other programs.
#include "connect/postgres_connection.hpp"
#include "connect/postgres_proxy.hpp"
#include "connect/postgres_server.hpp"
#include "connect/postgres_sink_kit.hpp"

#include <brigade/async/error.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/pipeline/log.hpp>

#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using namespace test::postgres_kit;
using test::postgres_proxy;
using test::postgres_server;

const std::vector<std::string> one_row = {R"({"a":1})"};

/// What a task threw, and of which kind.
task<std::string> thrown_by(task<std::string> what) {
  std::string thrown = "nothing";
  try {
    auto inside = std::move(what);
    const std::string failures = co_await std::move(inside);
    if (!failures.empty()) thrown = "failures: " + failures;
  } catch (const sink_down& why) {
    thrown = std::string("sink_down: ") + why.what();
  } catch (const fatal_error& why) {
    thrown = std::string("fatal: ") + why.what();
  } catch (const std::runtime_error& why) {
    thrown = std::string("error: ") + why.what();
  }
  co_return thrown;
}

std::string open_error(const std::string& conninfo, fields given = {}, bool has_history = false,
                       const std::string& token = {}) {
  std::string thrown;
  auto opens = [&](sink& at) -> task<std::string> {
    co_await open_at(at, 1, has_history, token);
    co_return std::string();
  };
  auto main = [&]() -> task<> {
    const auto at = make(conninfo, given);
    thrown = co_await thrown_by(opens(*at));
  };
  run(main());
  return thrown;
}

bool has(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
  return true;
}

TEST(postgres_session, commits_marks_with_the_rows_and_gives_them_back) {
  const postgres_server server;
  auto main = [&]() -> task<> {
    std::vector<partition_mark> marks(2, mark_at(10));
    marks[1].partition = "main:it's \\ odd";
    marks[1].at.above = {{20, 30}, {40, 41}};
    marks[1].at.parts = {{50, "0/1"}};
    const items all(one_row);
    auto at = make(server.conninfo());
    EXPECT_TRUE((co_await open_at(*at)).empty());
    const write_result result = co_await at->write(all.batch, marks);
    EXPECT_EQ(result.token, "31");
    co_await at->close();
    at = make(server.conninfo());
    const auto found = co_await open_at(*at, 1, true, "31");
    EXPECT_EQ(found.size(), 2U);
    EXPECT_EQ(found[1].partition, marks[1].partition);
    EXPECT_EQ(found[1].at, marks[1].at);
    marks[0].forgotten = true;
    co_await at->commit_marks(marks);
    co_await at->close();
    at = make(server.conninfo());
    EXPECT_EQ((co_await open_at(*at, 1, true, "31")).size(), 1U);
    co_await at->close();
    at = make(server.conninfo());
    EXPECT_TRUE((co_await open_at(*at, 2)).empty());
  };
  run(main());
  EXPECT_EQ(server.ask("SELECT low FROM _brigade_marks WHERE source = ''"), "10;");
}

TEST(postgres_session, refuses_a_database_that_lacks_what_was_delivered) {
  const postgres_server server;
  EXPECT_TRUE(has(open_error(server.conninfo(), {}, true), "it holds no marks of the pipeline"));
  EXPECT_EQ(server.ask("SELECT to_regclass('_brigade_marks')"), "NULL;");
  with_sink(server, {}, [](sink& at) -> task<> { EXPECT_EQ(co_await put(at, one_row), ""); });
  EXPECT_TRUE(has(open_error(server.conninfo(), {}, true, "1000000"), "it is older than"));
}

TEST(postgres_session, says_what_is_wrong_with_a_database_when_it_opens) {
  const postgres_server server;
  server.ask("CREATE VIEW t AS SELECT 1 AS a");
  EXPECT_TRUE(has(open_error(server.conninfo()), "t is a view"));
  server.ask("DROP VIEW t; CREATE TABLE t (a int); CREATE ROLE weak LOGIN");
  EXPECT_TRUE(has(open_error(server.conninfo() + " user=weak"), "permission denied for schema"));
  server.ask("GRANT CREATE ON SCHEMA public TO weak");
  EXPECT_TRUE(has(open_error(server.conninfo() + " user=weak"),
                  "permission denied for the table t: GRANT INSERT ON \"t\" TO \"weak\""));
  const fields absent = {{"columns", std::vector<std::string>{"b"}}};
  EXPECT_TRUE(has(open_error(server.conninfo(), absent), "has no column 'b'"));
  server.ask("INSERT INTO t VALUES (1), (1)");
  const fields key = {{"key", std::string("a")}};
  EXPECT_TRUE(has(open_error(server.conninfo(), key), "is not unique"));
  server.ask("ALTER DATABASE postgres SET default_transaction_read_only = on");
  EXPECT_TRUE(has(open_error(server.conninfo()), "it is read-only"));
  EXPECT_TRUE(has(open_error("host=127.0.0.1 port=1 password=s3cret"), "refused"));
}

// The guard is the advisory lock.
TEST(postgres_session, belongs_to_one_program_at_a_time) {
  const postgres_server server;
  with_sink(server, {}, [&](sink& at) -> task<> {
    EXPECT_EQ(co_await put(at, one_row), "");
    const auto other = make(server.conninfo() + " connect_timeout=1");
    auto opens = [&]() -> task<std::string> {
      co_await open_at(*other);
      co_return std::string();
    };
    const std::string why = co_await thrown_by(opens());
    EXPECT_TRUE(has(why, "another program writes there as this pipeline (process "));
    EXPECT_TRUE(has(why, "of 127.0.0.1, brigade test)"));
  });
}

TEST(postgres_session, connects_again_by_itself_when_its_session_was_ended) {
  const postgres_server server;
  with_sink(server, {}, [&](sink& at) -> task<> {
    for (int round = 0; round < 3; ++round) {
      EXPECT_EQ(co_await put(at, one_row), "");
      server.ask(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE "
          "'brigade t%'");
    }
    EXPECT_EQ(co_await put(at, one_row), "");
  });
  EXPECT_EQ(server.ask("SELECT count(*) FROM t"), "4;");
}

TEST(postgres_session, is_down_with_its_server_and_goes_on_with_it) {
  postgres_server server;
  with_sink(server, {{"key", std::string("a")}}, [&](sink& at) -> task<> {
    EXPECT_EQ(co_await put(at, one_row), "");
    server.stop();
    const std::string refused = co_await thrown_by(put(at, one_row));
    EXPECT_TRUE(has(refused, "sink_down: postgres 127.0.0.1"));
    server.start();
    const std::vector<std::string> other = {R"({"a":2})"};
    EXPECT_EQ(co_await put(at, other), "");
    server.stop(SIGQUIT);
    server.start();
    const std::vector<std::string> third = {R"({"a":3,"b":"x"})"};
    EXPECT_EQ(co_await put(at, third), "");
  });
  EXPECT_EQ(server.ask("SELECT count(*) FROM t"), "3;");
}

TEST(postgres_session, knows_outages_conflicts_and_what_is_wrong_for_good) {
  const postgres_server server;
  server.ask(
      "CREATE TABLE t (a int); CREATE SEQUENCE tries; CREATE TABLE codes (code text); INSERT INTO "
      "codes VALUES ('none'); CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ "
      "DECLARE wanted text; BEGIN SELECT code INTO wanted FROM codes; IF wanted = '40P01' AND "
      "nextval('tries') > 4 THEN RETURN new; END IF; IF wanted <> 'none' THEN RAISE EXCEPTION "
      "USING ERRCODE = wanted; END IF; RETURN new; END $$; CREATE TRIGGER fail BEFORE INSERT ON t "
      "FOR EACH ROW EXECUTE FUNCTION fail()");
  with_sink(server, {}, [&](sink& at) -> task<> {
    const auto with_code = [&](const std::string& code) {
      server.ask("UPDATE codes SET code = '" + code + "'");
    };
    for (const std::string code : {"53100", "25006", "57014", "42501", "53300"}) {
      with_code(code);
      const std::string why = co_await thrown_by(put(at, one_row));
      EXPECT_TRUE(has(why, "sink_down: ")) << code;
    }
    with_code("40P01");
    EXPECT_EQ(co_await put(at, one_row), "");
    with_code("P0001");
    EXPECT_EQ(co_await put(at, one_row), "0: P0001;");
    with_code("0A000");
    EXPECT_TRUE(has(co_await thrown_by(put(at, one_row)), "fatal: "));
    with_code("none");
    EXPECT_EQ(co_await put(at, one_row), "");
    server.ask("ALTER TABLE t RENAME COLUMN a TO b");  // as somebody else might
    EXPECT_EQ(co_await put(at, one_row), "");
    server.ask("DROP TABLE t");
    EXPECT_TRUE(has(co_await thrown_by(put(at, one_row)), "was changed or dropped"));
  });
  EXPECT_EQ(server.ask("SELECT last_value FROM tries"), "5;");
}

// The guard is what `was_committed` answers: always yes loses rows, always no writes them twice.
TEST(postgres_session, finds_out_whether_a_commit_came_to_be_whose_answer_was_lost) {
  for (const auto how : {postgres_proxy::loss::before_commit, postgres_proxy::loss::after_commit}) {
    const postgres_server server;
    postgres_proxy proxy(server.port());
    with_sink(proxy.conninfo(), {}, [&](sink& at) -> task<> {
      EXPECT_EQ(co_await put(at, one_row), "");
      for (int round = 0; round < 5; ++round) {
        proxy.lose(how);
        EXPECT_EQ(co_await put(at, one_row), "");
        EXPECT_EQ(proxy.losses(), round + 1);
      }
      // Also where the marks do not move, as with parts of what was joined.
      proxy.lose(how);
      const items all(one_row);
      const std::vector<partition_mark> none;
      EXPECT_EQ(errors(co_await at.write(all.batch, none)), "");
    });
    EXPECT_EQ(server.ask("SELECT count(*) FROM t"), "7;");
    EXPECT_EQ(proxy.losses(), 6);
  }
}

TEST(postgres_session, gives_up_asking_for_a_commit_and_the_next_finds_what_became_of_it) {
  for (const auto how : {postgres_proxy::loss::before_commit, postgres_proxy::loss::after_commit}) {
    const bool is_there = how == postgres_proxy::loss::after_commit;
    const postgres_server server;
    postgres_proxy proxy(server.port());
    auto main = [&]() -> task<> {
      const auto at = make(proxy.conninfo(), {}, 20ms);
      co_await open_at(*at);
      EXPECT_EQ(co_await put(*at, one_row), "");
      proxy.stay_away(true);
      proxy.lose(how);
      const std::vector<partition_mark> marks = next_marks();
      const items all(one_row);
      auto writes = [&]() -> task<std::string> {
        co_return errors(co_await at->write(all.batch, marks));
      };
      const std::string thrown = co_await thrown_by(writes());
      EXPECT_TRUE(has(thrown, "fatal: ")) << thrown;
      EXPECT_TRUE(has(thrown, "was down for too long after the connection was lost in a COMMIT"));
      co_await at->close();
      proxy.stay_away(false);
      const auto next = make(proxy.conninfo());
      const std::vector<partition_mark> found = co_await open_at(*next, 1, true);
      EXPECT_EQ(found.front().at.low == marks.front().at.low, is_there);
      co_await next->close();
    };
    run(main());
    EXPECT_EQ(server.ask("SELECT count(*) FROM t"), is_there ? "2;" : "1;");
  }
}

TEST(postgres_session, refuses_to_go_on_where_somebody_else_changed_its_marks) {
  const postgres_server server;
  with_sink(server, {}, [&](sink& at) -> task<> {
    EXPECT_EQ(co_await put(at, one_row), "");
    server.ask("UPDATE _brigade_marks SET low = low + 1000");
    server.ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE "
        "'brigade t%'");
    EXPECT_TRUE(
        has(co_await thrown_by(put(at, one_row)), "its marks are not those this run has written"));
  });
}

TEST(postgres_session, cut_off_in_a_write_leaves_nothing_of_it) {
  const postgres_server server;
  server.ask("CREATE TABLE t (a int)");
  with_sink(server, {}, [&](sink& at) -> task<> {
    postgres::connect_options where(server.conninfo());
    postgres::connection locks = co_await postgres::connection::open(where);
    co_await locks.script("BEGIN; LOCK TABLE t");
    auto writes = [&]() -> task<> { EXPECT_EQ(co_await put(at, one_row), ""); };
    EXPECT_THROW(co_await timeout(100ms, writes()), timed_out);
    co_await locks.script("COMMIT");
    EXPECT_EQ(co_await put(at, one_row), "");
  });
  EXPECT_EQ(server.ask("SELECT count(*) FROM t"), "1;");
}

TEST(postgres_session, cut_off_in_a_commit_finds_out_what_came_of_it_first) {
  const postgres_server server;
  with_sink(server, {}, [&](sink& at) -> task<> {
    EXPECT_EQ(co_await put(at, one_row), "");
    postgres::connect_options where(server.conninfo());
    postgres::connection locks = co_await postgres::connection::open(where);
    co_await locks.script("BEGIN; LOCK TABLE _brigade_marks IN EXCLUSIVE MODE");
    auto writes = [&]() -> task<> { EXPECT_EQ(co_await put(at, one_row), ""); };
    EXPECT_THROW(co_await timeout(100ms, writes()), timed_out);  // and it was not committed
    co_await locks.script("COMMIT");
    EXPECT_EQ(co_await put(at, one_row), "");
  });
  EXPECT_EQ(server.ask("SELECT count(*) FROM t"), "2;");
}

TEST(postgres_session, refuses_settings_that_make_no_sense) {
  const auto why = [](const std::string& name, const std::string& value) {
    return test::config_error_of([&] {
      fields given;
      given.emplace_back(name, value);
      make("host=h", given);
    });
  };
  EXPECT_EQ(why("connection", "password=s3cret host"),
            "connection: no connection string: missing \"=\" after \"...\" in connection info "
            "string; write 'host=... dbname=...' or 'postgresql://...'");
  EXPECT_EQ(why("table", "_brigade_marks"), "table: '_brigade_marks' is a reserved name");
  EXPECT_EQ(why("table", ".t"), "table: the name is empty");
  EXPECT_EQ(why("key", ""), "key: the name is empty");
  EXPECT_EQ(why("table", std::string(64, 't')),
            "table: the name is longer than the 63 bytes PostgreSQL allows");
}

}  // namespace
}  // namespace brigade
