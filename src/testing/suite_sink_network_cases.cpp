// What a sink on a network must keep when the wire to its far side goes wrong.
#include "testing/suite_world.hpp"

#include <chrono>
#include <utility>

namespace brigade::testing::suite {

namespace {

using namespace std::chrono_literals;
using description = sink_description;

// Something happens before the third write; the run comes to its end all the same.
void gets_through(const description& what, const std::function<void(fault_proxy&)>& trouble,
                  std::chrono::milliseconds mended_after = 0ms) {
  sink_trial trial(what);
  const texts wanted = trial.sample(1, 60);
  std::size_t writes = 0;
  bool mended = false;
  held_for stood(mended_after);
  course how;
  how.look = [&](engine&) {
    if (writes < 3 || mended || !stood(true)) return;
    mended = true;
    trial.far->wire()->heal();
  };
  const report done = trial.run(wanted, how, [&](std::string_view step) {
    if (step == "write" && ++writes == 3) trouble(*trial.far->wire());
  });
  expect(writes >= 3, "the trouble never came: " + done.line() + " " + done.error);
  expect(done.count(outcome::delivered) == wanted.size(),
         "trouble on the wire cost an item: " + done.line() + " " + done.error);
  trial.expect_stored(wanted, true);
}

void gets_through_a_reset(const description& what) {
  gets_through(what, [](fault_proxy& wire) { wire.strike(proxy_fault::reset); });
}
void gets_through_a_cut(const description& what) {
  gets_through(what, [](fault_proxy& wire) { wire.strike(proxy_fault::cut); });
}
void gets_through_a_reset_in_a_write(const description& what) {
  for (const std::uint64_t bytes : {1U, 20U, 100U}) {
    gets_through(
        what,
        [bytes](fault_proxy& wire) {
          wire.strike_after(bytes, proxy_fault::reset, proxy_way::to_target);
        },
        1s);
  }
}
// It was done, and nobody said so.
void gets_through_an_answer_that_is_lost(const description& what) {
  gets_through(
      what,
      [](fault_proxy& wire) { wire.strike_after(1, proxy_fault::reset, proxy_way::from_target); },
      1s);
}
void gets_through_an_outage(const description& what) {
  gets_through(what, [](fault_proxy& wire) { wire.strike(proxy_fault::refuse); }, 100ms);
}
void gets_through_silence(const description& what) {
  gets_through(what, [](fault_proxy& wire) { wire.strike(proxy_fault::silence); }, 100ms);
}
void gets_through_a_slow_wire(const description& what) {
  gets_through(what, [](fault_proxy& wire) { wire.delay(10ms); }, 100ms);
}

void gets_through_connections_that_fail(const description& what) {
  sink_trial trial(what);
  const texts wanted = trial.sample(1, 20);
  for (const proxy_fault fault : {proxy_fault::cut, proxy_fault::reset}) {
    trial.far->wire()->strike_next(fault);
    const report done = trial.run(wanted);
    expect(done.count(outcome::dead_lettered) == 0, "it cost an item: " + done.line());
    expect(done.exit_code != 1 || !done.error.empty(), "the run failed without a word");
  }
  trial.run(wanted);
  trial.expect_stored(wanted, true);
}

void stops_while_its_far_side_is_silent(const description& what) {
  sink_trial trial(what);
  const texts wanted = trial.sample(1, 60);
  std::size_t writes = 0;
  std::uint64_t delivered = 0;
  std::optional<std::chrono::steady_clock::time_point> asked;
  course how;
  how.stop_timeout = 500ms;
  const report first = trial.run(wanted, how, [&](std::string_view step) {
    if (step != "write" || ++writes != 3) return;
    trial.far->wire()->strike(proxy_fault::silence);
    asked = std::chrono::steady_clock::now();
    delivered = trial.world.running()->account().count(outcome::delivered);
    trial.world.running()->drain();
  });
  expect(asked.has_value(), "it was over before the stop: " + first.line() + " " + first.error);
  const auto took = std::chrono::steady_clock::now() - *asked;
  expect(took < how.stop_timeout + 4s, "the stop took longer than its deadline and four seconds");
  expect(first.count(outcome::dead_lettered) == 0, "the stop cost an item: " + first.line());
  expect(first.count(outcome::delivered) == delivered && first.count(outcome::returned) != 0,
         "what nobody answered for is returned: " + first.line());
  trial.far->wire()->heal();
  const report second = trial.run(wanted);
  expect(second.exit_code == 0, "the run did not end well: " + second.line() + " " + second.error);
  trial.expect_stored(wanted, true);
}

}  // namespace

void add_sink_network_cases(std::vector<sink_case>& to) {
  const auto unfit = on_a_network<description>;
  to.push_back({"gets_through_a_reset", unfit, gets_through_a_reset});
  to.push_back({"gets_through_a_cut", unfit, gets_through_a_cut});
  to.push_back({"gets_through_a_reset_in_a_write", unfit, gets_through_a_reset_in_a_write});
  to.push_back({"gets_through_an_answer_that_is_lost", unfit, gets_through_an_answer_that_is_lost});
  to.push_back({"gets_through_an_outage", unfit, gets_through_an_outage});
  to.push_back({"gets_through_silence", unfit, gets_through_silence});
  to.push_back({"gets_through_a_slow_wire", unfit, gets_through_a_slow_wire});
  to.push_back({"gets_through_connections_that_fail", unfit, gets_through_connections_that_fail});
  to.push_back({"stops_while_its_far_side_is_silent", unfit, stops_while_its_far_side_is_silent});
}

}  // namespace brigade::testing::suite
