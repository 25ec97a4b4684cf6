// What a source must keep when it is stopped, and when it is killed at any step.
#include "testing/suite_world.hpp"

#include <chrono>
#include <utility>

namespace brigade::testing::suite {

namespace {

using namespace std::chrono_literals;
using description = source_description;

void goes_on_behind_a_stop(const description& what) {
  source_trial trial(what);
  const texts wanted = trial.sample(1, 60);
  trial.feed_all(wanted);
  course how;
  how.look = [&](engine& running) {
    if (different(trial.on_shelf.all()) >= 10) running.drain();
  };
  const report first = trial.run_until(wanted.size(), how);
  expect(first.count(outcome::dead_lettered) == 0, "a stop cost an item: " + first.line());
  expect(first.exit_code == 0 || first.exit_code == 5, "the stop failed: " + first.line());
  trial.run_until(wanted.size());
  expect_all(trial.on_shelf.all(), wanted);
}

void goes_on_through_many_stops(const description& what) {
  source_trial trial(what);
  const texts wanted = trial.sample(1, 40);
  trial.feed_all(wanted);
  for (std::size_t there = 5; there < wanted.size(); there += 5) {
    course how;
    how.batch = 1;
    how.window = 3;
    how.look = [&](engine& running) {
      if (different(trial.on_shelf.all()) >= there) running.drain();
    };
    trial.run_until(wanted.size(), how);
  }
  trial.run_until(wanted.size());
  expect_all(trial.on_shelf.all(), wanted);
}

void gives_later_what_is_new(const description& what) {
  source_trial trial(what);
  const texts first = trial.sample(1, 10);
  const texts second = trial.sample(11, 15);
  trial.far->feed(first);
  trial.run_until(first.size());
  expect_all(trial.on_shelf.all(), first);
  trial.feed_all(second);
  const report done = trial.run_until(first.size() + second.size());
  expect(done.taken == second.size(),
         std::to_string(second.size()) + " items are new: " + done.line());
  texts all = first;
  all.insert(all.end(), second.begin(), second.end());
  expect_all(trial.on_shelf.all(), all);
}

void gives_again_what_was_returned(const description& what) {
  source_trial trial(what);
  const texts wanted = trial.sample(1, 12);
  trial.feed_all(wanted);
  auto sink = trial.make_sink();
  sink->is_down = [] { return true; };
  course how;
  how.stop_timeout = 50ms;
  how.look = [&](engine& running) {
    if (running.account().taken != 0) running.drain();
  };
  const report first = trial.world.run(trial.far->make_source(), std::move(sink), how);
  expect(first.count(outcome::returned) == first.taken && first.taken != 0,
         "what cannot be delivered before the deadline is returned: " + first.line());
  const report second = trial.run_until(wanted.size());
  expect(second.exit_code == 0, "the run did not end well: " + second.line() + " " + second.error);
  expect_all(trial.on_shelf.all(), wanted);
}

void stops_soon_while_nothing_comes(const description& what) {
  source_trial trial(what);
  held_for stood(30ms);
  std::optional<std::chrono::steady_clock::time_point> asked;
  course how;
  how.look = [&](engine& running) {
    if (asked || !stood(true)) return;
    asked = std::chrono::steady_clock::now();
    running.drain();
  };
  const report done = trial.world.run(trial.far->make_source(), trial.make_sink(), how);
  expect(asked.has_value(), "it ended by itself, and nobody had said that nothing comes");
  const auto took = std::chrono::steady_clock::now() - *asked;
  expect(took < how.stop_timeout / 2,
         "nothing was under way, and the stop took until its deadline");
  expect(done.taken == 0, "something came out of nothing: " + done.line());
}

struct kill_plan {
  std::size_t at_step;
  std::size_t passed = 0;
  void step(std::string_view) {
    if (++passed == at_step) kill_this_process();
  }
};

// The runs are children of this process, which runs no loop itself.
bool survives_a_kill_at(const description& what, std::size_t step) {
  source_trial trial(what);
  const texts wanted = trial.sample(1, 12);
  trial.feed_all(wanted);
  const auto at = " (killed at step " + std::to_string(step) + ")";
  const child_end first = in_child([&] {
    kill_plan plan{step};
    trial.run_until(wanted.size(), {}, [&](std::string_view name) { plan.step(name); });
  });
  expect(first.failure.empty(), first.failure + at);
  const child_end second = in_child([&] {
    const report done = trial.run_until(wanted.size());
    expect(done.exit_code == 0, "the run behind it did not end well: " + done.line() + done.error);
  });
  expect(second.failure.empty(), second.failure + at);
  expect_all(trial.on_shelf.all(), wanted, true);
  if (what.same_ids) {
    expect(trial.world.finished() == wanted.size(),
           "the ledger has " + std::to_string(trial.world.finished()) + " outcomes for " +
               std::to_string(wanted.size()) + " items" + at);
  }
  return first.killed;
}

void is_killed_at_any_step(const description& what) {
  std::size_t step = 1;
  while (survives_a_kill_at(what, step)) {
    ++step;
    expect(step < 500, "it never comes to its end");
  }
  expect(step > 10, "there were only " + std::to_string(step) + " steps");
}

std::string if_it_gives_again(const description& what) {
  return what.gives_again ? "" : "what it gave cannot be asked for again";
}
std::string if_it_waits(const description& what) {
  return what.fed_while_open ? "" : "it does not wait for more";
}

}  // namespace

void add_source_stop_cases(std::vector<source_case>& to) {
  to.push_back({"goes_on_behind_a_stop", if_it_gives_again, goes_on_behind_a_stop});
  to.push_back({"goes_on_through_many_stops", if_it_gives_again, goes_on_through_many_stops});
  to.push_back({"gives_later_what_is_new", if_it_gives_again, gives_later_what_is_new});
  to.push_back({"gives_again_what_was_returned", if_it_gives_again, gives_again_what_was_returned});
  to.push_back({"stops_soon_while_nothing_comes", if_it_waits, stops_soon_while_nothing_comes});
  to.push_back({"is_killed_at_any_step", if_it_gives_again, is_killed_at_any_step});
}

}  // namespace brigade::testing::suite
