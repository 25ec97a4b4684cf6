#include "connect/exec_fixture.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace brigade::exec {
namespace {

using namespace std::chrono_literals;

stage_settings once(const std::string& script) {
  stage_settings wanted(script);
  wanted.protocol = "once";
  return wanted;
}

std::string result_of(const stage_settings& wanted, const std::string& item = "{}") {
  return one_by_one(wanted, {item}).front();
}

TEST(exec_once, gives_the_item_to_a_process_and_takes_its_result) {
  EXPECT_EQ(result_of(once("cat"), R"({"n":12345678901234567890})"),
            R"(ok {"n":12345678901234567890})");
  EXPECT_EQ(result_of(once("printf ' {\"a\":\\n[1,\\n2]}\\n\\n'")), "ok {\"a\": [1, 2]}");
}

TEST(exec_once, takes_one_line_of_text_as_a_line) {
  EXPECT_EQ(result_of(once("echo not JSON")), "ok line not JSON");
  EXPECT_PRED2(starts_with, result_of(once("printf 'one\\ntwo\\n'")),
               "permanent the command printed "
               "several lines");
}

TEST(exec_once, does_not_take_silence_for_a_result) {
  EXPECT_EQ(result_of(once("exit 0")),
            "permanent the command succeeded but printed no result; print the item to pass it on");
}

TEST(exec_once, reads_the_exit_code) {
  EXPECT_EQ(result_of(once("echo 'try later' >&2; exit 75")), "retryable try later (exit code 75)");
  EXPECT_EQ(result_of(once("echo first >&2; echo bad card >&2; exit 1")),
            "permanent bad card (exit code 1)");
  EXPECT_EQ(result_of(once("exit 2")), "permanent exit code 2");
  EXPECT_PRED2(starts_with, result_of(once("exec no-such-program")), "fatal ");
  EXPECT_EQ(result_of(once("exit 126")), "fatal exit code 126");
  EXPECT_EQ(result_of(once("kill -SEGV $$")), "retryable kill handler ended: killed by SIGSEGV");
}

TEST(exec_once, that_cannot_start_its_command_is_fatal) {
  stage_settings wanted = once("");
  wanted.command = {"no-such-program", "x"};
  EXPECT_EQ(result_of(wanted), "fatal command 'no-such-program' not found in PATH");
}

TEST(exec_once, fills_in_fields_without_a_shell) {
  stage_settings wanted = once("");
  wanted.command = {"printf", "%s|", "{id}", "--n={n}"};
  EXPECT_EQ(result_of(wanted, R"({"id": "a b; rm *", "n": 1.50})"), "ok line a b; rm *|--n=1.50|");
}

TEST(exec_once, fails_the_item_for_good_when_it_does_not_fit_the_command) {
  stage_settings wanted = once("");
  wanted.command = {"printf", "{id}"};
  auto main = [&]() -> task<> {
    const auto stage = make_stage(wanted);
    static_cast<void>(co_await attempt(*stage, "{}"));
  };
  EXPECT_THROW(run(main()), permanent_error);
  const std::string huge(200'000, 'x');
  EXPECT_PRED2(starts_with, result_of(wanted, R"({"id": ")" + huge + R"("})"), "permanent ");
}

TEST(exec_once, tells_the_command_the_key_and_the_attempt) {
  EXPECT_EQ(result_of(once("echo $BRIGADE_KEY $BRIGADE_ATTEMPT")),
            "ok line orders:main:8f3a:40960 1");
}

TEST(exec_once, does_not_mind_a_command_that_ignores_its_input) {
  const std::string item = "\"" + std::string(500'000, 'x') + "\"";
  EXPECT_EQ(result_of(once("echo 1"), item), "ok 1");
}

TEST(exec_once, ends_a_command_that_takes_too_long) {
  stage_settings wanted = once("sleep 1000");
  wanted.timeout = 30ms;
  EXPECT_EQ(result_of(wanted), "retryable the command did not end within 30ms");
  auto gone = []() -> task<bool> {
    co_return co_await eventually([] { return children().empty(); });
  };
  EXPECT_TRUE(run(gone()));
}

TEST(exec_once, asks_a_command_to_end_when_its_attempt_is_cancelled_and_waits_for_it) {
  const stage_settings wanted =
      once("trap 'echo tidied up >&2; exit 1' TERM; echo ready >&2; while :; do sleep 0.01; done");
  auto main = [&]() -> task<> {
    const auto stage = make_stage(wanted);
    auto work = attempt(*stage, "1");
    bool late = false;
    try {
      static_cast<void>(co_await timeout(300ms, std::move(work)));
    } catch (const timed_out&) {
      late = true;
    }
    EXPECT_TRUE(late);
    EXPECT_EQ(children(), "") << "it has ended by then";
  };
  const auto begun = std::chrono::steady_clock::now();
  run(main());
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 2s) << "by itself, not by KILL";
}

TEST(exec_once, has_all_that_was_printed_though_a_stranger_keeps_the_pipe_open) {
  const stage_settings wanted = once(
      "rm -f away; setsid sh -c 'touch away; sleep 2' & while [ ! -e away ]; do :; done; rm away; "
      "head -c 300000 /dev/zero | tr '\\0' 7; echo");
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(result_of(wanted), "ok " + std::string(300'000, '7'));
  EXPECT_PRED2(contains, ::testing::internal::GetCapturedStderr(), "keeps its output open");
}

TEST(exec_once, ends_a_command_that_prints_without_end) {
  EXPECT_EQ(result_of(once("yes")),
            "permanent the command printed more than 1048576 bytes, which is max_line");
}

TEST(exec_once, works_on_several_items_at_once) {
  stage_settings wanted = once("read line; echo $line");
  wanted.in_flight = 10;
  const auto results = together(wanted, {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"});
  EXPECT_EQ(results.front(), "ok 1");
  EXPECT_EQ(results.back(), "ok 10");
}

TEST(exec_once, logs_what_the_command_prints_to_stderr) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(result_of(once("echo careful >&2; cat")), "ok {}");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "charge[worker 0]: main:8f3a:40960: careful\n");
}

}  // namespace
}  // namespace brigade::exec
