// The judges of the conservation tests, each shown what it must not let pass.
#include "sim/conservation_oracle.hpp"

#include "sim/conservation_haul.hpp"
#include "sim/conservation_line.hpp"
#include "sim/conservation_model.hpp"

#include <brigade/async/queue.hpp>

#include <gtest/gtest.h>

#include <optional>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

namespace brigade::sim {
namespace {

using one_queue = subject<queue<parcel>>;

queue_terms two_items() {
  queue_terms terms;
  terms.name = "orders";
  terms.items_max = 2;
  return terms;
}

struct bench {
  explicit bench(const queue_terms& terms = two_items()) : orders(all, terms) {}
  world all{1};
  one_queue orders;

  parcel item(int number) { return all.book.make(0, number, 0, 1); }
  /// Into the queue, and the model is told.
  void put(int number) {
    parcel one = item(number);
    item_record& what = *one;
    ASSERT_TRUE(orders.queue.try_put(one));
    orders.model.put(what, orders.queue.core());
  }
  [[nodiscard]] bool objects(const std::string& to) const {
    const std::string& problem = all.judge.first_problem();
    return problem.find(to) != std::string::npos;
  }
};

TEST(conservation_oracle, has_nothing_against_what_is_right) {
  bench at;
  at.put(1);
  at.put(2);
  haul load;
  load.take(at.orders.model, std::move(*at.orders.queue.try_take()));
  load.one->mine.will_end_as(fate::done);
  load.one.reset();
  at.orders.check();
  const std::vector<parcel> left = at.orders.queue.abort();
  at.orders.model.aborted(left);
  at.orders.check();
  EXPECT_EQ(at.all.judge.first_problem(), "");
}

TEST(conservation_oracle, misses_an_item_that_nobody_told_of) {
  bench at;
  at.put(1);
  auto stolen = at.orders.queue.try_take();
  at.orders.check();
  EXPECT_TRUE(at.objects("its size is not what was put less what was taken"));
}

TEST(conservation_oracle, misses_an_item_that_came_to_nothing) {
  bench at;
  {
    parcel lost = at.item(1);
    at.orders.model.put(*lost, at.orders.queue.core());
  }
  at.orders.check();
  EXPECT_TRUE(at.objects("an item in the queue was destroyed"));
}

TEST(conservation_oracle, sees_an_item_taken_before_its_turn) {
  bench at;
  at.put(1);
  at.put(2);
  std::vector<parcel> both = at.orders.queue.abort();
  at.orders.model.taken(*both[1]);
  EXPECT_TRUE(at.objects("an item was taken out of its turn"));
}

TEST(conservation_oracle, sees_an_item_end_twice) {
  bench at;
  const parcel one = at.item(1);
  at.all.book.ends(*one, fate::done);
  at.all.book.ends(*one, fate::returned);
  EXPECT_TRUE(at.objects("ended twice"));
}

TEST(conservation_oracle, sees_an_item_that_is_worked_on_and_destroyed) {
  bench at;
  at.put(1);
  std::optional<ticket<parcel>> got = at.orders.queue.try_take();
  at.orders.model.taken(***got);
  got.reset();
  EXPECT_TRUE(at.objects("destroyed while somebody worked on it"));
}

TEST(conservation_oracle, sees_an_item_that_is_left_over) {
  bench at;
  const parcel one = at.item(1);
  at.all.book.check_end();
  EXPECT_TRUE(at.objects("is still somewhere"));
}

TEST(conservation_oracle, sees_more_items_than_there_is_room_for) {
  bench at;
  for (int number = 1; number <= 3; ++number) {
    const parcel one = at.item(number);
    at.orders.model.put(*one, queue_statistics());
    one->where = place::ended;
  }
  queue_statistics now;
  now.size = now.unfinished = now.put = 3;
  at.orders.model.check_numbers(now);
  EXPECT_TRUE(at.objects("more items than there is room for"));
}

TEST(conservation_oracle, sees_the_wrong_item_dropped) {
  queue_terms terms = two_items();
  terms.when_full = overflow::drop_oldest;
  bench at(terms);
  at.put(1);
  at.put(2);
  at.put(3);
  EXPECT_EQ(at.all.judge.first_problem(), "");
  EXPECT_EQ(at.all.book.count(fate::dropped), 1U);
  at.orders.model.vanished(*at.orders.model.waiting().back());
  const parcel next = at.item(4);
  at.orders.model.put(*next, queue_statistics());
  EXPECT_TRUE(at.objects("another item was dropped than the policy says"));
  next->where = place::ended;
}

TEST(conservation_oracle, sees_a_join_that_ends_too_early_and_one_that_names_the_wrong_task) {
  queue_terms terms = two_items();
  terms.notes_holders = true;
  bench at(terms);
  at.put(1);
  at.orders.model.check_joined(true);
  EXPECT_TRUE(at.objects("join ended while there was work"));
  bench other(terms);
  other.put(1);
  std::vector<parcel> held = other.orders.queue.abort();
  other.orders.model.taken(*held.front());
  other.orders.model.holds("cook", 1);
  join_result told;
  told.held = 1;
  told.holders.push_back(item_holder{"waiter", {}, {}, 1});
  other.orders.model.check_holders(told);
  EXPECT_TRUE(other.objects("join does not name exactly those who hold items"));
}

/// An operation whose state a test sets.
struct fake_wait final : detail::waiter {
  fake_wait() : waiter(std::source_location{}) {}
  [[nodiscard]] std::string describe() const override { return "fake"; }
  void is(detail::wait_state now) { state_ = now; }
};

TEST(conservation_oracle, sees_one_served_who_came_later) {
  oracle judge;
  waiting_line line(judge, "those who take");
  fake_wait first;
  fake_wait second;
  const waiting_line::entry before(line, first);
  const waiting_line::entry behind(line, second);
  second.is(detail::wait_state::waiting);
  line.check();
  first.is(detail::wait_state::waiting);
  line.check();
  EXPECT_EQ(line.waiting(), 2U);
  first.is(detail::wait_state::granted);  // registered first, and waits since later
  line.check();
  EXPECT_EQ(judge.first_problem(), "those who take: one who came later was served first");
}

TEST(conservation_oracle, sees_a_newcomer_served_while_others_wait) {
  oracle judge;
  waiting_line line(judge, "those who take");
  fake_wait waits;
  fake_wait comes;
  const waiting_line::entry patient(line, waits);
  waits.is(detail::wait_state::waiting);
  line.check();
  {
    waiting_line::entry newcomer(line, comes);
    comes.is(detail::wait_state::granted);
    line.check();
  }
  EXPECT_EQ(judge.first_problem(), "those who take: a newcomer was served before those who wait");
}

TEST(conservation_oracle, sees_one_served_at_once_while_others_wait) {
  oracle judge;
  waiting_line line(judge, "those who put");
  fake_wait waits;
  fake_wait comes;
  const waiting_line::entry patient(line, waits);
  line.nobody_is_overtaken();
  EXPECT_EQ(judge.first_problem(), "");
  waits.is(detail::wait_state::waiting);
  waiting_line::entry hasty(line, comes);
  hasty.served();
  EXPECT_EQ(judge.first_problem(), "those who put: somebody was served at once while others wait");
}

TEST(conservation_oracle, tells_the_last_of_what_happened) {
  oracle judge;
  judge.tell([] { return std::string("unheard"); });
  judge.listen(false);
  judge.tell([] { return std::string("put 1"); });
  judge.problem("it went wrong");
  judge.tell([] { return std::string("too late"); });
  EXPECT_EQ(judge.story(), "  put 1\n");
}

}  // namespace
}  // namespace brigade::sim
