// What a sink must keep when it is stopped, killed at any step, or out of reach.
#include "testing/suite_world.hpp"

#include <chrono>
#include <utility>

namespace brigade::testing::suite {

namespace {

using namespace std::chrono_literals;
using description = sink_description;

// The first run is stopped at the nth write, in one of two ways; the next one does the rest.
void stop_and_go_on(const description& what, std::size_t at_write, bool at_once) {
  sink_trial trial(what);
  const texts wanted = trial.sample(1, 60);
  std::size_t writes = 0;
  const report first = trial.run(wanted, {}, [&](std::string_view step) {
    if (step != "write" || ++writes != at_write) return;
    trial.world.running()->drain();
    if (at_once) trial.world.running()->deadline_now();
  });
  expect(first.count(outcome::dead_lettered) == 0, "a stop cost an item: " + first.line());
  expect(first.exit_code == 5, "the run was stopped before its end: " + first.line());
  const report second = trial.run(wanted);
  expect(second.exit_code == 0, "the run did not end well: " + second.line() + " " + second.error);
  expect(first.count(outcome::delivered) + second.count(outcome::delivered) == wanted.size(),
         "the two runs did not deliver all: " + first.line() + "; " + second.line());
  trial.expect_stored(wanted, at_once);
}

void goes_on_behind_a_stop(const description& what) { stop_and_go_on(what, 3, false); }
void goes_on_behind_a_stop_in_a_write(const description& what) {
  for (const std::size_t at_write : {1U, 2U, 5U}) stop_and_go_on(what, at_write, true);
}

// The runs are children of this process, which runs no loop itself.
bool survives_a_kill_at(const description& what, std::size_t step) {
  sink_trial trial(what);
  const texts wanted = trial.sample(1, 12);
  const auto at = " (killed at step " + std::to_string(step) + ")";
  const child_end first = in_child([&] {
    std::size_t passed = 0;
    trial.run(wanted, {}, [&](std::string_view) {
      if (++passed == step) kill_this_process();
    });
  });
  expect(first.failure.empty(), first.failure + at);
  const child_end second = in_child([&] {
    const report done = trial.run(wanted);
    expect(done.exit_code == 0, "the run behind it did not end well: " + done.line() + done.error);
  });
  expect(second.failure.empty(), second.failure + at);
  expect(trial.world.finished() == wanted.size(),
         "the ledger has " + std::to_string(trial.world.finished()) + " outcomes for " +
             std::to_string(wanted.size()) + " items" + at);
  trial.expect_stored(wanted, first.killed);
  return first.killed;
}

void is_killed_at_any_step(const description& what) {
  std::size_t step = 1;
  while (survives_a_kill_at(what, step)) {
    ++step;
    expect(step < 500, "it never comes to its end");
  }
  expect(step > 6, "there were only " + std::to_string(step) + " steps");
}

void says_when_its_far_side_is_down(const description& what) {
  sink_trial trial(what);
  const texts wanted = trial.sample(1, 5);
  trial.far->go_down();
  held_for stood(300ms);
  course how;
  how.stop_timeout = 50ms;
  how.look = [&](engine& running) {
    if (stood(true)) running.drain();  // it waits for it to come back
  };
  const report down = trial.run(wanted, how);
  expect(down.count(outcome::delivered) == 0, "a far side that is down took items: " + down.line());
  expect(down.count(outcome::dead_lettered) == 0, "an outage was blamed on items: " + down.line());
  expect(down.exit_code != 0, "the run ended as if it had worked: " + down.line());
  expect(down.exit_code != 1 || !down.error.empty(), "the run failed without a word");
  trial.far->come_back();
  const report done = trial.run(wanted);
  expect(done.exit_code == 0, "the run did not end well: " + done.line() + " " + done.error);
  trial.expect_stored(wanted, true);
}

void blames_no_item_for_an_outage(const description& what) {
  sink_trial trial(what);
  const texts wanted = trial.sample(1, 40);
  std::size_t writes = 0;
  std::size_t outages = 0;
  const report done = trial.run(wanted, {}, [&](std::string_view step) {
    if (step == "write done" && ++writes == 2) trial.far->go_down();
    if (step == "down" && ++outages == 2) trial.far->come_back();
  });
  expect(outages >= 2, "a write to a far side that is down is no outage (sink_down): " +
                           done.line() + " " + done.error);
  expect(done.count(outcome::delivered) == wanted.size(),
         "an outage cost an item: " + done.line() + " " + done.error);
  trial.expect_stored(wanted, true);
}

void returns_what_it_cannot_store(const description& what) {
  sink_trial trial(what);
  const texts wanted = trial.sample(1, 40);
  std::size_t writes = 0;
  course how;
  how.stop_timeout = 100ms;
  const report first = trial.run(wanted, how, [&](std::string_view step) {
    if (step == "write done" && ++writes == 2) trial.far->go_down();
    if (step == "down") trial.world.running()->drain();
  });
  expect(first.count(outcome::returned) != 0 && first.count(outcome::dead_lettered) == 0,
         "what cannot be stored before the deadline is returned: " + first.line());
  trial.far->come_back();
  const report second = trial.run(wanted);
  expect(second.exit_code == 0, "the run did not end well: " + second.line() + " " + second.error);
  trial.expect_stored(wanted, true);
}

std::string if_it_outlives(const description& what) {
  return what.survives_a_kill ? "" : "its far side is in the memory of the process";
}

}  // namespace

void add_sink_stop_cases(std::vector<sink_case>& to) {
  to.push_back({"goes_on_behind_a_stop", always<description>, goes_on_behind_a_stop});
  to.push_back(
      {"goes_on_behind_a_stop_in_a_write", always<description>, goes_on_behind_a_stop_in_a_write});
  to.push_back({"is_killed_at_any_step", if_it_outlives, is_killed_at_any_step});
  const auto down = if_it_goes_down<description>;
  to.push_back({"says_when_its_far_side_is_down", down, says_when_its_far_side_is_down});
  to.push_back({"blames_no_item_for_an_outage", down, blames_no_item_for_an_outage});
  to.push_back({"returns_what_it_cannot_store", down, returns_what_it_cannot_store});
}

}  // namespace brigade::testing::suite
