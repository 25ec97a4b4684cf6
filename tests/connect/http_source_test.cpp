// The source `http` over real sockets: clients are threads that know nothing of brigade.
#include "connect/http_source.hpp"

#include "connect/http_reply.hpp"

#include <brigade/async/cancel.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/thread.hpp>
#include <brigade/async/timeout.hpp>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;

/// A connection of a client; it waits at most ten seconds for anything.
class client {
 public:
  explicit client(const std::string& address) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const auto where = parse_http_address(address);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(where->port);
    ::inet_pton(AF_INET, where->ip.c_str(), &to.sin_addr);
    const timeval patience{10, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) {
      throw std::runtime_error("cannot connect to " + address);
    }
  }
  ~client() { ::close(socket_); }
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  /// False: not all of it was taken.
  bool send(std::string_view text) const {
    const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
    return sent == static_cast<ssize_t>(text.size());
  }
  /// Reads until `end` has come, or all there is.
  std::string read_until(std::string_view end) const {
    std::string text;
    std::array<char, 4096> bytes{};
    while (end.empty() || text.find(end) == text.npos) {
      const ssize_t got = ::recv(socket_, bytes.data(), bytes.size(), 0);
      if (got <= 0) break;
      text.append(bytes.data(), static_cast<std::size_t>(got));
    }
    return text;
  }

 private:
  int socket_;
};

std::string exchange_texts(std::string address, std::string text) {
  const client here(address);
  here.send(text);
  return here.read_until("");
}

std::string post(const std::string& body, const std::string& headers = {}) {
  return "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n" + headers + "\r\n" + body;
}
const std::string last = "Connection: close\r\n";

/// A source, and what stands for the engine behind it: every item is delivered, but {} is not.
class served {
 public:
  explicit served(http_source_options options = {}) : source_(std::move(options)) {}

  task<> open() {
    auto opening = source_.open({}, {});
    co_await std::move(opening);
    work_.emplace(spawn(&served::work, this));
  }
  task<> work() {
    for (;;) {
      auto reading = source_.read(512);
      const std::vector<source_item> items = co_await std::move(reading);
      for (const source_item& each : items) {
        if (each.value.get<record>().raw() == "\"hold\"") {
          held.set();
          continue;
        }
        const bool is_bad = each.value.get<record>().raw() == "{}";
        source_.settled({0, each.begin, is_bad ? outcome::dead_lettered : outcome::delivered,
                         "stage", is_bad ? "empty" : ""});
      }
    }
  }
  task<> stop_reading() {
    source_.stopping();
    work_->cancel("a stop");
    try {
      co_await *work_;
    } catch (const cancelled&) {
      co_return;  // it was, perhaps before
    }
  }
  task<std::string> ask(std::string text) {
    auto call = to_thread(&exchange_texts, source_.address(), std::move(text));
    co_return co_await std::move(call);
  }
  http_source& source() { return source_; }

  event held{"an item that is not settled"};

 private:
  http_source source_;
  std::optional<task_handle<>> work_;
};

/// Runs `body` with an open source, and closes it.
void with_source(http_source_options options, std::function<task<>(served&)> body) {
  loop own;
  auto main = [&]() -> task<> {
    served by(std::move(options));
    auto opening = by.open();
    co_await std::move(opening);
    auto running = body(by);
    co_await std::move(running);
    auto stopping = by.stop_reading();
    co_await std::move(stopping);
    auto closing = by.source().close();
    co_await std::move(closing);
    EXPECT_EQ(by.source().connections(), 0U);
  };
  own.run(main());
}

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++found;
  return found;
}

TEST(http_source, requests_of_a_connection_are_answered_in_order) {
  with_source({}, [](served& by) -> task<> {
    const std::string all = post("1") + post("{}") + post("[1,{}]") + post("4", last) + post("5");
    auto asking = by.ask(all);
    const std::string said = co_await std::move(asking);
    const std::vector<std::string_view> wanted = {"HTTP/1.1 200 OK", "HTTP/1.1 422 Unprocessable",
                                                  "HTTP/1.1 207 Multi-Status", "HTTP/1.1 200 OK"};
    std::size_t at = 0;
    for (const std::string_view each : wanted) {
      at = said.find(each, at);
      EXPECT_NE(at, said.npos) << each << " in " << said;
      if (at == said.npos) co_return;
      ++at;
    }
    EXPECT_EQ(count(said, "HTTP/1.1 "), 4U);
    EXPECT_EQ(count(said, "Connection: close"), 1U);
    EXPECT_EQ(count(said, "Date: "), 4U);
  });
}

TEST(http_source, an_old_client_is_answered_in_its_way) {
  with_source({}, [](served& by) -> task<> {
    const std::string body = "Content-Type: application/json\r\nContent-Length: 1\r\n\r\n1";
    auto asking = by.ask("POST / HTTP/1.0\r\nConnection: keep-alive\r\n" + body +
                         "POST / HTTP/1.0\r\n" + body);
    const std::string said = co_await std::move(asking);
    EXPECT_EQ(count(said, " 200 OK"), 2U) << said;
    EXPECT_EQ(count(said, "Connection: keep-alive"), 1U) << said;
  });
}

TEST(http_source, a_refusal_arrives_although_the_body_is_never_read) {
  http_source_options options;
  options.server.rules.tokens = {"secret"};
  with_source(options, [](served& by) -> task<> {
    auto asking = by.ask(post(std::string(40'000, ' ')));
    const std::string said = co_await std::move(asking);
    EXPECT_TRUE(said.starts_with("HTTP/1.1 401 Unauthorized\r\n")) << said;
    EXPECT_EQ(count(said, "WWW-Authenticate: Bearer\r\n"), 1U);
    auto known = by.ask(post("1", "Authorization: Bearer secret\r\n" + last));
    const std::string fine = co_await std::move(known);
    EXPECT_TRUE(fine.starts_with("HTTP/1.1 200 OK\r\n")) << fine;
  });
}

std::string head_and_get(std::string address) {
  const std::string rest = " / HTTP/1.1\r\nHost: h\r\n\r\n";
  return exchange_texts(address, "HEAD" + rest) + "|" + exchange_texts(address, "GET" + rest);
}

TEST(http_source, only_post_is_allowed_and_head_has_no_body) {
  with_source({}, [](served& by) -> task<> {
    auto call = to_thread(&head_and_get, by.source().address());
    const std::string said = co_await std::move(call);
    EXPECT_EQ(count(said, "405 Method Not Allowed"), 2U) << said;
    EXPECT_EQ(count(said, "Allow: POST\r\n"), 2U);
    EXPECT_NE(said.find("\r\n\r\n|"), said.npos) << said;
  });
}

std::string expecting(std::string address) {
  const client here(address);
  const std::string whole = post("[1,2]", "Expect: 100-continue\r\n" + last);
  here.send(whole.substr(0, whole.size() - 5));
  std::string said = here.read_until("\r\n\r\n");
  here.send("[1,2]");
  return said + here.read_until("");
}

TEST(http_source, a_client_that_waits_is_told_to_go_on) {
  with_source({}, [](served& by) -> task<> {
    auto call = to_thread(&expecting, by.source().address());
    const std::string said = co_await std::move(call);
    EXPECT_TRUE(said.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")) << said;
  });
}

std::string sent_far_too_much(std::string address) {
  const client here(address);
  const bool all = here.send(post('"' + std::string(std::size_t{20} << 20, 'x') + '"'));
  return (all ? "all was taken: " : "cut off: ") + here.read_until("");
}

// Guards: who is refused in the middle of a body that fills all buffers can send the rest, and sees
// why; closed before, the connection is reset, and a client sends the same again.
TEST(http_source, who_posts_far_too_much_is_told_so) {
  with_source({}, [](served& by) -> task<> {
    auto call = to_thread(&sent_far_too_much, by.source().address());
    const std::string said = co_await std::move(call);
    EXPECT_TRUE(said.starts_with("all was taken: HTTP/1.1 413 Payload Too Large\r\n")) << said;
  });
}

// Guards: `request_timeout` and `idle_timeout`; without them the client's patience runs out.
TEST(http_source, the_slow_and_the_silent_are_sent_away) {
  http_source_options options;
  options.server.idle_timeout = 50ms;
  options.server.request_timeout = 50ms;
  with_source(options, [](served& by) -> task<> {
    auto slow = by.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Le");
    const std::string told = co_await std::move(slow);
    EXPECT_TRUE(told.starts_with("HTTP/1.1 408 Request Timeout\r\n")) << told;
    const std::string whole = post("[1,2]");
    auto halfway = by.ask(whole.substr(0, whole.size() - 1));
    const std::string half = co_await std::move(halfway);
    EXPECT_TRUE(half.starts_with("HTTP/1.1 408 Request Timeout\r\n")) << half;
    auto silent = by.ask("");
    const std::string nothing = co_await std::move(silent);
    EXPECT_EQ(nothing, "");
  });
}

std::string third_of_two(std::string address) {
  const client first(address);
  const client second(address);
  second.send("POST / HTTP/1.1\r\n");
  const client third(address);
  third.send(post("1", last));
  // The first has been silent longest: it has to go, and sees the end.
  return third.read_until("") + "|" + first.read_until("");
}

TEST(http_source, who_is_silent_longest_makes_room) {
  http_source_options options;
  options.server.connections_max = 2;
  with_source(options, [](served& by) -> task<> {
    auto call = to_thread(&third_of_two, by.source().address());
    const std::string said = co_await std::move(call);
    EXPECT_TRUE(said.starts_with("HTTP/1.1 200 OK\r\n")) << said;
    EXPECT_TRUE(said.ends_with("|"));
  });
}

TEST(http_source, after_a_stop_newcomers_are_sent_away) {
  with_source({}, [](served& by) -> task<> {
    auto stopping = by.stop_reading();
    co_await std::move(stopping);
    auto asking = by.ask(post("1") + post("2"));
    const std::string said = co_await std::move(asking);
    EXPECT_TRUE(said.starts_with("HTTP/1.1 503 Service Unavailable\r\n")) << said;
    EXPECT_EQ(count(said, "Retry-After: "), 1U) << said;
    EXPECT_EQ(count(said, "Connection: close\r\n"), 1U) << said;
  });
}

TEST(http_source, what_is_still_in_work_at_the_end_is_answered_before_it_closes) {
  loop own;
  auto main = []() -> task<> {
    served by;
    auto opening = by.open();
    co_await std::move(opening);
    auto asked = spawn(&served::ask, &by, post("\"hold\""));
    co_await by.held.wait();
    auto stopping = by.stop_reading();
    co_await std::move(stopping);
    auto closing = by.source().close();
    co_await std::move(closing);
    const std::string said = co_await asked;
    EXPECT_TRUE(said.starts_with("HTTP/1.1 503 Service Unavailable\r\n")) << said;
    EXPECT_EQ(count(said, R"("outcome":"returned")"), 1U) << said;
  };
  own.run(main());
}

TEST(http_source, a_port_that_is_taken_is_named) {
  with_source({}, [](served& by) -> task<> {
    http_source_options same;
    same.server.port = parse_http_address(by.source().address())->port;
    http_source other(same);
    std::string why;
    try {
      auto opening = other.open({}, {});
      co_await std::move(opening);
    } catch (const std::runtime_error& failed) {
      why = failed.what();
    }
    EXPECT_EQ(why, "source 'http': cannot listen on " + by.source().address() +
                       ": something else does; stop that, or take another port");
  });
}

TEST(http_source, partitions_of_earlier_runs_are_over) {
  loop own;
  auto main = []() -> task<> {
    http_source source{http_source_options{}};
    std::vector<partition_mark> before;
    before.push_back({"http:00000001", {}});
    before.push_back({"other:00000002", {}});
    before.push_back({"http:00000003", {}});
    auto opening = source.open(before, {});
    co_await std::move(opening);
    EXPECT_EQ(source.partitions().size(), 3U);
    EXPECT_TRUE(source.partitions()[0].starts_with("http:"));
    EXPECT_EQ(source.take_forgotten(), (std::vector<std::uint32_t>{1, 2}));
    EXPECT_EQ(source.partitions()[1], "");
    EXPECT_TRUE(source.take_forgotten().empty());
    auto closing = source.close();
    co_await std::move(closing);
  };
  own.run(main());
}

TEST(http_source, an_address_is_an_ip_and_a_port) {
  EXPECT_TRUE(parse_http_address("127.0.0.1:80")->is_loopback);
  EXPECT_TRUE(parse_http_address("localhost:80")->is_loopback);
  EXPECT_TRUE(parse_http_address("[::1]:80")->is_loopback);
  EXPECT_FALSE(parse_http_address("0.0.0.0:80")->is_loopback);
  EXPECT_FALSE(parse_http_address("[::]:80")->is_loopback);
  for (const char* wrong : {"", "80", ":80", "::1:80", "127.0.0.1", "127.0.0.1:", "h:80",
                            "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:8x", "[127.0.0.1]:80"}) {
    EXPECT_FALSE(parse_http_address(wrong).has_value()) << wrong;
  }
}

}  // namespace
}  // namespace brigade
