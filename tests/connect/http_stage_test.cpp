// The stage `http`, made as the program makes it, against a server that does as it is told; and
// what both components refuse in a pipeline file.
#include "connect/components.hpp"
#include "connect/http_far_side.hpp"

#include <brigade/async/loop.hpp>
#include <brigade/connect/http.hpp>

#include <gtest/gtest.h>

namespace brigade {
namespace {

using test::far_server;
using test::visitor;
using given = std::vector<std::pair<std::string, field_value>>;

const registry& known() {
  static const registry made = [] {
    registry components;
    register_http(components);
    return components;
  }();
  return made;
}

/// What a stage makes of an item, and what it was asked: `passed {...}`, `unchanged`,
/// `permanent: why`, `retryable 5000: why`.
struct tried {
  std::string result;
  std::string asked;
};

std::string word_for(const attempt_result::kind what) {
  return what == attempt_result::kind::unchanged ? "unchanged" : "other";
}

std::string text_of(attempt_result result) {
  if (result.what() == attempt_result::kind::passed) {
    return "passed " + result.value().get<record>().json_text();
  }
  if (result.what() != attempt_result::kind::failed) return word_for(result.what());
  const failure& why = result.why();
  std::string text = why.kind == verdict::permanent ? "permanent" : "retryable";
  if (why.retry_after) text += " " + std::to_string(why.retry_after->count());
  return text + ": " + why.error;
}

task<std::string> attempt(stage_body& stage, record item, std::string key) {
  payload value(std::move(item));
  attempt_info info;
  info.key = key;
  std::exception_ptr thrown;
  try {
    co_return text_of(co_await stage.run(value, info));
  } catch (const std::exception&) {
    thrown = std::current_exception();
  }
  co_return text_of(failed_by(thrown));
}

/// `url` is put behind the server's own; `answer` is all the server says.
tried try_stage(given fields, const std::string& path, const std::string& item,
                const std::string& said) {
  tried result;
  const auto receive = [&](visitor& guest, int) -> task<> {
    const auto asked = co_await guest.request();
    result.asked = *asked;
    co_await guest.say(said);
  };
  const auto whole = [&]() -> task<> {
    std::optional<far_server> server;  // outlives the group
    const auto body = [&](task_group& group) -> task<> {
      server.emplace(group, receive);
      fields.emplace_back("url", server->url(path));
      const auto stage = test::make_stage(known(), "http", fields);
      co_await stage->open(1);
      result.result = co_await attempt(*stage, record::json(item), "orders:main:1");
      co_await stage->close();
      const std::string port = ":" + std::to_string(server->port());
      for (std::string* text : {&result.result, &result.asked}) {
        const std::size_t place = text->find(port);
        if (place != std::string::npos) text->erase(place, port.size());
      }
      group.cancel("the test is over");
    };
    co_await with_group(body);
  };
  run(whole());
  return result;
}

std::string said(int status, const std::string& body = "", const std::string& headers = "") {
  return "HTTP/1.1 " + std::to_string(status) + " Said\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

TEST(http_stage, asks_with_the_item_and_goes_on_with_the_answer) {
  const tried result =
      try_stage({}, "/charge?x=1", R"({"id": 7})", said(201, "{\"ok\":\n true}\n"));
  EXPECT_EQ(result.result, R"(passed {"ok":  true})");
  EXPECT_EQ(result.asked,
            "POST /charge?x=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: brigade\r\n"
            "Accept: application/json, */*;q=0.5\r\nIdempotency-Key: orders:main:1\r\n"
            "Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"id\": 7}");
}

TEST(http_stage, a_get_sends_nothing_but_the_address) {
  const given fields = {{"method", std::string("GET")}, {"token", std::string("s3cret")}};
  const tried result = try_stage(fields, "/users/{user}", R"({"user": "a b"})", said(200, "1"));
  EXPECT_EQ(result.result, "passed 1");
  EXPECT_EQ(result.asked,
            "GET /users/a%20b HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer s3cret\r\n"
            "User-Agent: brigade\r\nAccept: application/json, */*;q=0.5\r\n\r\n");
}

TEST(http_stage, the_answer_goes_where_it_is_told) {
  const given merge = {{"response", std::string("merge")}, {"into", std::string("user")}};
  EXPECT_EQ(
      try_stage(merge, "/", R"({"id":7,"user":"x","z":[1]})", said(200, R"({"n": 1})")).result,
      R"(passed {"id":7,"z":[1],"user":{"n": 1}})");
  EXPECT_EQ(try_stage(merge, "/", "{}", said(200, "null")).result, R"(passed {"user":null})");
  EXPECT_EQ(try_stage(merge, "/", "{}", said(204)).result, "unchanged");
  EXPECT_EQ(try_stage(merge, "/", "[1]", said(200, "1")).result,
            "permanent: the item is no object that the answer could be put into");
  const given ignore = {{"response", std::string("ignore")}};
  EXPECT_EQ(try_stage(ignore, "/", "{}", said(200, "no JSON")).result, "unchanged");
  EXPECT_EQ(try_stage({}, "/", "{}", said(200)).result, "unchanged");
  EXPECT_EQ(try_stage({}, "/", "{}", said(200, "<html>"))
                .result.find("permanent: the answer of http://127.0.0.1 is no JSON: "),
            0U);
}

// Guards: a far side that repeats what it was sent would have put it into log and dead letter.
TEST(http_stage, what_an_answer_repeats_of_the_secrets_is_told_to_nobody) {
  const given fields = {{"token", std::string("s3cret")}};
  const std::string echo = "s3cret at /hooks/T00B00/7?key=K00 and /hooks/T00B00/";
  for (const int status : {200, 422}) {
    const std::string told =
        try_stage(fields, "/hooks/T00B00/{n}?key=K00", R"({"n": 7})", said(status, echo)).result;
    EXPECT_EQ(told.find("permanent: "), 0U) << told;
    EXPECT_NE(told.find("*** at ***7?*** and ***"), std::string::npos) << told;
  }
}

TEST(http_stage, the_status_says_whether_to_try_again) {
  const auto of = [](int status, const std::string& headers = "") {
    return try_stage({}, "/", "{}", said(status, "why", headers)).result;
  };
  for (const int status : {400, 404, 409, 410, 422}) {
    EXPECT_EQ(of(status),
              "permanent: http://127.0.0.1 answered " + std::to_string(status) + " Said: why");
  }
  for (const int status : {401, 403, 408, 425, 429, 500, 503}) {
    EXPECT_EQ(of(status),
              "retryable: http://127.0.0.1 answered " + std::to_string(status) + " Said: why");
  }
  EXPECT_EQ(of(503, "Retry-After: 5\r\n"),
            "retryable 5000: http://127.0.0.1 answered 503 Said: why");
  EXPECT_EQ(of(302, "Location: /x\r\n"),
            "permanent: http://127.0.0.1 answered 302 Said; redirects are not followed: give the "
            "address it leads to");
}

TEST(http_stage, a_connection_that_ends_too_soon_is_tried_again) {
  EXPECT_EQ(try_stage({}, "/", "{}", "").result,
            "retryable: http://127.0.0.1 closed the connection instead of an answer");
  EXPECT_EQ(try_stage({}, "/", "{}", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").result,
            "retryable: http://127.0.0.1 closed the connection in the middle of an answer");
}

TEST(http_stage, an_item_without_the_field_never_leaves) {
  const tried result = try_stage({}, "/{id}", "{}", said(200));
  EXPECT_EQ(result.result, "permanent: the item has no field 'id' to fill into the URL");
  EXPECT_EQ(result.asked, "");
}

/// The refusal of a component with these fields beside `url`.
std::string refusal(component_kind kind, given fields, const std::string& url = "http://a/") {
  fields.emplace_back("url", url);
  const component& entry = *known().find(kind, "http");
  return test::config_error_of([&] {
    const settings values = test::settings_for(entry, fields);
    if (kind == component_kind::sink) {
      (void)entry.make_sink(values, test::context_in("."));
    } else {
      (void)entry.make_stage(values, test::context_in("."));
    }
  });
}

TEST(http_components, refuse_what_makes_no_sense) {
  const auto stage = component_kind::stage;
  const auto sink = component_kind::sink;
  const auto text = [](const char* value) { return field_value(std::string(value)); };
  const auto header = [](const char* name, const char* value) {
    return field_value(std::map<std::string, std::string>{{name, value}});
  };
  EXPECT_EQ(refusal(stage, {}), "");
  EXPECT_EQ(refusal(sink, {}), "");
  EXPECT_EQ(refusal(sink, {{"headers", header("host", "x")}}),
            "headers: header 'host' is brigade's to write");
  EXPECT_EQ(
      refusal(sink, {{"headers", header("X-A", "a\r\nX-B: b")}}).find("headers: the value of"), 0U);
  EXPECT_EQ(refusal(sink, {{"headers", header("X A", "a")}}), "headers: 'X A' is no header's name");
  EXPECT_EQ(refusal(sink, {{"headers", header("authorization", "x")}, {"token", text("y")}}),
            "token: 'headers' has Authorization already; give one of the two");
  EXPECT_EQ(refusal(sink, {{"token", text("a\nb")}}).find("token: "), 0U);
  EXPECT_EQ(refusal(sink, {{"token", text("a\nb")}}).find("a\nb"), std::string::npos);
  EXPECT_EQ(refusal(sink, {{"ca", text("ca.pem")}}),
            "ca: is of no use with http://; write https://");
  EXPECT_EQ(refusal(sink, {{"client_key", text("k.pem")}}, "https://a/"),
            "client_key: there is no 'client_certificate' that it could be of");
  EXPECT_EQ(refusal(sink, {{"in_flight", std::int64_t{0}}}),
            "in_flight: in_flight is 0; it must be from 1 to 1000");
  EXPECT_EQ(refusal(sink, {{"format", text("ndjson")}}, "http://a/{id}").find("url: a request of"),
            0U);
  EXPECT_EQ(refusal(sink, {{"idempotency_header", text("X Y")}}),
            "idempotency_header: 'X Y' is no header's name");
  EXPECT_EQ(refusal(sink, {{"idempotency_header", text("")}}), "");
  EXPECT_EQ(refusal(stage, {{"response", text("merge")}}).find("into: 'response: merge' needs it"),
            0U);
  EXPECT_EQ(refusal(stage, {{"into", text("x")}}), "into: goes with 'response: merge' only");
  EXPECT_EQ(refusal(stage, {{"method", text("GET")}, {"body", text("item")}}).find("body: "), 0U);
  EXPECT_EQ(refusal(stage, {{"connect_timeout", milliseconds(0)}}),
            "connect_timeout: must be longer than that");
}

}  // namespace
}  // namespace brigade
