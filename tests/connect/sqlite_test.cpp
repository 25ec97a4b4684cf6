#include "connect/components.hpp"
#include "connect/sqlite_database.hpp"
#include "connect/sqlite_row.hpp"
#include "connect/sqlite_writer.hpp"
#include "connect/temporary_folder.hpp"
#include "connect/written.hpp"

#include <brigade/async/loop.hpp>
#include <brigade/connect/sqlite.hpp>

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdexcept>

namespace brigade {
namespace {

using test::temporary_folder;
using test::write_all;
using fields = std::vector<std::pair<std::string, field_value>>;
using names = std::vector<std::string>;

std::unique_ptr<sink> make(const temporary_folder& folder, fields given = {}) {
  registry known;
  register_sqlite(known);
  const component& entry = *known.find(component_kind::sink, "sqlite");
  fields all = {{"file", std::string("out.db")}, {"table", std::string("t")}};
  for (auto& each : given) all.push_back(std::move(each));
  return entry.make_sink(test::settings_for(entry, std::move(all)),
                         test::context_in(folder.path()));
}

std::vector<partition_mark> open_at(sink& at, std::uint64_t epoch = 1, bool has_history = false) {
  sink_resume resume;
  resume.pipeline = "orders";
  resume.epoch = epoch;
  resume.has_history = has_history;
  return run(at.open(resume));
}

std::unique_ptr<sink> opened(const temporary_folder& folder, fields given = {}) {
  auto at = make(folder, std::move(given));
  open_at(*at);
  return at;
}

std::string open_error(const temporary_folder& folder, fields given = {},
                       bool has_history = false) {
  auto at = make(folder, std::move(given));
  try {
    open_at(*at, 1, has_history);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "no error";
}

/// The rows of a query: columns divided by `,`, rows by `;`, as sqlite3 shows them.
std::string query(const temporary_folder& folder, const std::string& sql) {
  sqlite::database database(folder / "out.db", std::chrono::seconds(1));
  sqlite3_stmt* raw = nullptr;
  EXPECT_EQ(sqlite3_prepare_v2(database.handle(), sql.c_str(), -1, &raw, nullptr), SQLITE_OK)
      << sqlite3_errmsg(database.handle());
  std::string text;
  while (sqlite3_step(raw) == SQLITE_ROW) {
    for (int i = 0; i < sqlite3_column_count(raw); ++i) {
      const auto* const value = reinterpret_cast<const char*>(sqlite3_column_text(raw, i));
      text += (i > 0 ? "," : "") + std::string(value != nullptr ? value : "NULL");
    }
    text += ";";
  }
  sqlite3_finalize(raw);
  return text;
}

void execute(const temporary_folder& folder, const std::string& sql) {
  sqlite::database database(folder / "out.db", std::chrono::seconds(1));
  char* error = nullptr;
  EXPECT_EQ(sqlite3_exec(database.handle(), sql.c_str(), nullptr, nullptr, &error), SQLITE_OK)
      << error;
  sqlite3_free(error);
}

std::vector<record> json(const std::vector<std::string>& texts) {
  std::vector<record> items;
  for (const std::string& text : texts) items.push_back(record::json(text));
  return items;
}

/// The errors of a batch, by index: `1: why;`
std::string errors(const write_result& result) {
  std::string text;
  for (std::size_t i = 0; i < result.failures.size(); ++i) {
    if (!result.failures[i]) continue;
    EXPECT_EQ(result.failures[i]->kind, verdict::permanent);
    text += std::to_string(i) + ": " + result.failures[i]->error + ";";
  }
  return text;
}

std::string columns(const temporary_folder& folder) {
  return query(folder, "SELECT name || ' ' || type FROM pragma_table_info('t')");
}

partition_mark mark_at(std::uint64_t low) {
  partition_mark mark;
  mark.partition = "main:8f3a";
  mark.at.low = low;
  return mark;
}

TEST(sqlite_sink, makes_the_table_with_the_types_of_the_first_batch) {
  const temporary_folder folder;
  const auto at = opened(folder);
  EXPECT_EQ(
      errors(write_all(
          *at, json({R"({"i":1,"r":1.5,"s":"x","b":true,"z":null,"n":{"a": [1]}})",
                     R"({"i":-2,"r":2,"s":"y","b":false,"z":null,"m":1})", R"({"m":"text"})"}))),
      "");
  EXPECT_EQ(columns(folder), "i INTEGER;r NUMERIC;s TEXT;b INTEGER;z ;n TEXT;m ;");
  EXPECT_EQ(query(folder, "SELECT i,r,s,b,z,n,m FROM t"),
            "1,1.5,x,1,NULL,{\"a\": [1]},NULL;-2,2,y,0,NULL,NULL,1;"
            "NULL,NULL,NULL,NULL,NULL,NULL,text;");
}

TEST(sqlite_sink, adds_columns_as_they_appear) {
  const temporary_folder folder;
  const auto at = opened(folder);
  write_all(*at, json({R"({"a":1})"}));
  EXPECT_EQ(errors(write_all(*at, json({R"({"b":"x","a":2})", R"({"c":1.5})", "{}"}))), "");
  EXPECT_EQ(columns(folder), "a INTEGER;b TEXT;c REAL;");
  EXPECT_EQ(query(folder, "SELECT a,b,c FROM t"),
            "1,NULL,NULL;2,x,NULL;NULL,NULL,1.5;NULL,NULL,NULL;");
}

TEST(sqlite_sink, shares_a_table_with_another_that_makes_it_or_adds_to_it) {
  const temporary_folder folder;
  const auto one = opened(folder);
  const auto other = opened(folder);
  write_all(*one, json({R"({"a":1})"}));
  EXPECT_EQ(errors(write_all(*other, json({R"({"a":2})"}))), "");
  write_all(*one, json({R"({"a":3,"b":3})"}));
  EXPECT_EQ(errors(write_all(*other, json({R"({"a":4,"b":4,"c":4})"}))), "");
  EXPECT_EQ(query(folder, "SELECT * FROM t"), "1,NULL,NULL;2,NULL,NULL;3,3,NULL;4,4,4;");
}

TEST(sqlite_sink, takes_only_the_columns_it_is_told_to) {
  const temporary_folder folder;
  const auto at = opened(folder, {{"columns", names{"b", "a"}}});
  write_all(*at, json({R"({"a":1,"x":9})", R"({"B":2,"y":9})"}));
  EXPECT_EQ(columns(folder), "b INTEGER;a INTEGER;");
  EXPECT_EQ(query(folder, "SELECT a,b FROM t"), "1,NULL;NULL,2;");
}

TEST(sqlite_sink, takes_lines_escapes_and_awkward_names) {
  const temporary_folder folder;
  const auto at = opened(folder);
  EXPECT_EQ(
      errors(write_all(
          *at,
          {record::line("say \"hi\""),
           record::json(R"({"line":"caf\u00e9 \ud83d\ude00","a \"b\"":"\\","select":1,"":2})")})),
      "");
  EXPECT_EQ(query(folder, "SELECT line, \"a \"\"b\"\"\", \"select\", \"\" FROM t"),
            "say \"hi\",NULL,NULL,NULL;caf\xc3\xa9 \xf0\x9f\x98\x80,\\,1,2;");
}

TEST(sqlite_sink, integers_are_exact_and_never_changed) {
  const temporary_folder folder;
  const auto at = opened(folder);
  EXPECT_EQ(errors(write_all(
                *at, json({R"({"n":9223372036854775807})", R"({"n":9223372036854775808})",
                           R"({"n":1e999})", R"({"n":-9223372036854775808})", R"({"n":1e-999})"}))),
            "1: field 'n' is 9223372036854775808, beyond the integers of SQLite;"
            "2: field 'n' is 1e999, beyond the numbers of SQLite;");
  write_all(*at, json({R"({"n":9223372036854775807})", R"({"n":-9223372036854775808})"}));
  EXPECT_EQ(query(folder, "SELECT n FROM t"), "9223372036854775807;-9223372036854775808;");
}

TEST(sqlite_sink, finds_all_bad_rows_in_one_pass_and_writes_none) {
  const temporary_folder folder;
  execute(folder,
          "CREATE TABLE t (id INTEGER PRIMARY KEY, total REAL NOT NULL CHECK (total >= 0))");
  const auto at = opened(folder);
  const auto batch = json({R"({"id":1,"total":1})", R"({"id":1,"total":2})", "[1]",
                           R"({"id":2,"total":null})", R"({"id":3,"total":-1})",
                           R"({"id":"x","total":1})", R"({"a":1,"A":2})", R"({"id":4,"total":4})"});
  EXPECT_EQ(errors(write_all(*at, batch, {mark_at(10)})),
            "1: UNIQUE constraint failed: t.id;2: not a JSON object, so no row: '[1]';"
            "3: NOT NULL constraint failed: t.total;4: CHECK constraint failed: total >= 0;"
            "5: datatype mismatch;6: fields 'a' and 'A' are one column to SQLite;");
  EXPECT_EQ(query(folder, "SELECT count(*) FROM t"), "0;");
  EXPECT_EQ(query(folder, "SELECT count(*) FROM _brigade_marks"), "0;");
  EXPECT_EQ(errors(write_all(*at, json({R"({"id":1,"total":1})", R"({"id":4,"total":4})"}),
                             {mark_at(20)})),
            "");
  EXPECT_EQ(query(folder, "SELECT id FROM t"), "1;4;");
}

TEST(sqlite_sink, a_refused_batch_takes_its_new_columns_with_it) {
  const temporary_folder folder;
  const auto at = opened(folder);
  write_all(*at, json({R"({"a":1})"}));
  EXPECT_EQ(errors(write_all(*at, json({R"({"a":2,"b":"x"})", "7"}))).substr(0, 2), "1:");
  EXPECT_EQ(columns(folder), "a INTEGER;");
  EXPECT_EQ(errors(write_all(*at, json({R"({"a":2,"b":5})"}))), "");
  EXPECT_EQ(columns(folder), "a INTEGER;b INTEGER;");
  EXPECT_EQ(query(folder, "SELECT a,b FROM t"), "1,NULL;2,5;");
}

TEST(sqlite_sink, looks_at_rows_behind_a_trigger_that_ends_the_transaction) {
  const temporary_folder folder;
  execute(folder,
          "CREATE TABLE t (a); CREATE TRIGGER x BEFORE INSERT ON t WHEN new.a = 2 BEGIN SELECT "
          "RAISE(ROLLBACK, 'no twos'); END; CREATE TRIGGER y BEFORE INSERT ON t WHEN new.a = 4 "
          "BEGIN SELECT RAISE(ABORT, 'no fours'); END");
  const auto at = opened(folder);
  EXPECT_EQ(errors(write_all(*at, json({R"({"a":1})", R"({"a":2})", R"({"a":3})", R"({"a":4})"}))),
            "1: no twos;3: no fours;");
  EXPECT_EQ(query(folder, "SELECT count(*) FROM t"), "0;");
}

// Guards: foreign_keys=ON; what is left open is looked for before the end.
TEST(sqlite_sink, a_reference_to_nothing_is_the_fault_of_its_row) {
  const temporary_folder folder;
  execute(folder,
          "CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1);"
          "CREATE TABLE t (n INTEGER PRIMARY KEY, p REFERENCES p, "
          "t REFERENCES t DEFERRABLE INITIALLY DEFERRED)");
  const auto at = opened(folder);
  EXPECT_EQ(errors(write_all(*at, json({R"({"n":1,"p":1})", R"({"n":2,"p":7})"}), {mark_at(1)})),
            "1: FOREIGN KEY constraint failed;");
  // 3 and 4 refer to rows behind them, 5 to one that is not there, and 8 to 5.
  const auto batch = json({R"({"n":3,"t":4})", R"({"n":4,"t":6})", R"({"n":5,"t":70})",
                           R"({"n":6})", R"({"n":8,"t":5})"});
  EXPECT_EQ(errors(write_all(*at, batch, {mark_at(2)})),
            "2: FOREIGN KEY constraint failed;4: FOREIGN KEY constraint failed;");
  EXPECT_EQ(query(folder, "SELECT count(*) FROM t") + query(folder, "SELECT 1 FROM _brigade_marks"),
            "0;");
  EXPECT_EQ(errors(write_all(*at,
                             json({R"({"n":3,"t":4})", R"({"n":4,"t":6})", R"({"n":6})",
                                   R"({"n":9,"t":10})", R"({"n":10,"t":9})"}),
                             {mark_at(3)})),
            "");
  EXPECT_EQ(query(folder, "SELECT n FROM t"), "3;4;6;9;10;");
  EXPECT_EQ(query(folder, "SELECT low FROM _brigade_marks"), "3;");
}

TEST(sqlite_sink, a_foreign_key_that_leads_nowhere_is_refused_at_once) {
  const temporary_folder folder;
  execute(folder, "CREATE TABLE t (a REFERENCES nowhere)");
  EXPECT_EQ(open_error(folder),
            "cannot open " + folder / "out.db" + ": no such table: main.nowhere");
}

TEST(sqlite_sink, keeps_what_a_table_declares) {
  const temporary_folder folder;
  execute(folder, "CREATE TABLE t (i INTEGER, r REAL, s TEXT, b BLOB, a ANY) STRICT");
  const auto at = opened(folder);
  EXPECT_EQ(
      errors(write_all(*at, json({R"({"i":1,"r":2,"s":3,"a":{"x":[]}})", R"({"i":"x"})",
                                  R"({"i":1.5})", R"({"b":"text"})", R"({"i":"7","r":null})"}))),
      "1: cannot store TEXT value in INTEGER column t.i;"
      "2: cannot store REAL value in INTEGER column t.i;"
      "3: cannot store TEXT value in BLOB column t.b;");
  EXPECT_EQ(errors(write_all(*at, json({R"({"i":1,"r":2,"s":3,"a":{"x":[]}})"}))), "");
  EXPECT_EQ(query(folder, "SELECT typeof(i),typeof(r),typeof(s),typeof(a) FROM t"),
            "integer,real,text,text;");
}

TEST(sqlite_sink, any_number_of_bad_rows_fails_and_nothing_else) {
  for (const std::size_t bad : {1U, 30U, 1000U}) {
    const temporary_folder folder;
    execute(folder, "CREATE TABLE t (n INTEGER CHECK (n >= 0))");
    const auto at = opened(folder);
    std::vector<std::string> texts;
    for (std::size_t n = 0; n < 1000; ++n) {
      texts.push_back(
          "{\"n\":" + std::string(n % (1000 / bad) == 0 && n / (1000 / bad) < bad ? "-" : "") +
          std::to_string(n + 1) + "}");
    }
    const write_result result = write_all(*at, json(texts));
    std::vector<std::string> good;
    for (std::size_t n = 0; n < 1000; ++n) {
      EXPECT_EQ(result.failures[n].has_value(), texts[n].starts_with("{\"n\":-"));
      if (!result.failures[n]) good.push_back(texts[n]);
    }
    EXPECT_EQ(good.size(), 1000 - bad);
    EXPECT_EQ(query(folder, "SELECT count(*) FROM t"), "0;");
    if (good.empty()) continue;
    EXPECT_EQ(errors(write_all(*at, json(good))), "");
    EXPECT_EQ(query(folder, "SELECT count(*) FROM t"), std::to_string(1000 - bad) + ";");
  }
}

TEST(sqlite_sink, rows_and_marks_are_there_together) {
  const temporary_folder folder;
  {
    const auto at = make(folder);
    EXPECT_TRUE(at->transactional());
    EXPECT_TRUE(open_at(*at).empty());
    partition_mark mark = mark_at(100);
    mark.at.above = {{200, 300}};
    write_all(*at, json({R"({"a":1})"}), {mark});
    run(at->close());
  }
  EXPECT_EQ(query(folder, "SELECT * FROM _brigade_marks"), "orders,main:8f3a,1,100,[[200,300]];");
  const auto at = make(folder);
  const auto marks = open_at(*at, 1, true);
  ASSERT_EQ(marks.size(), 1U);
  EXPECT_EQ(marks[0].partition, "main:8f3a");
  EXPECT_EQ(marks[0].at.low, 100U);
  ASSERT_EQ(marks[0].at.above.size(), 1U);
  EXPECT_EQ(marks[0].at.above[0].end, 300U);
  const partition_mark further = mark_at(300);
  run(at->commit_marks(std::span(&further, 1)));
  EXPECT_EQ(query(folder, "SELECT low, above FROM _brigade_marks"), "300,[];");
}

// What was covered stays in the sum: else a database would look older than its ledger.
TEST(sqlite_sink, forgets_the_marks_of_what_is_over_and_not_that_it_was_there) {
  const temporary_folder folder;
  std::string token;
  {
    const auto at = make(folder);
    open_at(*at);
    write_all(*at, json({R"({"a":1})"}), {mark_at(100)});
    partition_mark next = mark_at(7);
    next.partition = "main:0001";
    partition_mark over = mark_at(0);
    over.forgotten = true;
    write_all(*at, json({R"({"a":2})"}), {next, over});
    token = write_all(*at, json({R"({"a":3})"}), {next}).token;
    run(at->close());
  }
  EXPECT_EQ(token, "107");
  EXPECT_EQ(query(folder, "SELECT source, low FROM _brigade_marks ORDER BY 1"),
            ",100;main:0001,7;");
  const auto at = make(folder);
  sink_resume resume;
  resume.pipeline = "orders";
  resume.token = token;
  resume.has_history = true;
  const auto marks = run(at->open(resume));
  ASSERT_EQ(marks.size(), 1U);
  EXPECT_EQ(marks[0].partition, "main:0001");
}

TEST(sqlite_sink, an_epoch_has_marks_of_its_own) {
  const temporary_folder folder;
  write_all(*opened(folder), json({R"({"a":1})"}), {mark_at(100)});
  const auto at = make(folder);
  EXPECT_TRUE(open_at(*at, 2).empty());
  write_all(*at, json({R"({"a":1})"}), {mark_at(50)});
  EXPECT_EQ(query(folder, "SELECT epoch, low FROM _brigade_marks"), "1,100;2,50;");
}

TEST(sqlite_sink, refuses_a_database_that_was_replaced) {
  const temporary_folder folder;
  const std::string expected =
      folder / "out.db" +
      " holds no marks of the pipeline 'orders', but items were delivered to it: the database was "
      "replaced or emptied; restore it, or run with --fresh to begin again";
  EXPECT_EQ(open_error(folder, {}, true), expected);
  EXPECT_EQ(open_error(folder, {}, true), expected);
  EXPECT_EQ(open_error(folder, {}, false), "no error");
}

TEST(sqlite_sink, refuses_a_database_that_is_older_than_its_ledger) {
  const temporary_folder folder;
  const write_result first = write_all(*opened(folder), json({R"({"a":1})"}), {mark_at(50)});
  EXPECT_EQ(first.token, "50");
  const auto open_with = [&](const std::string& token) {
    const auto at = make(folder);
    sink_resume resume;
    resume.pipeline = "orders";
    resume.has_history = true;
    resume.token = token;
    run(at->open(resume));
  };
  EXPECT_NO_THROW(open_with("50"));
  EXPECT_NO_THROW(open_with("orders.ndjson:1200"));  // of a sink of another kind, before
  EXPECT_THROW(open_with("100"), std::runtime_error);
}

TEST(sqlite_sink, a_key_replaces_the_row_that_is_there) {
  const temporary_folder folder;
  const auto at = opened(folder, {{"key", std::string("id")}});
  EXPECT_EQ(errors(write_all(*at, json({R"({"id":"a","n":1})", R"({"id":"b","n":2})",
                                        R"({"id":"a","n":3,"m":4})"}))),
            "");
  EXPECT_EQ(errors(write_all(*at, json({R"({"n":5,"ID":"b"})", R"({"id":"a"})"}))), "");
  EXPECT_EQ(query(folder, "SELECT id,n,m FROM t ORDER BY id"), "a,3,4;b,5,NULL;");
  EXPECT_EQ(errors(write_all(*at, json({R"({"n":5})", R"({"id":null})"}))),
            "0: it has no 'id', the key of its row;1: it has no 'id', the key of its row;");
}

TEST(sqlite_sink, a_key_works_on_a_table_of_the_users_own) {
  const temporary_folder folder;
  execute(folder, "CREATE TABLE t (id TEXT PRIMARY KEY, n); INSERT INTO t VALUES ('a', 1)");
  write_all(*opened(folder, {{"key", std::string("id")}}), json({R"({"id":"a","n":2})"}));
  EXPECT_EQ(query(folder, "SELECT id,n FROM t"), "a,2;");
  const temporary_folder other;
  execute(other, "CREATE TABLE t (id, n); INSERT INTO t VALUES ('a', 1), ('a', 2)");
  EXPECT_NE(open_error(other, {{"key", std::string("id")}}).find("UNIQUE constraint failed"),
            std::string::npos);
}

TEST(sqlite_sink, dedupe_writes_a_key_once_for_good) {
  const temporary_folder folder;
  const fields dedupe = {{"dedupe", true}};
  write_all(*opened(folder, dedupe), json({R"({"a":1})", R"({"a":2})"}));
  const auto at = make(folder, dedupe);
  open_at(*at, 2);
  EXPECT_EQ(errors(write_all(*at, json({R"({"a":1})", R"({"a":2})", R"({"a":3})"}))), "");
  EXPECT_EQ(query(folder, "SELECT a FROM t"), "1;2;3;");
}

TEST(sqlite_sink, a_key_of_a_refused_batch_is_not_taken_for_written) {
  const temporary_folder folder;
  const auto at = opened(folder, {{"dedupe", true}});
  EXPECT_NE(errors(write_all(*at, json({R"({"a":1})", "[]"}))), "");
  write_all(*at, json({R"({"a":1})"}));
  EXPECT_EQ(query(folder, "SELECT a FROM t"), "1;");
}

TEST(sqlite_sink, a_schema_no_item_is_to_blame_for_is_refused_at_once) {
  const temporary_folder folder;
  execute(folder, "CREATE TABLE t (a); CREATE VIEW v AS SELECT 1 AS a");
  EXPECT_EQ(
      open_error(folder, {{"columns", names{"a", "b"}}}),
      folder / "out.db" + ": the table t has no column 'b'; add it, or leave it out of columns");
  EXPECT_EQ(open_error(folder, {{"table", std::string("V")}}),
            folder / "out.db" + ": V is a view, not a table");
  const temporary_folder other;
  other.write("out.db", std::string(4096, 'x'));
  EXPECT_EQ(open_error(other), "cannot open " + other / "out.db" + ": file is not a database");
  EXPECT_EQ(open_error(other, {{"file", std::string("no/such/folder.db")}}),
            "cannot open " + other / "no/such/folder.db" +
                ": unable to open database file: No such file or directory");
}

TEST(sqlite_sink, a_table_that_is_dropped_while_it_runs_ends_the_run) {
  const temporary_folder folder;
  const auto at = opened(folder);
  write_all(*at, json({R"({"a":1})"}));
  execute(folder, "DROP TABLE t");
  EXPECT_THROW(write_all(*at, json({R"({"a":1})"})), fatal_error);
}

// Guard: the name is looked at before a transaction ends.
TEST(sqlite_sink, a_database_that_is_moved_away_while_it_runs_ends_the_run) {
  for (const bool is_replaced : {false, true}) {
    const temporary_folder folder;
    const auto at = opened(folder);
    write_all(*at, json({R"({"a":1})"}));
    std::filesystem::rename(folder / "out.db", folder / "moved.db");
    if (is_replaced) folder.write("out.db", "");
    try {
      write_all(*at, json({R"({"a":2})"}));
      ADD_FAILURE() << "no error";
    } catch (const fatal_error& error) {
      EXPECT_EQ(error.what(), folder / "out.db" +
                                  " was moved away or deleted while the run was on: put it back, "
                                  "or run with --fresh to begin again");
    }
  }
}

TEST(sqlite_sink, a_table_cannot_be_made_of_nothing) {
  const temporary_folder folder;
  EXPECT_EQ(errors(write_all(*opened(folder), json({"{}"}))),
            "0: it has no fields to make the table's columns of;");
}

/// `{"PREFIX0":0,...}`
std::string wide(const std::string& prefix, int count) {
  std::string object = "{";
  for (int i = 0; i < count; ++i) object += "\"" + prefix + std::to_string(i) + "\":0,";
  object.back() = '}';
  return object;
}

constexpr const char* too_wide =
    "1: with its fields the table would have more than 2000 columns; name those to store in "
    "'columns';";

TEST(sqlite_sink, a_column_too_many_is_the_fault_of_its_item) {
  const temporary_folder folder;
  const auto at = opened(folder);
  EXPECT_EQ(errors(write_all(*at, json({wide("c", 2000)}))), "");
  EXPECT_EQ(errors(write_all(*at, json({R"({"c1":1})", R"({"extra":1})"}))), too_wide);
}

TEST(sqlite_sink, a_row_with_too_many_fields_fails_alone_and_takes_no_columns) {
  const temporary_folder folder;
  const auto at = opened(folder);
  const std::string narrow = R"({"a":1})";
  EXPECT_EQ(errors(write_all(*at, json({narrow, wide("c", 2500), R"({"b":2})"}))), too_wide);
  EXPECT_EQ(errors(write_all(*at, json({narrow, wide("d", 2000), R"({"b":2})"}))), too_wide);
  EXPECT_EQ(errors(write_all(*at, json({narrow, R"({"b":2})"}))), "");
  EXPECT_EQ(columns(folder), "a INTEGER;b INTEGER;");
}

TEST(sqlite_writer, an_outage_blames_no_item_and_loses_nothing) {
  const temporary_folder folder;
  sqlite::writer_options options;
  options.path = folder / "out.db";
  options.table = "t";
  options.busy_timeout = std::chrono::milliseconds(0);
  sink_resume resume;
  resume.pipeline = "orders";
  sqlite::writer at(options, resume);
  const std::vector<sqlite::row_to_write> rows = {{"k1", record::json(R"({"a":1})")}};
  sqlite::database other(options.path, std::chrono::milliseconds(0));
  other.run("BEGIN IMMEDIATE");
  try {
    at.write(rows, {mark_at(10)});
    ADD_FAILURE() << "no error";
  } catch (const sink_down& error) {
    EXPECT_EQ(error.what(), options.path + ": database is locked");
  }
  EXPECT_THROW(at.commit_marks({mark_at(10)}), sink_down);
  other.run("ROLLBACK");
  EXPECT_EQ(at.write(rows, {mark_at(10)}).size(), 1U);
  EXPECT_EQ(query(folder, "SELECT a FROM t"), "1;");
  EXPECT_EQ(query(folder, "SELECT low FROM _brigade_marks"), "10;");
}

TEST(sqlite_sink, checks_its_settings) {
  const temporary_folder folder;
  const auto error = [&](fields given) {
    return test::config_error_of([&] { make(folder, std::move(given)); });
  };
  EXPECT_EQ(error({{"file", std::string()}}), "file: the path is empty");
  EXPECT_EQ(error({{"table", std::string()}}), "table: the name is empty");
  EXPECT_EQ(error({{"table", std::string("SQLite_x")}}), "table: 'SQLite_x' is a reserved name");
  EXPECT_EQ(error({{"table", std::string("_brigade_marks")}}),
            "table: '_brigade_marks' is a reserved name");
  EXPECT_EQ(error({{"columns", names{""}}}), "columns: a name is empty");
  EXPECT_EQ(error({{"columns", names{"a"}}, {"key", std::string("b")}}),
            "key: 'b' is not one of the columns");
  EXPECT_EQ(error({{"columns", names{"A"}}, {"key", std::string("a")}}), "");
}

TEST(sqlite_row, the_last_of_two_fields_of_one_name_counts) {
  sqlite::row row;
  json_text::object_shape shape;
  EXPECT_EQ(row.read(R"({"a":1,"a":"x"})", shape), std::nullopt);
  ASSERT_EQ(row.cells().size(), 1U);
  EXPECT_EQ(row.cells()[0].text, "x");
  EXPECT_EQ(row.read(R"({"a\u0000":1})", shape),
            "field 'a\\x00' has a NUL in its name, which no column can have");
  EXPECT_TRUE(row.cells().empty());
}

TEST(sqlite_row, reads_the_same_behind_others_as_alone) {
  const std::vector<std::string> texts = {R"({"a":1,"b":"x"})",
                                          R"({"a":"\n","b":null})",
                                          R"({ "a" : 2.5 , "b" : [1,"}"] })",
                                          R"({"a":1})",
                                          R"({"b":1,"a":2})",
                                          R"({"a":1e999,"b":1})",
                                          R"({"a":true,"A":1})",
                                          R"({"a":1,"a":2})",
                                          R"({"a":1,"b":2,"c":3})",
                                          R"({"a":18446744073709551615,"b":""})",
                                          R"({"\u0061":1,"b":2})",
                                          "{}",
                                          "17"};
  json_text::object_shape shape;
  sqlite::row row;
  for (const std::string& before : texts) {
    for (const std::string& text : texts) {
      static_cast<void>(row.read(before, shape));
      static_cast<void>(row.read(before, shape));
      json_text::object_shape fresh;
      sqlite::row alone;
      EXPECT_EQ(row.read(text, shape), alone.read(text, fresh)) << before << text;
      ASSERT_EQ(row.cells().size(), alone.cells().size()) << before << text;
      for (std::size_t i = 0; i < row.cells().size(); ++i) {
        const sqlite::cell& one = row.cells()[i];
        const sqlite::cell& other = alone.cells()[i];
        EXPECT_EQ(one.name, other.name);
        EXPECT_EQ(one.type, other.type);
        EXPECT_EQ(one.text, other.text);
        EXPECT_EQ(one.type == sqlite::cell_type::integer ? one.integer : 0,
                  other.type == sqlite::cell_type::integer ? other.integer : 0);
        EXPECT_EQ(one.type == sqlite::cell_type::real ? one.real : 0,
                  other.type == sqlite::cell_type::real ? other.real : 0);
      }
    }
  }
}

}  // namespace
}  // namespace brigade
