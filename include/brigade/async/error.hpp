/// What the async layer throws.
#pragma once
#include <chrono>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brigade {

/// A task is being cancelled. Deliberately not a std::exception, so that
/// `catch (const std::exception&)` does not eat it; whoever catches it rethrows it.
class cancelled {
 public:
  explicit cancelled(std::string reason) : reason_(std::move(reason)) {}
  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  std::string reason_;
};

/// A deadline passed. Thrown by the scope whose deadline it was.
class timed_out : public std::runtime_error {
 public:
  explicit timed_out(std::chrono::nanoseconds after);
  [[nodiscard]] std::chrono::nanoseconds after() const { return after_; }

 private:
  std::chrono::nanoseconds after_;
};

/// The queue takes no more items.
class queue_closed : public std::runtime_error {
 public:
  explicit queue_closed(std::string_view queue_name);
};

/// The queue has no room, and was told to refuse then.
class queue_full : public std::runtime_error {
 public:
  explicit queue_full(std::string_view queue_name);
};

/// Asked for what is not there in this state: the result of a task that still runs.
class invalid_state : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// No task can run, no timer is armed, nothing from outside is awaited. `what()` lists each task
/// with what it waits on and the source line of the wait.
class deadlock : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The errors of a group's tasks, in the order they came; always a group, even for one.
class exception_group : public std::exception {
 public:
  explicit exception_group(std::vector<std::exception_ptr> errors);
  [[nodiscard]] const std::vector<std::exception_ptr>& errors() const { return *errors_; }
  [[nodiscard]] const char* what() const noexcept override { return text_->c_str(); }

 private:
  std::shared_ptr<const std::vector<std::exception_ptr>> errors_;  // exceptions are copied
  std::shared_ptr<const std::string> text_;
};

/// The text of any exception; a group's names them all.
[[nodiscard]] std::string error_text(const std::exception_ptr& error);

}  // namespace brigade
