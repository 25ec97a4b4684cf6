/// The sink `postgres` as a program makes it, and batches as the engine writes them.
#pragma once
#include "connect/components.hpp"
#include "connect/postgres_server.hpp"

#include <brigade/async/loop.hpp>
#include <brigade/connect/postgres.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace brigade::test::postgres_kit {

using fields = std::vector<std::pair<std::string, field_value>>;

inline std::unique_ptr<sink> make(const std::string& conninfo, fields given = {},
                                  std::chrono::milliseconds give_up_after = {}) {
  registry known;
  register_postgres(known);
  const component& entry = *known.find(component_kind::sink, "postgres");
  fields all = {{"connection", conninfo}, {"table", std::string("t")}};
  for (auto& each : given) all.push_back(std::move(each));
  component_context context = context_in(".");
  context.give_up_after = give_up_after;
  return entry.make_sink(settings_for(entry, std::move(all)), context);
}

inline task<std::vector<partition_mark>> open_at(sink& at, std::uint64_t epoch = 1,
                                                 bool has_history = false, std::string token = {}) {
  sink_resume resume;
  resume.pipeline = "orders";
  resume.epoch = epoch;
  resume.has_history = has_history;
  resume.token = std::move(token);
  auto opening = at.open(resume);
  co_return co_await std::move(opening);
}

/// Items that live as long as this.
struct items {
  std::vector<payload> values;
  std::vector<std::string> names;
  std::vector<sink_item> batch;
  explicit items(const std::vector<std::string>& texts, const std::string& prefix = "k") {
    for (const std::string& text : texts) {
      values.emplace_back(record::json(text));
      names.push_back(prefix + std::to_string(names.size()));
    }
    for (std::size_t i = 0; i < texts.size(); ++i) {
      batch.push_back(sink_item{names[i], names[i], &values[i]});
    }
  }
};

/// The errors of a batch, by index: `1: why;`
inline std::string errors(const write_result& result) {
  std::string text;
  for (std::size_t i = 0; i < result.failures.size(); ++i) {
    if (!result.failures[i]) continue;
    EXPECT_EQ(result.failures[i]->kind, verdict::permanent);
    text += std::to_string(i) + ": " + result.failures[i]->error + ";";
  }
  return text;
}

inline partition_mark mark_at(std::uint64_t low) {
  partition_mark mark;
  mark.partition = "main:8f3a";
  mark.at.low = low;
  return mark;
}

/// Each batch has a mark of its own, as the engine's do.
inline std::vector<partition_mark> next_marks() {
  static std::uint64_t low = 0;
  return {mark_at(++low)};
}

/// Writes a batch; gives its errors.
inline task<std::string> put(sink& to, std::vector<std::string> texts, std::string prefix = "k") {
  const items all(texts, prefix);
  const std::vector<partition_mark> marks = next_marks();
  const write_result result = co_await to.write(all.batch, marks);
  co_return errors(result);
}

/// Runs `body` with a sink that is open.
template <class Body>
void with_sink(const std::string& conninfo, fields given, Body body) {
  auto main = [&]() -> task<> {
    const auto at = make(conninfo, given);
    co_await open_at(*at);
    co_await body(*at);
    co_await at->close();
  };
  run(main());
}
template <class Body>
void with_sink(const postgres_server& server, fields given, Body body) {
  with_sink(server.conninfo(), std::move(given), std::move(body));
}

}  // namespace brigade::test::postgres_kit
