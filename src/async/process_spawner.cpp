#include "async/process_spawner.hpp"

#include <brigade/async/assert.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <thread>

namespace brigade::detail {

namespace {

constexpr int first_free_fd = 3;  // behind the standard streams

unique_fd above_streams(int fd) {
  if (fd >= first_free_fd) return unique_fd(fd);
  unique_fd low(fd);
  const int moved = ::fcntl(fd, F_DUPFD_CLOEXEC, first_free_fd);
  if (moved < 0) throw std::system_error(errno, std::generic_category(), "fcntl");
  return unique_fd(moved);
}

struct report {
  spawn_step step;
  int error;
};

/// Everything the child looks at, as plain pointers.
struct child_view {
  const char* program;
  char* const* arguments;
  char* const* environment;
  const char* directory;
  int streams[3];
  int report_to;
  pid_t parent;
};

[[noreturn]] void give_up(int report_fd, spawn_step step) noexcept {
  const report message{step, errno};
  static_cast<void>(!::write(report_fd, &message, sizeof message));
  ::_exit(127);
}

/// Between fork and exec, on the memory of the parent: async-signal-safe calls only.
[[noreturn]] void become(const child_view& view) noexcept {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have died before the signal was armed.
  if (::getppid() != view.parent) give_up(view.report_to, spawn_step::orphaned);
  struct sigaction fallback = {};
  fallback.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &fallback, nullptr);
  if (view.directory != nullptr && ::chdir(view.directory) != 0) {
    give_up(view.report_to, spawn_step::directory);
  }
  for (int stream = 0; stream < 3; ++stream) {
    if (::dup2(view.streams[stream], stream) < 0) {
      give_up(view.report_to, spawn_step::descriptors);
    }
  }
  // The report pipe becomes the lowest one, so that everything behind it can go in one call.
  if (view.report_to != first_free_fd && ::dup3(view.report_to, first_free_fd, O_CLOEXEC) < 0) {
    give_up(view.report_to, spawn_step::descriptors);
  }
  if (::close_range(first_free_fd + 1, ~0U, 0) != 0) {
    give_up(first_free_fd, spawn_step::descriptors);
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execve(view.program, view.arguments, view.environment);
  give_up(first_free_fd, spawn_step::exec);
}

/// A child that borrows the parent's memory until it execs: the cost does not grow with the parent.
/// Safe here: all signals are blocked, so that no handler runs in the child, and `become` writes
/// nothing but its own stack. A function of its own, so that no local lives across the return.
[[gnu::noinline]] pid_t fork_and_become(const child_view& view) noexcept {
  const pid_t id = ::vfork();
  if (id == 0) become(view);
  return id;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

void reap(pid_t id) noexcept {
  while (::waitpid(id, nullptr, 0) < 0 && errno == EINTR) {
  }
}

spawn_outcome spawn_now(spawn_plan& plan) {
  spawn_outcome outcome;
  pipe_ends reports;
  const std::vector<char*> arguments = pointers_to(plan.arguments);
  const std::vector<char*> environment = pointers_to(plan.environment);
  child_view view = {};
  view.program = plan.program.c_str();
  view.arguments = arguments.data();
  view.environment = environment.data();
  view.directory = plan.directory.empty() ? nullptr : plan.directory.c_str();
  for (int stream = 0; stream < 3; ++stream) view.streams[stream] = plan.streams[stream].get();
  view.report_to = reports.write.get();
  view.parent = ::getpid();
  const pid_t id = fork_and_become(view);
  if (id < 0) {
    outcome.error = errno;
    return outcome;
  }
  reports.write.reset(-1);
  report message{spawn_step::done, 0};
  ssize_t got = 0;
  do {
    got = ::read(reports.read.get(), &message, sizeof message);
  } while (got < 0 && errno == EINTR);
  if (got == static_cast<ssize_t>(sizeof message)) {  // nothing comes once exec has succeeded
    reap(id);
    outcome.step = message.step;
    outcome.error = message.error;
    return outcome;
  }
  outcome.step = spawn_step::done;
  outcome.id = id;
  return outcome;
}

}  // namespace

// Not pidfd_open: the header glibc 2.36 has for it lacks extern "C".
int open_pidfd(pid_t id) noexcept { return static_cast<int>(::syscall(SYS_pidfd_open, id, 0)); }

bool on_main_thread() noexcept { return ::gettid() == ::getpid(); }

void unique_fd::reset(int fd) noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

pipe_ends::pipe_ends() {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    throw std::system_error(errno, std::generic_category(), "cannot make a pipe");
  }
  read.reset(ends[0]);
  write.reset(ends[1]);
  read = above_streams(read.release());
  write = above_streams(write.release());
}

spawn_outcome spawn_job::take() {
  const std::lock_guard lock(mutex_);
  BRIGADE_ASSERT(completed_, "spawn_job::take before the start was finished");
  abandoned_ = true;  // the child is the caller's now
  return std::exchange(outcome_, spawn_outcome{});
}

void spawn_job::abandon() {
  const std::lock_guard lock(mutex_);
  abandoned_ = true;
  if (completed_ && outcome_.id > 0) spawner::instance().bury(outcome_.id);
  outcome_ = spawn_outcome{};
}

void spawn_job::complete(spawn_outcome outcome) {
  const std::lock_guard lock(mutex_);
  completed_ = true;
  if (abandoned_) {
    if (outcome.id > 0) spawner::instance().bury(outcome.id);
  } else {
    outcome_ = outcome;
  }
  finished_.reset(-1);
}

spawner& spawner::instance() {
  static spawner* const the_one = new spawner;  // never destroyed: see above
  return *the_one;
}

spawner::spawner() : wake_(above_streams(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))) {
  struct sigaction pipe_action = {};
  ::sigaction(SIGPIPE, nullptr, &pipe_action);
  if (pipe_action.sa_handler == SIG_DFL) {
    pipe_action.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &pipe_action, nullptr);
  }
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([this] { serve(); }).detach();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void spawner::start(std::shared_ptr<spawn_job> job) {
  {
    const std::lock_guard lock(mutex_);
    starts_.push_back(std::move(job));
  }
  wake();
}

spawn_outcome spawner::start_here(spawn_plan plan) {
  // No handler may run in the child while it is on our memory.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const spawn_outcome outcome = outcome_of(plan);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return outcome;
}

void spawner::bury(pid_t id) {
  ::kill(-id, SIGKILL);
  {
    const std::lock_guard lock(mutex_);
    burials_.push_back(id);
  }
  wake();
}

void spawner::wake() noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(wake_.get(), &one, sizeof one));
}

void spawner::serve() {
  ::prctl(PR_SET_NAME, "brigade-spawner");
  for (;;) {
    wait_for_work();
    std::vector<std::shared_ptr<spawn_job>> starts;
    std::vector<pid_t> burials;
    {
      const std::lock_guard lock(mutex_);
      starts.swap(starts_);
      burials.swap(burials_);
    }
    for (const pid_t id : burials) {
      unique_fd ended(open_pidfd(id));
      if (ended.get() >= 0) {
        dying_.push_back({id, std::move(ended)});
      } else {
        reap(id);  // out of descriptors; it was killed, so this does not take long
      }
    }
    for (const std::shared_ptr<spawn_job>& job : starts) perform(*job);
  }
}

void spawner::wait_for_work() {
  std::vector<pollfd> watched = {{wake_.get(), POLLIN, 0}};
  for (const dying& child : dying_) watched.push_back({child.ended.get(), POLLIN, 0});
  if (::poll(watched.data(), watched.size(), -1) < 0) return;
  std::size_t index = 0;
  std::erase_if(dying_, [&](const dying& child) {
    if (watched[++index].revents == 0) return false;
    reap(child.id);
    return true;
  });
  std::uint64_t count = 0;
  static_cast<void>(!::read(wake_.get(), &count, sizeof count));
}

spawn_outcome spawner::outcome_of(spawn_plan& plan) {
  try {
    return spawn_now(plan);
  } catch (const std::system_error& error) {
    spawn_outcome outcome;
    outcome.error = error.code().value();
    return outcome;
  }
}

void spawner::perform(spawn_job& job) {
  const spawn_outcome outcome = outcome_of(job.plan);
  job.plan = spawn_plan{};  // the child's ends of the pipes live on in the child alone
  job.complete(outcome);
}

}  // namespace brigade::detail
