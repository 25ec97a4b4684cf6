// What a source on a network must keep when the wire to its far side goes wrong.
#include "testing/suite_world.hpp"

#include <chrono>
#include <utility>

namespace brigade::testing::suite {

namespace {

using namespace std::chrono_literals;
using description = source_description;

// Something happens once a third of it is there; what follows may be a run that ends by it, and
// another one, as a supervisor would start it.
void gets_through(const description& what, const std::function<void(source_trial&)>& trouble,
                  std::chrono::milliseconds mended_after = 0ms) {
  source_trial trial(what);
  const texts wanted = trial.sample(1, 60);
  trial.feed_all(wanted);
  bool struck = false;
  bool mended = false;
  held_for stood(mended_after);
  course how;
  how.batch = 2;
  how.look = [&](engine&) {
    if (!struck && different(trial.on_shelf.all()) >= wanted.size() / 3) {
      struck = true;
      trouble(trial);
    }
    if (struck && !mended && stood(true)) {
      mended = true;
      trial.far->wire()->heal();
    }
  };
  const report first = trial.run_until(wanted.size(), how);
  expect(struck, "the trouble never came: " + first.line());
  expect(first.count(outcome::dead_lettered) == 0,
         "trouble on the wire cost an item: " + first.line());
  trial.far->wire()->heal();
  if (different(trial.on_shelf.all()) < wanted.size()) {
    expect(first.exit_code != 0, "the run ended as if all were there: " + first.line());
    trial.run_until(wanted.size());
  }
  expect_all(trial.on_shelf.all(), wanted, true);
}

void gets_through_a_reset(const description& what) {
  gets_through(what, [](source_trial& trial) { trial.far->wire()->strike(proxy_fault::reset); });
}
void gets_through_a_cut(const description& what) {
  gets_through(what, [](source_trial& trial) { trial.far->wire()->strike(proxy_fault::cut); });
}
void gets_through_an_outage(const description& what) {
  gets_through(
      what, [](source_trial& trial) { trial.far->wire()->strike(proxy_fault::refuse); }, 100ms);
}
void gets_through_silence(const description& what) {
  gets_through(
      what, [](source_trial& trial) { trial.far->wire()->strike(proxy_fault::silence); }, 100ms);
}
void gets_through_a_slow_wire(const description& what) {
  gets_through(what, [](source_trial& trial) { trial.far->wire()->delay(10ms); }, 100ms);
}

void gets_through_connections_that_fail(const description& what) {
  source_trial trial(what);
  const texts wanted = trial.sample(1, 20);
  trial.feed_all(wanted);
  for (const proxy_fault fault : {proxy_fault::cut, proxy_fault::reset}) {
    trial.far->wire()->strike_next(fault);
    const report done = trial.run_until(wanted.size());
    expect(done.count(outcome::dead_lettered) == 0, "it cost an item: " + done.line());
    expect(done.exit_code != 1 || !done.error.empty(), "the run failed without a word");
  }
  trial.run_until(wanted.size());
  expect_all(trial.on_shelf.all(), wanted, true);
}

void stops_while_its_far_side_is_silent(const description& what) {
  source_trial trial(what);
  const texts wanted = trial.sample(1, 60);
  trial.feed_all(wanted);
  std::optional<std::chrono::steady_clock::time_point> asked;
  course how;
  how.batch = 2;
  how.stop_timeout = 500ms;
  how.look = [&](engine& running) {
    if (asked || different(trial.on_shelf.all()) < wanted.size() / 3) return;
    trial.far->wire()->strike(proxy_fault::silence);
    asked = std::chrono::steady_clock::now();
    running.drain();
  };
  const report first = trial.run_until(wanted.size(), how);
  expect(asked.has_value(), "it was over before the stop: " + first.line());
  const auto took = std::chrono::steady_clock::now() - *asked;
  expect(took < how.stop_timeout + 4s, "the stop took longer than its deadline and four seconds");
  expect(first.count(outcome::dead_lettered) == 0, "the stop cost an item: " + first.line());
  trial.far->wire()->heal();
  trial.run_until(wanted.size());
  expect_all(trial.on_shelf.all(), wanted, true);
}

}  // namespace

void add_source_network_cases(std::vector<source_case>& to) {
  const auto unfit = on_a_network<description>;
  to.push_back({"gets_through_a_reset", unfit, gets_through_a_reset});
  to.push_back({"gets_through_a_cut", unfit, gets_through_a_cut});
  to.push_back({"gets_through_an_outage", unfit, gets_through_an_outage});
  to.push_back({"gets_through_silence", unfit, gets_through_silence});
  to.push_back({"gets_through_a_slow_wire", unfit, gets_through_a_slow_wire});
  to.push_back({"gets_through_connections_that_fail", unfit, gets_through_connections_that_fail});
  to.push_back({"stops_while_its_far_side_is_silent", unfit, stops_while_its_far_side_is_silent});
}

}  // namespace brigade::testing::suite
