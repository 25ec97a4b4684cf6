#include "connect/http_client.hpp"

#include "connect/certificates.hpp"
#include "connect/http_far_side.hpp"
#include "connect/temporary_folder.hpp"
#include "connect/tls_context.hpp"

#include <brigade/async/event.hpp>
#include <brigade/async/gather.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/timeout.hpp>

#include <gtest/gtest.h>

namespace brigade::http {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using test::far_server;
using test::visitor;

request asking(std::string body = "", bool repeatable = false) {
  static std::string kept;  // a request refers to its body
  kept = std::move(body);
  request made;
  made.head =
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(kept.size()) + "\r\n\r\n";
  made.body = kept;
  made.repeatable = repeatable;
  return made;
}

address at(const far_server& server) { return url_template(server.url()).where(); }

client_options patient() {
  client_options options;
  options.connect_timeout = 20s;
  options.answer_timeout = 20s;
  return options;
}

/// What `visit` does with a server that `receive`s; then all of it ends.
void with_server(const test::reception& receive,
                 const std::function<task<>(far_server&, client&)>& visit,
                 client_options options = patient(), asio::ssl::context* tls = nullptr) {
  const auto whole = [&]() -> task<> {
    std::optional<far_server> server;  // outlives the group
    const auto body = [&](task_group& group) -> task<> {
      server.emplace(group, receive, tls);
      client own(options);
      co_await visit(*server, own);
      group.cancel("the test is over");
    };
    co_await with_group(body);
  };
  run(whole());
}

/// `200 body`, or what was thrown.
task<std::string> told_of(client& by, address to, request what) {
  try {
    const answer got = co_await by.send(to, what);
    co_return std::to_string(got.status) + " " + got.body + (got.is_cut ? "(cut)" : "");
  } catch (const unreachable& why) {
    co_return std::string("unreachable: ") + why.what();
  } catch (const broken& why) {
    co_return std::string("broken: ") + why.what();
  }
}

task<> greet(visitor& guest, int number) {
  for (int n = 0;; ++n) {
    const auto asked = co_await guest.request();
    if (!asked) co_return;
    co_await guest.answer(200, std::to_string(number) + "." + std::to_string(n));
  }
}

TEST(http_client, uses_a_connection_again) {
  with_server(greet, [](far_server& server, client& own) -> task<> {
    for (const char* expected : {"200 0.0", "200 0.1", "200 0.2"}) {
      EXPECT_EQ(co_await told_of(own, at(server), asking("hello")), expected);
    }
    EXPECT_EQ(server.connections, 1);
  });
}

/// The first request of each connection is answered with `text` as it is.
test::reception saying(const std::string& text) {
  return [text](visitor& guest, int) -> task<> {
    const auto asked = co_await guest.request();
    if (!asked) co_return;
    co_await guest.say(text);
    const bool more = co_await guest.receive();
    static_cast<void>(more);
  };
}

/// What a client makes of `text`, and how many connections two requests took.
std::string made_of(const std::string& text) {
  std::string result;
  const auto visit = [&](far_server& server, client& own) -> task<> {
    result = co_await told_of(own, at(server), asking());
    const std::string second = co_await told_of(own, at(server), asking());
    result += " | " + std::to_string(server.connections);
  };
  client_options options = patient();
  options.answer_timeout = 300ms;  // the second one waits where the connection was kept
  with_server(saying(text), visit, options);
  return result;
}

TEST(http_client, reads_answers_of_every_shape) {
  EXPECT_EQ(made_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: x\r\n\r\n"),
            "200 abcde | 1");
  EXPECT_EQ(made_of("HTTP/1.1 204 No Content\r\n\r\n"), "204  | 1");
  EXPECT_EQ(made_of("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"),
            "200 x | 1");
  EXPECT_EQ(made_of("HTTP/1.1 308 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n"
                    "\r\n"),
            "308  | 1");
}

TEST(http_client, a_connection_that_cannot_be_trusted_any_more_is_not_used_again) {
  EXPECT_EQ(made_of("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"),
            "200 x | 2");
  EXPECT_EQ(made_of("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"), "200 x | 2");
  EXPECT_EQ(made_of("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n"),
            "200 x | 2");
  EXPECT_EQ(made_of("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"), "101  | 2");
}

TEST(http_client, what_is_no_answer_is_an_error_that_says_so) {
  EXPECT_NE(made_of("SSH-2.0-OpenSSH\r\n").find("answered what is no HTTP/1.1"), std::string::npos);
  EXPECT_NE(made_of("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n").find("is no HTTP/1.1"),
            std::string::npos);
  EXPECT_NE(made_of("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
                .find("broken"),
            std::string::npos);
  EXPECT_NE(
      made_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").find("is no HTTP/1.1"),
      std::string::npos);
  EXPECT_NE(made_of("HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x')).find("is no HTTP/1.1"),
            std::string::npos)
      << "a header without end";
}

TEST(http_client, a_body_that_is_too_large_is_not_read) {
  client_options options = patient();
  options.body_bytes_max = 1000;
  const auto receive = [](visitor& guest, int) -> task<> {
    const auto asked = co_await guest.request();
    co_await guest.answer(asked->ends_with("chunked") ? 200 : 202, std::string(1001, 'x'));
  };
  const auto visit = [](far_server& server, client& own) -> task<> {
    EXPECT_EQ(co_await told_of(own, at(server), asking()), "202 (cut)");
    EXPECT_EQ(co_await told_of(own, at(server), asking()), "202 (cut)");
    EXPECT_EQ(server.connections, 2);
  };
  with_server(receive, visit, options);
}

TEST(http_client, a_connection_closed_while_idle_is_noticed_before) {
  event closed;
  const auto receive = [&](visitor& guest, int number) -> task<> {
    const auto asked = co_await guest.request();
    co_await guest.answer(200, std::to_string(number));
    guest.reset();
    closed.set();
  };
  with_server(receive, [&](far_server& server, client& own) -> task<> {
    EXPECT_EQ(co_await told_of(own, at(server), asking()), "200 0");
    co_await closed.wait();
    EXPECT_EQ(co_await told_of(own, at(server), asking()), "200 1") << "and not repeatable";
  });
}

/// The first connection is ended by its second request, without an answer.
task<> end_at_the_second(visitor& guest, int number) {
  for (int n = 0;; ++n) {
    const auto asked = co_await guest.request();
    if (!asked) co_return;
    if (number == 0 && n == 1) {
      guest.reset();
      co_return;
    }
    co_await guest.answer(200, std::to_string(number) + "." + std::to_string(n));
  }
}

TEST(http_client, what_a_used_connection_did_not_answer_is_asked_again_where_that_does_no_harm) {
  with_server(end_at_the_second, [](far_server& server, client& own) -> task<> {
    EXPECT_EQ(co_await told_of(own, at(server), asking("x", true)), "200 0.0");
    EXPECT_EQ(co_await told_of(own, at(server), asking("x", true)), "200 1.0");
  });
  with_server(end_at_the_second, [](far_server& server, client& own) -> task<> {
    EXPECT_EQ(co_await told_of(own, at(server), asking("x", false)), "200 0.0");
    const std::string second = co_await told_of(own, at(server), asking("x", false));
    EXPECT_EQ(second.find("broken"), 0U) << second;
    EXPECT_EQ(server.connections, 1);
  });
}

TEST(http_client, a_new_connection_that_breaks_is_not_asked_again) {
  const auto receive = [](visitor& guest, int) -> task<> {
    const auto asked = co_await guest.request();
    guest.reset();
  };
  with_server(receive, [](far_server& server, client& own) -> task<> {
    const std::string said = co_await told_of(own, at(server), asking("x", true));
    EXPECT_EQ(said.find("broken"), 0U) << said;
    EXPECT_EQ(server.connections, 1);
  });
}

TEST(http_client, an_answer_to_half_a_request_is_heard) {
  const auto receive = [](visitor& guest, int) -> task<> {
    const bool some = co_await guest.receive();
    static_cast<void>(some);
    co_await guest.answer(413, "too much", "Connection: close\r\n");
    co_await guest.hear_all();
  };
  with_server(receive, [](far_server& server, client& own) -> task<> {
    EXPECT_EQ(co_await told_of(own, at(server), asking(std::string(8 << 20, 'x'))), "413 too much");
  });
}

TEST(http_client, a_peer_that_says_nothing_is_given_up) {
  client_options options = patient();
  options.answer_timeout = 50ms;
  const auto receive = [](visitor& guest, int) -> task<> { co_await guest.hear_all(); };
  const auto visit = [](far_server& server, client& own) -> task<> {
    const std::string said = co_await told_of(own, at(server), asking("x", true));
    EXPECT_NE(said.find("did not answer within 50 ms"), std::string::npos) << said;
    EXPECT_EQ(server.connections, 1) << "not asked again: it may be at it";
  };
  with_server(receive, visit, options);
}

TEST(http_client, nobody_there_is_unreachable) {
  with_server(greet, [](far_server&, client& own) -> task<> {
    const address nowhere = url_template("http://127.0.0.1:1/").where();
    const std::string said = co_await told_of(own, nowhere, asking());
    EXPECT_EQ(said, "unreachable: cannot connect to http://127.0.0.1:1: Connection refused");
    const address nobody = url_template("http://no-such-name.invalid/").where();
    const std::string unknown = co_await told_of(own, nobody, asking());
    EXPECT_EQ(unknown.find("unreachable: the name 'no-such-name.invalid' cannot be resolved"), 0U)
        << unknown;
  });
}

TEST(http_client, a_name_is_resolved_and_its_addresses_tried) {
  with_server(greet, [](far_server& server, client& own) -> task<> {
    const std::string url = "http://localhost:" + std::to_string(server.port());
    const address named = url_template(url).where();
    EXPECT_EQ(co_await told_of(own, named, asking()), "200 0.0");
  });
}

TEST(http_client, as_many_connections_as_allowed_and_no_more) {
  client_options options = patient();
  options.connections_max = 2;
  int inside = 0;
  int most = 0;
  const auto receive = [&](visitor& guest, int) -> task<> {
    for (;;) {
      const auto asked = co_await guest.request();
      if (!asked) co_return;
      most = std::max(most, ++inside);
      co_await sleep_for(1ms);
      --inside;
      co_await guest.answer(200);
    }
  };
  const auto visit = [&](far_server& server, client& own) -> task<> {
    std::vector<task<std::string>> all;
    for (int i = 0; i < 10; ++i) all.push_back(told_of(own, at(server), asking()));
    const auto answers = co_await gather(std::move(all));
    for (const std::string& each : answers) EXPECT_EQ(each, "200 ");
    EXPECT_EQ(server.connections, 2);
    EXPECT_EQ(most, 2);
  };
  with_server(receive, visit, options);
}

/// Cancels a request when `reached` says so; the far side must see its connection end.
void cancelled_while(const std::function<task<>(visitor&, event&)>& until, bool with_tls = false) {
  event reached;
  event gone;
  const auto receive = [&](visitor& guest, int) -> task<> {
    co_await until(guest, reached);
    co_await guest.hear_all();
    gone.set();
  };
  client_options options = patient();
  if (with_tls) options.tls = tls::client_context({});
  const auto visit = [&](far_server& server, client& own) -> task<> {
    address where = at(server);
    where.tls = with_tls;
    const request what = asking("x");
    auto sending = spawn([&] { return own.send(where, what); });
    co_await reached.wait();
    sending.cancel("enough");
    co_await gone.wait();
    EXPECT_TRUE(sending.cancelled());
  };
  with_server(receive, visit, options);
}

TEST(http_client, cancelled_at_any_wait_it_leaves_no_connection_behind) {
  cancelled_while([](visitor& guest, event& reached) -> task<> {
    const auto asked = co_await guest.request();
    reached.set();
  });
  cancelled_while([](visitor& guest, event& reached) -> task<> {
    const auto asked = co_await guest.request();
    co_await guest.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    reached.set();
  });
  const auto in_the_handshake = [](visitor& guest, event& reached) -> task<> {
    const bool hello = co_await guest.receive();
    EXPECT_TRUE(hello);
    reached.set();
  };
  cancelled_while(in_the_handshake, true);
}

class http_client_tls : public ::testing::Test {
 protected:
  http_client_tls() {
    const test::identity ca({});
    const test::identity host({.names = "IP:127.0.0.1"}, &ca);
    folder.write("ca.pem", ca.certificate());
    folder.write("host.pem", host.certificate() + host.key());
    context = tls::server_context({.certificate = folder / "host.pem"});
    options = patient();
    options.tls = tls::client_context({.ca = folder / "ca.pem"});
  }
  test::temporary_folder folder;
  std::shared_ptr<asio::ssl::context> context;
  client_options options;
};

task<> greet_with_tls(visitor& guest, int number) {
  const bool trusted = co_await guest.handshake();
  if (trusted) co_await greet(guest, number);
}

TEST_F(http_client_tls, uses_a_connection_again) {
  const auto visit = [](far_server& server, client& own) -> task<> {
    EXPECT_EQ(co_await told_of(own, at(server), asking("x")), "200 0.0");
    EXPECT_EQ(co_await told_of(own, at(server), asking(std::string(100'000, 'x'))), "200 0.1");
  };
  with_server(greet_with_tls, visit, options, context.get());
}

TEST_F(http_client_tls, a_host_that_is_not_trusted_hears_no_request) {
  options.tls = tls::client_context({});
  const auto visit = [](far_server& server, client& own) -> task<> {
    const std::string said = co_await told_of(own, at(server), asking("x"));
    EXPECT_NE(said.find("unreachable: " + at(server).shown() +
                        ": its certificate is not to be trusted: "),
              std::string::npos)
        << said;
  };
  with_server(greet_with_tls, visit, options, context.get());
}

TEST_F(http_client_tls, a_peer_that_says_nothing_is_given_up) {
  options.connect_timeout = 50ms;
  const auto receive = [](visitor& guest, int) -> task<> { co_await guest.hear_all(); };
  const auto visit = [](far_server& server, client& own) -> task<> {
    address where = at(server);
    where.tls = true;
    const std::string said = co_await told_of(own, where, asking("x"));
    EXPECT_NE(said.find("within 50 ms"), std::string::npos) << said;
  };
  with_server(receive, visit, options);
}

}  // namespace
}  // namespace brigade::http
