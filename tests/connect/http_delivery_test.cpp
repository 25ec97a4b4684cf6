// Batches of the sink `http` against a far side that is played, in virtual time.
#include "connect/http_delivery.hpp"

#include "connect/written.hpp"

#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

namespace brigade::http {
namespace {

using namespace std::chrono_literals;

/// What was asked: the item numbers in the body.
using numbers = std::vector<int>;

/// Answers as `reply` says, after `takes`.
class played final : public sender {
 public:
  std::function<answer(const numbers&)> reply;
  std::chrono::nanoseconds takes{1ms};
  std::vector<numbers> asked;
  std::vector<std::string> heads;
  int at_once = 0;
  int at_once_most = 0;

  task<answer> send(const address&, const request& what) override {
    numbers items;
    for (std::size_t at = 0; (at = what.body.find("\"n\":", at)) != std::string_view::npos;) {
      at += 4;
      items.push_back(std::stoi(std::string(what.body.substr(at))));
    }
    asked.push_back(items);
    heads.push_back(what.head);
    at_once_most = std::max(at_once_most, ++at_once);
    co_await sleep_for(takes);
    --at_once;
    co_return reply(items);
  }
};

answer status(int number) { return answer{.status = number}; }
bool has(const numbers& items, int one) { return std::ranges::count(items, one) != 0; }

class http_delivery : public ::testing::Test {
 protected:
  explicit http_delivery(const char* url = "http://far.example/in")
      : far_(client_settings(url_template(url))) {
    auto made = std::make_unique<played>();
    server = made.get();
    far_.to = std::move(made);
    far_.settings.method = "POST";
    far_.settings.key_header = "Idempotency-Key";
    server->reply = [](const numbers&) { return status(200); };
  }
  /// `d` delivered, `p` permanent, `r` retryable, one letter an item; or why the sink is down.
  std::string write(const numbers& items) {
    std::vector<payload> values;
    std::vector<std::string> keys;
    for (const int n : items) {
      values.emplace_back(record::json("{\"n\":" + std::to_string(n) + "}"));
      keys.push_back("k" + std::to_string(n));
    }
    std::vector<sink_item> batch;
    for (std::size_t i = 0; i < items.size(); ++i) {
      batch.push_back(sink_item{keys[i], keys[i], &values[i]});
    }
    try {
      delivery one(far_, batch);
      last = loop.run(one.run());
    } catch (const sink_down& outage) {
      return std::string("down: ") + outage.what();
    }
    std::string letters;
    for (const auto& each : last.failures) {
      letters += !each ? 'd' : each->kind == verdict::permanent ? 'p' : 'r';
    }
    return letters;
  }
  /// Until it is not down any more, with `pause` between; "never" after a thousand.
  std::string write_until_up(const numbers& items, std::chrono::nanoseconds pause = 1s) {
    for (int i = 0; i < 1000; ++i) {
      const std::string result = write(items);
      if (!result.starts_with("down")) return result;
      loop.run(pass(pause));
    }
    return "never";
  }
  static task<> pass(std::chrono::nanoseconds time) { co_await sleep_for(time); }
  numbers up_to(int count) {
    numbers result;
    for (int i = 0; i < count; ++i) result.push_back(i);
    return result;
  }

  testing::virtual_loop loop;
  far_side far_;
  played* server;
  write_result last;
};

class http_delivery_by_item : public http_delivery {
 protected:
  http_delivery_by_item() : http_delivery("http://far.example/in/{n}") {}
};

TEST_F(http_delivery, one_item_a_request_several_at_once) {
  far_.in_flight = 3;
  EXPECT_EQ(write(up_to(10)), "dddddddddd");
  EXPECT_EQ(server->asked.size(), 10U);
  EXPECT_EQ(server->at_once_most, 3);
  EXPECT_NE(server->heads[0].find("Idempotency-Key: k0\r\n"), std::string::npos);
}

TEST_F(http_delivery, a_batch_is_one_request_with_one_key) {
  far_.format = body_format::ndjson;
  EXPECT_EQ(write(up_to(5)), "ddddd");
  EXPECT_EQ(write(up_to(5)), "ddddd");
  EXPECT_EQ(server->asked, (std::vector<numbers>{up_to(5), up_to(5)}));
  EXPECT_EQ(server->heads[0], server->heads[1]) << "also the key is the same";
}

// Row 12. Guard: without the halving all 1000 would fail for good.
TEST_F(http_delivery, row_12_the_bad_item_of_a_thousand_is_found_by_halving) {
  far_.format = body_format::ndjson;
  for (const int code : {400, 413, 422}) {
    server->asked.clear();
    server->reply = [code](const numbers& items) { return status(has(items, 617) ? code : 200); };
    std::string expected(1000, 'd');
    expected[617] = 'p';
    EXPECT_EQ(write(up_to(1000)), expected) << code;
    EXPECT_LE(server->asked.size(), 1U + 20U) << "2 log2 of 1000";
  }
}

TEST_F(http_delivery, every_bad_item_is_found_and_no_other) {
  far_.format = body_format::array;
  server->reply = [](const numbers& items) {
    return status(std::ranges::any_of(items, [](int n) { return n % 7 == 3; }) ? 422 : 200);
  };
  std::string expected;
  for (int i = 0; i < 100; ++i) expected += i % 7 == 3 ? 'p' : 'd';
  EXPECT_EQ(write(up_to(100)), expected);
}

// Row 11. Guard: read_statuses; without it all five would count as delivered.
TEST_F(http_delivery, row_11_each_item_has_the_outcome_of_its_own_status) {
  far_.format = body_format::array;
  server->reply = [](const numbers& items) {
    answer mixed = status(207);
    for (const int n : items) {
      const char* each[] = {R"({"status":201})", R"({"status":400,"error":"no name"})",
                            R"({"status":503})", R"({"status":200})", R"({"status":422})"};
      mixed.body += (mixed.body.empty() ? "[" : ",") + std::string(each[n % 5]);
    }
    mixed.body += "]";
    return mixed;
  };
  EXPECT_EQ(write(up_to(5)), "dprdp");
  EXPECT_EQ(last.failures[1]->error, "http://far.example answered 400: no name for this item");
  EXPECT_EQ(server->asked.size(), 1U);
}

TEST_F(http_delivery, only_those_that_were_too_many_are_sent_again) {
  far_.format = body_format::array;
  int asked = 0;
  server->reply = [&](const numbers& items) {
    answer mixed = status(207);
    for (std::size_t i = 0; i < items.size(); ++i) {
      const bool too_many = asked == 0 && i >= 2;
      mixed.body += (i == 0 ? "[" : ",");
      mixed.body += too_many ? R"({"status":429})" : R"({"status":200})";
    }
    mixed.body += "]";
    ++asked;
    return mixed;
  };
  EXPECT_EQ(write(up_to(4)), "down: http://far.example answered 429 for this item");
  EXPECT_EQ(write_until_up(up_to(4)), "dddd");
  EXPECT_EQ(server->asked, (std::vector<numbers>{{0, 1, 2, 3}, {2, 3}}));
}

TEST_F(http_delivery, a_207_that_says_nothing_of_the_items_is_no_success) {
  far_.format = body_format::array;
  server->reply = [](const numbers&) { return answer{.status = 207, .body = "[]"}; };
  EXPECT_EQ(write(up_to(3)).find("down: http://far.example answered 207"), 0U);
}

TEST_F(http_delivery, an_answer_too_long_to_be_read_may_have_refused_items) {
  far_.format = body_format::array;
  server->reply = [](const numbers& items) {
    if (items.size() > 3) return answer{.status = 200, .is_cut = true};
    answer each = status(207);
    for (const int n : items) {
      each.body += each.body.empty() ? "[" : ",";
      each.body += n == 5 ? R"({"status":422})" : R"({"status":200})";
    }
    each.body += "]";
    return each;
  };
  EXPECT_EQ(write(up_to(10)),
            "down: http://far.example answered 200 with more than 'max_response' holds");
  EXPECT_EQ(write_until_up(up_to(10)), "dddddpdddd");
}

// Row 13. Guard: meaning_of for a fixed address; without it the items would be dead letters.
TEST_F(http_delivery, row_13_nobody_is_judged_while_the_door_is_closed) {
  for (const body_format format : {body_format::json, body_format::ndjson}) {
    far_.format = format;
    const auto open_at = loop.now() + 60s;
    server->reply = [&](const numbers&) { return status(loop.now() < open_at ? 403 : 200); };
    EXPECT_EQ(write(up_to(20)), "down: http://far.example answered 403");
    EXPECT_EQ(write_until_up(up_to(20)), std::string(20, 'd'));
    EXPECT_GE(loop.now(), open_at);
  }
}

TEST_F(http_delivery, row_13_also_where_there_are_few_items) {
  const auto open_at = loop.now() + 59s;
  server->reply = [&](const numbers&) { return status(loop.now() < open_at ? 403 : 200); };
  EXPECT_EQ(write_until_up({1}), "d");
}

// Row 19. Guard: `rest`.
TEST_F(http_delivery, row_19_too_many_requests_are_waited_out_as_long_as_was_asked) {
  server->reply = [](const numbers&) {
    return answer{.status = 429, .retry_after = milliseconds(10'000)};
  };
  EXPECT_EQ(write(up_to(8)), "down: http://far.example answered 429");
  const std::size_t asked = server->asked.size();
  EXPECT_EQ(asked, 1U) << "no more once that was said";
  for (int i = 0; i < 9; ++i) {
    loop.run(pass(1s));
    EXPECT_EQ(write(up_to(8)), "down: http://far.example answered 429");
  }
  EXPECT_EQ(server->asked.size(), asked) << "within the ten seconds nobody asks";
  loop.run(pass(1s));
  server->reply = [](const numbers&) { return status(200); };
  EXPECT_EQ(write(up_to(8)), "dddddddd");
}

TEST_F(http_delivery, in_an_outage_one_item_is_enough_to_find_out) {
  far_.in_flight = 4;
  server->reply = [](const numbers&) { return status(503); };
  EXPECT_EQ(write(up_to(100)), "down: http://far.example answered 503");
  EXPECT_LE(server->asked.size(), 5U + 4U);
  server->asked.clear();
  EXPECT_EQ(write(up_to(100)), "down: http://far.example answered 503");
  EXPECT_EQ(server->asked.size(), 1U);
}

TEST_F(http_delivery, what_was_delivered_before_the_outage_is_not_sent_again) {
  server->reply = [&](const numbers& items) {
    return status(server->asked.size() > 20 && items[0] >= 20 ? 503 : 200);
  };
  EXPECT_EQ(write(up_to(40)).find("down"), 0U);
  server->reply = [](const numbers&) { return status(200); };
  server->asked.clear();
  EXPECT_EQ(write(up_to(40)), std::string(40, 'd'));
  EXPECT_EQ(server->asked.size(), 20U);
}

TEST_F(http_delivery, another_batch_does_not_take_over_what_was_held) {
  server->reply = [](const numbers& items) { return status(items[0] == 1 ? 503 : 200); };
  EXPECT_EQ(write({0, 1, 2}), "drd") << "it works for others since";
  server->reply = [](const numbers&) -> answer { throw unreachable("nobody there"); };
  EXPECT_EQ(write({2, 3}), "down: nobody there");
  server->reply = [](const numbers&) { return status(200); };
  server->asked.clear();
  EXPECT_EQ(write({4, 5}), "dd");
  EXPECT_EQ(server->asked.size(), 2U);
}

TEST_F(http_delivery, an_item_that_breaks_the_far_side_is_blamed_when_others_go_well) {
  server->reply = [](const numbers& items) { return status(has(items, 2) ? 500 : 200); };
  EXPECT_EQ(write(up_to(5)), "ddrdd");
  EXPECT_EQ(write({2}), "r") << "known by now, also alone";
  far_.format = body_format::ndjson;
  EXPECT_EQ(write_until_up({7, 8, 9}), "ddd");
}

TEST_F(http_delivery, an_item_that_breaks_every_batch_it_is_in_is_found) {
  far_.format = body_format::ndjson;
  server->reply = [](const numbers& items) { return status(has(items, 33) ? 500 : 200); };
  std::string expected(100, 'd');
  expected[33] = 'r';
  EXPECT_EQ(write(up_to(100)), "down: http://far.example answered 500");
  EXPECT_EQ(write_until_up(up_to(100)), expected);
}

TEST_F(http_delivery, a_lone_item_that_fails_makes_room_for_others_after_a_minute) {
  server->reply = [](const numbers& items) { return status(has(items, 1) ? 500 : 200); };
  const auto began = loop.now();
  EXPECT_EQ(write_until_up({1}), "r");
  EXPECT_GE(loop.now() - began, 60s);
  EXPECT_LE(loop.now() - began, 63s);
  EXPECT_EQ(write({2, 1}), "dr");
}

TEST_F(http_delivery, the_last_of_a_batch_that_went_well_waits_only_some_seconds) {
  server->reply = [](const numbers& items) { return status(has(items, 1) ? 500 : 200); };
  const auto began = loop.now();
  EXPECT_EQ(write({0, 1}), "down: http://far.example answered 500");
  EXPECT_EQ(write_until_up({0, 1}), "dr");
  EXPECT_LE(loop.now() - began, 7s);
  EXPECT_EQ(std::ranges::count(server->asked, numbers{0}), 1) << "what was delivered stays so";
  EXPECT_EQ(write({2, 1}), "dr") << "known by now";
}

TEST_F(http_delivery, nobody_there_is_no_items_fault_however_long_it_takes) {
  server->reply = [](const numbers&) -> answer { throw unreachable("nobody there"); };
  EXPECT_EQ(write_until_up({1}, 10s), "never");
  server->reply = [](const numbers&) { return status(200); };
  EXPECT_EQ(write({1}), "d");
}

TEST_F(http_delivery, a_connection_that_broke_is_as_unclear_as_a_500) {
  server->reply = [](const numbers& items) -> answer {
    if (has(items, 1)) throw broken("reset", true);
    return status(200);
  };
  EXPECT_EQ(write({1}), "down: reset");
  EXPECT_EQ(write({2}), "d");
  EXPECT_EQ(write({1}), "r");
}

TEST_F(http_delivery, a_batch_that_is_cut_off_keeps_what_was_delivered) {
  server->takes = 10ms;
  auto cut = [&](std::span<const sink_item> batch) -> task<> {
    delivery one(far_, batch);
    auto writing = one.run();
    static_cast<void>(co_await timeout(35ms, std::move(writing)));
  };
  const payload value(record::json("{\"n\":1}"));
  const std::vector<std::string> keys = {"k0", "k1", "k2", "k3", "k4"};
  std::vector<sink_item> batch;
  for (const std::string& key : keys) batch.push_back(sink_item{key, key, &value});
  EXPECT_THROW(loop.run(cut(batch)), timed_out);
  EXPECT_EQ(server->asked.size(), 4U);
  EXPECT_EQ(far_.held.size(), 5U);
  EXPECT_EQ(std::ranges::count(far_.held, item_state::kind::delivered, &item_state::now), 3);
}

TEST_F(http_delivery, an_item_that_cannot_be_written_down_fails_alone) {
  far_.format = body_format::array;
  const payload good(record::json("{\"n\":1}"));
  const payload bad(record::line("\xff"));
  const std::vector<sink_item> batch = {{"a", "a", &bad}, {"b", "b", &good}, {"c", "c", &bad}};
  delivery one(far_, batch);
  const write_result result = loop.run(one.run());
  EXPECT_EQ(result.failures[0]->kind, verdict::permanent);
  EXPECT_FALSE(result.failures[1]);
  EXPECT_TRUE(result.failures[2]);
  EXPECT_EQ(server->asked, std::vector<numbers>{{1}});
}

TEST_F(http_delivery_by_item, where_the_item_says_the_address_a_404_is_its_own) {
  server->reply = [](const numbers& items) { return status(has(items, 2) ? 404 : 200); };
  EXPECT_EQ(write(up_to(4)), "ddpd");
  EXPECT_EQ(write({2}), "p");
  EXPECT_NE(server->heads[1].find("POST /in/1 HTTP/1.1\r\nHost: far.example\r\n"),
            std::string::npos);
  server->reply = [](const numbers&) { return status(403); };
  EXPECT_EQ(write({5}).find("down"), 0U) << "who may not is not the item's fault";
}

}  // namespace
}  // namespace brigade::http
