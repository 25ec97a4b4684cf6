#include "connect/admin_pages.hpp"
#include "connect/admin_routes.hpp"

#include <brigade/async/timeout.hpp>
#include <brigade/connect/admin.hpp>
#include <brigade/pipeline.hpp>
#include <brigade/pipeline/config_spec.hpp>

#include <arpa/inet.h>
#include <boost/json/parse.hpp>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using admin::http_request;
using admin::http_response;
using admin::parse_listen;

run_status some_status() {
  run_status now;
  now.pipeline = "orders";
  now.phase = status_phase::running;
  now.taken = 10;
  now.settled[static_cast<std::size_t>(outcome::delivered)] = 7;
  now.in_flight = 3;
  stage_status charge;
  charge.name = "charge \"x\"";
  charge.in = 10;
  charge.passed = 8;
  charge.retries[static_cast<std::size_t>(retry_reason::timeout)] = 4;
  charge.work.add(3ms);
  worker_status worker;
  worker.item = "file:1:0\xff";
  worker.seconds = 12.5;
  charge.busy.push_back(worker);
  stage_status store;
  store.name = "store";
  store.is_sink = true;
  store.passed = 7;
  now.stages = {charge, store};
  pause_status pause;
  pause.reason = "sink_down";
  pause.text = "sink 'store' is down: no route";
  now.pauses.push_back(pause);
  return now;
}

http_request request_for(std::string path, std::string host = "127.0.0.1:9464") {
  http_request request;
  request.method = "GET";
  request.path = std::move(path);
  request.host = std::move(host);
  request.local_address = "10.0.0.5";
  return request;
}

http_response answered(const http_request& request,
                       const admin_options& options = admin_options("127.0.0.1:9464")) {
  return admin::answer(request, options, some_status);
}

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST(admin_listen, is_an_address_and_a_port) {
  EXPECT_EQ(parse_listen("127.0.0.1:9464")->port, 9464);
  EXPECT_TRUE(parse_listen("127.8.9.1:0")->is_loopback);
  EXPECT_FALSE(parse_listen("0.0.0.0:1")->is_loopback);
  EXPECT_EQ(parse_listen("localhost:1")->ip, "127.0.0.1");
  EXPECT_EQ(parse_listen("[::1]:65535")->ip, "::1");
  EXPECT_TRUE(parse_listen("[::1]:1")->is_loopback);
  EXPECT_FALSE(parse_listen("[::]:1")->is_loopback);
  for (const char* const wrong :
       {"", ":", "9464", ":9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
        "127.0.0.1:1x", "example.com:1", "::1:9464", "[::1]", "[]:1", "[x]:1", "127.1:1",
        "127.0.0.1:99999999999999999999"}) {
    EXPECT_FALSE(parse_listen(wrong)) << wrong;
  }
}

TEST(admin_token, is_compared_as_a_whole) {
  EXPECT_TRUE(admin::is_same_token("secret", "secret"));
  for (const char* const wrong : {"", "secre", "secrett", "Secret", "secretsecret"}) {
    EXPECT_FALSE(admin::is_same_token(wrong, "secret")) << wrong;
  }
  EXPECT_FALSE(admin::is_same_token("", ""));
}

TEST(admin_options, elsewhere_than_on_loopback_need_a_token) {
  admin_options options("0.0.0.0:9464");
  EXPECT_THROW(check_admin_options(options), config_error);
  options.token = "secret";
  EXPECT_NO_THROW(check_admin_options(options));
  options.token = "two words";
  EXPECT_THROW(check_admin_options(options), config_error);
}

TEST(admin_answer, is_for_its_own_names_only) {
  for (const char* const own : {"127.0.0.1:9464", "127.0.0.1", "localhost", "LOCALHOST:80",
                                "[::1]:9464", "[::1]", "10.0.0.5:9464"}) {
    EXPECT_EQ(answered(request_for("/livez", own)).status, 200U) << own;
  }
  for (const char* const strange : {"evil.example", "evil.example:9464", "127.0.0.1.evil.example",
                                    "127.0.0.1:evil", "[::1", "[::1]evil", "10.0.0.6", ":9464"}) {
    EXPECT_EQ(answered(request_for("/livez", strange)).status, 403U) << strange;
  }
  EXPECT_EQ(answered(request_for("/livez", "")).status, 400U);
  admin_options options("127.0.0.1:9464");
  options.hosts = {"Worker.example"};
  EXPECT_EQ(answered(request_for("/livez", "worker.example:80"), options).status, 200U);
}

TEST(admin_answer, wants_the_token_where_there_is_one) {
  admin_options options("0.0.0.0:9464");
  options.token = "secret";
  auto request = request_for("/livez");
  EXPECT_EQ(answered(request, options).status, 401U);
  for (const char* const wrong : {"secret", "Basic secret", "Bearer", "Bearer ", "Bearer secre",
                                  "Bearer  secret", "Bearer secret "}) {
    request.authorization = wrong;
    EXPECT_EQ(answered(request, options).status, 401U) << wrong;
  }
  for (const char* const right : {"Bearer secret", "bearer secret"}) {
    request.authorization = right;
    EXPECT_EQ(answered(request, options).status, 200U) << right;
  }
  request.host = "evil.example";
  EXPECT_EQ(answered(request, options).status, 403U) << "also with the token";
}

TEST(admin_answer, changes_nothing_and_names_its_paths) {
  auto request = request_for("/status");
  request.method = "POST";
  EXPECT_EQ(answered(request).status, 405U);
  request.method = "HEAD";
  EXPECT_EQ(answered(request).status, 200U);
  const http_response lost = answered(request_for("/"));
  EXPECT_EQ(lost.status, 404U);
  EXPECT_EQ(lost.body, "there are /livez, /readyz, /metrics and /status\n");
}

TEST(admin_answer, is_503_with_the_reason_where_it_is_not_ready) {
  const http_response ready = answered(request_for("/readyz"));
  EXPECT_EQ(ready.status, 503U);
  EXPECT_NE(ready.body.find("sink_down: sink 'store' is down: no route"), std::string::npos)
      << ready.body;
}

TEST(admin_metrics, have_the_names_and_labels_they_are_documented_with) {
  const std::string text = admin::metrics_page(some_status());
  for (const char* const line : {
           R"(brigade_items_taken_total{pipeline="orders"} 10)",
           R"(brigade_items_total{pipeline="orders",stage="charge \"x\"",outcome="passed"} 8)",
           R"(brigade_items_total{pipeline="orders",stage="store",outcome="delivered"} 7)",
           R"(brigade_retries_total{pipeline="orders",stage="charge \"x\"",reason="timeout"} 4)",
           R"(brigade_stage_seconds_bucket{pipeline="orders",stage="charge \"x\"",le="0.001"} 0)",
           R"(brigade_stage_seconds_bucket{pipeline="orders",stage="charge \"x\"",le="0.005"} 1)",
           R"(brigade_stage_seconds_bucket{pipeline="orders",stage="charge \"x\"",le="+Inf"} 1)",
           R"(brigade_stage_seconds_count{pipeline="orders",stage="charge \"x\""} 1)",
           R"(brigade_paused{pipeline="orders",reason="sink_down"} 1)",
           R"(brigade_paused{pipeline="orders",reason="ledger_full"} 0)",
           "# TYPE brigade_queue_wait_seconds histogram",
           "# TYPE brigade_end_to_end_seconds histogram",
           "# TYPE brigade_inflight_oldest_seconds gauge",
           "# TYPE brigade_unacked_window gauge",
           "# TYPE brigade_queue_capacity gauge",
           "# TYPE brigade_busy_workers gauge",
       }) {
    EXPECT_TRUE(has_line(text, line)) << line << "\nis not in\n" << text;
  }
  EXPECT_EQ(text.find("source_lag"), std::string::npos) << "nobody knows it";
}

TEST(admin_status, is_json_whatever_the_names_are) {
  const auto page = boost::json::parse(admin::status_page(some_status(), 60s)).as_object();
  EXPECT_EQ(page.at("pipeline").as_string(), "orders");
  EXPECT_EQ(page.at("identity").as_object().at("taken").to_number<int>(), 10);
  EXPECT_EQ(page.at("identity").as_object().at("in_flight").to_number<int>(), 3);
  const auto& charge = page.at("stages").as_array().at(0).as_object();
  const auto& longest = charge.at("workers").as_object().at("longest").as_array();
  EXPECT_EQ(longest.at(0).as_object().at("item").as_string(), "file:1:0\xEF\xBF\xBD");
  EXPECT_FALSE(page.at("ready").as_object().at("good").as_bool());
  EXPECT_TRUE(page.at("source_lag").is_null());
}

/// A connection to a server on this machine.
class client {
 public:
  explicit client(const std::string& address) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(parse_listen(address)->port);
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&where), sizeof where) != 0) {
      throw std::runtime_error("cannot connect to " + address);
    }
  }
  ~client() { ::close(socket_); }
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  void say(const std::string& text) const {
    static_cast<void>(!::send(socket_, text.data(), text.size(), MSG_NOSIGNAL));
  }
  /// What comes until `end` has come, the other side has closed, or ten seconds have passed.
  std::string hear(const std::string& end) const {
    std::string heard;
    pollfd ready{socket_, POLLIN, 0};
    while (heard.find(end) == std::string::npos && ::poll(&ready, 1, 10'000) == 1) {
      char some[4096];
      const ssize_t got = ::recv(socket_, some, sizeof some, 0);
      if (got <= 0) return heard;
      heard.append(some, static_cast<std::size_t>(got));
    }
    return heard;
  }

 private:
  int socket_;
};

std::string get(const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
}

TEST(admin_server, answers_one_request_after_another_on_a_connection) {
  const admin_server server(admin_options("127.0.0.1:0"), some_status);
  const client one(server.address());
  for (int i = 0; i < 3; ++i) {
    one.say(get("/livez?verbose"));
    const std::string heard = one.hear("alive\n");
    EXPECT_EQ(heard.substr(0, 15), "HTTP/1.1 200 OK") << heard;
  }
  one.say("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const std::string head = one.hear("none of it");
  EXPECT_EQ(head.substr(0, 15), "HTTP/1.1 200 OK");
  EXPECT_EQ(head.find("brigade_"), std::string::npos)
      << "a body though only the head was asked for";
  EXPECT_NE(head.find("Content-Length: "), std::string::npos);
}

TEST(admin_server, says_why_it_refuses_what_is_no_request) {
  const admin_server server(admin_options("127.0.0.1:0"), some_status);
  const std::vector<std::pair<std::string, std::string>> cases = {
      {std::string("\x16\x03\x01 garbage \xff\xfe\r\n\r\n"), "HTTP/1.1 400"},
      {"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n",
       "HTTP/1.1 431"},
      {"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n", "HTTP/1.1 413"},
      {"GET /livez HTTP/1.1\r\n\r\n", "HTTP/1.1 400"},
  };
  for (const auto& [sent, expected] : cases) {
    const client one(server.address());
    one.say(sent);
    EXPECT_EQ(one.hear("\r\n").substr(0, expected.size()), expected) << sent.substr(0, 60);
  }
}

TEST(admin_server, makes_room_by_sending_away_who_has_been_idle_longest) {
  const admin_server server(admin_options("127.0.0.1:0"), some_status);
  std::vector<std::unique_ptr<client>> idle;
  for (std::size_t i = 0; i < admin::http_server::connections_max + 5; ++i) {
    idle.push_back(std::make_unique<client>(server.address()));
    idle.back()->say("GET /li");  // and never the rest
  }
  const client late(server.address());
  late.say(get("/livez"));
  EXPECT_EQ(late.hear("alive\n").substr(0, 12), "HTTP/1.1 200");
  EXPECT_EQ(idle.front()->hear("\n"), "") << "it was to be closed";
}

TEST(admin_server, turns_what_a_status_throws_into_an_answer) {
  const auto broken = []() -> run_status { throw std::runtime_error("no status"); };
  const admin_server server(admin_options("127.0.0.1:0"), broken);
  const client one(server.address());
  one.say(get("/status"));
  const std::string heard = one.hear("no status\n");
  EXPECT_EQ(heard.substr(0, 12), "HTTP/1.1 500") << heard;
}

TEST(admin_server, is_attached_to_a_typed_pipeline) {
  std::atomic<bool> asked = false;
  auto until_asked = [&, n = 0]() mutable -> task<std::optional<int>> {
    co_await sleep_for(1ms);
    if (asked) co_return std::nullopt;
    co_return ++n;
  };
  auto ready = pipeline("orders").from(until_asked).to("out", [](int) {});
  auto board = std::make_shared<status_board>();
  run_observer watching;
  watching.board = board;
  ready.observe(watching);
  const admin_server admin(admin_options("127.0.0.1:0"), [board] { return board->look(); });
  std::string heard;
  std::thread asking([&] {
    while (heard.find("HTTP/1.1 200") == std::string::npos) {
      const client one(admin.address());
      one.say(get("/readyz"));
      heard = one.hear("ready");
    }
    asked = true;
  });
  const report result = ready.run();
  asking.join();
  EXPECT_EQ(result.exit_code, 0);
}

TEST(admin_server, says_that_its_address_is_taken) {
  const admin_server server(admin_options("127.0.0.1:0"), some_status);
  try {
    const admin_server second(admin_options(server.address()), some_status);
    FAIL() << "two of them listen on " << server.address();
  } catch (const std::runtime_error& why) {
    EXPECT_NE(std::string(why.what()).find("something else does"), std::string::npos);
  }
}

}  // namespace
}  // namespace brigade
