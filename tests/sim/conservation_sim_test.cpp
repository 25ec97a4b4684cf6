// Conservation: whatever is done to a queue, a channel or a shared queue, each item ends exactly
// once, in the order promised, and nobody waits for what is there.
#include "sim/conservation_channel.hpp"
#include "sim/conservation_features.hpp"
#include "sim/conservation_queues.hpp"
#include "sim/conservation_shared.hpp"
#include "sim/coverage.hpp"
#include "sim/seeds.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <iostream>
#include <string>

namespace brigade::sim {
namespace {

/// What went wrong; empty: nothing did. Prints who was there and what they did before: at once, for
/// a queue that is left in disorder may not survive its end. A seed that is played alone tells all
/// of it, as it happens.
template <class Life>
std::string problem_of(std::uint64_t seed, bool alone) {
  Life life(seed);
  if (alone) {
    std::cerr << life.in_words() << "\n";
    life.judge().listen(true);
  }
  std::string problem = life.run();
  if (problem.empty() || alone) return problem;
  std::cerr << "then: " << problem << "\nin " << life.in_words() << std::endl;
  Life again(seed);
  again.judge().listen(false);
  again.run();
  std::cerr << again.judge().story() << "  then: " << problem << std::endl;
  return problem;
}

std::string queues(std::uint64_t seed, bool alone) {
  if (seed % 4 == 2) return problem_of<queue_life<lifo_queue<parcel>>>(seed, alone);
  if (seed % 4 == 3) return problem_of<queue_life<priority_queue<parcel, by_rank>>>(seed, alone);
  return problem_of<queue_life<queue<parcel>>>(seed, alone);
}

using detail::probe::coverage;
using life_of = std::string (*)(std::uint64_t seed, bool alone);

void live(life_of what, std::initializer_list<feature> must_be_seen,
          std::initializer_list<coverage> also) {
  const seed_range seeds = all_seeds();
  const coverage_since_now rare;
  const feature_counts before = features_seen;
  for (std::uint64_t n = 0; n < seeds.count; ++n) {
    const seed_under_way seed("conservation_sim", seeds.first + n);
    const std::string problem = what(seeds.first + n, seeds.count == 1);
    ASSERT_TRUE(problem.empty()) << problem << "\n" << seed.how_to_repeat();
  }
  for (const feature each : must_be_seen) {
    const auto at = static_cast<std::size_t>(each);
    const std::uint64_t count = features_seen[at] - before[at];
    std::cout << "  " << feature_names[at] << " " << count << "\n";
    if (seeds.count * 2 >= seeds_by_default) {
      EXPECT_GE(count, coverage_min) << feature_names[at];
    }
  }
  rare.expect(seeds.count, also);
}

TEST(conservation_sim, queues_keep_every_item_whatever_is_done_to_them) {
  live(queues,
       {feature::put_waited,
        feature::put_was_finished,
        feature::put_gave_up,
        feature::item_stayed,
        feature::try_put_refused,
        feature::slot_committed,
        feature::slot_dropped,
        feature::slot_closed,
        feature::take_waited,
        feature::take_gave_up,
        feature::take_ended_by_cancel,
        feature::ticket_done,
        feature::ticket_failed,
        feature::ticket_abandoned,
        feature::given_back,
        feature::got,
        feature::batch_taken,
        feature::batch_lingered,
        feature::linger_cut_short,
        feature::batch_split,
        feature::dropped_oldest,
        feature::dropped_newest,
        feature::dropped_itself,
        feature::came_in_its_place,
        feature::refused,
        feature::too_heavy_came_alone,
        feature::equals_kept_their_order,
        feature::select_took,
        feature::select_put,
        feature::select_reserved,
        feature::select_got_an_event,
        feature::select_forwarded,
        feature::timed_out,
        feature::joined,
        feature::joined_in_time,
        feature::join_named_holders,
        feature::closed_with_items,
        feature::closed_on_putters,
        feature::aborted_with_items,
        feature::killed},
       {coverage::grant_revoked, coverage::put_cancelled_after_grant,
        coverage::abort_with_grant_out, coverage::join_raced_by_put});
}

TEST(conservation_sim, channels_keep_every_item_whoever_goes_first) {
  live(problem_of<channel_life>,
       {feature::put_waited, feature::refused, feature::dropped_oldest, feature::dropped_newest,
        feature::select_put, feature::select_got_an_event, feature::timed_out, feature::received,
        feature::last_sender_gone, feature::last_receiver_gone, feature::send_failed,
        feature::receiver_returned_items, feature::items_destroyed, feature::killed},
       {coverage::grant_revoked, coverage::put_cancelled_after_grant});
}

TEST(conservation_sim, shared_queues_keep_every_item_on_one_loop) {
  live(
      problem_of<shared_life>,
      {feature::put_waited, feature::put_gave_up, feature::try_put_refused, feature::take_waited,
       feature::take_gave_up, feature::take_ended_by_cancel, feature::ticket_done,
       feature::ticket_failed, feature::ticket_abandoned, feature::given_back, feature::batch_taken,
       feature::select_took, feature::timed_out, feature::joined, feature::closed_with_items,
       feature::closed_on_putters, feature::aborted_with_items, feature::killed},
      {});
}

}  // namespace
}  // namespace brigade::sim
