// What the HTTP client's parts make of texts: URLs, answers, batches.
#include "connect/components.hpp"
#include "connect/http_answer.hpp"
#include "connect/http_batch.hpp"
#include "connect/http_judge.hpp"
#include "connect/http_url.hpp"

#include <brigade/pipeline/config_spec.hpp>
#include <brigade/pipeline/stage.hpp>

#include <gtest/gtest.h>

namespace brigade::http {
namespace {

using namespace std::chrono_literals;

TEST(http_url, says_whom_to_connect_to) {
  const auto shown = [](const char* url) {
    const url_template made(url);
    return made.where().shown() + " " + made.where().host + " " +
           std::to_string(made.where().port) + " " + made.target("{}");
  };
  EXPECT_EQ(shown("http://a.example"), "http://a.example a.example 80 /");
  EXPECT_EQ(shown("HTTPS://a.example:443/x?y=1"), "https://a.example a.example 443 /x?y=1");
  EXPECT_EQ(shown("https://a.example:8443?y"), "https://a.example:8443 a.example 8443 /?y");
  EXPECT_EQ(shown("http://[::1]:80/"), "http://[::1] ::1 80 /");
  EXPECT_EQ(shown("http://127.0.0.1:8080/%20"), "http://127.0.0.1:8080 127.0.0.1 8080 /%20");
}

TEST(http_url, refuses_what_is_none_and_says_why) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "must begin with http://"},
      {"ftp://a/", "must begin with http://"},
      {"a.example/x", "must begin with http://"},
      {"http://", "is no host"},
      {"http:///x", "is no host"},
      {"http://{host}/x", "is no host"},
      {"http://a.{tenant}.example/", "is no host"},
      {"http://bücher.example/", "is no host"},
      {"http://a:0/", "'0' is no port"},
      {"http://a:65536/", "is no port"},
      {"http://a:/", "'' is no port"},
      {"http://a:{port}/", "is no port"},
      {"http://[::1/", "']' is missing"},
      {"http://[fe80]/", "is no IPv6 address"},
      {"http://[::1]8/", "comes behind ':'"},
      {"http://user:s3cret@a/", "does not belong into the URL"},
      {"http://a/#top", "a fragment"},
      {"http://a/b c", "write %20"},
      {"http://a/b\r\nX: y", "write %0D"},
      {"http://a/b{", "write %7B"},
      {"http://a/%zz", "write %25"},
      {"http://a/ü", "write %C3"},
  };
  for (const auto& [url, why] : cases) {
    const std::string said = test::config_error_of([&, text = url] { (void)url_template(text); });
    EXPECT_EQ(said.find("url: "), 0U) << url;
    EXPECT_NE(said.find(why), std::string::npos) << url << " -> " << said;
    EXPECT_EQ(said.find("s3cret"), std::string::npos) << "a secret is not repeated: " << said;
  }
}

TEST(http_url, fields_are_percent_encoded) {
  const url_template url("http://a/orders/{id}/by-{who}?q={q}&again={id}");
  EXPECT_TRUE(url.has_fields());
  EXPECT_EQ(test::config_error_of([] { (void)url_template("http://a/{{id}}"); }),
            "url: '{' cannot stand in a URL like that: write %7B");
  EXPECT_EQ(url.target(R"({"id": 17, "who": "a/b ?&=ü", "q": ""})"),
            "/orders/17/by-a%2Fb%20%3F%26%3D%C3%BC?q=&again=17");
  EXPECT_EQ(url.target(R"({"id": "x\r\ny", "who": {"a": 1}, "q": ".."})"),
            "/orders/x%0D%0Ay/by-%7B%22a%22%3A%201%7D?q=..&again=x%0D%0Ay");
}

TEST(http_url, a_field_cannot_make_it_another_address) {
  const url_template url("http://a/orders/{id}");
  for (const char* item : {R"({"id": ""})", R"({"id": "."})", R"({"id": ".."})"}) {
    EXPECT_THROW((void)url.target(item), permanent_error) << item;
  }
  EXPECT_EQ(url.target(R"({"id": "..."})"), "/orders/...");
  EXPECT_THROW((void)url.target(R"({"no": 1})"), permanent_error);
  EXPECT_THROW((void)url.target(R"([1])"), permanent_error);
  EXPECT_THROW((void)url_template("http://a/{x}{y}/z").target(R"({"x": ".", "y": "."})"),
               permanent_error);
  EXPECT_EQ(url_template("http://a/{x}?{x}").target(R"({"x": "a"})"), "/a?a");
}

TEST(http_answer, classes_of_statuses) {
  const auto of = [](int status, addressed how) {
    constexpr const char* names[] = {"done", "refused", "unclear", "throttled"};
    return std::string(names[static_cast<int>(meaning_of(status, how))]);
  };
  for (const int status : {200, 201, 202, 204, 207}) {
    EXPECT_EQ(of(status, addressed::fixed), "done");
    EXPECT_EQ(of(status, addressed::by_item), "done");
  }
  for (const int status : {400, 409, 412, 413, 414, 422}) {
    EXPECT_EQ(of(status, addressed::fixed), "refused") << status;
    EXPECT_EQ(of(status, addressed::by_item), "refused") << status;
  }
  for (const int status : {301, 308, 402, 404, 405, 410, 415, 426, 451}) {
    EXPECT_EQ(of(status, addressed::fixed), "unclear") << status;
    EXPECT_EQ(of(status, addressed::by_item), "refused") << status;
  }
  for (const int status : {401, 403, 407, 408, 425, 500, 502, 503, 504, 599}) {
    EXPECT_EQ(of(status, addressed::fixed), "unclear") << status;
    EXPECT_EQ(of(status, addressed::by_item), "unclear") << status;
  }
  EXPECT_EQ(of(429, addressed::fixed), "throttled");
}

TEST(http_answer, is_told_on_one_line_without_the_secret) {
  answer got{.status = 422, .reason = "Unprocessable Entity", .body = "bad:\n  s3cret, s3cret\n"};
  EXPECT_EQ(told("http://a", got, {"s3cret"}),
            "http://a answered 422 Unprocessable Entity: bad:   ***, ***");
  EXPECT_EQ(told("http://a", answer{.status = 500}, {}), "http://a answered 500");
  got.body.assign(100'000, 'x');
  EXPECT_LT(told("http://a", got, {}).size(), 400U);
  EXPECT_NE(told("http://a", answer{.status = 308}, {}).find("not followed"), std::string::npos);
}

// Guards: a secret that stands in what is put in its place was looked for again there, for ever.
TEST(http_answer, a_secret_of_stars_is_hidden_once) {
  EXPECT_EQ(without("* and *", {"*"}), "*** and ***");
  EXPECT_EQ(without("it was ****", {"***"}), "it was ****");
  EXPECT_EQ(without("as it is", {""}), "as it is");
}

TEST(http_answer, retry_after_is_seconds_or_a_date) {
  const auto now = std::chrono::system_clock::from_time_t(784111777);  // Sun, 06 Nov 1994 08:49:37
  const auto of = [&](const char* value, const char* date = "") {
    const auto time = retry_after_of(value, date, now);
    return time ? time->count() : -1;
  };
  EXPECT_EQ(of("0"), 0);
  EXPECT_EQ(of("120"), 120'000);
  EXPECT_EQ(of("99999999999999999999999"), 86'400'000);
  EXPECT_EQ(of("Sun, 06 Nov 1994 08:50:07 GMT"), 30'000);
  EXPECT_EQ(of("Sun, 06 Nov 1994 08:49:07 GMT"), 0) << "in the past";
  EXPECT_EQ(of("Sun, 06 Nov 1994 08:50:07 GMT", "Sun, 06 Nov 1994 08:50:00 GMT"), 7'000)
      << "by the clock of who answered";
  EXPECT_EQ(of("Mon, 06 Nov 2034 08:50:07 GMT"), 86'400'000);
  for (const char* none : {"", "-1", "soon", "1.5", "Sun, 06 Nov 1994", "12 s",
                           "Sun, 06 Xxx 1994 08:50:07 GMT", "Sun, 06 Nov 1994 08:50:07 GMT!"}) {
    EXPECT_EQ(of(none), -1) << none;
  }
}

TEST(http_answer, names_and_values_of_headers) {
  EXPECT_TRUE(is_header_name("X-Shop"));
  for (const char* name : {"", "X Shop", "X:", "X\r\n", "ü"}) EXPECT_FALSE(is_header_name(name));
  EXPECT_TRUE(is_header_value("a b\tc"));
  EXPECT_TRUE(is_header_value(""));
  for (const char* value : {"a\r\nb", "a\n", " a", "a ", "a\x01"}) {
    EXPECT_FALSE(is_header_value(value)) << value;
  }
  EXPECT_TRUE(same_name("content-TYPE", "Content-Type"));
  EXPECT_FALSE(same_name("Content-Typ", "Content-Type"));
}

struct text_item {
  std::string text;
  void append_json_text(std::string& to) const {
    if (text == "bad") throw permanent_error("bad");
    to += text;
  }
};

TEST(http_batch, items_are_written_in_each_form_and_a_bad_one_leaves_no_trace) {
  const auto written = [](body_format format, const std::vector<text_item>& items) {
    body_writer body(format);
    for (const text_item& item : items) {
      try {
        body.add(item);
      } catch (const permanent_error&) {
        continue;
      }
    }
    return std::move(body).finished();
  };
  EXPECT_EQ(written(body_format::json, {{"1"}}), "1");
  EXPECT_EQ(written(body_format::ndjson, {{"1"}, {"bad"}, {"2"}}), "1\n2\n");
  EXPECT_EQ(written(body_format::array, {{"1"}, {"bad"}, {"2"}}), "[1,2]");
  EXPECT_EQ(written(body_format::array, {{"bad"}, {"1"}}), "[1]");
}

TEST(http_batch, statuses_are_read_where_there_is_one_an_item) {
  const auto read = read_statuses(
      " [{\"status\": 200}, {\"status\":422,\"error\":\"no\\nname\"}, {\"status\":503,\"error\":"
      "{\"code\":1}}, {\"status\":201,\"error\":null}]\n",
      4);
  ASSERT_TRUE(read);
  EXPECT_EQ((*read)[0].status, 200);
  EXPECT_EQ((*read)[1].error, "no\\x0aname");
  EXPECT_EQ((*read)[2].error, "{\"code\":1}");
  EXPECT_EQ((*read)[3].error, "");
  for (const char* other :
       {"", "ok", "[]", "{}", "[{\"status\":200}]", "[{\"status\":200},{}]",
        "[{\"status\":200},{\"status\":\"200\"}]", "[{\"status\":200},{\"status\":99}]",
        "[{\"status\":200},{\"status\":200},{\"status\":200}]", "[{\"status\":200},{\"status\":2",
        "[200,200]", "[{\"status\":200},{\"status\":2e2000}]"}) {
    EXPECT_FALSE(read_statuses(other, 2)) << other;
  }
}

TEST(http_batch, the_key_of_several_is_that_of_these_in_this_order) {
  const std::vector<std::string_view> keys = {"a", "b"};
  const std::vector<std::string_view> turned = {"b", "a"};
  const std::vector<std::string_view> joined = {"a\nb"};
  EXPECT_EQ(key_of_all(keys).size(), 64U);
  EXPECT_EQ(key_of_all(keys), key_of_all(keys));
  EXPECT_NE(key_of_all(keys), key_of_all(turned));
  EXPECT_NE(key_of_all(std::span(keys).first(1)), key_of_all(keys));
}

TEST(http_judge, five_different_items_without_success_are_an_outage) {
  judge opinion;
  const judge::time_point now = judge::time_point{} + 1h;
  for (int i = 0; i < 20; ++i) opinion.failed("the same", now);
  EXPECT_FALSE(opinion.is_outage());
  for (const char* key : {"b", "c", "d"}) opinion.failed(key, now);
  EXPECT_FALSE(opinion.is_outage());
  opinion.failed("e", now);
  EXPECT_TRUE(opinion.is_outage());
  EXPECT_FALSE(opinion.takes_turns(now + 24h)) << "an outage is waited out";
  opinion.works(now);
  EXPECT_FALSE(opinion.is_outage());
}

TEST(http_judge, who_fails_while_others_go_well_is_to_blame) {
  judge opinion;
  const judge::time_point now = judge::time_point{} + 1h;
  opinion.failed("bad", now);
  EXPECT_FALSE(opinion.blames("bad"));
  opinion.works(now);
  EXPECT_TRUE(opinion.blames("bad"));
  opinion.failed("bad", now + 1h);
  EXPECT_TRUE(opinion.blames("bad")) << "still known";
  opinion.settled("bad");
  opinion.failed("bad", now + 2h);
  EXPECT_FALSE(opinion.blames("bad")) << "as new";
}

TEST(http_judge, where_it_worked_just_before_a_lone_one_makes_room_sooner) {
  judge opinion;
  const judge::time_point now = judge::time_point{} + 1h;
  opinion.works(now);
  opinion.failed("bad", now + 9s);
  EXPECT_FALSE(opinion.takes_turns(now + 13s));
  EXPECT_TRUE(opinion.takes_turns(now + 14s));
  EXPECT_FALSE(opinion.takes_turns(now + 73s)) << "that was long ago now";
  EXPECT_TRUE(opinion.takes_turns(now + 74s));
}

TEST(http_judge, a_lone_one_makes_room_after_a_minute_and_again_after_the_next) {
  judge opinion;
  const judge::time_point now = judge::time_point{} + 1h;
  EXPECT_FALSE(opinion.takes_turns(now + 1h)) << "nobody failed";
  opinion.failed("bad", now);
  EXPECT_FALSE(opinion.takes_turns(now + 59s));
  EXPECT_TRUE(opinion.takes_turns(now + 60s));
  EXPECT_FALSE(opinion.takes_turns(now + 61s));
  opinion.failed("bad", now + 70s);
  EXPECT_TRUE(opinion.takes_turns(now + 120s));
}

}  // namespace
}  // namespace brigade::http
