// The simulator must find what it is there for: with one guard taken away, each in a process of its
// own, items are lost, counted twice or forgotten, and a seed below a thousand must show it.
#include "sim/conservation_channel.hpp"
#include "sim/conservation_queues.hpp"
#include "sim/conservation_shared.hpp"
#include "sim/pipeline_scenario.hpp"
#include "sim/queue_scenario.hpp"

#include <brigade/async/detail/probe.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <iostream>
#include <string>

namespace brigade::sim {
namespace {

using detail::probe::guard;

constexpr std::uint64_t seeds_max = 1000;
constexpr unsigned seconds_max = 240;

using fifo_life = queue_life<queue<parcel>>;
using lifo_life = queue_life<lifo_queue<parcel>>;
using priority_life = queue_life<priority_queue<parcel, by_rank>>;

template <class Scenario>
std::string problem_of(std::uint64_t seed) {
  return Scenario(seed).run();
}
using scenario = std::string (*)(std::uint64_t seed);

// What the child has to tell, also when it does not live to tell it.
struct progress_page {
  std::atomic<std::uint64_t> seed{0};
};

[[noreturn]] void run_child(guard without, scenario play, progress_page& page) {
  const int nowhere = ::open("/dev/null", O_WRONLY);
  ::dup2(nowhere, 2);  // the assertion that ends it is what is hoped for
  ::alarm(seconds_max);
  detail::probe::removed = without;
  for (std::uint64_t seed = 1; seed <= seeds_max; ++seed) {
    page.seed = seed;
    if (!play(seed).empty()) ::_exit(1);
  }
  ::_exit(0);
}

/// The seed at which the child ended badly; 0: it got through all of them.
std::uint64_t found_at(guard without, scenario play) {
  void* const memory = ::mmap(nullptr, sizeof(progress_page), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto& page = *::new (memory) progress_page;
  const pid_t child = ::fork();
  if (child == 0) run_child(without, play, page);
  int status = 0;
  ::waitpid(child, &status, 0);
  const bool survived = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  const std::uint64_t seed = survived ? 0 : page.seed.load();
  ::munmap(memory, sizeof(progress_page));
  return seed;
}

void expect_found(guard which, scenario play) {
  const std::uint64_t seed = found_at(which, play);
  const auto name = detail::probe::guard_names[static_cast<std::size_t>(which)];
  std::cout << "  without " << name << ": found at seed " << seed << "\n";
  EXPECT_NE(seed, 0U) << name << " was taken away, and " << seeds_max << " seeds did not notice";
}

TEST(mutants, with_every_guard_in_place_nothing_is_found) {
  EXPECT_EQ(found_at(guard::none, problem_of<queue_scenario>), 0U);
  EXPECT_EQ(found_at(guard::none, problem_of<pipeline_scenario>), 0U);
  EXPECT_EQ(found_at(guard::none, problem_of<fifo_life>), 0U);
  EXPECT_EQ(found_at(guard::none, problem_of<lifo_life>), 0U);
  EXPECT_EQ(found_at(guard::none, problem_of<priority_life>), 0U);
  EXPECT_EQ(found_at(guard::none, problem_of<channel_life>), 0U);
  EXPECT_EQ(found_at(guard::none, problem_of<shared_life>), 0U);
}

TEST(mutants, an_item_grant_that_is_not_passed_on_is_found) {
  expect_found(guard::grant_pass_on, problem_of<queue_scenario>);
  expect_found(guard::grant_pass_on, problem_of<fifo_life>);
  expect_found(guard::grant_pass_on, problem_of<lifo_life>);
  expect_found(guard::grant_pass_on, problem_of<priority_life>);
  expect_found(guard::grant_pass_on, problem_of<channel_life>);
}

TEST(mutants, a_slot_that_is_not_passed_on_is_found) {
  expect_found(guard::slot_pass_on, problem_of<queue_scenario>);
  expect_found(guard::slot_pass_on, problem_of<fifo_life>);
  expect_found(guard::slot_pass_on, problem_of<lifo_life>);
  expect_found(guard::slot_pass_on, problem_of<priority_life>);
  expect_found(guard::slot_pass_on, problem_of<channel_life>);
}

TEST(mutants, an_acknowledgement_before_the_ledger_is_found) {
  expect_found(guard::acknowledge_after_ledger, problem_of<pipeline_scenario>);
}

TEST(mutants, a_mark_that_jumps_a_hole_is_found) {
  expect_found(guard::watermark_hole, problem_of<pipeline_scenario>);
}

TEST(mutants, a_ticket_settled_twice_is_found) {
  expect_found(guard::settle_once, problem_of<queue_scenario>);
  expect_found(guard::settle_once, problem_of<fifo_life>);
  expect_found(guard::settle_once, problem_of<lifo_life>);
  expect_found(guard::settle_once, problem_of<priority_life>);
}

}  // namespace
}  // namespace brigade::sim
