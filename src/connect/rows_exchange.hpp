/// What passes between a source, on its run's loop, and the thread that speaks with the database.
///
/// The thread has a loop of its own. So neither keeps the other from its work: a lease is renewed
/// while a stage spins, and rows are fetched while others are worked on.
///
/// Thread safety: any thread, but for the waits: `opened`, `take` and `ended` on the source's side,
/// `news` on the other's. Lifetime: shared by both.
#pragma once
#include "connect/rows_bell.hpp"
#include "connect/rows_options.hpp"

#include <brigade/async/task.hpp>
#include <brigade/pipeline/mark.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace brigade::rows {

class exchange {
 public:
  struct amount {
    std::size_t rows = 0;
    std::size_t bytes = 0;
  };
  // --- the source's side ---
  /// Completes once the database was opened. Throws what opening it threw.
  task<> opened();
  /// The next rows, at most so many, as soon as there are any; none: there will be no more. Throws
  /// what the other side failed with, when all that came before is taken.
  task<std::vector<row>> take(std::size_t rows_max);
  void settle(settled_row what);
  /// What has no outcome at the end stays claimed: some of it may be finished.
  void keep_claims();
  /// Rows without an outcome are given back.
  void ask_to_stop();
  /// Nothing is given back, as by a kill.
  void abandon();
  /// Completes once the thread is done with its work.
  task<> ended();

  // --- the thread's side ---
  void say_opened();
  void give(std::vector<row> rows);
  void say_end();
  void fail(std::exception_ptr error);
  void say_ended();
  /// A line for the log, which the source's loop has.
  void say(const std::string& line);
  /// Completes when something of what follows has changed.
  task<> news() { return there_.wait(); }
  /// How many rows are waited for beyond those that are there.
  [[nodiscard]] std::size_t wanted();
  /// How much is there.
  [[nodiscard]] amount stock();
  [[nodiscard]] std::vector<settled_row> take_settled();
  [[nodiscard]] bool keeps_claims();
  [[nodiscard]] bool stopping();
  [[nodiscard]] bool abandoned();

 private:
  template <class Change>
  void change(bell& whose, Change what);

  std::mutex mutex_;
  bell here_;   ///< of the source
  bell there_;  ///< of the thread
  bool opened_ = false;
  bool at_end_ = false;
  bool ended_ = false;
  bool keeps_claims_ = false;
  bool stopping_ = false;
  bool abandoned_ = false;
  std::exception_ptr error_;
  std::size_t wanted_ = 0;
  std::deque<row> rows_;
  std::size_t bytes_ = 0;  ///< of these
  std::vector<settled_row> settled_;
  std::shared_ptr<detail::mailbox> box_;  ///< of the source's loop
};

}  // namespace brigade::rows
