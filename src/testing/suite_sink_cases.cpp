// What a sink must keep when nothing goes wrong, and with items that are out of the ordinary.
#include "testing/suite_world.hpp"

#include <brigade/async/timeout.hpp>

#include <algorithm>
#include <list>
#include <utility>

namespace brigade::testing::suite {

namespace {

using namespace std::chrono_literals;
using description = sink_description;

sink_resume new_resume(std::uint64_t epoch = 1) {
  sink_resume resume;
  resume.pipeline = "suite";
  resume.epoch = epoch;
  return resume;
}

// A batch as the engine gives it, of items that outlive it.
class batch {
 public:
  batch(const sink_far_side& far, const texts& items, std::size_t first = 0) {
    for (const std::string& text : items) {
      values_.push_back(far.item_of(text));
      ids_.push_back("items:0:" + std::to_string(first + ids_.size()));
      keys_.push_back("suite:" + ids_.back());
    }
    for (std::size_t i = 0; i < items.size(); ++i) {
      items_.push_back({ids_[i], keys_[i], &values_[i]});
    }
  }
  [[nodiscard]] std::span<const sink_item> items() const { return items_; }

 private:
  std::vector<payload> values_;
  std::vector<std::string> ids_;
  std::vector<std::string> keys_;
  std::vector<sink_item> items_;
};

std::vector<partition_mark> marks_up_to(std::uint64_t low) {
  partition_mark one;
  one.partition = "items:0";
  one.at.low = low;
  return {one};
}

// What a connector has of a loop must not outlive it, so each ends inside.
task<> open_and_close(std::unique_ptr<sink> one) {
  const sink_resume resume = new_resume();
  static_cast<void>(co_await one->open(resume));
  co_await one->close();
  co_await one->close();
}
task<> just_close(std::unique_ptr<sink> one) { co_await one->close(); }
task<> leave_open(std::unique_ptr<sink> one, const batch& items) {
  const sink_resume resume = new_resume();
  static_cast<void>(co_await one->open(resume));
  const std::vector<partition_mark> marks = marks_up_to(items.items().size());
  static_cast<void>(co_await one->write(items.items(), marks));
}

void opens_and_closes(const description& what) {
  sink_trial trial(what);
  run_bounded(open_and_close(trial.far->make_sink()));
  run_bounded(just_close(trial.far->make_sink()));  // it was never open
  trial.expect_stored({});
}

void goes_without_being_closed(const description& what) {
  sink_trial trial(what);
  const texts wanted = trial.sample(1, 3);
  const batch items(*trial.far, wanted);
  run_bounded(leave_open(trial.far->make_sink(), items));
  const auto never_open = trial.far->make_sink();
  expect(never_open->transactional() == what.keeps_marks,
         "whether it keeps marks is not as its description says");
  trial.expect_stored(wanted);  // it was written, and so it is there
}

void stores_all_once(const description& what) {
  sink_trial trial(what);
  const texts wanted = trial.sample(1, 100);
  const report done = trial.run(wanted);
  expect(done.exit_code == 0, "the run did not end well: " + done.line() + " " + done.error);
  expect(done.count(outcome::delivered) == wanted.size(), "not all delivered: " + done.line());
  trial.expect_stored(wanted);
}

void stores_nothing_of_an_empty_run(const description& what) {
  sink_trial trial(what);
  for (int run = 0; run < 2; ++run) {
    const report done = trial.run({});
    expect(done.exit_code == 0, "the run did not end well: " + done.line() + " " + done.error);
    trial.expect_stored({});
  }
}

void takes_batches_of_any_size(const description& what) {
  sink_trial trial(what);
  texts wanted;
  for (const std::size_t size : {1U, 7U, 1500U}) {
    for (const std::string& text : trial.sample(wanted.size() + 1, size)) wanted.push_back(text);
    course how;
    how.batch = size;
    how.batch_age = 5s;  // whole, however slow the machine is
    how.window = 2000;
    const report done = trial.run(wanted, how);
    expect(done.exit_code == 0, "the run did not end well: " + done.line() + " " + done.error);
    expect(done.taken == size, "a run takes what is new: " + done.line());
  }
  trial.expect_stored(wanted);
}

void keeps_the_order(const description& what) {
  sink_trial trial(what);
  const texts wanted = trial.sample(1, 50);
  trial.run(wanted);
  const texts found = trial.far->stored();
  expect_all(found, wanted);
  expect(found == wanted, "items are not stored in the order in which they were written");
}

void has_what_it_says_it_has(const description& what) {
  sink_trial trial(what);
  const texts wanted = trial.sample(1, 20);
  std::size_t before = 0;
  const report done = trial.run(wanted, {}, [&](std::string_view step) {
    if (step == "write") before = trial.far->stored().size();
    if (step != "write done") return;
    const std::size_t now = trial.far->stored().size();
    expect(now > before, "a write that is done has stored nothing that others can see");
  });
  expect(done.exit_code == 0, "the run did not end well: " + done.line() + " " + done.error);
  trial.expect_stored(wanted);
}

task<> write_cancelled(std::unique_ptr<sink> to, const batch& first, const batch& second,
                       bool& was_cancelled) {
  const sink_resume resume = new_resume();
  static_cast<void>(co_await to->open(resume));
  const std::vector<partition_mark> marks = marks_up_to(first.items().size());
  auto cut_short = timeout(0ns, to->write(first.items(), marks));
  try {
    static_cast<void>(co_await std::move(cut_short));
  } catch (const timed_out&) {
    was_cancelled = true;
  }
  const auto all = marks_up_to(first.items().size() + second.items().size());
  static_cast<void>(co_await to->write(second.items(), all));
  co_await to->close();
}

// Only a sink that promises exactly once can take back what is on its way.
void expect_cancelled_apart(const sink_trial& trial, const texts& cut_short, const texts& behind,
                            bool was_cancelled) {
  const texts found = trial.far->stored();
  texts expected = behind;
  std::size_t there = 0;
  for (const std::string& text : cut_short) {
    if (std::ranges::find(found, text) == found.end()) continue;
    expected.push_back(text);
    ++there;
  }
  expect_all(found, expected);
  expect(there == cut_short.size() || was_cancelled,
         "a write came to its end, and not all of it is stored");
  expect(there == 0 || there == cut_short.size() || !trial.what.exactly_once,
         "half of a write that was cancelled is stored");
}

void is_cancelled_in_a_write(const description& what) {
  sink_trial trial(what);
  const texts cut_short = trial.sample(1, 20);
  const texts behind = trial.sample(21, 20);
  const batch first(*trial.far, cut_short);
  const batch second(*trial.far, behind, cut_short.size());
  bool was_cancelled = false;
  run_bounded(write_cancelled(trial.far->make_sink(), first, second, was_cancelled));
  if (what.keeps) expect_cancelled_apart(trial, cut_short, behind, was_cancelled);
}

// A batch, and whether its write was cancelled.
struct attempted {
  attempted(const sink_trial& trial, std::size_t at, std::size_t count)
      : wanted(trial.sample(at + 1, count)), items(*trial.far, wanted, at), end(at + count) {}
  texts wanted;
  batch items;
  std::size_t end;  ///< where its marks are
  bool was_cancelled = false;
};

// As the engine does it: a far side that is down is asked again.
task<> write_whole(sink& to, const attempted& one) {
  const std::vector<partition_mark> marks = marks_up_to(one.end);
  for (int turn = 0;; ++turn) {
    try {
      static_cast<void>(co_await to.write(one.items.items(), marks));
      co_return;
    } catch (const sink_down& down) {
      expect(turn < 500,
             std::string("behind a write that was cancelled it is down: ") + down.what());
    }
    co_await sleep_for(10ms);
  }
}

task<> write_within(sink& to, attempted& one, std::chrono::nanoseconds limit) {
  const std::vector<partition_mark> marks = marks_up_to(one.end);
  auto cut_short = timeout(limit, to.write(one.items.items(), marks));
  try {
    static_cast<void>(co_await std::move(cut_short));
  } catch (const timed_out&) {
    one.was_cancelled = true;
  } catch (const sink_down&) {
    one.was_cancelled = true;  // nobody knows what there is of it, either
  }
}

// Later and later, until a write gets to its end; behind each a whole one.
task<> write_cancelled_ever_later(const sink_trial& trial, std::list<attempted>& all) {
  const std::unique_ptr<sink> to = trial.far->make_sink();
  const sink_resume resume = new_resume();
  static_cast<void>(co_await to->open(resume));
  std::size_t at = 0;
  std::size_t whole = 0;
  for (std::chrono::nanoseconds limit = 0ns; whole < 2; limit = limit * 4 / 3 + 20us) {
    attempted& cut = all.emplace_back(trial, at, 5);
    co_await write_within(*to, cut, limit);
    if (!cut.was_cancelled) ++whole;
    attempted& behind = all.emplace_back(trial, cut.end, 2);
    co_await write_whole(*to, behind);
    at = behind.end;
  }
  co_await to->close();
}

void is_cancelled_at_any_moment_of_a_write(const description& what) {
  sink_trial trial(what);
  if (trial.far->wire() != nullptr) trial.far->wire()->delay(1ms);  // each answer is waited for
  std::list<attempted> all;
  run_bounded(write_cancelled_ever_later(trial, all));
  if (!what.keeps) return;
  const texts found = trial.far->stored();
  texts expected;
  for (const attempted& each : all) {
    std::size_t there = 0;
    for (const std::string& text : each.wanted) {
      if (each.was_cancelled && std::ranges::find(found, text) == found.end()) continue;
      expected.push_back(text);
      ++there;
    }
    expect(there == 0 || there == each.wanted.size() || !what.exactly_once,
           "half of a write that was cancelled is stored");
  }
  expect_all(found, expected, !what.exactly_once);
}

// --- marks ---

task<> open_with(std::unique_ptr<sink> to, std::uint64_t epoch, const batch* items,
                 std::uint64_t marks_alone, std::vector<partition_mark>& found) {
  const sink_resume resume = new_resume(epoch);
  found = co_await to->open(resume);
  if (items != nullptr) {
    const std::vector<partition_mark> marks = marks_up_to(items->items().size());
    static_cast<void>(co_await to->write(items->items(), marks));
  }
  if (marks_alone != 0) {
    const std::vector<partition_mark> marks = marks_up_to(marks_alone);
    co_await to->commit_marks(marks);
  }
  co_await to->close();
}

void answers_with_its_marks(const description& what) {
  sink_trial trial(what);
  const batch items(*trial.far, trial.sample(1, 5));
  std::vector<partition_mark> found;
  const auto low = [&found](std::uint64_t epoch, const char* when) -> std::uint64_t {
    if (found.empty()) return 0;
    expect(found.size() == 1 && found.front().partition == "items:0",
           std::string("marks of a partition that there is not, ") + when + ", epoch " +
               std::to_string(epoch));
    return found.front().at.low;
  };
  run_bounded(open_with(trial.far->make_sink(), 1, &items, 0, found));
  expect(found.empty(), "a sink that was never written to has marks");
  run_bounded(open_with(trial.far->make_sink(), 1, nullptr, 9, found));
  expect(low(1, "behind a write") == 5, "the marks of a write are not there");
  run_bounded(open_with(trial.far->make_sink(), 1, nullptr, 0, found));
  expect(low(1, "behind commit_marks") == 9, "marks that were committed alone are not there");
  run_bounded(open_with(trial.far->make_sink(), 2, nullptr, 0, found));
  expect(low(2, "of a new epoch") == 0, "a new epoch has the marks of the one before");
}

// --- items ---

void stores(const description& what, const std::string& special) {
  sink_trial trial(what);
  texts wanted = trial.sample(1, 4);
  wanted.insert(wanted.begin() + 2, special);
  const report done = trial.run(wanted);
  expect(done.exit_code == 0, "the run did not end well: " + done.line() + " " + done.error);
  trial.expect_stored(wanted);
}

sink_case special(std::string name, std::optional<std::string> suite_texts::* text,
                  std::string reason) {
  return {std::move(name),
          [text, reason = std::move(reason)](const description& what) {
            return what.texts.*text ? std::string() : reason;
          },
          [text](const description& what) { stores(what, *(what.texts.*text)); }};
}

void refuse_alone(const description& what, std::size_t count, const std::vector<std::size_t>& bad,
                  std::size_t batch_size) {
  sink_trial trial(what);
  const texts wanted = trial.sample(1, count);
  texts items = wanted;
  for (const std::size_t at : bad) {
    items.insert(items.begin() + static_cast<std::ptrdiff_t>(at), *what.texts.bad);
  }
  course how;
  how.batch = batch_size;
  how.window = 200;
  const report done = trial.run(items, how);
  expect(done.count(outcome::dead_lettered) == bad.size(),
         std::to_string(bad.size()) + " items are bad: " + done.line());
  expect(done.count(outcome::delivered) == wanted.size(),
         "a bad item harmed others: " + done.line());
  trial.expect_stored(wanted);
  const report again = trial.run(items, how);
  expect(again.taken == 0, "what was dead-lettered came again: " + again.line());
}

void refuses_a_bad_item(const description& what) { refuse_alone(what, 0, {0}, 1); }
void refuses_a_bad_item_among_others(const description& what) {
  for (const std::size_t at : {0U, 10U, 19U}) refuse_alone(what, 19, {at}, 20);
}
void refuses_several_bad_items(const description& what) {
  refuse_alone(what, 30, {0, 1, 7, 20, 34}, 35);
  refuse_alone(what, 6, {2, 3, 4, 5, 6}, 4);
}

std::string if_it_keeps_marks(const description& what) {
  return what.keeps_marks ? "" : "it keeps no marks";
}
std::string if_it_keeps(const description& what) { return what.keeps ? "" : "it keeps nothing"; }
std::string if_it_keeps_order(const description& what) {
  if (!what.keeps) return "it keeps nothing";
  return what.keeps_order ? "" : "its far side has no order";
}
std::string if_there_is_bad(const description& what) {
  return what.texts.bad ? "" : "it takes whatever there is";
}

}  // namespace

void add_sink_cases(std::vector<sink_case>& to) {
  to.push_back({"opens_and_closes", always<description>, opens_and_closes});
  to.push_back({"goes_without_being_closed", always<description>, goes_without_being_closed});
  to.push_back({"stores_all_once", always<description>, stores_all_once});
  to.push_back(
      {"stores_nothing_of_an_empty_run", always<description>, stores_nothing_of_an_empty_run});
  to.push_back({"takes_batches_of_any_size", always<description>, takes_batches_of_any_size});
  to.push_back({"keeps_the_order", if_it_keeps_order, keeps_the_order});
  to.push_back({"has_what_it_says_it_has", if_it_keeps, has_what_it_says_it_has});
  to.push_back({"is_cancelled_in_a_write", always<description>, is_cancelled_in_a_write});
  to.push_back({"is_cancelled_at_any_moment_of_a_write", always<description>,
                is_cancelled_at_any_moment_of_a_write});
  to.push_back({"answers_with_its_marks", if_it_keeps_marks, answers_with_its_marks});
  to.push_back(special("stores_an_empty_item", &suite_texts::empty, "no item of it is empty"));
  to.push_back(special("stores_a_large_item", &suite_texts::large, "its items are small"));
  to.push_back(special("stores_unicode", &suite_texts::unicode, "its items are no free text"));
  to.push_back(special("stores_any_bytes", &suite_texts::bytes, "its items are text"));
  to.push_back({"refuses_a_bad_item", if_there_is_bad, refuses_a_bad_item});
  to.push_back(
      {"refuses_a_bad_item_among_others", if_there_is_bad, refuses_a_bad_item_among_others});
  to.push_back({"refuses_several_bad_items", if_there_is_bad, refuses_several_bad_items});
}

}  // namespace brigade::testing::suite
