// From requests to items and from outcomes to answers, without a socket, in virtual time.
#include "connect/http_desk.hpp"

#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;
using testing::wait_all_tasks_blocked;

http_request posted(std::string body, std::string key = {}) {
  http_request made;
  made.body = std::move(body);
  made.key = std::move(key);
  return made;
}

/// A desk, and what stands for the engine behind it.
struct counter {
  explicit counter(http_desk_options options = {})
      : desk(std::make_shared<http_desk>(named(std::move(options)), "orders:run")) {}
  static http_desk_options named(http_desk_options options) {
    options.name = "orders";
    return options;
  }
  static task<http_answer> ask(std::shared_ptr<http_desk> desk, http_request request) {
    auto posting = desk->post(std::move(request));
    co_return co_await std::move(posting);
  }
  auto post(std::string body, std::string key = {}) {
    return spawn(&ask, desk, posted(std::move(body), std::move(key)));
  }
  task<std::vector<source_item>> take(std::size_t most = 512) {
    auto taking = desk->take(most);
    co_return co_await std::move(taking);
  }
  void settle(const source_item& item, outcome what, std::string_view error = {}) {
    desk->settled({item.partition, item.begin, what, "stage", error});
  }
  std::shared_ptr<http_desk> desk;
};

std::string raw(const source_item& item) { return std::string(item.value.get<record>().raw()); }

TEST(http_desk, an_item_is_answered_when_it_is_settled) {
  virtual_loop loop;
  auto main = []() -> task<> {
    counter at;
    auto asked = at.post(R"({"total":5})");
    const auto items = co_await at.take();
    EXPECT_EQ(items.size(), 1U);
    EXPECT_EQ(raw(items[0]), R"({"total":5})");
    EXPECT_FALSE(items[0].id.has_value());
    co_await wait_all_tasks_blocked();
    EXPECT_FALSE(asked.done());
    at.settle(items[0], outcome::delivered);
    const http_answer answer = co_await asked;
    EXPECT_EQ(answer.status, 200U);
    EXPECT_EQ(answer.body, R"({"id":"orders:run:0","status":200,"outcome":"delivered"})");
  };
  loop.run(main());
}

TEST(http_desk, of_what_the_sink_may_have_nobody_is_told_that_it_was_not_done) {
  virtual_loop loop;
  auto main = []() -> task<> {
    counter at;
    auto asked = at.post("5");
    const auto items = co_await at.take();
    settled_item maybe;
    maybe.begin = items[0].begin;
    maybe.result = outcome::returned;
    maybe.in_doubt = true;
    at.desk->settled(maybe);
    const http_answer answer = co_await asked;
    EXPECT_EQ(answer.status, 504U);
    EXPECT_NE(answer.body.find("is not known"), std::string::npos) << answer.body;
  };
  loop.run(main());
}

TEST(http_desk, each_of_a_batch_has_its_own_status) {
  virtual_loop loop;
  auto main = []() -> task<> {
    counter at;
    const auto settled_as = [](counter& of, std::vector<outcome> outcomes) -> task<http_answer> {
      std::string body = "[0";
      for (std::size_t i = 1; i < outcomes.size(); ++i) body += "," + std::to_string(i);
      auto asked = of.post(body + "]");
      const auto items = co_await of.take();
      for (std::size_t i = items.size(); i-- > 0;) of.settle(items[i], outcomes[i], "a \"why\"");
      co_return co_await asked;
    };
    const auto status_of = [&](std::vector<outcome> outcomes) -> task<unsigned> {
      auto settling = settled_as(at, std::move(outcomes));
      const http_answer answer = co_await std::move(settling);
      co_return answer.status;
    };
    const auto expect = [&](std::vector<outcome> outcomes, unsigned status) -> task<> {
      auto asking = status_of(std::move(outcomes));
      const unsigned got = co_await std::move(asking);
      EXPECT_EQ(got, status);
    };
    std::vector<std::pair<std::vector<outcome>, unsigned>> cases;
    cases.emplace_back(std::vector{outcome::delivered, outcome::filtered}, 200);
    cases.emplace_back(std::vector{outcome::dead_lettered, outcome::dead_lettered}, 422);
    cases.emplace_back(std::vector{outcome::delivered, outcome::dead_lettered}, 207);
    cases.emplace_back(std::vector{outcome::returned, outcome::dropped}, 503);
    cases.emplace_back(std::vector{outcome::delivered, outcome::returned}, 207);
    for (const auto& [outcomes, status] : cases) {
      auto one = expect(outcomes, status);
      co_await std::move(one);
    }
    std::vector<outcome> mixed{outcome::filtered, outcome::dead_lettered};
    auto settling = settled_as(at, mixed);
    const http_answer answer = co_await std::move(settling);
    EXPECT_EQ(answer.body,
              "[{\"id\":\"orders:run:10\",\"status\":200,\"outcome\":\"filtered\"},\n"
              " {\"id\":\"orders:run:11\",\"status\":422,\"outcome\":\"dead_lettered\","
              "\"error\":\"a \\\"why\\\"\"}]");
    auto empty = at.post("[]");
    const http_answer none = co_await empty;
    EXPECT_EQ(none.body, "[]");
  };
  loop.run(main());
}

TEST(http_desk, a_batch_is_taken_in_parts_as_there_is_room) {
  virtual_loop loop;
  auto main = []() -> task<> {
    counter at;
    auto first = at.post("[1,2,3]");
    auto second = at.post("4");
    co_await wait_all_tasks_blocked();
    std::vector<source_item> all;
    for (const std::size_t most : {2U, 2U}) {
      auto items = co_await at.take(most);
      EXPECT_EQ(items.size(), 2U);
      for (source_item& each : items) all.push_back(std::move(each));
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(raw(all[i]), std::to_string(i + 1));
      EXPECT_EQ(all[i].begin, i);
      at.settle(all[i], outcome::delivered);
    }
    const http_answer one = co_await first;
    const http_answer two = co_await second;
    EXPECT_EQ(one.status, 200U);
    EXPECT_EQ(two.status, 200U);
  };
  loop.run(main());
}

TEST(http_desk, what_is_in_work_too_long_is_unknown_and_stays_in_work) {
  virtual_loop loop;
  auto main = []() -> task<> {
    counter at;
    auto asked = at.post("[1,2]", "k");
    const auto items = co_await at.take();
    at.settle(items[0], outcome::delivered);
    const http_answer answer = co_await asked;
    EXPECT_EQ(answer.status, 207U);
    EXPECT_NE(answer.body.find(R"("status":504,"outcome":"unknown")"), std::string::npos);
    auto again = at.post("[1,2]", "k");
    co_await wait_all_tasks_blocked();
    at.settle(items[1], outcome::dead_lettered, "bad");
    const http_answer told = co_await again;
    EXPECT_EQ(told.status, 207U);
    EXPECT_NE(told.body.find(R"("error":"bad")"), std::string::npos);
  };
  loop.run(main());
}

// Guards: `withdraw`; without it the answer is 504.
TEST(http_desk, what_nobody_took_in_time_is_withdrawn) {
  virtual_loop loop;
  auto main = []() -> task<> {
    counter at;
    auto asked = at.post("[1,2]");
    const http_answer answer = co_await asked;
    EXPECT_EQ(answer.status, 429U);
    EXPECT_TRUE(answer.try_later);
    auto next = at.post("3");
    const auto items = co_await at.take();
    EXPECT_EQ(items.size(), 1U);
    EXPECT_EQ(raw(items[0]), "3");
    at.settle(items[0], outcome::delivered);
    co_await next;
  };
  loop.run(main());
}

TEST(http_desk, newcomers_are_sent_away_when_the_backlog_is_full_or_nothing_moves) {
  virtual_loop loop;
  auto main = []() -> task<> {
    http_desk_options options;
    options.backlog = 3;
    counter at(options);
    auto first = at.post("[1,2]");
    auto second = at.post("3");
    auto third = at.post("4");
    const http_answer full = co_await third;
    EXPECT_EQ(full.status, 429U);
    auto items = co_await at.take();
    for (const source_item& each : items) at.settle(each, outcome::delivered);
    co_await first;
    co_await second;
    auto fourth = at.post("5");
    co_await sleep_for(2s);
    auto fifth = at.post("6");
    const http_answer paused = co_await fifth;
    EXPECT_EQ(paused.status, 429U);
    items = co_await at.take();
    EXPECT_EQ(items.size(), 1U);
    at.settle(items[0], outcome::delivered);
    const http_answer fine = co_await fourth;
    EXPECT_EQ(fine.status, 200U);
  };
  loop.run(main());
}

TEST(http_desk, a_key_names_the_item_and_a_retry_waits_for_the_same) {
  virtual_loop loop;
  auto main = []() -> task<> {
    counter at;
    auto first = at.post("5", "a/1#2");
    auto again = at.post("5", "a/1#2");
    auto other = at.post("6", "a/1#2");
    const http_answer refused = co_await other;
    EXPECT_EQ(refused.status, 422U);
    const auto items = co_await at.take();
    EXPECT_EQ(items.size(), 1U);
    EXPECT_EQ(items[0].id, "orders:key-a%2F1%232");
    at.settle(items[0], outcome::dead_lettered, "never");
    const http_answer one = co_await first;
    const http_answer two = co_await again;
    EXPECT_EQ(one.status, 422U);
    EXPECT_EQ(one.body, two.body);
    auto later = at.post("5", "a/1#2");
    const http_answer three = co_await later;
    EXPECT_EQ(three.body, one.body);
    auto batch = at.post("[7,8]", "b");
    const auto named = co_await at.take();
    EXPECT_EQ(named[0].id, "orders:key-b#1");
    EXPECT_EQ(named[1].id, "orders:key-b#2");
    for (const source_item& each : named) at.settle(each, outcome::delivered);
    co_await batch;
  };
  loop.run(main());
}

TEST(http_desk, what_was_not_done_is_taken_again_under_its_key) {
  virtual_loop loop;
  auto main = []() -> task<> {
    counter at;
    auto first = at.post("[1,2]", "k");
    auto items = co_await at.take();
    at.settle(items[0], outcome::delivered);
    at.settle(items[1], outcome::dropped, "full");
    const http_answer mixed = co_await first;
    EXPECT_EQ(mixed.status, 207U);
    auto again = at.post("[1,2]", "k");
    items = co_await at.take();
    EXPECT_EQ(items.size(), 1U);
    EXPECT_EQ(items[0].id, "orders:key-k#2");
    at.settle(items[0], outcome::delivered);
    const http_answer whole = co_await again;
    EXPECT_EQ(whole.status, 200U);
  };
  loop.run(main());
}

/// A ledger that takes its time.
struct slow_memory {
  std::map<std::string, http_result> rows;
  int asked = 0;
  std::string broken;
  task<std::vector<std::optional<http_result>>> look(std::vector<std::string> ids) {
    ++asked;
    co_await sleep_for(1s);
    if (!broken.empty()) throw std::runtime_error(broken);
    std::vector<std::optional<http_result>> found;
    for (const std::string& id : ids) {
      const auto row = rows.find(id);
      found.push_back(row == rows.end() ? std::nullopt : std::optional(row->second));
    }
    co_return found;
  }
};

TEST(http_desk, what_the_ledger_knows_is_not_done_again) {
  virtual_loop loop;
  auto main = []() -> task<> {
    slow_memory ledger;
    ledger.rows["orders:key-k#1"] = {outcome::delivered, {}};
    ledger.rows["orders:key-k#2"] = {outcome::returned, "stopped"};
    ledger.rows["orders:key-one"] = {outcome::dead_lettered, "bad"};
    http_desk_options options;
    options.memory = [&ledger](std::vector<std::string> ids) {
      return ledger.look(std::move(ids));
    };
    counter at(options);
    auto known = at.post("5", "one");
    const http_answer told = co_await known;
    EXPECT_EQ(told.body, R"({"id":"orders:key-one","status":422,"outcome":"dead_lettered",)"
                         R"("error":"bad"})");
    auto first = at.post("[1,2]", "k");
    auto meanwhile = at.post("[1,2]", "k");
    const auto items = co_await at.take();
    EXPECT_EQ(ledger.asked, 2);
    EXPECT_EQ(items.size(), 1U);
    EXPECT_EQ(items[0].id, "orders:key-k#2");
    at.settle(items[0], outcome::delivered);
    const http_answer one = co_await first;
    const http_answer two = co_await meanwhile;
    EXPECT_EQ(one.status, 200U);
    EXPECT_EQ(one.body, two.body);
    ledger.broken = "the disk is gone";
    auto failing = at.post("5", "new");
    const http_answer failed = co_await failing;
    EXPECT_EQ(failed.status, 503U);
    EXPECT_NE(failed.body.find("the disk is gone"), std::string::npos);
    ledger.broken.clear();
    auto retried = at.post("5", "new");
    const auto last = co_await at.take();
    at.settle(last[0], outcome::delivered);
    const http_answer fine = co_await retried;
    EXPECT_EQ(fine.status, 200U);
  };
  loop.run(main());
}

// Guards: the guard of `remember` against a client that goes; without it the second waits for ever.
TEST(http_desk, who_goes_while_the_ledger_is_asked_leaves_nothing_behind) {
  virtual_loop loop;
  auto main = []() -> task<> {
    slow_memory ledger;
    http_desk_options options;
    options.memory = [&ledger](std::vector<std::string> ids) {
      return ledger.look(std::move(ids));
    };
    counter at(options);
    auto first = at.post("5", "k");
    auto second = at.post("5", "k");
    co_await wait_all_tasks_blocked();
    first.cancel("its connection is gone");
    const http_answer told = co_await second;
    EXPECT_EQ(told.status, 503U);
    auto third = at.post("5", "k");
    const auto items = co_await at.take();
    at.settle(items[0], outcome::delivered);
    const http_answer fine = co_await third;
    EXPECT_EQ(fine.status, 200U);
  };
  loop.run(main());
}

TEST(http_desk, a_stop_answers_what_nobody_took_and_newcomers) {
  virtual_loop loop;
  auto main = []() -> task<> {
    counter at;
    auto first = at.post("[1,2]");
    const auto items = co_await at.take(1);
    auto second = at.post("3");
    co_await wait_all_tasks_blocked();
    at.desk->stop();
    const http_answer untaken = co_await second;
    EXPECT_EQ(untaken.status, 503U);
    EXPECT_TRUE(untaken.try_later);
    EXPECT_NE(untaken.body.find(R"("id":null)"), std::string::npos);
    EXPECT_NE(untaken.body.find(R"("outcome":"returned")"), std::string::npos);
    auto third = at.post("4");
    const http_answer refused = co_await third;
    EXPECT_EQ(refused.status, 503U);
    EXPECT_FALSE(first.done());
    at.settle(items[0], outcome::delivered);
    const http_answer mixed = co_await first;
    EXPECT_EQ(mixed.status, 207U);
  };
  loop.run(main());
}

TEST(http_desk, at_the_end_everybody_is_answered) {
  virtual_loop loop;
  auto main = []() -> task<> {
    counter at;
    auto asked = at.post("1");
    const auto items = co_await at.take();
    at.desk->give_back();
    const http_answer answer = co_await asked;
    EXPECT_EQ(answer.status, 503U);
    at.settle(items[0], outcome::delivered);  // too late: nobody listens
  };
  loop.run(main());
}

// Guards: what counts in `conclude`; the first key is forgotten once enough others are over.
TEST(http_desk, keys_that_are_over_are_not_remembered_for_ever) {
  virtual_loop loop;
  auto main = []() -> task<> {
    counter at;
    const auto done = [](counter& of, std::string body, std::string key) -> task<std::size_t> {
      auto asked = of.post(std::move(body), std::move(key));
      co_await wait_all_tasks_blocked();
      if (asked.done()) co_return 0;
      const auto items = co_await of.take();
      for (const source_item& each : items) of.settle(each, outcome::delivered);
      co_await asked;
      co_return items.size();
    };
    auto first = done(at, "1", "first");
    const std::size_t first_items = co_await std::move(first);
    EXPECT_EQ(first_items, 1U);
    auto again = done(at, "1", "first");
    const std::size_t again_items = co_await std::move(again);
    EXPECT_EQ(again_items, 0U);
    for (int i = 0; i < 10'000; ++i) {
      auto other = at.post("[]", "empty-" + std::to_string(i));
      co_await other;
    }
    auto forgotten = done(at, "1", "first");
    const std::size_t forgotten_items = co_await std::move(forgotten);
    EXPECT_EQ(forgotten_items, 1U);
  };
  loop.run(main());
}

TEST(http_desk, an_error_is_told_as_json_whatever_it_holds) {
  const http_answer answer = http_error(400, "caf\xe9 \"\n" + std::string(5000, 'x'));
  EXPECT_LT(answer.body.size(), 2000U);
  EXPECT_TRUE(valid_utf8(answer.body));
  EXPECT_EQ(answer.body.find('\n'), std::string::npos);
}

/// Items that are called by their last letter, if they are texts.
http_desk_options by_last_letter() {
  http_desk_options options;
  options.item_id = [](const payload& item) {
    const std::string text(item.get<record>().raw());
    return text.size() < 2 ? std::string() : text.substr(text.size() - 2, 1);
  };
  return options;
}

TEST(http_desk, an_item_is_known_by_its_own_id_in_whatever_batch_it_comes) {
  virtual_loop loop;
  auto main = []() -> task<> {
    counter at(by_last_letter());
    auto first = at.post(R"(["a", "b", 7])");
    auto items = co_await at.take();
    EXPECT_EQ(items.size(), 3U);
    EXPECT_EQ(items[0].id, "orders:id-a");
    EXPECT_FALSE(items[2].id.has_value());
    auto meanwhile = at.post(R"(["c", "b", "c"])");
    const auto more = co_await at.take();
    EXPECT_EQ(more.size(), 1U) << "b is in work, and c is one item";
    at.settle(items[0], outcome::delivered);
    at.settle(items[1], outcome::dead_lettered, "bad");
    at.settle(items[2], outcome::delivered);
    at.settle(more[0], outcome::delivered);
    const http_answer one = co_await first;
    EXPECT_EQ(one.status, 207U);
    EXPECT_EQ(one.body,
              "[{\"id\":\"orders:id-a\",\"status\":200,\"outcome\":\"delivered\"},\n"
              " {\"id\":\"orders:id-b\",\"status\":422,\"outcome\":\"dead_lettered\","
              "\"error\":\"bad\"},\n"
              " {\"id\":\"orders:run:2\",\"status\":200,\"outcome\":\"delivered\"}]");
    const http_answer two = co_await meanwhile;
    EXPECT_EQ(two.status, 207U);
    auto again = at.post(R"("b")");
    const http_answer told = co_await again;
    EXPECT_EQ(told.status, 422U);
    EXPECT_EQ(told.body, R"({"id":"orders:id-b","status":422,"outcome":"dead_lettered",)"
                         R"("error":"bad"})");
    auto empty = at.post("[]");
    const http_answer none = co_await empty;
    EXPECT_EQ(none.body, "[]");
    auto keyed = at.post(R"("a")", "k");
    items = co_await at.take();
    EXPECT_EQ(items.at(0).id, "orders:key-k") << "a key goes before";
    at.settle(items[0], outcome::delivered);
    co_await keyed;
  };
  loop.run(main());
}

TEST(http_desk, another_item_with_the_same_id_is_refused_and_those_beside_it_are_not) {
  virtual_loop loop;
  auto main = []() -> task<> {
    counter at(by_last_letter());
    auto first = at.post(R"("a")");
    auto items = co_await at.take();
    at.settle(items[0], outcome::delivered);
    co_await first;
    auto other = at.post(R"([" a", "b"])");
    items = co_await at.take();
    EXPECT_EQ(items.size(), 1U);
    at.settle(items[0], outcome::delivered);
    const http_answer mixed = co_await other;
    EXPECT_EQ(mixed.status, 207U);
    EXPECT_EQ(mixed.body.find("[{\"id\":\"orders:id-a\",\"status\":422,\"outcome\":\"refused\","
                              "\"error\":\""),
              0U)
        << mixed.body;
    auto alone = at.post(R"(" a")");
    const http_answer refused = co_await alone;
    EXPECT_EQ(refused.status, 422U);
  };
  loop.run(main());
}

// Guards: one question for a whole batch, and nothing done twice that was asked for meanwhile.
TEST(http_desk, of_items_with_ids_the_ledger_is_asked_at_once) {
  virtual_loop loop;
  auto main = []() -> task<> {
    slow_memory ledger;
    ledger.rows["orders:id-a"] = {outcome::delivered, {}};
    ledger.rows["orders:id-b"] = {outcome::returned, "stopped"};
    http_desk_options options = by_last_letter();
    options.memory = [&ledger](std::vector<std::string> ids) {
      return ledger.look(std::move(ids));
    };
    counter at(options);
    auto first = at.post(R"(["a","b","c"])");
    auto second = at.post(R"(["c","b"])");
    const auto items = co_await at.take();
    EXPECT_EQ(ledger.asked, 1);
    EXPECT_EQ(items.size(), 2U);
    EXPECT_EQ(items[0].id, "orders:id-b");
    for (const source_item& each : items) at.settle(each, outcome::delivered);
    const http_answer one = co_await first;
    const http_answer two = co_await second;
    EXPECT_EQ(one.status, 200U);
    EXPECT_EQ(two.status, 200U);
    ledger.broken = "the disk is gone";
    auto failing = at.post(R"(["d",7])");
    const auto unnamed = co_await at.take();
    at.settle(unnamed[0], outcome::delivered);
    const http_answer failed = co_await failing;
    EXPECT_EQ(failed.status, 207U);
    EXPECT_TRUE(failed.try_later);
    EXPECT_NE(failed.body.find("the disk is gone"), failed.body.npos);
  };
  loop.run(main());
}

// Guards: what nobody took of a batch is withdrawn, and what somebody took is not.
TEST(http_desk, of_items_with_ids_each_is_told_whether_it_was_taken) {
  virtual_loop loop;
  auto main = []() -> task<> {
    counter at(by_last_letter());
    auto asked = at.post(R"(["a","b"])");
    const auto items = co_await at.take(1);
    const http_answer answer = co_await asked;
    EXPECT_EQ(answer.status, 207U);
    EXPECT_TRUE(answer.try_later);
    EXPECT_NE(answer.body.find(R"("orders:id-a","status":504,"outcome":"unknown")"),
              answer.body.npos)
        << answer.body;
    EXPECT_NE(answer.body.find(R"("orders:id-b","status":429,"outcome":"refused")"),
              answer.body.npos)
        << answer.body;
    at.settle(items[0], outcome::delivered);
    auto again = at.post(R"(["a","b"])");
    const auto rest = co_await at.take();
    EXPECT_EQ(rest.size(), 1U);
    at.settle(rest[0], outcome::delivered);
    const http_answer whole = co_await again;
    EXPECT_EQ(whole.status, 200U);
  };
  loop.run(main());
}

}  // namespace
}  // namespace brigade
