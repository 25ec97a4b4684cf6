#include "connect/components.hpp"
#include "connect/postgres_connection.hpp"
#include "connect/postgres_server.hpp"
#include "connect/written.hpp"

#include <brigade/async/loop.hpp>
#include <brigade/connect/postgres.hpp>

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <stdexcept>

namespace brigade {
namespace {

using test::postgres_server;
using test::write_all;
using fields = std::vector<std::pair<std::string, field_value>>;
using names = std::vector<std::string>;

std::unique_ptr<sink> make(const std::string& conninfo, fields given = {}) {
  registry known;
  register_postgres(known);
  const component& entry = *known.find(component_kind::sink, "postgres");
  fields all = {{"connection", conninfo}, {"table", std::string("t")}};
  for (auto& each : given) all.push_back(std::move(each));
  return entry.make_sink(test::settings_for(entry, std::move(all)), test::context_in("."));
}

task<std::vector<partition_mark>> open_at(sink& at, std::uint64_t epoch = 1,
                                          bool has_history = false) {
  sink_resume resume;
  resume.pipeline = "orders";
  resume.epoch = epoch;
  resume.has_history = has_history;
  auto opening = at.open(resume);
  co_return co_await std::move(opening);
}

struct written {
  std::vector<payload> values;
  std::vector<std::string> names;
  std::vector<sink_item> batch;
  explicit written(const std::vector<std::string>& texts, const std::string& prefix) {
    for (const std::string& text : texts) {
      values.emplace_back(record::json(text));
      names.push_back(prefix + std::to_string(names.size()));
    }
    for (std::size_t i = 0; i < texts.size(); ++i) {
      batch.push_back(sink_item{names[i], names[i], &values[i]});
    }
  }
};

std::string errors(const write_result& result) {
  std::string text;
  for (std::size_t i = 0; i < result.failures.size(); ++i) {
    if (!result.failures[i]) continue;
    EXPECT_EQ(result.failures[i]->kind, verdict::permanent);
    text += std::to_string(i) + ": " + result.failures[i]->error + ";";
  }
  return text;
}

partition_mark mark_at(std::uint64_t low) {
  partition_mark mark;
  mark.partition = "main:8f3a";
  mark.at.low = low;
  return mark;
}

std::uint64_t low_mark = 0;  // each batch has one of its own, as the engine's do

/// Writes a batch as the engine does; gives its errors.
task<std::string> put(sink& to, std::vector<std::string> texts, std::string prefix = "k") {
  const written all(texts, prefix);
  const std::vector<partition_mark> marks(1, mark_at(++low_mark));
  const write_result result = co_await to.write(all.batch, marks);
  co_return errors(result);
}

/// Runs `body` with a sink that is open.
template <class Body>
void with_sink(const postgres_server& server, fields given, Body body) {
  auto main = [&]() -> task<> {
    const auto at = make(server.conninfo(), given);
    co_await open_at(*at);
    co_await body(*at);
    co_await at->close();
  };
  run(main());
}

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
    with_sink(server, {{"method", method}}, [](sink& at) -> task<> {
      std::vector<std::string> rows = {
          R"({"a":[1,null,[]],"b":["x \"y\\",null,"{"],"c":"text","d":"2024-02-29","e":"happy"})",
          R"({"a":[1,null,3],"b":["x \"y\\",null,"{"],"c":"text","d":"2024-02-29","e":"happy",)"
          R"("f":"abc","g":true,"h":1,"i":2.25,"j":true,"l":null})",
          R"({"g":false})"};
      EXPECT_EQ(co_await put(at, rows),
                "0: malformed array literal: \"{\"1\",NULL,{}}\": Unexpected \"{\" character.;");
      rows.erase(rows.begin());
      EXPECT_EQ(co_await put(at, rows), "");
    });
    EXPECT_EQ(server.ask("SELECT a,b,c,d,e,f,g,h,i,j,l FROM t ORDER BY g DESC"),
              "{1,NULL,3},{\"x \\\"y\\\\\",NULL,\"{\"},\"text\",2024-02-29,happy,abc,1,t,2.3,true,"
              "NULL;NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,none;")
        << method;
  }
}

}  // namespace
}  // namespace brigade
