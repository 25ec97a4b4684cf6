#include "connect/exec_desk.hpp"

#include "connect/exec_protocol.hpp"

#include <brigade/connect/record.hpp>

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace brigade::exec {
namespace {

using namespace std::chrono_literals;

class plain_order final : public order {
 public:
  explicit plain_order(const std::string& name) : order(kept(name), kept(name), 1, "{}") {}
  int settlements = 0;

 private:
  void settled() noexcept override { ++settlements; }
  static std::string_view kept(const std::string& name) {
    static std::deque<std::string> names;  // an order only refers to its name
    return names.emplace_back(name);
  }
};

/// A desk whose handler is played by the test.
class exec_desk : public ::testing::Test, public desk::port {
 protected:
  desk& with_room_for(int in_flight, milliseconds timeout = 60s) {
    desk_ = std::make_unique<desk>(*this, in_flight, timeout);
    return *desk_;
  }
  plain_order& submit(const std::string& name) {
    orders_.push_back(std::make_unique<plain_order>(name));
    desk_->submit(*orders_.back(), now_);
    return *orders_.back();
  }
  void begin() {
    EXPECT_TRUE(std::exchange(wanted_, false)) << "a handler began that nobody wanted";
    desk_->handler_began(now_);
    asked_.clear();
  }
  void end(const std::string& how = "exit code 1", std::uint64_t bytes_unread = 0) {
    handler_end ending;
    ending.how = how;
    ending.bytes_unread = bytes_unread;
    desk_->handler_ended(ending);
    condemned_ = false;
  }
  /// The names of the orders that went out since the last call, read from the bytes written.
  std::string written() {
    const std::string bytes = desk_->take_output({});
    desk_->wrote(bytes.size());
    std::string names;
    for (std::size_t at = bytes.find("\"id\": "); at != std::string::npos;
         at = bytes.find("\"id\": ", at + 1)) {
      const std::size_t key = bytes.find("\"key\": \"", at) + 8;
      const std::string name = bytes.substr(key, bytes.find('"', key) - key);
      asked_[name] = bytes.substr(at + 6, bytes.find(',', at) - at - 6);
      names += name;
    }
    return names;
  }
  void answer_to(const std::string& name) {
    desk_->line_came("{\"id\": " + asked_.at(name) + ", \"ok\": \"" + name + "\"}", now_);
  }
  void handler_wanted() noexcept override { wanted_ = true; }
  void output_ready() noexcept override { ++outputs_; }
  void condemned() noexcept override { condemned_ = true; }
  void order_out() noexcept override {}
  void silent(const std::string& why) noexcept override { said_of_silence_ += why; }

  std::unique_ptr<desk> desk_;
  std::vector<std::unique_ptr<plain_order>> orders_;
  std::map<std::string, std::string> asked_;
  desk::time_point now_{1h};
  bool wanted_ = false;
  bool condemned_ = false;
  int outputs_ = 0;
  std::string said_of_silence_;
};

bool passed(const plain_order& one) {
  return one.result && one.result->what() == attempt_result::kind::passed && one.settlements == 1;
}
bool killed(const plain_order& one) {
  return one.result && one.result->what() == attempt_result::kind::failed &&
         one.result->why().killed_handler && one.settlements == 1;
}
std::string error_of(const plain_order& one) {
  const bool failed = one.result && one.result->what() == attempt_result::kind::failed;
  return failed ? one.result->why().error : "";
}

TEST_F(exec_desk, wants_a_handler_only_when_there_is_something_to_do) {
  with_room_for(1);
  EXPECT_FALSE(wanted_);
  submit("a");
  EXPECT_TRUE(wanted_);
}

TEST_F(exec_desk, sends_no_more_at_once_than_there_is_room_for) {
  with_room_for(2);
  plain_order& a = submit("a");
  submit("b");
  plain_order& c = submit("c");
  begin();
  EXPECT_EQ(written(), "ab");
  answer_to("b");
  EXPECT_EQ(written(), "c");
  answer_to("c");
  answer_to("a");
  EXPECT_TRUE(passed(a));
  EXPECT_TRUE(passed(c));
  EXPECT_EQ(c.result->value().get<record>().raw(), "\"c\"");
  EXPECT_TRUE(desk_->idle());
}

TEST_F(exec_desk, announces_output_once_for_requests_that_leave_together) {
  with_room_for(10);
  submit("a");
  begin();
  submit("b");
  submit("c");
  EXPECT_EQ(outputs_, 1);
  EXPECT_EQ(written(), "abc");
  submit("d");
  EXPECT_EQ(outputs_, 2);
}

TEST_F(exec_desk, blames_the_only_one_that_was_out_when_the_handler_died) {
  with_room_for(1);
  plain_order& a = submit("a");
  plain_order& b = submit("b");
  begin();
  EXPECT_EQ(written(), "a");
  end("exit code 1");
  EXPECT_TRUE(killed(a));
  EXPECT_EQ(error_of(a), "handler ended (exit code 1) before it answered");
  EXPECT_EQ(a.result->why().kind, verdict::retryable);
  begin();
  EXPECT_EQ(written(), "b");
  answer_to("b");
  EXPECT_TRUE(passed(b));
}

TEST_F(exec_desk, hunts_for_the_killer_one_at_a_time_and_blames_only_it) {
  with_room_for(4);
  plain_order& a = submit("a");
  plain_order& b = submit("b");
  plain_order& c = submit("c");
  begin();
  EXPECT_EQ(written(), "abc");
  end();
  plain_order& late = submit("l");
  begin();
  EXPECT_EQ(written(), "a") << "a suspect goes out alone";
  answer_to("a");
  EXPECT_TRUE(passed(a));
  EXPECT_EQ(written(), "b");
  end("killed by SIGSEGV");
  EXPECT_TRUE(killed(b));
  begin();
  EXPECT_EQ(written(), "cl") << "the killer is found: the others share the handler again";
  answer_to("c");
  answer_to("l");
  EXPECT_TRUE(passed(c));
  EXPECT_TRUE(passed(late));
}

TEST_F(exec_desk, goes_back_to_sharing_when_no_suspect_kills_again) {
  with_room_for(2);
  submit("a");
  submit("b");
  begin();
  EXPECT_EQ(written(), "ab");
  end();
  submit("c");
  submit("d");
  begin();
  EXPECT_EQ(written(), "a");
  answer_to("a");
  EXPECT_EQ(written(), "b");
  answer_to("b");
  EXPECT_EQ(written(), "cd");
}

TEST_F(exec_desk, does_not_suspect_what_never_reached_the_handler) {
  with_room_for(2);
  plain_order& a = submit("a");
  begin();
  EXPECT_EQ(written(), "a");
  plain_order& b = submit("b");  // still in the output when the handler dies
  end();
  EXPECT_TRUE(killed(a));
  EXPECT_FALSE(b.result);
  begin();
  EXPECT_EQ(written(), "b");
}

TEST_F(exec_desk, blames_somebody_when_a_handler_dies_before_it_read_anything) {
  with_room_for(1);
  plain_order& a = submit("a");
  begin();
  end();
  EXPECT_TRUE(killed(a)) << "or else handlers would be started for ever";
}

TEST_F(exec_desk, blames_nobody_when_a_handler_that_answered_ends_with_the_next_request_unread) {
  with_room_for(1);
  plain_order& a = submit("a");
  begin();
  EXPECT_EQ(written(), "a");
  answer_to("a");
  plain_order& b = submit("b");
  const std::string request = desk_->take_output({});
  desk_->wrote(request.size());
  end("exit code 0", request.size());
  EXPECT_TRUE(passed(a));
  EXPECT_FALSE(b.result);
  begin();
  EXPECT_EQ(written(), "b");
  end("exit code 0", 1);
  EXPECT_TRUE(killed(b)) << "it had begun to read it";
}

TEST_F(exec_desk, says_once_that_a_handler_is_silent_even_without_a_timeout) {
  with_room_for(2, 0s);
  submit("a");
  begin();
  EXPECT_EQ(written(), "a");
  const auto due = desk_->next_deadline();
  ASSERT_TRUE(due);
  desk_->time_passed(*due - 1ms);
  EXPECT_EQ(said_of_silence_, "");
  desk_->time_passed(*due);
  EXPECT_NE(said_of_silence_.find("its stdout may be buffered"), std::string::npos);
  EXPECT_FALSE(desk_->next_deadline()) << "said once";
  EXPECT_FALSE(condemned_);
}

TEST_F(exec_desk, is_not_astonished_at_the_silence_of_a_handler_that_has_answered) {
  with_room_for(1, 0s);
  submit("a");
  begin();
  EXPECT_EQ(written(), "a");
  answer_to("a");
  submit("b");
  EXPECT_EQ(written(), "b");
  EXPECT_FALSE(desk_->next_deadline());
}

TEST_F(exec_desk, says_that_an_answer_lacks_its_newline) {
  with_room_for(1, 5s);
  plain_order& a = submit("a");
  begin();
  EXPECT_EQ(written(), "a");
  desk_->part_came("{\"id\": 1, \"ok\": 1}");
  desk_->time_passed(now_ + 5s);
  EXPECT_EQ(error_of(a),
            "timed out: no answer within 5s; it has printed a part of an answer: end each answer "
            "with a newline");
}

TEST_F(exec_desk, takes_what_came_before_the_death_as_answered) {
  with_room_for(2);
  plain_order& a = submit("a");
  plain_order& b = submit("b");
  begin();
  EXPECT_EQ(written(), "ab");
  answer_to("a");
  end();
  EXPECT_TRUE(passed(a));
  EXPECT_TRUE(killed(b));
}

TEST_F(exec_desk, wants_no_new_handler_when_an_idle_one_ends) {
  with_room_for(1);
  plain_order& a = submit("a");
  begin();
  EXPECT_EQ(written(), "a");
  answer_to("a");
  end("exit code 0");
  EXPECT_FALSE(wanted_);
  EXPECT_TRUE(passed(a));
  submit("b");
  EXPECT_TRUE(wanted_);
}

TEST_F(exec_desk, charges_a_timeout_to_the_oldest_and_starts_the_clock_of_the_others_again) {
  with_room_for(3, 5s);
  plain_order& a = submit("a");
  begin();
  EXPECT_EQ(written(), "a");
  plain_order& b = submit("b");
  EXPECT_EQ(written(), "b");
  EXPECT_EQ(desk_->next_deadline(), now_ + 5s);
  now_ += 5s;
  desk_->time_passed(now_ - 1ns);
  EXPECT_FALSE(condemned_);
  desk_->time_passed(now_);
  EXPECT_TRUE(condemned_);
  EXPECT_FALSE(desk_->condemned_gently());
  EXPECT_FALSE(killed(a));
  EXPECT_NE(error_of(a).find("no answer within 5s"), std::string::npos);
  EXPECT_NE(error_of(a).find("stdout may be buffered"), std::string::npos);
  EXPECT_FALSE(b.result);
  EXPECT_EQ(desk_->next_deadline(), std::nullopt);
  end("killed by SIGKILL");
  begin();
  EXPECT_EQ(written(), "b");
  EXPECT_EQ(desk_->next_deadline(), now_ + 5s);
  answer_to("b");
  EXPECT_TRUE(passed(b));
}

TEST_F(exec_desk, hints_at_buffering_only_when_nothing_was_ever_answered) {
  with_room_for(1, 5s);
  submit("a");
  begin();
  EXPECT_EQ(written(), "a");
  answer_to("a");
  plain_order& b = submit("b");
  EXPECT_EQ(written(), "b");
  desk_->time_passed(now_ + 5s);
  EXPECT_EQ(error_of(b), "timed out: no answer within 5s");
}

TEST_F(exec_desk, replaces_the_handler_of_a_withdrawn_order_without_charging_its_neighbours) {
  with_room_for(3);
  plain_order& a = submit("a");
  plain_order& b = submit("b");
  plain_order& c = submit("c");
  begin();
  EXPECT_EQ(written(), "abc");
  desk_->withdraw(b);
  EXPECT_TRUE(condemned_);
  EXPECT_TRUE(desk_->condemned_gently());
  answer_to("a");  // of the old handler: nobody listens any more
  EXPECT_FALSE(a.result);
  end("killed by SIGTERM");
  begin();
  EXPECT_EQ(written(), "ac") << "at once, in their old order, and as no suspects";
  answer_to("a");
  answer_to("c");
  EXPECT_TRUE(passed(a));
  EXPECT_TRUE(passed(c));
  EXPECT_FALSE(b.result);
}

TEST_F(exec_desk, lets_the_handler_be_when_an_order_that_waits_is_withdrawn) {
  with_room_for(1);
  submit("a");
  plain_order& b = submit("b");
  begin();
  desk_->withdraw(b);
  EXPECT_FALSE(condemned_);
  EXPECT_EQ(written(), "a");
  answer_to("a");
  EXPECT_EQ(written(), "");
}

TEST_F(exec_desk, goes_on_with_the_next_suspect_when_one_is_withdrawn) {
  with_room_for(2);
  submit("a");
  plain_order& b = submit("b");
  begin();
  EXPECT_EQ(written(), "ab");
  end();
  desk_->withdraw(b);
  submit("c");
  submit("d");
  begin();
  EXPECT_EQ(written(), "a");
  answer_to("a");
  EXPECT_EQ(written(), "cd");
}

TEST_F(exec_desk, condemns_a_handler_that_prints_rubbish_and_says_what_it_was) {
  with_room_for(1);
  plain_order& a = submit("a");
  begin();
  EXPECT_EQ(written(), "a");
  desk_->line_came("Charging card...", now_);
  EXPECT_TRUE(condemned_);
  EXPECT_FALSE(killed(a));
  EXPECT_EQ(a.result->why().kind, verdict::retryable);
  EXPECT_NE(error_of(a).find("'Charging card...'"), std::string::npos);
  EXPECT_NE(desk_->condemnation().find("is replaced: not a JSON object"), std::string::npos);
}

TEST_F(exec_desk, hunts_for_the_one_with_which_the_handler_prints_rubbish) {
  with_room_for(2);
  plain_order& a = submit("a");
  plain_order& b = submit("b");
  begin();
  EXPECT_EQ(written(), "ab");
  desk_->line_came("oops", now_);
  EXPECT_FALSE(a.result);
  EXPECT_FALSE(b.result);
  end("killed by SIGKILL");
  begin();
  EXPECT_EQ(written(), "a");
  answer_to("a");
  EXPECT_EQ(written(), "b");
  desk_->line_came("oops", now_);
  EXPECT_TRUE(passed(a));
  EXPECT_NE(error_of(b).find("'oops'"), std::string::npos);
}

TEST_F(exec_desk, condemns_a_handler_that_answers_what_it_was_not_asked) {
  with_room_for(2);
  plain_order& a = submit("a");
  begin();
  EXPECT_EQ(written(), "a");
  desk_->line_came(R"({"id": 4711, "ok": 1})", now_);
  EXPECT_NE(error_of(a).find("an answer with the unknown id 4711"), std::string::npos);
  end();
  plain_order& b = submit("b");
  begin();
  EXPECT_EQ(written(), "b");
  desk_->line_came(R"({"id": 0, "ok": 1})", now_);
  EXPECT_NE(error_of(b).find("unknown id 0"), std::string::npos);
}

TEST_F(exec_desk, condemns_a_handler_that_answers_twice_even_when_nothing_is_out) {
  with_room_for(1);
  plain_order& a = submit("a");
  begin();
  EXPECT_EQ(written(), "a");
  answer_to("a");
  answer_to("a");
  EXPECT_TRUE(passed(a)) << "settled once, whatever comes after";
  EXPECT_TRUE(condemned_);
  EXPECT_NE(desk_->condemnation().find("a second answer for id 1"), std::string::npos);
  end("killed by SIGKILL");
  EXPECT_FALSE(wanted_);
}

TEST_F(exec_desk, condemns_a_handler_whose_line_is_too_long) {
  with_room_for(1);
  plain_order& a = submit("a");
  begin();
  EXPECT_EQ(written(), "a");
  desk_->line_came("{\"id\": 1, \"ok\": \"" + std::string(line_bytes_usual, 'x') + "\"}", now_);
  EXPECT_NE(error_of(a).find("an answer longer than 1048576 bytes"), std::string::npos);
}

TEST_F(exec_desk, condemns_a_handler_before_it_has_heard_the_end_of_a_line_that_is_too_long) {
  desk_ = std::make_unique<desk>(*this, 1, 60s, 100);
  plain_order& a = submit("a");
  begin();
  EXPECT_EQ(written(), "a");
  desk_->part_came(std::string(100, 'x'));
  EXPECT_FALSE(condemned_);
  desk_->part_came(std::string(101, 'x'));
  EXPECT_TRUE(condemned_);
  EXPECT_NE(error_of(a).find("an answer longer than 100 bytes"), std::string::npos);
}

TEST_F(exec_desk, charges_a_second_answer_to_nobody_unless_the_handler_did_nothing_else) {
  with_room_for(1);
  plain_order& a = submit("a");
  begin();
  EXPECT_EQ(written(), "a");
  answer_to("a");
  plain_order& b = submit("b");
  EXPECT_EQ(written(), "b");
  answer_to("a");
  EXPECT_TRUE(condemned_);
  EXPECT_TRUE(passed(a));
  EXPECT_FALSE(b.result) << "it is not b's doing";
  end();
  const std::string id_of_a = asked_.at("a");
  begin();
  EXPECT_EQ(written(), "b");
  desk_->line_came("{\"id\": " + id_of_a + ", \"ok\": 1}", now_);
  EXPECT_NE(error_of(b).find("an answer with the unknown id " + id_of_a), std::string::npos)
      << "this handler was never asked for a; or else handlers would be started for ever";
}

TEST_F(exec_desk, makes_a_handler_that_cannot_be_started_fatal_to_all) {
  with_room_for(2);
  plain_order& a = submit("a");
  plain_order& b = submit("b");
  desk_->cannot_start("command 'x' not found in PATH");
  EXPECT_EQ(a.result->why().kind, verdict::fatal);
  EXPECT_EQ(error_of(b), "command 'x' not found in PATH");
  EXPECT_TRUE(desk_->idle());
}

TEST_F(exec_desk, takes_exit_code_127_before_any_answer_as_a_failed_start) {
  with_room_for(2);
  plain_order& a = submit("a");
  begin();
  EXPECT_EQ(written(), "a");
  handler_end ending;
  ending.how = "exit code 127";
  ending.last_words = "env: 'pythom': No such file or directory";
  ending.never_started = true;
  desk_->handler_ended(ending);
  EXPECT_EQ(a.result->why().kind, verdict::fatal);
  EXPECT_EQ(error_of(a),
            "the handler could not be started (exit code 127): "
            "env: 'pythom': No such file or directory");
}

}  // namespace
}  // namespace brigade::exec
