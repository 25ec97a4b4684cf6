// What a loop tells of its tasks: the dump, circles of tasks that wait for each other, slow steps.

#include <brigade/async/loop.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

namespace brigade {

namespace {

using detail::task_state;
using detail::waiter;

constexpr int steps_timed_after_a_slow_turn = 10'000;
// A search for a circle may not cost more than the wait that set it off.
constexpr std::size_t tasks_searched_max = 256;

std::string seconds_text(std::chrono::nanoseconds duration) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3f", std::chrono::duration<double>(duration).count());
  return text.data();
}

std::string where_of(const waiter& wait) {
  if (wait.where().line() == 0) return {};
  return std::string(wait.where().file_name()) + ":" + std::to_string(wait.where().line());
}

std::string quoted(const std::string& text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      json += '\\';
      json += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      std::array<char, 8> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "\\u%04x", static_cast<unsigned>(c));
      json += escaped.data();
    } else {
      json += c;
    }
  }
  return json + '"';
}

std::vector<const task_state*> blockers_of(const waiter& wait) {
  std::vector<const task_state*> blockers;
  wait.add_blockers(blockers);
  return blockers;
}

std::string text_line(const task_state& record, detail::time_point now) {
  std::string text = "task '" + record.name() + "'";
  if (record.background()) text += " (background)";
  const waiter* wait = record.waiting_on();
  if (wait == nullptr) return text + " runs";
  text += " waits: " + wait->describe();
  const std::string where = where_of(*wait);
  if (!where.empty()) text += ", at " + where;
  return text + ", for " + seconds_text(now - record.waiting_since()) + " s";
}

std::string json_object(const task_state& record, detail::time_point now) {
  std::string json = "{\"id\":" + std::to_string(record.id()) +
                     ",\"name\":" + quoted(record.name()) +
                     ",\"parent\":" + std::to_string(record.parent_id()) +
                     ",\"background\":" + (record.background() ? "true" : "false");
  const waiter* wait = record.waiting_on();
  if (wait == nullptr) return json + ",\"state\":\"running\"}";
  const bool waits = wait->state() == detail::wait_state::waiting;
  json += std::string(",\"state\":\"") + (waits ? "waiting" : "ready") + "\"";
  json += ",\"waits_for\":" + quoted(wait->describe());
  json += ",\"where\":" + quoted(where_of(*wait));
  json += ",\"seconds\":" + seconds_text(now - record.waiting_since());
  json += ",\"blocked_by\":[";
  const char* comma = "";
  for (const task_state* blocker : blockers_of(*wait)) {
    json += comma + std::to_string(blocker->id());
    comma = ",";
  }
  return json + "]}";
}

// Children behind their parents; a parent that has ended leaves its children at the top.
class tree_text {
 public:
  tree_text(const std::vector<task_state*>& tasks, detail::time_point now) : now_(now) {
    for (const task_state* record : tasks) alive_[record->id()] = record;
    for (const task_state* record : tasks) {
      const bool top = !alive_.contains(record->parent_id());
      children_[top ? 0 : record->parent_id()].push_back(record);
    }
  }
  std::string text() {
    // Not by recursion: a chain of tasks may be long.
    push_children(0, 1);
    while (!stack_.empty()) {
      const auto [record, depth] = stack_.back();
      stack_.pop_back();
      text_ += std::string(depth * 2, ' ') + text_line(*record, now_) + "\n";
      push_children(record->id(), std::min<std::size_t>(depth + 1, 20));
    }
    return std::move(text_);
  }

 private:
  void push_children(std::uint64_t of, std::size_t depth) {
    const auto found = children_.find(of);
    if (found == children_.end()) return;
    for (auto it = found->second.rbegin(); it != found->second.rend(); ++it) {
      stack_.emplace_back(*it, depth);
    }
  }
  detail::time_point now_;
  std::map<std::uint64_t, const task_state*> alive_;
  std::map<std::uint64_t, std::vector<const task_state*>> children_;
  std::vector<std::pair<const task_state*, std::size_t>> stack_;
  std::string text_;
};

struct found_task {
  const task_state* record;
  std::size_t reached_from;  ///< index into those found before
};

// On the stack: a wait that closes no circle allocates nothing.
class found_tasks {
 public:
  void add(const task_state* record, std::size_t reached_from) {
    if (count_ == found_.size() || contains(record)) return;
    found_[count_++] = {record, reached_from};
  }
  [[nodiscard]] std::size_t size() const { return count_; }
  const found_task& operator[](std::size_t index) const { return found_[index]; }

 private:
  [[nodiscard]] bool contains(const task_state* record) const {
    return std::any_of(found_.begin(), found_.begin() + static_cast<std::ptrdiff_t>(count_),
                       [&](const found_task& one) { return one.record == record; });
  }
  std::array<found_task, tasks_searched_max> found_;
  std::size_t count_ = 0;
};

std::string circle_text(const found_tasks& found, std::size_t last) {
  std::vector<const task_state*> circle;
  for (std::size_t at = last;; at = found[at].reached_from) {
    circle.push_back(found[at].record);
    if (at == 0) break;
  }
  std::ranges::reverse(circle);
  std::string text = "tasks wait for each other:";
  for (const task_state* record : circle) {
    const waiter& wait = *record->waiting_on();
    text += " '" + record->name() + "' waits: " + wait.describe();
    const std::string where = where_of(wait);
    if (!where.empty()) text += ", at " + where;
    text += ";";
  }
  text.back() = '.';
  return text;
}

}  // namespace

std::string loop::dump_tasks(dump_format format) const {
  if (format == dump_format::text) return tree_text(unfinished(), now_).text();
  std::string json = "[";
  const char* comma = "";
  for (const task_state* record : unfinished()) {
    json += comma + json_object(*record, now_);
    comma = ",";
  }
  return json + "]";
}

void loop::look_for_circle(const detail::waiter& begun) const {
  const task_state* const start = begun.task();
  found_tasks found;
  found.add(start, 0);
  for (std::size_t at = 0; at < found.size(); ++at) {
    const waiter* wait = found[at].record->waiting_on();
    if (wait == nullptr || wait->state() != detail::wait_state::waiting) continue;
    blockers_.clear();
    wait->add_blockers(blockers_);
    for (const task_state* blocker : blockers_) {
      if (blocker == start) {
        warn(circle_text(found, at));
        return;
      }
      found.add(blocker, at);
    }
  }
}

void loop::look_at_turn() {
  if (slow_step_limit_.count() == 0) return;
  const std::chrono::nanoseconds took = now_ - turn_began_at_;
  if (took < slow_step_limit_ || steps_ == turn_began_) return;
  const bool first = steps_to_time_ == 0;
  steps_to_time_ = steps_timed_after_a_slow_turn;
  plain_steps_ = false;
  if (first) {
    warn(std::to_string(steps_ - turn_began_) + " steps in a row held the loop for " +
         seconds_text(took) + " s; steps are timed now, and the next slow one is named");
  }
}

void loop::run_timed(detail::task_state& record, const detail::waiter& wait) {
  if (--steps_to_time_ == 0) plain_steps_ = takes_the_first_;
  const task_ref task(record);
  const std::string where = where_of(wait);
  const detail::time_point before = driver_->now();
  record.resumption_.at.resume();
  const std::chrono::nanoseconds took = driver_->now() - before;
  if (slow_step_limit_.count() == 0 || took < slow_step_limit_) return;
  warn("task '" + task.name() + "' held the loop for " + seconds_text(took) + " s" +
       (where.empty() ? "" : ", after its wait at " + where));
}

task_ref current_task() {
  detail::task_state* const running = loop::current().running();
  BRIGADE_ASSERT(running != nullptr, "current_task outside any task");
  return task_ref(*running);
}

std::vector<task_ref> all_tasks() { return loop::current().tasks(); }

std::exception_ptr task_ref::error() const {
  if (!done()) throw invalid_state("the error of task '" + name() + "', which still runs");
  if (cancelled()) return std::make_exception_ptr(brigade::cancelled(record_->cancel_reason()));
  return record_->see_error();
}

std::vector<task_ref> task_ref::awaited_by() const {
  std::vector<task_ref> waiting;
  for (task_ref& task : record_->owner().tasks()) {
    const waiter* wait = task.record().waiting_on();
    if (wait == nullptr) continue;
    const auto blockers = blockers_of(*wait);
    const bool this_one = std::ranges::find(blockers, record_) != blockers.end();
    if (this_one) waiting.push_back(std::move(task));
  }
  return waiting;
}

std::optional<task_ref> task_ref::parent() const {
  for (task_ref& task : record_->owner().tasks()) {
    if (task.id() == record_->parent_id()) return std::move(task);
  }
  return std::nullopt;
}

}  // namespace brigade
