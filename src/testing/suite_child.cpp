#include "testing/suite_world.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

namespace brigade::testing::suite {

namespace {

// More than any number of runs of one case should take.
constexpr unsigned seconds_max = 120;

// Threads of a far side go on in the parent, and nobody would hear of it when they close a
// connection, as long as it is open here too.
void close_sockets() {
  std::vector<int> all;
  for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
    all.push_back(std::stoi(each.path().filename()));
  }
  for (const int fd : all) {
    struct stat what{};
    if (::fstat(fd, &what) == 0 && S_ISSOCK(what.st_mode)) ::close(fd);
  }
}

// A far side that lives in the parent is not the child's to end: nothing is destroyed.
[[noreturn]] void be_child(const std::function<void()>& body, int tell) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::signal(SIGALRM, SIG_DFL);
  ::alarm(seconds_max);
  std::string failure;
  try {
    close_sockets();
    body();
  } catch (const std::exception& wrong) {
    failure = wrong.what();
    if (failure.empty()) failure = "an exception without a message";
  } catch (...) {
    failure = "an exception of an unknown type";
  }
  std::fflush(nullptr);
  std::size_t told = 0;
  while (told < failure.size()) {
    const ssize_t some = ::write(tell, failure.data() + told, failure.size() - told);
    if (some <= 0) break;
    told += static_cast<std::size_t>(some);
  }
  ::_exit(failure.empty() ? 0 : 1);
}

std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace

child_end in_child(const std::function<void()>& body) {
  std::array<int, 2> ends{};
  expect(::pipe2(ends.data(), O_CLOEXEC) == 0, "no pipe");
  std::fflush(nullptr);
  const pid_t child = ::fork();
  expect(child >= 0, "no process");
  if (child == 0) {
    ::close(ends[0]);
    be_child(body, ends[1]);
  }
  ::close(ends[1]);
  child_end end;
  end.failure = read_all(ends[0]);
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) {
    if (WEXITSTATUS(status) != 0 && end.failure.empty()) {
      end.failure = "the process ended with exit code " + std::to_string(WEXITSTATUS(status));
    }
    return end;
  }
  end.killed = WTERMSIG(status) == SIGKILL;
  if (WTERMSIG(status) == SIGALRM) {
    end.failure = "it took longer than " + std::to_string(seconds_max) + " s";
  } else if (!end.killed) {
    end.failure = "the process was ended by signal " + std::to_string(WTERMSIG(status));
  }
  return end;
}

void kill_this_process() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

}  // namespace brigade::testing::suite
