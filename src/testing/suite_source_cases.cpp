// What a source must keep when nothing goes wrong, and with items that are out of the ordinary.
#include "testing/suite_world.hpp"

#include <brigade/async/timeout.hpp>

#include <map>
#include <optional>
#include <set>
#include <utility>

namespace brigade::testing::suite {

namespace {

using namespace std::chrono_literals;
using description = source_description;

struct read_item {
  std::string id;
  std::string text;
  std::uint32_t partition;
  std::uint64_t begin;
  std::uint64_t end;
};

// What a source gives that is read by hand.
struct reading {
  std::vector<read_item> items{};
  std::string state{};
  std::vector<std::string> partitions{};

  [[nodiscard]] texts all_texts() const {
    texts result;
    for (const read_item& item : items) result.push_back(item.text);
    return result;
  }
};

void take(reading& to, const source& from, const source_far_side& far,
          const std::vector<source_item>& given) {
  to.partitions = from.partitions();
  for (const source_item& item : given) {
    expect(item.partition < to.partitions.size(), "an item's partition is none of partitions()");
    const std::string& partition = to.partitions[item.partition];
    expect(item.begin < item.end, "an item ends before, or where, it begins");
    to.items.push_back({item.id.value_or(partition + ":" + std::to_string(item.begin)),
                        far.text_of(item.value), item.partition, item.begin, item.end});
  }
}

// What a connector has of a loop must not outlive it, so each ends inside.
task<> open_and_close(std::unique_ptr<source> one) {
  co_await one->open({}, {});
  co_await one->close();
  co_await one->close();
}
task<> just_close(std::unique_ptr<source> one) { co_await one->close(); }

task<> read_to_the_end(std::unique_ptr<source> from, const source_far_side& far, std::size_t count,
                       const std::string& state, reading& to) {
  co_await from->open({}, state);
  while (to.items.size() < count) {
    auto next = timeout(patience(), from->read(3));
    const std::vector<source_item> given = co_await std::move(next);
    if (given.empty()) break;
    expect(given.size() <= 3, "a read gave more than it was asked for");
    take(to, *from, far, given);
  }
  to.state = from->state();
  co_await from->close();
}

reading read_all(source_trial& trial, std::size_t count, const std::string& state = {}) {
  reading result;
  run_bounded(read_to_the_end(trial.far->make_source(), *trial.far, count, state, result));
  return result;
}

void opens_and_closes(const description& what) {
  source_trial trial(what);
  trial.feed_all(trial.sample(1, 3));
  auto first = trial.far->make_source();
  const std::string fingerprint = first->fingerprint();
  expect(!fingerprint.empty(), "its fingerprint is empty");
  run_bounded(open_and_close(std::move(first)));
  auto second = trial.far->make_source();
  expect(second->fingerprint() == fingerprint, "its fingerprint is not always the same");
  run_bounded(just_close(std::move(second)));  // it was never open
}

task<> leave_open(std::unique_ptr<source> one) {
  co_await one->open({}, {});
  auto next = timeout(20ms, one->read(1));
  try {
    static_cast<void>(co_await std::move(next));
  } catch (const timed_out&) {
  }
}

void goes_without_being_closed(const description& what) {
  source_trial trial(what);
  trial.feed_all(trial.sample(1, 3));
  run_bounded(leave_open(trial.far->make_source()));
  const auto never_open = trial.far->make_source();
}

void gives_all_once(const description& what) {
  source_trial trial(what);
  const texts wanted = trial.sample(1, 100);
  trial.feed_all(wanted);
  const report done = trial.run_until(wanted.size());
  expect(done.exit_code == 0, "the run did not end well: " + done.line() + " " + done.error);
  expect_all(trial.on_shelf.all(), wanted);
  expect(done.count(outcome::delivered) == wanted.size(), "not all delivered: " + done.line());
}

void gives_nothing_of_an_empty_far_side(const description& what) {
  source_trial trial(what);
  trial.feed_all({});
  const report done = trial.run_until(0);
  expect(done.exit_code == 0, "the run did not end well: " + done.line() + " " + done.error);
  expect(done.taken == 0, "something came out of nothing: " + done.line());
}

void names_and_orders_its_items(const description& what) {
  source_trial trial(what);
  const texts wanted = trial.sample(1, 20);
  trial.feed_all(wanted);
  const reading got = read_all(trial, wanted.size());
  expect_all(got.all_texts(), wanted);
  std::map<std::uint32_t, std::uint64_t> ends;
  std::set<std::string> ids;
  for (const read_item& item : got.items) {
    expect(ids.insert(item.id).second, "two items have the id " + item.id);
    const auto before = ends.find(item.partition);
    expect(before == ends.end() || before->second <= item.begin,
           "item " + item.id + " begins before the one before it has ended");
    ends[item.partition] = item.end;
  }
  for (const std::string& partition : got.partitions) {
    expect(partition.starts_with("main"),
           "partition '" + partition + "' does not begin with the source's name, 'main'");
  }
}

// One read, cancelled after so long; none: it was.
task<std::optional<std::vector<source_item>>> read_within(source& from,
                                                          std::chrono::nanoseconds limit,
                                                          std::size_t items_max) {
  auto next = timeout(limit, from.read(items_max));
  std::optional<std::vector<source_item>> given;
  try {
    given = co_await std::move(next);
  } catch (const timed_out&) {
    given.reset();
  }
  co_return given;
}

task<> read_with_interruptions(source_trial& trial, std::size_t count, reading& to) {
  std::unique_ptr<source> from = trial.far->make_source();
  co_await from->open({}, {});
  const std::chrono::nanoseconds limits[] = {0ns, 20us, 300us, 5ms};
  for (std::size_t turn = 0; to.items.size() < count; ++turn) {
    expect(turn < 20'000, "reads that are cancelled never get on");
    const auto given = co_await read_within(*from, limits[turn % 4], 1 + turn % 3);
    if (!given) continue;
    if (given->empty()) break;
    take(to, *from, *trial.far, *given);
  }
  co_await from->close();
}

// Done with what was given, as the engine is once it is durable.
class finished_items {
 public:
  void add(source& from, const source_item& item) {
    watermark& at = marks_.try_emplace(from.partitions()[item.partition], mark{}).first->second;
    expect(!at.at().finished(item.begin), "an item that is finished is given again");
    at.finished(at.taken(item.begin, item.end));
    from.settled({item.partition, item.begin, outcome::delivered, {}, {}});
    from.acknowledge(item.partition, at);
  }
  [[nodiscard]] std::vector<partition_mark> resume() const {
    std::vector<partition_mark> all;
    for (const auto& [partition, at] : marks_) all.push_back({partition, at.at()});
    return all;
  }

 private:
  std::map<std::string, watermark> marks_;
};

// Where a cancelled read is the end of a run, the next one goes on.
task<> read_with_stops(source_trial& trial, std::size_t count, reading& to) {
  finished_items finished;
  const std::chrono::nanoseconds limits[] = {50ms, 0ns, 20us, 300us, 5ms};
  for (std::size_t run = 0; to.items.size() < count; ++run) {
    expect(run < 1000, "reads that are cancelled never get on");
    std::unique_ptr<source> from = trial.far->make_source();
    co_await from->open(finished.resume(), {});
    for (std::size_t turn = run;; ++turn) {
      const auto given = co_await read_within(*from, limits[turn % 5], 1 + turn % 3);
      if (!given || given->empty()) break;
      take(to, *from, *trial.far, *given);
      for (const source_item& item : *given) finished.add(*from, item);
    }
    co_await from->close();
  }
}

void loses_nothing_when_a_read_is_cancelled(const description& what) {
  source_trial trial(what);
  const texts wanted = trial.sample(1, 60);
  trial.feed_all(wanted);
  reading got;
  run_bounded(what.stops_when_cancelled ? read_with_stops(trial, wanted.size(), got)
                                        : read_with_interruptions(trial, wanted.size(), got));
  expect_all(got.all_texts(), wanted);
}

void keeps_its_ids_over_a_restart(const description& what) {
  source_trial trial(what);
  const texts wanted = trial.sample(1, 20);
  trial.feed_all(wanted);
  const reading first = read_all(trial, wanted.size());
  const reading second = read_all(trial, wanted.size(), first.state);
  std::map<std::string, std::string> ids;
  for (const read_item& item : first.items) ids[item.text] = item.id;
  expect_all(second.all_texts(), wanted);
  for (const read_item& item : second.items) {
    expect(ids[item.text] == item.id,
           "the item with the id " + ids[item.text] + " is " + item.id + " behind a restart");
  }
}

void is_held_back_by_the_window(const description& what) {
  source_trial trial(what);
  const texts wanted = trial.sample(1, 40);
  trial.feed_all(wanted);
  bool is_open = false;
  held_for stood(30ms);
  auto sink = trial.make_sink();
  sink->is_down = [&is_open] { return !is_open; };
  course how;
  how.window = 5;
  how.look = [&](engine& running) {
    const report now = running.account();
    expect(now.in_flight <= 5, "the window has room for 5, and in flight are: " + now.line());
    if (stood(now.taken == 5)) is_open = true;
    if (different(trial.on_shelf.all()) == wanted.size()) running.drain();
  };
  const report done = trial.world.run(trial.far->make_source(), std::move(sink), how);
  expect(is_open, "the window was never full: " + done.line());
  expect_all(trial.on_shelf.all(), wanted);
}

void waits_for_a_far_side_that_is_slow(const description& what) {
  source_trial trial(what);
  const texts wanted = trial.sample(1, 30);
  std::size_t fed = 0;
  course how;
  how.look = [&](engine&) {
    if (fed == wanted.size()) return;
    trial.far->feed({wanted[fed++]});
    if (fed == wanted.size()) trial.far->end();
  };
  const report done = trial.run_until(wanted.size(), how);
  expect(done.exit_code == 0, "the run did not end well: " + done.line() + " " + done.error);
  expect_all(trial.on_shelf.all(), wanted);
}

void says_when_its_far_side_is_down(const description& what) {
  source_trial trial(what);
  const texts wanted = trial.sample(1, 5);
  trial.feed_all(wanted);
  trial.far->go_down();
  course how;
  held_for stood(300ms);
  how.look = [&](engine& running) {
    if (stood(true)) running.drain();  // it waits for it to come back
  };
  const report down = trial.world.run(trial.far->make_source(), trial.make_sink(), how);
  expect(down.taken == 0, "something came of a far side that is down: " + down.line());
  expect(down.exit_code != 1 || !down.error.empty(), "the run failed without a word");
  trial.far->come_back();
  const report done = trial.run_until(wanted.size());
  expect(done.exit_code == 0, "the run did not end well: " + done.line() + " " + done.error);
  expect_all(trial.on_shelf.all(), wanted);
}

void is_told_of_what_is_durable_only(const description& what) {
  source_trial trial(what);
  const texts wanted = trial.sample(1, 20);
  trial.feed_all(wanted);
  bool is_open = false;
  held_for stood(50ms);
  auto sink = trial.make_sink();
  sink->is_down = [&is_open] { return !is_open; };
  course how;
  how.look = [&](engine& running) {
    const std::size_t told = trial.far->acknowledged();
    expect(told <= different(trial.on_shelf.all()),
           "the far side was told of items that are not "
           "delivered: " +
               std::to_string(told));
    if (stood(running.account().taken > 0)) is_open = true;
    if (is_open && told == wanted.size()) running.drain();
  };
  const report done = trial.world.run(trial.far->make_source(), std::move(sink), how);
  expect(trial.far->acknowledged() == wanted.size(),
         "the far side was told of " + std::to_string(trial.far->acknowledged()) + " of " +
             std::to_string(wanted.size()) + " items: " + done.line());
}

// One item that is out of the ordinary, between others.
void gives(const description& what, const std::string& special) {
  source_trial trial(what);
  texts wanted = trial.sample(1, 4);
  wanted.insert(wanted.begin() + 2, special);
  trial.feed_all(wanted);
  const report done = trial.run_until(wanted.size());
  expect(done.exit_code == 0, "the run did not end well: " + done.line() + " " + done.error);
  expect_all(trial.on_shelf.all(), wanted);
}

source_case special(std::string name, std::optional<std::string> suite_texts::* text,
                    std::string reason) {
  return {std::move(name),
          [text, reason = std::move(reason)](const description& what) {
            return what.texts.*text ? std::string() : reason;
          },
          [text](const description& what) { gives(what, *(what.texts.*text)); }};
}

void dead_letters_what_is_poison(const description& what) {
  source_trial trial(what);
  const texts wanted = trial.sample(1, 20);
  trial.feed_all(wanted);
  course how;
  how.is_poison = [&](const payload& item) { return trial.far->text_of(item) == wanted[7]; };
  how.look = [&](engine& running) {
    if (running.account().count(outcome::dead_lettered) != 0 &&
        different(trial.on_shelf.all()) == wanted.size() - 1) {
      running.drain();
    }
  };
  const report done = trial.world.run(trial.far->make_source(), trial.make_sink(), how);
  expect(done.count(outcome::dead_lettered) == 1, "one item is poison: " + done.line());
  texts rest = wanted;
  rest.erase(rest.begin() + 7);
  expect_all(trial.on_shelf.all(), rest);
}

void dead_letters_what_it_cannot_read(const description& what) {
  source_trial trial(what);
  texts fed = trial.sample(1, 6);
  const texts wanted = fed;
  fed.insert(fed.begin() + 3, *what.texts.bad);
  trial.feed_all(fed);
  course how;
  how.look = [&](engine& running) {
    if (running.account().count(outcome::dead_lettered) != 0 &&
        different(trial.on_shelf.all()) == wanted.size()) {
      running.drain();
    }
  };
  const report done = trial.world.run(trial.far->make_source(), trial.make_sink(), how);
  expect(done.count(outcome::dead_lettered) == 1, "one item cannot be read: " + done.line());
  expect_all(trial.on_shelf.all(), wanted);
}

std::string if_same_ids(const description& what) {
  return what.gives_again && what.same_ids ? "" : "an item that is given again has a new id";
}
std::string if_fed_while_open(const description& what) {
  return what.fed_while_open ? "" : "what it reads is there before it is opened";
}
std::string if_it_hears(const description& what) {
  return what.hears_acknowledgements ? "" : "the far side is not told";
}
std::string if_there_is_bad(const description& what) {
  return what.texts.bad ? "" : "it can make an item of whatever is there";
}

}  // namespace

void add_source_cases(std::vector<source_case>& to) {
  to.push_back({"opens_and_closes", always<description>, opens_and_closes});
  to.push_back({"goes_without_being_closed", always<description>, goes_without_being_closed});
  to.push_back({"gives_all_once", always<description>, gives_all_once});
  to.push_back({"gives_nothing_of_an_empty_far_side", always<description>,
                gives_nothing_of_an_empty_far_side});
  to.push_back({"names_and_orders_its_items", always<description>, names_and_orders_its_items});
  to.push_back({"keeps_its_ids_over_a_restart", if_same_ids, keeps_its_ids_over_a_restart});
  to.push_back({"loses_nothing_when_a_read_is_cancelled", always<description>,
                loses_nothing_when_a_read_is_cancelled});
  to.push_back({"is_held_back_by_the_window", always<description>, is_held_back_by_the_window});
  to.push_back(
      {"waits_for_a_far_side_that_is_slow", if_fed_while_open, waits_for_a_far_side_that_is_slow});
  to.push_back({"says_when_its_far_side_is_down", if_it_goes_down<description>,
                says_when_its_far_side_is_down});
  to.push_back({"is_told_of_what_is_durable_only", if_it_hears, is_told_of_what_is_durable_only});
  to.push_back(special("gives_an_empty_item", &suite_texts::empty, "no item of it is empty"));
  to.push_back(special("gives_a_large_item", &suite_texts::large, "its items are small"));
  to.push_back(special("gives_unicode", &suite_texts::unicode, "its items are no free text"));
  to.push_back(special("gives_any_bytes", &suite_texts::bytes, "its items are text"));
  to.push_back({"dead_letters_what_is_poison", always<description>, dead_letters_what_is_poison});
  to.push_back(
      {"dead_letters_what_it_cannot_read", if_there_is_bad, dead_letters_what_it_cannot_read});
}

}  // namespace brigade::testing::suite
