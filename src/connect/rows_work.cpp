#include "connect/rows_work.hpp"

#include <brigade/async/cancel.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/timeout.hpp>

#include <algorithm>
#include <exception>
#include <set>
#include <utility>

namespace brigade::rows {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

namespace {

constexpr std::chrono::milliseconds first_pause = 50ms;
constexpr std::chrono::milliseconds longest_pause = 2s;
// Rows are fetched while others are worked on; so many are there at most, and a row more.
constexpr std::size_t cursor_stock = 16'384;
constexpr std::size_t cursor_batch = 4096;
constexpr std::size_t cursor_stock_bytes = std::size_t{16} << 20;
constexpr std::size_t cursor_batch_bytes = std::size_t{4} << 20;
// Looking through a whole table takes at most this part of the time.
constexpr int whole_look_part = 10;
constexpr std::chrono::milliseconds held_back_pause = 20ms;
constexpr std::chrono::seconds last_words_within{2};
constexpr std::chrono::seconds said_when_held_for{10};

/// Asks again until the database can answer.
class patience {
 public:
  patience(outage_book& book, outage_book::part of) : book_(book), of_(of) {}
  template <class F>
  auto operator()(F& ask) -> decltype(ask()) {
    std::chrono::milliseconds pause = first_pause;
    for (;;) {
      std::string why;
      try {
        if constexpr (std::is_void_v<typename decltype(ask())::value_type>) {
          co_await ask();
          book_.worked(of_);
          co_return;
        } else {
          auto answer = co_await ask();
          book_.worked(of_);
          co_return answer;
        }
      } catch (const outage& error) {
        why = error.what();
      }
      book_.failed(of_, why);
      co_await sleep_for(pause);
      pause = std::min(pause * 2, longest_pause);
    }
  }

 private:
  outage_book& book_;
  outage_book::part of_;
};

/// Errors come out of groups in groups; one of them is told.
std::exception_ptr first_of(std::exception_ptr error) {
  try {
    std::rethrow_exception(error);
  } catch (const exception_group& several) {
    return several.errors().empty() ? error : first_of(several.errors().front());
  } catch (...) {
    return error;
  }
}

class cursor_work {
 public:
  explicit cursor_work(exchange& between, const work_options& options, cursor_desk& desk)
      : between_(between),
        options_(options.table),
        desk_(desk),
        book_(between, options.table.source, options.table.give_up_after),
        low_(options.done.low) {}

  task<> fetch() {
    patience patiently(book_, outage_book::fetching);
    for (;;) {
      while (!has_room()) {
        wanted_.clear();
        co_await wanted_.wait();
      }
      auto ask = [&] { return desk_.next(low_, {cursor_batch, cursor_batch_bytes}); };
      cursor_rows found = co_await patiently(ask);
      if (!found.rows.empty()) {
        low_ = found.rows.back().number + 1;
        between_.give(std::move(found.rows));
        continue;
      }
      if (!found.held_back && !options_.tail) break;
      note_hold(found);
      auto news = [&] { return desk_.wait(found.held_back ? held_back_pause : options_.poll); };
      co_await patiently(news);
    }
    between_.say_end();
  }
  void look() { wanted_.set(); }

 private:
  [[nodiscard]] bool has_room() {
    const exchange::amount there = between_.stock();
    return there.rows + cursor_batch <= cursor_stock &&
           there.bytes + cursor_batch_bytes <= cursor_stock_bytes;
  }
  /// Says once who keeps it waiting, when that is long.
  void note_hold(const cursor_rows& found) {
    if (found.by.empty()) held_since_.reset();
    if (found.by.empty()) return;
    if (!held_since_) held_since_ = clock::now();
    if (clock::now() - *held_since_ < said_when_held_for || std::exchange(hold_said_, true)) return;
    between_.say("source '" + options_.source + "': rows wait for a transaction that has written " +
                 "to the table, or may yet, and is still open: process " + found.by);
  }

  exchange& between_;
  const table_options& options_;
  cursor_desk& desk_;
  std::optional<clock::time_point> held_since_;
  bool hold_said_ = false;
  outage_book book_;
  std::uint64_t low_;
  event wanted_{"wanted"};
};

class claim_work {
 public:
  explicit claim_work(exchange& between, const work_options& options, claim_desk& desk)
      : between_(between),
        options_(options.table),
        holder_(options.holder),
        done_(options.done),
        desk_(desk),
        book_(between, options.table.source, options.table.give_up_after) {}

  /// What was claimed before a kill is finished, or given once more.
  task<> recover() {
    std::vector<row> mine = co_await desk_.take_over(holder_);
    const std::uint64_t last = co_await desk_.last_number();
    next_ = std::max({std::uint64_t{1}, last + 1, done_.low});
    if (!done_.above.empty()) next_ = std::max(next_, done_.above.back().end);
    const mark_builder known(done_);
    std::vector<row> unfinished;
    std::vector<settled_row> finished;
    for (row& each : mine) {
      if (done_.finished(each.number)) {
        finished.emplace_back(each.number, finished_before);
      } else {
        if (known.has_parts(each.number)) begun_.insert(each.number);
        unfinished.push_back(std::move(each));
      }
    }
    if (!finished.empty()) co_await desk_.settle(finished);
    if (!unfinished.empty()) between_.give(std::move(unfinished));
  }

  task<> fetch() {
    patience patiently(book_, outage_book::fetching);
    bool from_start = true;
    for (;;) {
      while (between_.wanted() == 0) {
        wanted_.clear();
        co_await wanted_.wait();
      }
      const auto began = clock::now();
      std::vector<row> rows = co_await claim(from_start);
      if (from_start) whole_look_after_ = clock::now() + (clock::now() - began) * whole_look_part;
      const bool was_whole = std::exchange(from_start, false);
      if (!rows.empty()) {
        next_ = std::max(next_, rows.back().number + 1);
        between_.give(std::move(rows));
        continue;
      }
      if (was_whole && !options_.tail) break;
      const bool may_look_whole = clock::now() >= whole_look_after_;
      if (!was_whole && (may_look_whole || !options_.tail)) {
        from_start = true;
        continue;
      }
      const std::chrono::milliseconds most = std::min(options_.poll, options_.lease);
      auto news = [&] { return desk_.wait(most); };
      co_await patiently(news);
    }
    between_.say_end();
  }

  /// Outcomes, as they come.
  task<> write() {
    for (;;) {
      settled_.clear();
      std::vector<settled_row> rows = between_.take_settled();
      if (rows.empty()) {
        co_await settled_.wait();
        continue;
      }
      unwritten_ = std::move(rows);
      co_await write_some();
    }
  }

  task<> renew() {
    patience patiently(book_, outage_book::renewing);
    auto ask = [&] { return desk_.renew(); };
    for (;;) {
      co_await sleep_for(options_.lease / 3);
      co_await patiently(ask);
    }
  }

  /// What is left to write and to give back.
  task<> end() {
    co_await write_some();
    unwritten_ = between_.take_settled();
    co_await write_some();
    // Given back, what a sink has a part of would come under a number that its marks do not know.
    if (!between_.keeps_claims() && begun_.empty()) co_await desk_.release();
  }

  void look() {
    wanted_.set();
    settled_.set();
  }

 private:
  /// An answer that was lost may have been a claim: then the rows are there.
  task<std::vector<row>> claim(bool from_start) {
    bool was_lost = false;
    auto ask = [&] { return try_to_claim(from_start, was_lost); };
    patience patiently(book_, outage_book::fetching);
    co_return co_await patiently(ask);
  }

  task<std::vector<row>> try_to_claim(bool from_start, bool& was_lost) {
    if (was_lost) {
      std::vector<row> mine = co_await desk_.take_over(holder_);
      std::erase_if(mine, [&](const row& each) { return each.number < next_; });
      if (!mine.empty()) co_return mine;
    }
    was_lost = true;
    const std::size_t most = std::max<std::size_t>(between_.wanted(), 1);
    co_return co_await desk_.claim(next_, most, from_start);
  }

  task<> write_some() {
    if (unwritten_.empty()) co_return;
    patience patiently(book_, outage_book::writing);
    auto ask = [&] { return desk_.settle(unwritten_); };
    const std::size_t foreign = co_await patiently(ask);
    for (const settled_row& each : unwritten_) begun_.erase(each.number);
    unwritten_.clear();
    if (foreign == 0) co_return;
    between_.say("source '" + options_.source + "': " + std::to_string(foreign) +
                 (foreign == 1 ? " row was" : " rows were") +
                 " finished here after the lease had run out, and claimed by another process "
                 "meanwhile; what that one says counts");
  }

  exchange& between_;
  const table_options& options_;
  const std::string& holder_;
  const mark& done_;
  claim_desk& desk_;
  outage_book book_;
  std::uint64_t next_ = 1;
  clock::time_point whole_look_after_{};
  std::vector<settled_row> unwritten_;
  std::set<std::uint64_t> begun_;  ///< unfinished, with parts that were finished before
  event wanted_{"wanted"};
  event settled_{"settled"};
};

/// Tells `work` of news until the source wants no more.
template <class Work>
task<> attend(exchange& between, Work& work, task_group& tasks) {
  while (!between.stopping()) {
    work.look();
    co_await between.news();
  }
  tasks.cancel();
}

/// Runs tasks until the source wants no more.
template <class Work, class Start>
task<> until_stopped(exchange& between, Work& work, Start start) {
  std::exception_ptr failed;
  try {
    task_group tasks("tasks of a table");
    auto body = [&](task_group& group) {
      start(group);
      return attend(between, work, group);
    };
    co_await tasks.run(body);
  } catch (const std::exception&) {
    failed = std::current_exception();
  }
  if (failed) between.fail(first_of(failed));
  while (!between.stopping()) co_await between.news();
}

}  // namespace

void outage_book::failed(part of, const std::string& why) {
  const auto now = clock::now();
  failures& its = failures_.at(of);
  if (!its.since) its.since = now;
  ++its.count;
  const auto away_for = now - *its.since;
  if (give_up_after_.count() > 0 && away_for >= give_up_after_) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(away_for);
    throw std::runtime_error(why + "; for " + std::to_string(seconds.count()) + " s now");
  }
  if (its.count < 2 || std::exchange(said_, true)) return;
  to_.say("source '" + label_ + "': " + why + "; waiting for it");
}

void outage_book::worked(part of) {
  failures_.at(of) = failures{};
  const auto is_failing = [](const failures& each) { return each.count > 0; };
  if (std::ranges::any_of(failures_, is_failing)) return;
  if (std::exchange(said_, false)) to_.say("source '" + label_ + "': the database is back");
}

task<> work_with_cursor(std::shared_ptr<exchange> between, work_options options,
                        std::unique_ptr<cursor_desk> desk) {
  co_await desk->open();
  between->say_opened();
  cursor_work work(*between, options, *desk);
  auto start = [&](task_group& group) { group.spawn(&cursor_work::fetch, &work); };
  co_await until_stopped(*between, work, start);
}

task<> work_with_claims(std::shared_ptr<exchange> between, work_options options,
                        std::unique_ptr<claim_desk> desk) {
  co_await desk->open();
  claim_work work(*between, options, *desk);
  co_await work.recover();
  between->say_opened();
  auto start = [&](task_group& group) {
    group.spawn(&claim_work::fetch, &work);
    group.spawn(&claim_work::write, &work);
    group.spawn(&claim_work::renew, &work);
  };
  co_await until_stopped(*between, work, start);
  if (between->abandoned()) co_return;
  try {
    co_await timeout(last_words_within, work.end());
  } catch (const std::exception&) {
    // The next run finds them claimed by itself, another one when the lease has run out.
  }
}

}  // namespace brigade::rows
