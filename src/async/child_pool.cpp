#include <brigade/async/assert.hpp>
#include <brigade/async/child_pool.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <utility>

namespace brigade {

namespace {

constexpr std::size_t read_bytes = 64 * 1024;
constexpr std::size_t last_words_max = 200;
// A child whose output has ended gets this long to end by itself, and say how.
constexpr std::chrono::milliseconds end_grace{100};
constexpr std::chrono::seconds surplus_grace{2};

std::string last_line(const std::string& text) {
  const std::size_t end = text.find_last_not_of("\n\r ");
  if (end == std::string::npos) return {};
  const std::size_t begin = text.find_last_of('\n', end);
  return text.substr(begin == std::string::npos ? 0 : begin + 1, end - begin);
}

}  // namespace

/// A child and what it has said so far.
class child_pool::worker {
 public:
  explicit worker(process&& child) : child_(std::move(child)) {}
  process& child() { return child_; }
  /// Fit for another call: alive, and silent since its last answer.
  bool fit() {
    char byte = 0;
    return said.empty() && ::read(child_.output().fd(), &byte, 1) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
  }
  void note_error_text(std::string_view text) {
    errors_.append(text);
    if (errors_.size() > 2 * last_words_max) errors_.erase(0, errors_.size() - last_words_max);
  }
  [[nodiscard]] std::string last_words() const { return last_line(errors_); }
  /// What it wrote to its standard error and nobody has read yet.
  void hear_errors() {
    std::array<char, last_words_max> text{};
    for (;;) {
      const ssize_t count = ::read(child_.errors().fd(), text.data(), text.size());
      if (count <= 0) return;
      note_error_text({text.data(), static_cast<std::size_t>(count)});
    }
  }

  std::string said;      ///< read and not yet used
  bool got_any = false;  ///< of the item it has

 private:
  process child_;
  std::string errors_;
};

/// The permit of a call, given back at its end.
class child_pool::seat {
 public:
  explicit seat(child_pool& pool) : pool_(pool) {
    if (pool_.busy_++ == 0) pool_.idle_again_.clear();
  }
  ~seat() {
    if (worker_ != nullptr) std::erase(pool_.working_, worker_.get());
    if (--pool_.busy_ == 0) pool_.idle_again_.set();
    if (pool_.surplus_ != 0) {
      --pool_.surplus_;
    } else if (!pool_.closed_) {
      char permit = 0;
      pool_.permits_.try_put(permit);
    }
  }
  seat(const seat&) = delete;
  seat& operator=(const seat&) = delete;
  worker& sit(std::unique_ptr<worker> one) {
    worker_ = std::move(one);
    pool_.working_.push_back(worker_.get());
    return *worker_;
  }
  /// The worker has answered, and is free for the next.
  void release() {
    std::erase(pool_.working_, worker_.get());
    pool_.idle_.push_back(std::move(worker_));
  }

 private:
  child_pool& pool_;
  std::unique_ptr<worker> worker_;
};

child_pool_closed::child_pool_closed(std::string_view pool_name)
    : std::runtime_error("child pool '" + std::string(pool_name) + "' is shut down") {}

child_pool::child_pool(process_options command, child_pool_options options)
    : command_(std::move(command)),
      options_(std::move(options)),
      size_(options_.size),
      permits_(unbounded, "children"),
      idle_again_("the calls of a child pool") {
  BRIGADE_ASSERT(!command_.command.empty(), "a child pool needs a command");
  BRIGADE_ASSERT(size_ > 0, "a child pool of no children");
  name_ = options_.name.empty() ? command_.command.front() : options_.name;
  for (char permit = 0; permits_.size() < size_;) permits_.try_put(permit);
  idle_again_.set();
}

child_pool::~child_pool() {
  BRIGADE_ASSERT(busy_ == 0, "a child pool was destroyed while a call waits");
}

child_pool_statistics child_pool::statistics() const {
  child_pool_statistics result;
  result.size = size_;
  result.children = idle_.size() + working_.size();
  result.busy = busy_;
  result.waiting = permits_.statistics().getters_waiting;
  result.answered = answered_;
  result.failed = failed_;
  result.started = started_;
  return result;
}

task<std::string> child_pool::call(std::string item) {
  if (item.find('\n') != std::string::npos) {
    throw std::invalid_argument("child pool '" + name_ + "': an item with a line break in it");
  }
  item += '\n';
  auto permit = co_await permits_.take();
  if (!permit) throw child_pool_closed(name_);
  permit.done();
  // Once more when it was the child's end between two calls that this call ran into.
  bool try_again = false;
  std::string answer = co_await attempt(item, try_again);
  if (try_again) answer = co_await attempt(item, try_again);
  co_return answer;
}

task<std::unique_ptr<child_pool::worker>> child_pool::free_worker() {
  while (!idle_.empty()) {
    std::unique_ptr<worker> one = std::move(idle_.back());
    idle_.pop_back();
    if (one->fit()) co_return one;
  }
  ++started_;
  process child = co_await process::start(command_);
  co_return std::make_unique<worker>(std::move(child));
}

task<std::string> child_pool::attempt(const std::string& line, bool& try_again) {
  const bool last = std::exchange(try_again, false);
  seat own(*this);
  std::string answer;
  worker* sitting = nullptr;
  reply how = reply::answered;
  try {
    std::unique_ptr<worker> free = co_await free_worker();
    sitting = &own.sit(std::move(free));
    worker& one = *sitting;
    one.got_any = false;
    auto asked = ask(one, line, answer);
    if (options_.call_timeout.count() == 0) {
      how = co_await std::move(asked);
    } else {
      how = co_await timeout(options_.call_timeout, std::move(asked));
    }
  } catch (...) {
    ++failed_;
    throw;
  }
  worker& one = *sitting;
  if (how == reply::never_got_it && !last && !closed_) {
    try_again = true;
    ++surplus_;  // the permit stays with this call
    co_return answer;
  }
  if (how != reply::answered) {
    ++failed_;
    std::optional<exit_status> status;
    if (how == reply::ended || how == reply::never_got_it) status = co_await end_of(one);
    one.hear_errors();
    fail(how, one, status);
  }
  ++answered_;
  own.release();
  end_surplus();
  co_return answer;
}

void child_pool::fail(reply how, const worker& one, const std::optional<exit_status>& status) {
  std::string why = "child of pool '" + name_ + "' ";
  switch (how) {
    case reply::too_long:
      why += "was killed: an answer longer than " + std::to_string(options_.answer_bytes_max) +
             " bytes";
      break;
    case reply::unasked:
      why += "was killed: a second answer to one item";
      break;
    default:
      why += "ended (" + (status ? to_string(*status) : std::string("killed")) +
             ") before it answered";
  }
  const std::string last_words = one.last_words();
  if (!last_words.empty()) why += ": " + last_words;
  throw child_failed(why, status);
}

task<child_pool::reply> child_pool::ask(worker& one, const std::string& line, std::string& answer) {
  reply how = reply::answered;
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): outlives the await below
  auto exchange = [&](task_group& group) -> task<> {
    group.spawn(drain_errors, std::ref(one));
    group.spawn(write_all, std::ref(one), std::string_view(line));
    how = co_await read_answer(one, options_.answer_bytes_max, answer);
    group.cancel("answered");
  };
  // That the group ends by its own cancellation is its good end.
  co_await with_group(std::ref(exchange));
  if (how == reply::ended && !one.got_any) how = reply::never_got_it;
  co_return how;
}

task<> child_pool::write_all(worker& one, std::string_view rest) {
  try {
    while (!rest.empty()) {
      const std::size_t count = co_await one.child().input().write_some(rest);
      one.got_any = true;
      rest.remove_prefix(count);
    }
  } catch (const std::system_error&) {
    co_return;  // its end is seen where its answer is read
  }
}

task<> child_pool::drain_errors(worker& one) {
  try {
    std::string text(last_words_max, '\0');
    for (;;) {
      const std::size_t count = co_await one.child().errors().read_some(text);
      if (count == 0) co_return;
      one.note_error_text(std::string_view(text).substr(0, count));
    }
  } catch (const std::system_error&) {
    co_return;
  }
}

task<child_pool::reply> child_pool::read_answer(worker& one, std::size_t bytes_max,
                                                std::string& answer) {
  std::string chunk(read_bytes, '\0');
  for (std::size_t searched = 0;;) {
    const std::size_t end = one.said.find('\n', searched);
    if (end != std::string::npos) {
      if (end > bytes_max) co_return reply::too_long;
      if (end + 1 != one.said.size()) co_return reply::unasked;
      one.said.resize(end);
      answer = std::exchange(one.said, {});
      co_return reply::answered;
    }
    searched = one.said.size();
    if (searched > bytes_max) co_return reply::too_long;
    std::size_t count = 0;
    try {
      count = co_await one.child().output().read_some(chunk);
    } catch (const std::system_error&) {
      co_return reply::ended;
    }
    if (count == 0) co_return reply::ended;
    one.said.append(chunk, 0, count);
  }
}

task<std::optional<exit_status>> child_pool::end_of(worker& one) {
  std::optional<exit_status> status;
  try {
    status = co_await timeout(end_grace, one.child().wait());
  } catch (const timed_out&) {
    one.child().kill_group();
  }
  co_return status;
}

task<> child_pool::end_gently(std::unique_ptr<worker> one, std::chrono::nanoseconds grace) {
  co_await one->child().end(grace);
}

void child_pool::set_size(std::size_t size) {
  BRIGADE_ASSERT(size > 0, "a child pool of no children");
  for (char permit = 0; size_ < size; ++size_) {
    if (surplus_ != 0) {
      --surplus_;
    } else if (!closed_) {
      permits_.try_put(permit);
    }
  }
  for (; size_ > size; --size_) ++surplus_;
  drop_permits();
  end_surplus();
}

void child_pool::drop_permits() {
  while (surplus_ != 0) {
    std::optional<ticket<char>> permit = permits_.try_take();
    if (!permit) return;
    permit->done();
    --surplus_;
  }
}

void child_pool::end_surplus() {
  while (!idle_.empty() && idle_.size() + working_.size() > size_) {
    std::unique_ptr<worker> one = std::move(idle_.front());
    idle_.erase(idle_.begin());
    spawn(end_gently, std::move(one), surplus_grace);
  }
}

task<> child_pool::nobody_works() { co_await idle_again_.wait(); }

task<> child_pool::shutdown(std::chrono::nanoseconds grace) {
  struct kill_all {
    child_pool& pool;
    ~kill_all() {
      for (worker* one : pool.working_) one->child().kill_group();
      pool.idle_.clear();
    }
  };
  closed_ = true;
  static_cast<void>(permits_.abort());
  const kill_all guard{*this};
  auto end_idle = [&](task_group& group) {
    for (; !idle_.empty(); idle_.pop_back()) {
      group.spawn(end_gently, std::move(idle_.back()), grace);
    }
  };
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): outlives the await below
  auto all = [&](task_group& group) -> task<> {
    end_idle(group);
    bool in_time = true;
    try {
      co_await timeout(grace, nobody_works());
    } catch (const timed_out&) {
      in_time = false;
    }
    if (!in_time) {
      for (worker* one : working_) one->child().kill_group();
      co_await nobody_works();
    }
    end_idle(group);
  };
  co_await with_group(std::ref(all));
}

}  // namespace brigade
