#include "connect/generate_source.hpp"

#include "connect/components.hpp"

#include <brigade/async/loop.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/connect/generate.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using strings = std::vector<std::string>;

generate_options lines(std::string pattern, std::optional<std::uint64_t> count) {
  generate_options options;
  options.name = "numbers";
  options.pattern = std::move(pattern);
  options.count = count;
  return options;
}

/// `begin text` of each item, until the end.
task<strings> read_all(source& from, std::vector<partition_mark> resume, std::size_t items_max) {
  co_await from.open(std::move(resume), {});
  strings result;
  for (;;) {
    const std::vector<source_item> items = co_await from.read(items_max);
    if (items.empty()) break;
    EXPECT_LE(items.size(), items_max);
    for (const source_item& item : items) {
      EXPECT_EQ(item.end, item.begin + 1);
      result.push_back(std::to_string(item.begin) + " " +
                       std::string(item.value.get<record>().raw()));
    }
  }
  co_return result;
}

std::vector<partition_mark> finished(std::uint64_t low, std::vector<mark::range> above) {
  mark at;
  at.low = low;
  at.above = std::move(above);
  return {partition_mark{"numbers", std::move(at)}};
}

TEST(generate_source, numbers_its_items_from_1_and_ends_after_the_last) {
  generate_source from(lines("item {n} of {n}{", 3));
  EXPECT_EQ(run(read_all(from, {}, 2)),
            (strings{"1 item 1 of 1{", "2 item 2 of 2{", "3 item 3 of 3{"}));
  EXPECT_EQ(from.partitions(), strings{"numbers"});
  EXPECT_TRUE(from.finite());
  EXPECT_EQ(from.size_total(), 3u);
}

TEST(generate_source, makes_no_item_at_all_when_it_is_told_so) {
  generate_source from(lines("item", 0));
  EXPECT_EQ(run(read_all(from, {}, 2)), strings{});
}

TEST(generate_source, asked_again_makes_what_is_not_finished_and_nothing_else) {
  generate_source from(lines("{n}", 9));
  EXPECT_EQ(run(read_all(from, finished(3, {{4, 5}, {7, 9}}), 100)),
            (strings{"3 3", "5 5", "6 6", "9 9"}));
  generate_source first_missing(lines("{n}", 4));
  EXPECT_EQ(run(read_all(first_missing, finished(0, {{1, 4}}), 100)), strings{"4 4"});
  generate_source done(lines("{n}", 3));
  EXPECT_EQ(run(read_all(done, finished(0, {{1, 4}}), 100)), strings{});
}

TEST(generate_source, is_the_same_source_with_another_count_or_pace) {
  generate_options more = lines("{n}", 10);
  more.every = 1s;
  EXPECT_EQ(generate_source(lines("{n}", 9)).fingerprint(), generate_source(more).fingerprint());
  EXPECT_NE(generate_source(lines("{n}", 9)).fingerprint(),
            generate_source(lines("{n}.", 9)).fingerprint());
  EXPECT_FALSE(generate_source(lines("{n}", std::nullopt)).finite());
}

/// When each item came, in milliseconds since the first read.
task<std::vector<long>> read_paced(generate_source& from, std::chrono::milliseconds pause) {
  co_await from.open({}, {});
  const auto began = loop::current().now();
  std::vector<long> times;
  for (;;) {
    const std::vector<source_item> items = co_await from.read(100);
    if (items.empty()) break;
    const auto passed = loop::current().now() - began;
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(passed).count();
    times.insert(times.end(), items.size(), static_cast<long>(ms));
    if (std::exchange(pause, 0ms) != 0ms) co_await sleep_for(10s);
  }
  co_return times;
}

TEST(generate_source, makes_an_item_every_so_often_without_drifting) {
  generate_options options = lines("{n}", 4);
  options.every = 250ms;
  generate_source from(std::move(options));
  testing::virtual_loop time;
  EXPECT_EQ(time.run(read_paced(from, 0ms)), (std::vector<long>{0, 250, 500, 750}));
}

TEST(generate_source, does_not_make_up_for_a_long_wait_in_one_go) {
  generate_options options = lines("{n}", 8);
  options.every = 250ms;
  generate_source from(std::move(options));
  testing::virtual_loop time;
  EXPECT_EQ(time.run(read_paced(from, 1ms)),
            (std::vector<long>{0, 10000, 10000, 10000, 10000, 10000, 10250, 10500}));
}

task<strings> read_around_a_cancelled_wait(generate_source& from) {
  co_await from.open({}, {});
  strings result;
  result.push_back(std::to_string((co_await from.read(9)).size()));
  try {
    auto next = from.read(9);
    co_await timeout(100ms, std::move(next));
  } catch (const timed_out&) {
    result.emplace_back("timed out");
  }
  const std::vector<source_item> items = co_await from.read(9);
  for (const source_item& item : items) result.push_back(std::to_string(item.begin));
  co_return result;
}

TEST(generate_source, a_cancelled_read_loses_nothing) {
  generate_options options = lines("{n}", 9);
  options.every = 250ms;
  generate_source from(std::move(options));
  testing::virtual_loop time;
  EXPECT_EQ(time.run(read_around_a_cancelled_wait(from)), (strings{"1", "timed out", "2"}));
}

std::unique_ptr<source> made(std::vector<std::pair<std::string, field_value>> given) {
  registry known;
  register_generate(known);
  const component* const entry = known.find(component_kind::source, "generate");
  return entry->make_source(test::settings_for(*entry, std::move(given)), test::context_in("."));
}

std::string refused(std::vector<std::pair<std::string, field_value>> given) {
  return test::config_error_of([&] { static_cast<void>(made(given)); });
}

TEST(generate_source, json_is_written_as_text_and_put_on_one_line) {
  const auto from = made(
      {{"json", std::string("{\"n\": {n},\n \"to\": \"c{n}\"}\n")}, {"count", std::int64_t{2}}});
  EXPECT_EQ(run(read_all(*from, {}, 9)),
            (strings{R"(1 {"n": 1,  "to": "c1"})", R"(2 {"n": 2,  "to": "c2"})"}));
}

TEST(generate_source, refuses_what_makes_no_item) {
  EXPECT_EQ(refused({}), "json: 'generate' needs 'text' or 'json': what an item looks like");
  EXPECT_EQ(refused({{"text", std::string("a")}, {"json", std::string("1")}}),
            "json: 'generate' takes 'text' or 'json', not both");
  EXPECT_EQ(refused({{"json", std::string("{n: {n}}")}}).substr(0, 38),
            "json: 'json' is not JSON when {n} is 1");
  EXPECT_EQ(refused({{"text", std::string("a\nb")}}),
            "text: 'text' is one line of text, and this has a newline in it");
  EXPECT_EQ(refused({{"text", std::string("a")}, {"count", std::int64_t{-1}}}),
            "count: 'count' must be at least 0");
}

}  // namespace
}  // namespace brigade
