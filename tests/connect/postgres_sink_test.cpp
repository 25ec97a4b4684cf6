#include "connect/postgres_server.hpp"
#include "connect/postgres_sink_kit.hpp"

#include <brigade/async/loop.hpp>
#include <brigade/connect/postgres.hpp>

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <stdexcept>

namespace brigade {
namespace {

using namespace test::postgres_kit;
using test::postgres_server;
using names = std::vector<std::string>;

std::string columns(const postgres_server& server) {
  return server.ask(
      "SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid "
      "= 't'::regclass AND attnum > 0 ORDER BY attnum");
}

TEST(postgres_sink, makes_the_table_with_the_types_of_the_first_batch_and_adds_to_it) {
  const postgres_server server;
  with_sink(server, {}, [](sink& at) -> task<> {
    std::vector<std::string> first = {
        R"({"i":1,"r":1.5,"s":"a\tb\\\nü","b":true,"z":null,"n":{"a": [1]}})",
        R"({"i":-2,"r":2,"s":"","b":false,"z":null,"m":1})", R"({"m":"text"})",
        R"({"big":12345678901234567890})"};
    EXPECT_EQ(co_await put(at, first), "");
    std::vector<std::string> second = {R"({"i":3,"new":[1,2]})", "{}"};
    EXPECT_EQ(co_await put(at, second), "");
  });
  EXPECT_EQ(columns(server),
            "i bigint;r numeric;s text;b boolean;z text;n jsonb;m text;big numeric;new jsonb;");
  EXPECT_EQ(server.ask("SELECT i,r,s,b,n,m,big,new FROM t"),
            "1,1.5,a\tb\\\nü,t,{\"a\": [1]},NULL,NULL,NULL;-2,2,,f,NULL,1,NULL,NULL;"
            "NULL,NULL,NULL,NULL,NULL,text,NULL,NULL;"
            "NULL,NULL,NULL,NULL,NULL,NULL,12345678901234567890,NULL;"
            "3,NULL,NULL,NULL,NULL,NULL,NULL,[1, 2];NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL;");
}

TEST(postgres_sink, gives_each_column_what_its_type_reads) {
  for (const std::string method : {"copy", "insert"}) {
    const postgres_server server;
    server.ask(
        "CREATE TYPE mood AS ENUM ('happy'); CREATE DOMAIN short AS varchar(3); CREATE TABLE t (a "
        "int[], b text[], c json, d date, e mood, f short, g int, h boolean, i numeric(5,1), j "
        "jsonb, k serial, l text DEFAULT 'none')");
    with_sink(server, {{"method", method}}, [&](sink& at) -> task<> {
      std::vector<std::string> rows = {
          R"({"a":[1,null,[]],"b":["x \"y\\",null,"{"],"c":"text","d":"2024-02-29","e":"happy"})",
          R"({"a":[1,null,3],"b":["x \"y\\",null,"{"],"c":"text","d":"2024-02-29","e":"happy",)"
          R"("f":"abc","g":true,"h":1,"i":2.25,"j":true,"l":null})",
          R"({"g":false})"};
      EXPECT_EQ(
          co_await put(at, rows),
          method == "copy"
              ? "0: malformed array literal: \"{\"1\",NULL,{}}\" (column a): Unexpected \"{\" "
                "character.;"
              : "0: malformed array literal: \"{\"1\",NULL,{}}\": Unexpected \"{\" character.;");
      rows.erase(rows.begin());
      EXPECT_EQ(co_await put(at, rows), "");
    });
    EXPECT_EQ(server.ask("SELECT a,b,c,d,e,f,g,h,i,j,l FROM t ORDER BY g DESC"),
              "{1,NULL,3},{\"x \\\"y\\\\\",NULL,\"{\"},\"text\",2024-02-29,happy,abc,1,t,2.3,true,"
              "NULL;NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,none;")
        << method;
  }
}

std::vector<std::string> numbered(std::size_t count, const std::string& more = "") {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < count; ++i) {
    texts.push_back("{\"a\":" + std::to_string(i) + more + "}");
  }
  return texts;
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

// The guard is `narrow`: without the division all rows of the batch fail.
TEST(postgres_sink, finds_one_bad_row_of_a_thousand_in_twenty_more_statements) {
  const postgres_server server;
  server.ask("CREATE TABLE t (a int CHECK (a <> 617))");
  server.ask("ALTER ROLE postgres SET log_statement = 'all'");
  server.ask("ALTER ROLE postgres SET log_min_error_statement = 'panic'");  // or it is there twice
  with_sink(server, {}, [&](sink& at) -> task<> {
    std::vector<std::string> texts = numbered(1000);
    EXPECT_EQ(co_await put(at, texts),
              "617: new row for relation \"t\" violates check constraint \"t_a_check\": Failing "
              "row contains (617).;");
    EXPECT_LE(count_of(server.log(), "COPY \"t\""), 21U);  // 1 + 2 log2(1000)
    texts.erase(texts.begin() + 617);
    EXPECT_EQ(co_await put(at, texts), "");
  });
  EXPECT_EQ(server.ask("SELECT count(*), sum(a) FROM t"), "999,498883;");
}

TEST(postgres_sink, finds_thirty_and_a_thousand_bad_rows) {
  const postgres_server server;
  server.ask("CREATE TABLE t (a int, b int)");
  with_sink(server, {}, [&](sink& at) -> task<> {
    std::vector<std::string> texts = numbered(1000);
    std::set<std::size_t> bad;
    for (std::size_t i = 7; bad.size() < 30; i += 33) {
      texts[i] = R"({"a":"x"})";
      bad.insert(i);
    }
    const items all(texts, "k");
    const std::vector<partition_mark> marks = next_marks();
    const write_result result = co_await at.write(all.batch, marks);
    for (std::size_t i = 0; i < 1000; ++i) {
      EXPECT_EQ(result.failures[i].has_value(), bad.contains(i)) << i;
    }
    const std::vector<std::string> hopeless = numbered(1000, R"(,"b":"x")");
    const items none(hopeless, "k");
    const write_result failed = co_await at.write(none.batch, marks);
    for (std::size_t i = 0; i < 1000; ++i) EXPECT_TRUE(failed.failures[i].has_value()) << i;
  });
  EXPECT_EQ(server.ask("SELECT count(*) FROM t"), "0;");
}

TEST(postgres_sink, fails_an_item_that_no_row_can_be_made_of) {
  const postgres_server server;
  with_sink(server, {}, [](sink& at) -> task<> {
    std::vector<std::string> texts = {R"({"a":"x"})", R"({"a":"\u0000"})", "[1]",
                                      "{\"" + std::string(64, 'n') + "\":1}", R"({"":1})"};
    EXPECT_EQ(co_await put(at, texts),
              "1: field 'a' has a NUL, which no text of PostgreSQL can have;"
              "2: not a JSON object, so no row: '[1]';"
              "3: field '" +
                  std::string(64, 'n') +
                  "' has a name of 64 bytes; a column's has at most 63;"
                  "4: a field has no name, which no column can have;");
  });
}

TEST(postgres_sink, fails_what_breaks_a_constraint_that_is_looked_at_at_the_end) {
  for (const std::string method : {"copy", "insert"}) {
    const postgres_server server;
    server.ask(
        "CREATE TABLE t (id int PRIMARY KEY, parent int REFERENCES t DEFERRABLE INITIALLY "
        "DEFERRED)");
    with_sink(server, {{"method", method}}, [](sink& at) -> task<> {
      std::vector<std::string> texts;
      for (int i = 0; i < 100; ++i) {  // each refers to the one behind it
        texts.push_back("{\"id\":" + std::to_string(i) +
                        ",\"parent\":" + (i == 99 ? "null" : std::to_string(i + 1)) + "}");
      }
      EXPECT_EQ(co_await put(at, texts), "");
      const std::vector<std::string> more = {R"({"id":200,"parent":202})",
                                             R"({"id":201,"parent":777})",
                                             R"({"id":202,"parent":5})", R"({"id":203})"};
      EXPECT_EQ(co_await put(at, more),
                "1: insert or update on table \"t\" violates foreign key constraint "
                "\"t_parent_fkey\": Key (parent)=(777) is not present in table \"t\".;");
    });
    EXPECT_EQ(server.ask("SELECT count(*) FROM t"), "100;") << method;
  }
}

TEST(postgres_sink, replaces_by_key_what_a_row_has_and_keeps_the_rest_in_order) {
  for (const std::string method : {"copy", "insert"}) {
    const postgres_server server;
    with_sink(server, {{"method", method}, {"key", std::string("id")}}, [](sink& at) -> task<> {
      std::vector<std::string> first = {R"({"id":1,"a":1,"b":1})", R"({"id":2,"a":2})",
                                        R"({"id":1,"b":7})", R"({"id":2,"a":8,"b":8})",
                                        R"({"id":2,"a":9})"};
      EXPECT_EQ(co_await put(at, first), "");
      std::vector<std::string> second = {R"({"id":3})", R"({"id":1,"a":null})", R"({"a":1})",
                                         R"({"id":null})"};
      EXPECT_EQ(co_await put(at, second),
                "2: it has no 'id', the key of its row;3: it has no 'id', the key of its row;");
      second.resize(2);
      EXPECT_EQ(co_await put(at, second), "");
    });
    EXPECT_EQ(server.ask("SELECT id,a,b FROM t ORDER BY id"), "1,NULL,7;2,9,8;3,NULL,NULL;")
        << method;
  }
}

TEST(postgres_sink, takes_two_spellings_of_one_key_in_a_batch) {
  const postgres_server server;
  server.ask("CREATE TABLE t (id numeric PRIMARY KEY, a int)");
  with_sink(server, {{"key", std::string("id")}}, [](sink& at) -> task<> {
    std::vector<std::string> texts = {R"({"id":1,"a":1})", R"({"id":2,"a":2})",
                                      R"({"id":1.0,"a":3})"};
    EXPECT_EQ(co_await put(at, texts), "");
  });
  EXPECT_EQ(server.ask("SELECT a FROM t ORDER BY a"), "2;3;");
}

TEST(postgres_sink, writes_a_key_once_with_dedupe_also_in_the_next_epoch) {
  for (const std::string method : {"copy", "insert"}) {
    const postgres_server server;
    for (std::uint64_t epoch = 1; epoch < 3; ++epoch) {
      auto main = [&]() -> task<> {
        const auto at = make(server.conninfo(), {{"method", method}, {"dedupe", true}});
        co_await open_at(*at, epoch);
        EXPECT_EQ(co_await put(*at, numbered(100)), "");
        EXPECT_EQ(co_await put(*at, numbered(3)), "");
        EXPECT_EQ(co_await put(*at, numbered(3), "other" + std::to_string(epoch)), "");
        co_await at->close();
      };
      run(main());
    }
    EXPECT_EQ(server.ask("SELECT count(*) FROM t"), "106;") << method;
  }
}

TEST(postgres_sink, takes_only_the_columns_it_is_told_to_in_a_table_of_a_schema) {
  const postgres_server server;
  server.ask("CREATE SCHEMA \"Shop\"");
  with_sink(server, {{"table", std::string("Shop.Or\"ders")}, {"columns", names{"b", "a"}}},
            [](sink& at) -> task<> {
              std::vector<std::string> texts = {R"({"a":1,"b":2,"c":3})", R"({"c":1})"};
              EXPECT_EQ(co_await put(at, texts), "");
            });
  EXPECT_EQ(server.ask("SELECT * FROM \"Shop\".\"Or\"\"ders\""), "2,1;NULL,NULL;");
  EXPECT_EQ(server.ask("SELECT pipeline, source FROM \"Shop\"._brigade_marks"),
            "orders,main:8f3a;");
}

TEST(postgres_sink, fails_the_same_rows_as_one_by_one_would) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const postgres_server server;
  server.ask("CREATE TABLE t (a int UNIQUE CHECK (a % 17 <> 3), b text NOT NULL)");
  with_sink(server, {}, [&](sink& at) -> task<> {
    for (int round = 0; round < 10; ++round) {
      std::vector<std::string> texts;
      std::vector<bool> expected;
      std::set<unsigned> taken;
      const unsigned range = round % 2 == 0 ? 100'000 : 300;
      for (int i = 0; i < 200; ++i) {
        const unsigned a = random() % range;
        const bool has_text = random() % 50 != 0;
        texts.push_back("{\"a\":" + std::to_string(a) + (has_text ? ",\"b\":\"x\"}" : "}"));
        const bool is_bad = a % 17 == 3 || !has_text || taken.contains(a);
        if (!is_bad) taken.insert(a);
        expected.push_back(is_bad);
      }
      const items all(texts, "k");
      const std::vector<partition_mark> marks = next_marks();
      const write_result result = co_await at.write(all.batch, marks);
      for (std::size_t i = 0; i < texts.size(); ++i) {
        EXPECT_EQ(result.failures[i].has_value(), expected[i]) << i << " " << texts[i];
      }
    }
  });
}

TEST(postgres_sink, fails_the_row_that_a_policy_refuses) {
  const postgres_server server;
  server.ask(
      "CREATE ROLE weak LOGIN; GRANT CREATE ON SCHEMA public TO weak; CREATE TABLE t (a int); "
      "ALTER "
      "TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY small ON t WITH CHECK (a < 5); GRANT "
      "INSERT "
      "ON t TO weak");
  with_sink(server.conninfo() + " user=weak", {{"method", std::string("insert")}},
            [](sink& at) -> task<> {
              EXPECT_EQ(co_await put(at, numbered(6)),
                        "5: new row violates row-level security policy for table \"t\";");
              EXPECT_EQ(co_await put(at, numbered(5)), "");
            });
  EXPECT_EQ(server.ask("SELECT count(*) FROM t"), "5;");
}

TEST(postgres_sink, fails_the_row_that_a_trigger_refuses_with_a_code_of_its_own) {
  for (const std::string when : {"NOT DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED"}) {
    const postgres_server server;
    server.ask("CREATE TABLE t (a int)");
    server.ask(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.a = 2 THEN RAISE "
        "'no two' USING ERRCODE = 'MY001'; END IF; CASE WHEN new.a <> 3 THEN NULL; END CASE; "
        "RETURN new; END $$");
    server.ask("CREATE CONSTRAINT TRIGGER refuses AFTER INSERT ON t " + when +
               " FOR EACH ROW EXECUTE FUNCTION f()");
    with_sink(server, {}, [](sink& at) -> task<> {
      EXPECT_EQ(co_await put(at, numbered(5)), "2: no two;3: case not found;");
    });
  }
}

// Guards: an end to the depth; it would be the end of the stack.
TEST(postgres_sink, fails_what_is_nested_more_deeply_than_a_column_can_have_it) {
  const postgres_server server;
  server.ask("CREATE TABLE t (words text[], j jsonb)");
  const auto nested = [](const std::string& name, std::size_t depth) {
    return "{\"" + name + "\":" + std::string(depth, '[') + "\"a\"" + std::string(depth, ']') + "}";
  };
  with_sink(server, {}, [&](sink& at) -> task<> {
    const std::vector<std::string> shallow = {nested("words", 6), nested("j", 1000)};
    EXPECT_EQ(co_await put(at, shallow), "");
    const std::vector<std::string> deep = {nested("words", 7), nested("words", 300'000),
                                           nested("j", 300'000), nested("words", 1)};
    const std::string refused = co_await put(at, deep);
    EXPECT_TRUE(refused.starts_with("0: number of array dimensions")) << refused;
    EXPECT_NE(refused.find(";1: number of array dimensions"), std::string::npos) << refused;
    EXPECT_TRUE(refused.ends_with(";2: stack depth limit exceeded (column j);")) << refused;
  });
  EXPECT_EQ(server.ask("SELECT count(*), count(words[1][1][1][1][1][1]) FROM t"), "2,1;");
}

TEST(postgres_sink, fills_a_row_without_fields_with_defaults) {
  const postgres_server server;
  server.ask("CREATE TABLE t (a int DEFAULT 5, b serial)");
  with_sink(server, {}, [](sink& at) -> task<> {
    const std::vector<std::string> texts = {"{}", R"({"a":1})", "{}"};
    EXPECT_EQ(co_await put(at, texts), "");
  });
  EXPECT_EQ(server.ask("SELECT a FROM t ORDER BY a"), "1;5;5;");
}

// The guard is `blame_no_row_for_a_change`, and that a type that does not fit is `missing`: without
// them rows are dead letters, or the run ends.
TEST(postgres_sink, takes_rows_as_columns_are_whose_type_is_changed_meanwhile) {
  const std::vector<fields> ways = {{},
                                    {{"key", std::string("id")}},
                                    {{"dedupe", true}},
                                    {{"method", std::string("insert")}},
                                    {{"method", std::string("insert")}, {"dedupe", true}}};
  const postgres_server server;
  for (const fields& way : ways) {
    server.ask("DROP TABLE IF EXISTS t, _brigade_marks, _brigade_keys");
    server.ask("CREATE TABLE t (id int PRIMARY KEY, a int, b text)");
    with_sink(server, way, [&](sink& at) -> task<> {
      const std::vector<std::string> before = {R"({"id":1,"a":1,"b":"1"})"};
      EXPECT_EQ(co_await put(at, before, "x"), "");
      server.ask(
          "ALTER TABLE t ALTER a TYPE jsonb USING to_jsonb(a), ALTER b TYPE int USING b::int");
      const std::vector<std::string> after = {R"({"id":2,"a":"two","b":"2"})",
                                              R"({"id":3,"a":[3],"b":3})"};
      EXPECT_EQ(co_await put(at, after, "y"), "");
      server.ask("ALTER TABLE t ALTER a TYPE text, ALTER b TYPE int[] USING ARRAY[b]");
      const std::vector<std::string> bad = {R"({"id":4,"a":"four","b":[4]})",
                                            R"({"id":5,"a":"five","b":["x"]})"};
      const std::string why = co_await put(at, bad, "z");
      EXPECT_TRUE(why.starts_with("1: invalid input syntax for type integer")) << why;
    });
    EXPECT_EQ(server.ask("SELECT id, a, b[1] FROM t ORDER BY id"), "1,1,1;2,\"two\",2;3,[3],3;");
  }
}

TEST(postgres_sink, takes_any_name_of_a_column_also_one_like_its_own) {
  const postgres_server server;
  for (const std::string method : {"copy", "insert"}) {
    server.ask("DROP TABLE IF EXISTS t, _brigade_marks, _brigade_keys");
    const fields way = {{"method", method}, {"key", std::string("_brigade_n")}, {"dedupe", true}};
    with_sink(server, way, [](sink& at) -> task<> {
      const std::vector<std::string> texts = {
          R"({"_brigade_n":1,"_brigade_n_":2,"_brigade_key":"a","r":4,"key":5,"fresh":6})",
          R"({"_brigade_n":1,"_brigade_n_":3,"_brigade_key":"b"})"};
      EXPECT_EQ(co_await put(at, texts), "");
    });
    EXPECT_EQ(server.ask("SELECT * FROM t"), "1,3,b,4,5,6;") << method;
  }
}

}  // namespace
}  // namespace brigade
