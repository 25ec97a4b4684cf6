// Each case of the suite passes a connector without a flaw, and finds one that has what it is for.
#include "testing/flawed_sink.hpp"
#include "testing/flawed_source.hpp"

#include <brigade/testing/connector_suite.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace brigade::testing {
namespace {

// Many a flaw is found by waiting in vain.
class impatient {
 public:
  impatient() { ::setenv("BRIGADE_SUITE_PATIENCE", "1", 1); }
  ~impatient() { ::unsetenv("BRIGADE_SUITE_PATIENCE"); }
  impatient(const impatient&) = delete;
  impatient& operator=(const impatient&) = delete;
};

using pairs = std::vector<std::pair<std::string, std::string>>;

// The case, and a flaw it finds.
const pairs source_flaws = {
    {"opens_and_closes", "closes once"},
    {"goes_without_being_closed", "must be closed"},
    {"gives_all_once", "skips one"},
    {"gives_nothing_of_an_empty_far_side", "makes things up"},
    {"names_and_orders_its_items", "one position"},
    {"names_and_orders_its_items", "gives twice"},
    {"keeps_its_ids_over_a_restart", "new token"},
    {"loses_nothing_when_a_read_is_cancelled", "loses what it has"},
    {"loses_nothing_when_a_read_is_cancelled", "stops, and loses what it has"},
    {"names_and_orders_its_items", "gives too many"},
    {"is_held_back_by_the_window", "skips one"},
    {"waits_for_a_far_side_that_is_slow", "ends early"},
    {"says_when_its_far_side_is_down", "does not look"},
    {"says_when_its_far_side_is_down", "silent error"},
    {"is_told_of_what_is_durable_only", "tells too early"},
    {"gives_an_empty_item", "skips empty"},
    {"gives_a_large_item", "cuts at 64 KiB"},
    {"gives_unicode", "is ASCII"},
    {"gives_any_bytes", "cuts at zero"},
    {"dead_letters_what_is_poison", "skips one"},
    {"dead_letters_what_it_cannot_read", "breaks on bad"},
    {"goes_on_behind_a_stop", "forgets"},
    {"goes_on_through_many_stops", "forgets"},
    {"gives_later_what_is_new", "forgets"},
    {"gives_again_what_was_returned", "reads ahead"},
    {"stops_soon_while_nothing_comes", "cannot be cancelled"},
    {"is_killed_at_any_step", "new token"},
};

const pairs sink_flaws = {
    {"opens_and_closes", "closes once"},
    {"goes_without_being_closed", "must be closed"},
    {"goes_without_being_closed", "writes when it closes"},
    {"stores_all_once", "loses one"},
    {"stores_nothing_of_an_empty_run", "writes a header"},
    {"takes_batches_of_any_size", "has a limit"},
    {"keeps_the_order", "reverses"},
    {"has_what_it_says_it_has", "is late"},
    {"is_cancelled_in_a_write", "writes by halves"},
    {"is_cancelled_at_any_moment_of_a_write", "writes by halves, and begins late"},
    {"answers_with_its_marks", "has its marks too late"},
    {"answers_with_its_marks", "keeps no marks alone"},
    {"answers_with_its_marks", "has one epoch"},
    {"stores_an_empty_item", "has no empty text"},
    {"stores_a_large_item", "cuts at 64 KiB"},
    {"stores_unicode", "is ASCII"},
    {"stores_any_bytes", "cuts at zero"},
    {"refuses_a_bad_item", "takes bad"},
    {"refuses_a_bad_item", "breaks on bad"},
    {"refuses_a_bad_item_among_others", "refuses the batch"},
    {"refuses_several_bad_items", "refuses the batch"},
    {"goes_on_behind_a_stop", "loses one"},
    {"goes_on_behind_a_stop_in_a_write", "loses one"},
    {"is_killed_at_any_step", "forgets its marks"},
    {"says_when_its_far_side_is_down", "drops while down"},
    {"blames_no_item_for_an_outage", "blames items"},
    {"returns_what_it_cannot_store", "blames items"},
};

// Of the cases on a network: tests/connect has what they are tried on.
template <class Case>
bool needs_a_network(const Case& each) {
  return each.name.starts_with("gets_through_") ||
         each.name == "stops_while_its_far_side_is_silent";
}

template <class Description, class Case>
void expect_found(const Description& what, const std::vector<Case>& cases, const std::string& name,
                  const std::string& flaw) {
  const auto found = std::ranges::find(cases, name, &Case::name);
  ASSERT_NE(found, cases.end()) << name;
  EXPECT_NE(run_case(what, *found), "") << name << " does not see that the connector " << flaw;
}

template <class Case>
void expect_all_have_a_flaw(const std::vector<Case>& cases, const pairs& flaws) {
  for (const Case& each : cases) {
    const bool has_one =
        std::ranges::any_of(flaws, [&](const auto& flaw) { return flaw.first == each.name; });
    EXPECT_NE(has_one, needs_a_network(each)) << each.name;
  }
}

TEST(connector_suite, has_a_flaw_for_each_case) {
  expect_all_have_a_flaw(source_cases(), source_flaws);
  expect_all_have_a_flaw(sink_cases(), sink_flaws);
  EXPECT_GE(source_cases().size(), 20U);
  EXPECT_GE(sink_cases().size(), 20U);
}

TEST(connector_suite, finds_each_flaw_of_a_source) {
  const impatient here;
  for (const auto& [name, flaw] : source_flaws) {
    expect_found(source_with(flaw), source_cases(), name, flaw);
  }
}

TEST(connector_suite, finds_each_flaw_of_a_sink) {
  const impatient here;
  for (const auto& [name, flaw] : sink_flaws) {
    expect_found(sink_with(flaw), sink_cases(), name, flaw);
  }
}

TEST(connector_suite, passes_what_has_no_flaw_and_prints_the_numbers) {
  std::ostringstream said;
  EXPECT_EQ(run_suite(source_with(""), said).failed, 0) << said.str();
  EXPECT_EQ(run_suite(sink_with(""), said).failed, 0) << said.str();
  EXPECT_NE(said.str().find("  does not apply, it is not on a network: gets_through_a_reset"),
            std::string::npos)
      << said.str();
  EXPECT_NE(said.str().find("source flawed: 23 of 30 cases executed, 0 failed, 7 do not apply"),
            std::string::npos)
      << said.str();
  EXPECT_NE(said.str().find("sink flawed: 23 of 32 cases executed, 0 failed, 9 do not apply"),
            std::string::npos)
      << said.str();
}

TEST(connector_suite, passes_a_source_that_takes_a_cancelled_read_for_its_stop) {
  std::ostringstream said;
  EXPECT_EQ(run_suite(source_with("stops"), said).failed, 0) << said.str();
}

TEST(connector_suite, makes_what_far_sides_have_in_common_once_a_case) {
  static int made = 0;
  sink_description what = sink_with("");
  const std::function<std::unique_ptr<sink_far_side>()> make = what.make;
  what.surroundings = [] { return std::make_shared<int>(++made); };
  what.make = [make] {
    if (made != 1) throw std::logic_error("made " + std::to_string(made) + " times");
    return make();
  };
  const auto found =
      std::ranges::find(sink_cases(), "refuses_a_bad_item_among_others", &sink_case::name);
  EXPECT_EQ(run_case(what, *found), "");
  EXPECT_EQ(made, 0) << "it belongs to the process of the case";
}

TEST(connector_suite, counts_what_failed) {
  std::ostringstream said;
  const suite_result result = run_suite(sink_with("has no empty text"), said);
  EXPECT_EQ(result.failed, 1);
  EXPECT_NE(said.str().find("FAILED: stores_an_empty_item: "), std::string::npos) << said.str();
}

TEST(connector_suite, excuses_a_case_with_the_reason_and_knows_its_cases) {
  source_description what = source_with("skips empty");
  what.excused["gives_an_empty_item"] = "nobody sends nothing";
  EXPECT_NE(list_cases(what).find("does not apply, nobody sends nothing: gives_an_empty_item"),
            std::string::npos);
  EXPECT_NE(list_cases(what).find("source flawed: 22 of 30 cases apply"), std::string::npos);
  what.excused["gives_a_wave"] = "too tired";
  EXPECT_THROW(static_cast<void>(list_cases(what)), std::invalid_argument);
}

TEST(connector_suite, calls_a_crash_and_a_hang_failures) {
  const source_case crash{"crash", {}, [](const source_description&) { std::abort(); }};
  EXPECT_NE(run_case(source_with(""), crash).find("signal 6"), std::string::npos);
  const source_case thrown{"thrown", {}, [](const source_description&) { throw 7; }};
  EXPECT_EQ(run_case(source_with(""), thrown), "an exception of an unknown type");
}

}  // namespace
}  // namespace brigade::testing
