#include <brigade/async/error.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/process.hpp>
#include <brigade/async/timeout.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;

process_options shell(const std::string& script) {
  const std::vector<std::string> command = {"sh", "-c", script};
  return process_options(command);
}

task<std::string> read_all(descriptor& from) {
  std::string result;
  std::array<char, 4096> buffer;
  for (;;) {
    const std::size_t count = co_await from.read_some(buffer);
    if (count == 0) co_return result;
    result.append(buffer.data(), count);
  }
}

task<std::string> read_line(descriptor& from) {
  std::string result;
  std::array<char, 1> one;
  for (;;) {
    const std::size_t count = co_await from.read_some(one);
    if (count == 0 || one[0] == '\n') co_return result;
    result += one[0];
  }
}

/// What the kernel does in its own time is looked for again and again, up to a limit.
task<bool> eventually(std::function<bool()> condition) {
  for (int attempt = 0; attempt < 5000; ++attempt) {
    if (condition()) co_return true;
    co_await sleep_for(2ms);
  }
  co_return condition();
}

/// Gone, or dead and waiting for whoever adopted it.
bool has_ended(pid_t id) {
  std::ifstream file("/proc/" + std::to_string(id) + "/stat");
  std::string text;
  std::getline(file, text);
  const std::size_t name_end = text.rfind(')');
  return name_end == std::string::npos || text.substr(name_end + 2, 1) == "Z";
}

/// The children of this process, dead ones that nobody has reaped included.
std::string children() {
  std::ostringstream result;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    result << std::ifstream(thread.path() / "children").rdbuf();
    result.clear();
  }
  return result.str();
}

struct output_and_status {
  output_and_status(std::string text_, exit_status status_)
      : text(std::move(text_)), status(status_) {}
  std::string text;
  exit_status status;
};

task<output_and_status> output_of(process_options options) {
  process child = co_await process::start(std::move(options));
  child.input().close();
  std::string text = co_await read_all(child.output());
  const exit_status status = co_await child.wait();
  co_return output_and_status(std::move(text), status);
}

TEST(process, gives_back_through_its_pipes_what_it_was_given) {
  auto main = []() -> task<std::string> {
    process child = co_await process::start(shell("cat; echo done >&2"));
    co_await child.input().write_some("hello");
    child.input().close();
    std::string text = co_await read_all(child.output());
    text += co_await read_all(child.errors());
    const exit_status status = co_await child.wait();
    co_return text + to_string(status);
  };
  EXPECT_EQ(run(main()), "hellodone\nexit code 0");
}

TEST(process, says_how_it_ended) {
  const exit_status code = run(output_of(shell("exit 3"))).status;
  EXPECT_EQ(code, exit_status::exited(3));
  EXPECT_EQ(to_string(code), "exit code 3");
  EXPECT_FALSE(code.success());
  const exit_status killed = run(output_of(shell("kill -SEGV $$"))).status;
  EXPECT_EQ(killed, exit_status::signalled(SIGSEGV));
  EXPECT_EQ(to_string(killed), "killed by SIGSEGV");
  EXPECT_EQ(to_string(exit_status::signalled(SIGRTMIN + 1)), "killed by signal 35");
}

TEST(process, inherits_no_descriptor_but_the_three_streams) {
  const int leaked = ::open("/dev/null", O_RDONLY);  // without O_CLOEXEC, as a library might
  const std::string seen = run(output_of(shell("ls /proc/$$/fd; true"))).text;
  ::close(leaked);
  EXPECT_EQ(seen, "0\n1\n2\n");
}

TEST(process, starts_with_no_signal_blocked_or_ignored) {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const auto old_handler = ::signal(SIGUSR2, SIG_IGN);
  const std::string seen =
      run(output_of(shell("exec grep -E '^Sig(Blk|Ign)' /proc/self/status"))).text;
  ::signal(SIGUSR2, old_handler);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  EXPECT_EQ(seen, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST(process, has_a_group_of_its_own) {
  auto main = []() -> task<bool> {
    process child = co_await process::start(shell("read line"));
    co_return ::getpgid(child.id()) == child.id();
  };
  EXPECT_TRUE(run(main()));
}

TEST(process, runs_in_its_folder_with_its_environment) {
  process_options options = shell("pwd; echo $HOME $EXTRA");
  options.cwd = "/usr";
  options.env = {{"HOME", "/nowhere"}, {"EXTRA", "a b"}};
  EXPECT_EQ(run(output_of(options)).text, "/usr\n/nowhere a b\n");
}

TEST(process, looks_for_its_program_where_its_own_path_says) {
  process_options options({"sh", "-c", "echo found"});
  options.env = {{"PATH", "/nonexistent:/bin"}};
  EXPECT_EQ(run(output_of(options)).text, "found\n");
  EXPECT_EQ(find_program(options), "/bin/sh");
  options.env = {{"PATH", "/nonexistent"}};
  EXPECT_THROW(run(output_of(options)), start_error);
  EXPECT_THROW(static_cast<void>(find_program(options)), start_error);
}

std::string start_failure(process_options options) {
  try {
    run(output_of(std::move(options)));
  } catch (const start_error& error) {
    return error.what();
  }
  return "it started";
}

TEST(process, that_cannot_be_started_says_which_and_why) {
  EXPECT_EQ(start_failure(process_options({"no-such-program"})),
            "command 'no-such-program' not found in PATH");
  EXPECT_EQ(start_failure(process_options({""})), "command '' not found in PATH");
  EXPECT_NE(start_failure(process_options({"/no/such/program"}))
                .find("cannot run '/no/such/program"
                      "': No such file"),
            std::string::npos);
  EXPECT_EQ(start_failure(process_options({"/etc/passwd"})),
            "cannot run '/etc/passwd': Permission denied");
  process_options nowhere({"true"});
  nowhere.cwd = "/no/such/folder";
  EXPECT_EQ(start_failure(nowhere),
            "cannot run 'true' in folder '/no/such/folder': No such file or directory");
  EXPECT_EQ(children(), "");
}

TEST(process, whose_program_is_a_script_without_an_interpreter_line_is_refused_with_a_hint) {
  const std::string path = ::testing::TempDir() + "script_without_interpreter";
  std::ofstream(path) << "echo hello\n";
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  EXPECT_NE(start_failure(process_options({path})).find("first line like #!/bin/sh"),
            std::string::npos);
  std::filesystem::remove(path);
}

TEST(process, goes_on_when_waiting_for_it_is_cancelled) {
  auto main = []() -> task<std::string> {
    process child = co_await process::start(shell("read line; exit 4"));
    try {
      static_cast<void>(co_await timeout(1ms, child.wait()));
    } catch (const timed_out&) {
      EXPECT_EQ(::kill(child.id(), 0), 0);
    }
    child.input().close();
    const exit_status status = co_await child.wait();
    co_return to_string(status);
  };
  EXPECT_EQ(run(main()), "exit code 4");
}

TEST(process, that_is_written_to_after_its_end_gives_an_error_and_no_signal) {
  auto main = []() -> task<> {
    process child = co_await process::start(shell("exit 0"));
    static_cast<void>(co_await child.wait());
    co_await child.input().write_some("too late");
  };
  EXPECT_THROW(run(main()), std::system_error);
}

TEST(process, end_lets_a_child_finish_that_heeds_the_request) {
  auto main = []() -> task<std::string> {
    process child =
        co_await process::start(shell("trap 'exit 5' TERM; echo ready; sleep 1000 & wait"));
    const std::string ready = co_await read_line(child.output());
    const exit_status status = co_await child.end(60s);
    co_return ready + " " + to_string(status);
  };
  EXPECT_EQ(run(main()), "ready exit code 5");
}

TEST(process, end_kills_a_child_that_ignores_the_request) {
  auto main = []() -> task<std::string> {
    process child =
        co_await process::start(shell("trap '' TERM; echo ready; while :; do sleep 100; done"));
    const std::string ready = co_await read_line(child.output());
    const exit_status status = co_await child.end(20ms);
    co_return ready + " " + to_string(status);
  };
  EXPECT_EQ(run(main()), "ready killed by SIGKILL");
}

TEST(process, takes_the_rest_of_its_group_with_it_when_it_ends) {
  auto main = []() -> task<bool> {
    process child = co_await process::start(shell("sleep 1000 & echo $!"));
    const std::string line = co_await read_line(child.output());
    const pid_t grandchild = std::stoi(line);
    static_cast<void>(co_await child.wait());
    co_return co_await eventually([grandchild] { return has_ended(grandchild); });
  };
  EXPECT_TRUE(run(main()));
}

TEST(process, leaves_nothing_over_when_it_is_destroyed) {
  auto main = []() -> task<bool> {
    pid_t grandchild = 0;
    {
      process child = co_await process::start(shell("trap '' TERM; sleep 1000 & echo $!; wait"));
      const std::string line = co_await read_line(child.output());
      grandchild = std::stoi(line);
    }
    co_return co_await eventually([=] { return has_ended(grandchild) && children().empty(); });
  };
  EXPECT_TRUE(run(main()));
}

TEST(process, leaves_nothing_over_when_its_start_is_cancelled) {
  auto main = []() -> task<bool> {
    co_await with_group([](task_group& group) {
      for (int count = 0; count < 10; ++count) {
        group.spawn(process::start, shell("sleep 1000"));
      }
      group.cancel();
    });
    co_return co_await eventually([] { return children().empty(); });
  };
  EXPECT_TRUE(run(main()));
}

TEST(process, starts_many_at_a_time) {
  auto main = []() -> task<int> {
    int sum = 0;
    auto one = [&sum](int code) -> task<> {
      const std::string script = "exit " + std::to_string(code);
      process child = co_await process::start(shell(script));
      const exit_status status = co_await child.wait();
      sum += status.code();
    };
    co_await with_group([&](task_group& group) {
      for (int code = 1; code <= 50; ++code) group.spawn(std::ref(one), code);
    });
    co_return sum;
  };
  EXPECT_EQ(run(main()), 50 * 51 / 2);
}

/// The part of the next test that is killed: has a child, says which, and waits to be killed.
TEST(process, DISABLED_helper_with_a_child) {
  auto main = []() -> task<> {
    process_options wanted = shell("exec sleep 1000");
    wanted.start_here = std::getenv("BRIGADE_START_HERE") != nullptr;
    process child = co_await process::start(wanted);
    const std::string line = "child " + std::to_string(child.id()) + "\n";
    EXPECT_EQ(::write(STDOUT_FILENO, line.data(), line.size()), static_cast<ssize_t>(line.size()));
    static_cast<void>(co_await child.wait());
  };
  run(main());
}

TEST(process, started_from_the_main_thread_is_as_any_other) {
  auto main = []() -> task<> {
    process_options wanted = shell("cat; echo $HELLO; exit 3");
    wanted.env = {{"HELLO", "hello"}};
    wanted.start_here = true;
    process child = co_await process::start(wanted);
    static_cast<void>(co_await child.input().write_some("in "));
    child.input().close();
    const std::string said = co_await read_all(child.output());
    EXPECT_EQ(said, "in hello\n");
    const exit_status status = co_await child.wait();
    EXPECT_EQ(status, exit_status::exited(3));
    process_options absent({"/no/such/program"});
    absent.start_here = true;
    bool refused = false;
    try {
      static_cast<void>(co_await process::start(absent));
    } catch (const start_error&) {
      refused = true;
    }
    EXPECT_TRUE(refused);
  };
  run(main());
  EXPECT_EQ(children(), "");
  sigset_t blocked;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  EXPECT_FALSE(::sigismember(&blocked, SIGTERM)) << "the start gives the signals back";
}

class process_killed : public ::testing::TestWithParam<bool> {};

TEST_P(process_killed, takes_its_children_along) {
  auto main = []() -> task<bool> {
    process_options helper({"/proc/self/exe", "--gtest_also_run_disabled_tests",
                            "--gtest_filter=process.DISABLED_helper_with_a_child"});
    if (GetParam()) helper.env = {{"BRIGADE_START_HERE", "1"}};
    process parent = co_await process::start(helper);
    std::string line;
    while (!line.starts_with("child ")) line = co_await read_line(parent.output());
    const pid_t orphan = std::stoi(line.substr(6));
    EXPECT_FALSE(has_ended(orphan));
    ::kill(parent.id(), SIGKILL);
    const exit_status status = co_await parent.wait();
    EXPECT_EQ(status, exit_status::signalled(SIGKILL));
    co_return co_await eventually([orphan] { return has_ended(orphan); });
  };
  EXPECT_TRUE(run(main()));
}

INSTANTIATE_TEST_SUITE_P(started_elsewhere_and_here, process_killed, ::testing::Bool());

}  // namespace
}  // namespace brigade
