#include "connect/exec_fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace brigade::exec {
namespace {

using namespace std::chrono_literals;

TEST(exec_stage, passes_on_what_the_handler_answers_as_it_is_written) {
  stage_settings wanted("");
  wanted.command = {"python3", "-c", R"(
import sys, json
for line in sys.stdin:
    request = json.loads(line)
    assert request["key"] == "orders:main:8f3a:40960" and request["attempt"] == 1
    total = request["item"]["total"]
    answer = '{"id": %d, "ok": {"total":%d,  "big":12345678901234567890}}'
    print(answer % (request["id"], 2 * total))
)"};
  EXPECT_EQ(one_by_one(wanted, {R"({"total": 21})", R"({"total": 4})"}),
            (texts{R"(ok {"total":42,  "big":12345678901234567890})",
                   R"(ok {"total":8,  "big":12345678901234567890})"}));
}

TEST(exec_stage, gives_a_line_of_a_log_to_the_handler_as_an_object) {
  auto main = []() -> task<std::string> {
    const auto stage = make_stage(
        stage_settings(sh_handler("rest=${line#*item\\\": }; " + sh_answer("${rest%?}"))));
    co_await stage->open(1);
    payload item(record::line("GET / \"x\""));
    const attempt_info info;
    attempt_result result = co_await stage->run(item, info);
    co_await stage->close();
    co_return text_of_result(result);
  };
  EXPECT_EQ(run(main()), R"(ok {"line":"GET / \"x\""})");
}

TEST(exec_stage, tells_errors_apart) {
  const stage_settings wanted(
      sh_handler(R"(echo "{\"id\": $id, \"error\": \"no\", ${line##*item\": }")"));
  EXPECT_EQ(one_by_one(wanted, {R"("retry": false)", R"("retry": 2)", R"("fatal": true)"}),
            (texts{"permanent no", "retryable no", "fatal no"}));
}

TEST(exec_stage, gives_each_worker_a_child_of_its_own) {
  stage_settings wanted(sh_handler(sh_answer("$$")));
  wanted.workers = 2;
  auto main = [&]() -> task<bool> {
    const auto stage = make_stage(wanted);
    co_await stage->open(2);
    const std::string first = co_await attempt(*stage, "1", 0);
    const std::string second = co_await attempt(*stage, "1", 1);
    const std::string again = co_await attempt(*stage, "1", 0);
    co_await stage->close();
    co_return first == again&& first != second;
  };
  EXPECT_TRUE(run(main()));
}

TEST(exec_stage, ends_the_child_of_a_worker_that_goes_and_starts_one_when_it_comes_back) {
  const std::string farewell = "bye.txt";
  std::filesystem::remove(farewell);
  stage_settings wanted(sh_handler(sh_answer("$$")) + "; echo $$ >> " + farewell);
  auto main = [&]() -> task<bool> {
    const auto stage = make_stage(wanted);
    co_await stage->open(1);
    stage->worker_begins(1);
    const std::string first = co_await attempt(*stage, "1", 0);
    const std::string second = co_await attempt(*stage, "1", 1);
    stage->worker_ended(1);
    stage->worker_begins(1);  // while the child before still ends
    const std::string third = co_await attempt(*stage, "1", 1);
    const std::string still_first = co_await attempt(*stage, "1", 0);
    stage->worker_ended(1);
    co_await stage->close();
    co_return first == still_first&& second != third&& first != third;
  };
  EXPECT_TRUE(run(main()));
  EXPECT_EQ(children(), "");
  std::ifstream file(farewell);
  const std::string all((std::istreambuf_iterator<char>(file)), {});
  EXPECT_EQ(std::ranges::count(all, '\n'), 3) << "each was let to its own end: " << all;
  std::filesystem::remove(farewell);
}

TEST(exec_stage, starts_no_child_before_there_is_something_to_do) {
  auto main = []() -> task<std::string> {
    const auto stage = make_stage(stage_settings(sh_handler(sh_answer("1"))));
    co_await stage->open(3);
    co_await sleep_for(1ms);
    std::string none = children();
    co_await stage->close();
    co_return none;
  };
  EXPECT_EQ(run(main()), "");
}

TEST(exec_stage, charges_a_timeout_to_the_one_that_hangs_and_harms_no_neighbour) {
  stage_settings wanted(sh_handler("case $line in *hang*) sleep 1000;; esac; " + sh_answer("$$")));
  wanted.in_flight = 4;
  wanted.timeout = 400ms;
  const auto results = together(wanted, {"1", "\"hang\"", "2", "3"});
  EXPECT_PRED2(starts_with, results[0], "ok ");
  EXPECT_EQ(results[1], "retryable timed out: no answer within 400ms");
  EXPECT_PRED2(starts_with, results[2], "ok ");
  EXPECT_EQ(results[3], results[2]);
  EXPECT_NE(results[2], results[0]) << "another process";
}

TEST(exec_stage, hints_at_a_buffer_when_the_handler_never_answered) {
  stage_settings wanted("cat > /dev/null");
  wanted.timeout = 50ms;
  EXPECT_PRED2(contains, one_by_one(wanted, {"1"})[0], "its stdout may be buffered");
}

TEST(exec_stage, sends_the_neighbours_of_a_cancelled_attempt_to_the_next_child) {
  stage_settings wanted(sh_handler("case $line in *hang*) sleep 1000;; esac; " + sh_answer("$id")));
  wanted.in_flight = 2;
  auto main = [&]() -> task<std::string> {
    const auto stage = make_stage(wanted);
    co_await stage->open(1);
    std::string neighbour;
    auto second = [&]() -> task<> { neighbour = co_await attempt(*stage, "1"); };
    auto first = [&]() -> task<> {
      try {
        static_cast<void>(co_await timeout(100ms, attempt(*stage, "\"hang\"")));
      } catch (const timed_out&) {
        neighbour += "cancelled, ";
      }
    };
    co_await with_group([&](task_group& group) {
      group.spawn(std::ref(first));
      group.spawn(std::ref(second));
    });
    co_await stage->close();
    co_return neighbour;
  };
  EXPECT_PRED2(starts_with, run(main()), "ok ");
}

TEST(exec_stage, finds_the_item_that_kills_its_handler_among_many) {
  stage_settings wanted(
      sh_handler("case $line in *die*) kill -SEGV $$;; esac; " + sh_answer("$id")));
  wanted.in_flight = 8;
  const auto results = together(wanted, {"1", "2", "3", "\"die\"", "5", "6", "7", "8"});
  EXPECT_EQ(results[3], "retryable kill handler ended (killed by SIGSEGV) before it answered");
  EXPECT_EQ(std::ranges::count_if(results, [](const auto& one) { return one.starts_with("ok "); }),
            7);
}

TEST(exec_stage, blames_the_item_with_the_last_words_of_its_handler) {
  const stage_settings wanted(
      "read line; echo 'Traceback' >&2; echo 'KeyError: total' >&2; exit 1");
  EXPECT_EQ(
      one_by_one(wanted, {"1"}),
      (texts{"retryable kill handler ended (exit code 1) before it answered: KeyError: total"}));
}

TEST(exec_stage, reads_the_answers_of_a_handler_that_has_already_ended) {
  const stage_settings wanted("read line; echo '{\"id\": 1, \"ok\": \"last\"}'; exit 1");
  EXPECT_EQ(one_by_one(wanted, {"1"}), (texts{"ok \"last\""}));
}

TEST(exec_stage, replaces_a_handler_that_breaks_the_protocol_and_says_so) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"echo charging", "not a JSON object: 'charging'"},
      {"echo '{\"id\": 4711, \"ok\": 1}'", "an answer with the unknown id 4711"},
      {"echo \"{\\\"id\\\": $id}\"", "neither 'ok' nor 'error'"},
      {"head -c 1200000 /dev/zero | tr '\\0' x", "an answer longer than 1048576 bytes"},
  };
  for (const auto& [rubbish, complaint] : cases) {
    const stage_settings wanted(
        sh_handler("case $line in *bad*) " + rubbish + ";; *) " + sh_answer("1") + ";; esac"));
    ::testing::internal::CaptureStderr();
    const auto results = one_by_one(wanted, {"1", "\"bad\"", "2"});
    const std::string log = ::testing::internal::GetCapturedStderr();
    EXPECT_PRED2(starts_with, results[1],
                 "retryable the handler broke the protocol and is replaced: ");
    EXPECT_PRED2(contains, results[1], complaint);
    EXPECT_EQ(results[2], "ok 1");
    EXPECT_PRED2(contains, log, "charge[worker 0]: the handler broke the protocol");
  }
}

TEST(exec_stage, replaces_a_handler_that_answers_twice_and_keeps_the_first_answer) {
  const stage_settings wanted(sh_handler(sh_answer("$$") + "; " + sh_answer("2")));
  ::testing::internal::CaptureStderr();
  auto main = [&]() -> task<texts> {
    const auto stage = make_stage(wanted);
    co_await stage->open(1);
    texts results;
    std::string result = co_await attempt(*stage, "1");
    results.push_back(std::move(result));
    const bool gone = co_await eventually([] { return children().empty(); });
    EXPECT_TRUE(gone);
    result = co_await attempt(*stage, "1");
    results.push_back(std::move(result));
    co_await stage->close();
    co_return results;
  };
  const auto results = run(main());
  EXPECT_PRED2(contains, ::testing::internal::GetCapturedStderr(), "a second answer for id 1");
  EXPECT_PRED2(starts_with, results[0], "ok ");
  EXPECT_PRED2(starts_with, results[1], "ok ");
  EXPECT_NE(results[0], results[1]);
}

TEST(exec_stage, that_cannot_start_its_handler_is_fatal) {
  stage_settings wanted("");
  wanted.command = {"no-such-handler"};
  EXPECT_EQ(one_by_one(wanted, {"1", "2"}),
            (texts{"fatal command 'no-such-handler' not found in PATH",
                   "fatal command 'no-such-handler' not found in PATH"}));
  EXPECT_PRED2(starts_with, one_by_one(stage_settings("exec no-such-handler"), {"1"})[0],
               "fatal the handler could not be started (exit code 127)");
}

TEST(exec_stage, logs_what_the_handler_prints_to_stderr_with_the_item) {
  const stage_settings wanted(sh_handler("echo '  careful' >&2; " + sh_answer("1")));
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(one_by_one(wanted, {"1"}), (texts{"ok 1"}));
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "charge[worker 0]: main:8f3a:40960:   careful\n");
}

TEST(exec_stage, cuts_a_line_of_the_log_that_is_too_long) {
  const stage_settings wanted(sh_handler(
      "head -c 100000 /dev/zero | tr '\\0' x >&2; echo >&2; echo short >&2; " + sh_answer("1")));
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(one_by_one(wanted, {"1"}), (texts{"ok 1"}));
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_LT(log.size(), 6000U);
  EXPECT_PRED2(contains, log, "xxx...\n");
  EXPECT_PRED2(contains, log, "short\n");
}

TEST(exec_stage, runs_its_handler_in_the_folder_of_the_pipeline_file) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(::testing::TempDir()) / "exec_stage_folder";
  fs::create_directories(folder / "sub");
  std::ofstream(folder / "handler.sh")
      << "#!/bin/sh\n"
      << sh_handler(sh_answer("\\\"$(pwd) $A $PYTHONUNBUFFERED\\\"")) << "\n";
  fs::permissions(folder / "handler.sh", fs::perms::owner_all);
  const std::string here = fs::canonical(folder).string();
  stage_settings wanted("");
  wanted.command = {"./handler.sh"};
  wanted.folder = here;
  wanted.env = {{"A", "b"}};
  EXPECT_EQ(one_by_one(wanted, {"1"}), (texts{"ok \"" + here + " b 1\""}));
  wanted.cwd = "sub";
  EXPECT_EQ(one_by_one(wanted, {"1"}), (texts{"ok \"" + here + "/sub b 1\""}));
  fs::remove_all(folder);
}

TEST(exec_stage, lets_the_handler_finish_at_the_end_of_its_input) {
  const stage_settings wanted(sh_handler(sh_answer("1")) + "; echo finished >&2");
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(one_by_one(wanted, {"1"}), (texts{"ok 1"}));
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "charge[worker 0]: finished\n");
  EXPECT_EQ(children(), "");
}

TEST(exec_stage, kills_a_handler_that_ignores_the_end_and_the_request_to_end) {
  const stage_settings wanted("trap '' TERM; " + sh_handler(sh_answer("1")) +
                              "; while :; do sleep 1000; done");
  EXPECT_EQ(one_by_one(wanted, {"1"}), (texts{"ok 1"}));
  EXPECT_EQ(children(), "");
}

TEST(exec_stage, leaves_no_child_behind_when_it_is_destroyed_without_being_closed) {
  auto main = []() -> task<bool> {
    {
      const auto stage = make_stage(stage_settings(sh_handler(sh_answer("1"))));
      co_await stage->open(1);
      EXPECT_EQ(co_await attempt(*stage, "1"), "ok 1");
      EXPECT_NE(children(), "");
    }
    co_return co_await eventually([] { return children().empty(); });
  };
  EXPECT_TRUE(run(main()));
}

TEST(exec_stage, carries_items_larger_than_a_pipe_both_ways_at_once) {
  stage_settings wanted("");
  wanted.command = {"python3", "-c", R"(
import sys, json
for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({"id": request["id"], "ok": request["item"]}))
)"};
  wanted.in_flight = 8;
  const std::string item = "\"" + std::string(300'000, 'x') + "\"";
  const auto results = together(wanted, texts(16, item));
  EXPECT_EQ(std::ranges::count(results, "ok " + item), 16);
}

TEST(exec_stage, refuses_settings_that_make_no_sense) {
  stage_settings wanted("");
  wanted.in_flight = 0;
  EXPECT_THROW(make_stage(wanted), config_error);
  wanted.in_flight = 1;
  wanted.command = {};
  EXPECT_THROW(make_stage(wanted), config_error);
  wanted.command = {"{program}"};
  wanted.protocol = "once";
  EXPECT_THROW(make_stage(wanted), config_error);
}

}  // namespace
}  // namespace brigade::exec
