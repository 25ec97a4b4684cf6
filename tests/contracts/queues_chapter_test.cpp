// The code in docs/queues.md.

#include <brigade/async.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

struct order {
  int number = 0;
  std::string dish;
};
struct most_urgent_first {
  bool operator()(const order& a, const order& b) const { return a.number < b.number; }
};

task<> cook(order& one) {
  co_await sleep_for(1ms);
  if (one.dish == "soap") throw std::runtime_error("that is no dish");
}

void fill(queue<order>& orders, std::vector<std::string> dishes) {
  int number = 0;
  for (std::string& dish : dishes) {
    order one{++number, std::move(dish)};
    EXPECT_TRUE(orders.try_put(one));
  }
}

TEST(queues_chapter, the_three_queues_differ_in_who_comes_next) {
  virtual_loop loop;
  std::string came_out;
  auto main = [&]() -> task<> {
    queue<int> first_in_first_out(8, "orders");
    lifo_queue<int> last_in_first_out(8, "plates");
    priority_queue<order, most_urgent_first> smallest_first(8, "calls");
    queue<int> endless(unbounded, "log");

    auto drain = [&](auto& from) -> task<> {
      for (int i = 1; i <= 3; ++i) co_await from.put(i);
      from.close();
      while (auto item = co_await from.take()) came_out += std::to_string(*item);
    };
    co_await drain(first_in_first_out);
    co_await drain(last_in_first_out);
    order late{2, "late"};
    co_await smallest_first.put(std::move(late));
    order soon{1, "soon"};
    co_await smallest_first.put(std::move(soon));
    auto next = co_await smallest_first.take();
    came_out += next->dish;
    EXPECT_EQ(endless.size(), 0U);
  };
  loop.run(main());
  EXPECT_EQ(came_out, "123321soon");
}

TEST(queues_chapter, a_ticket_says_what_became_of_its_item) {
  virtual_loop loop;
  queue<order> orders(8, "orders");
  fill(orders, {"soup", "soap", "tart", "stew"});
  auto worker = [&]() -> task<> {
    while (auto ticket = co_await orders.take()) {
      try {
        co_await cook(*ticket);  // no word: done, at the end of the scope
      } catch (const std::exception&) {
        ticket.fail();
      }
    }
  };
  auto main = [&]() -> task<> {
    auto unsuitable = co_await orders.take();
    unsuitable.give_back();  // the next to be taken, as if it had not been

    orders.close();
    co_await with_group([&](task_group& group) { group.spawn(worker); });
    co_await orders.join();
  };
  loop.run(main());
  EXPECT_EQ(orders.statistics().done, 3U);
  EXPECT_EQ(orders.statistics().failed, 1U);
}

TEST(queues_chapter, a_loop_that_is_cancelled_often_ends_without_an_exception) {
  virtual_loop loop;
  queue<order> orders(8, "orders");
  no_item why = no_item::none;
  auto worker = [&]() -> task<> {
    for (;;) {
      auto ticket = co_await orders.take(on_cancel::end);
      why = ticket.why();  // closed, or cancelled
      if (!ticket) co_return;
      co_await cook(*ticket);
    }
  };
  auto main = [&]() -> task<> {
    auto running = spawn(worker);
    co_await sleep_for(1s);
    running.cancel();
    co_await running;
  };
  loop.run(main());
  EXPECT_EQ(why, no_item::cancelled);
}

TEST(queues_chapter, close_delivers_and_abort_returns) {
  virtual_loop loop;
  auto main = []() -> task<> {
    queue<order> orders(8, "orders");
    fill(orders, {"soup", "tart", "stew"});

    orders.close();  // put throws queue_closed from now on; take goes on
    auto one = co_await orders.take();
    const std::vector<order> left = orders.abort();  // tart and stew
    one.done();
    co_await orders.join();  // what was taken has to be settled, what was returned has not

    EXPECT_EQ(left.size(), 2U);
    EXPECT_EQ(orders.statistics().returned, 2U);
  };
  loop.run(main());
}

TEST(queues_chapter, join_with_a_limit_says_who_holds_what) {
  virtual_loop loop;
  std::string logged;
  auto log = [&](const std::string& text) { logged = text; };
  auto main = [&]() -> task<> {
    queue<order> orders(queue<order>::options(8).name("orders").note_holders());
    fill(orders, {"soup"});
    auto kept = co_await orders.take();

    const join_result ended = co_await orders.join(5s);
    if (!ended) log(ended.text);  // who holds what, for how long, taken at which line

    EXPECT_NE(logged.find("main"), std::string::npos) << logged;
    EXPECT_EQ(ended.holders.size(), 1U);
  };
  loop.run(main());
}

TEST(queues_chapter, several_are_taken_at_once) {
  virtual_loop loop;
  std::vector<std::size_t> sizes;
  queue<order> orders(100, "orders");
  auto write_rows = [&](batch<order>& rows) -> task<bool> {
    co_await sleep_for(1ms);
    sizes.push_back(rows.size());
    co_return true;
  };
  auto writer = [&]() -> task<> {
    while (auto rows = co_await orders.take_batch(50, 20ms)) {  // 50, or those of 20 ms
      const bool written = co_await write_rows(rows);
      if (!written) rows.give_back();  // else done, all of them
    }
  };
  auto main = [&]() -> task<> {
    auto running = spawn(writer);
    fill(orders, std::vector<std::string>(70, "soup"));
    co_await sleep_for(1s);
    orders.close();
    co_await running;
    co_await orders.join();
  };
  loop.run(main());
  EXPECT_EQ(sizes, (std::vector<std::size_t>{50, 20}));
}

TEST(queues_chapter, capacity_may_be_counted_in_bytes) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto bytes = [](const std::string& text) { return text.size(); };
    queue<std::string> texts(queue<std::string>::options(1000).name("texts").weight(100, bytes));

    co_await texts.put(std::string(60, 'x'));
    std::string second(60, 'x');
    EXPECT_FALSE(texts.try_put(second));  // 120 bytes would be too many
    static_cast<void>(co_await texts.take());
    co_await texts.put(std::string(500, 'x'));  // too heavy, so alone
    EXPECT_EQ(texts.statistics().weight, 500U);
  };
  loop.run(main());
}

TEST(queues_chapter, a_full_queue_may_refuse_or_drop_and_counts_it) {
  virtual_loop loop;
  auto main = []() -> task<> {
    queue<int> latest(queue<int>::options(2).name("latest").when_full(overflow::drop_oldest));
    for (int i = 1; i <= 5; ++i) co_await latest.put(i);  // never waits
    EXPECT_EQ(latest.statistics().dropped, 3U);
    EXPECT_EQ(latest.peek(0), 4);

    queue<int> strict(queue<int>::options(1).name("strict").when_full(overflow::refuse));
    co_await strict.put(1);
    EXPECT_THROW(co_await strict.put(2), queue_full);
  };
  loop.run(main());
}

TEST(queues_chapter, room_is_reserved_before_the_item_is_made) {
  virtual_loop loop;
  queue<order> orders(1, "orders");
  auto read_order = []() -> task<order> {
    co_await sleep_for(1ms);
    co_return order{1, "soup"};
  };
  auto intake = [&]() -> task<> {
    auto room = co_await orders.reserve();  // nothing is read before there is room for it
    order one = co_await read_order();
    room.commit(std::move(one));
  };
  auto main = [&]() -> task<> {
    co_await intake();
    EXPECT_EQ(orders.size(), 1U);
  };
  loop.run(main());
}

TEST(queues_chapter, select_takes_one_and_leaves_the_others) {
  virtual_loop loop;
  queue<order> orders(8, "orders");
  queue<order> urgent(8, "urgent");
  event stop("stop");
  int served = 0;
  auto worker = [&]() -> task<> {
    for (;;) {
      auto next = co_await select(urgent.take(), orders.take(), stop.wait());
      if (next.index() == 2) co_return;
      order& one = next.index() == 0 ? *next.get<0>() : *next.get<1>();
      co_await cook(one);
      ++served;
    }
  };
  auto main = [&]() -> task<> {
    auto running = spawn(worker);
    fill(orders, {"soup", "tart"});
    fill(urgent, {"stew"});
    co_await sleep_for(1s);
    stop.set();
    co_await running;
  };
  loop.run(main());
  EXPECT_EQ(served, 3);
}

TEST(queues_chapter, a_channel_ends_with_its_last_sender) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto [to_cooks, orders] = channel<int>(8, "orders");
    auto waiter = [](int table, sender<int> out) -> task<> { co_await out.send(table); };
    for (int table = 1; table <= 3; ++table) spawn(waiter, table, to_cooks);
    to_cooks.close();  // this handle; each waiter has its own

    int served = 0;
    while (auto table = co_await orders.receive()) ++served;
    EXPECT_EQ(served, 3);
  };
  loop.run(main());
}

TEST(queues_chapter, get_and_task_done_are_there_for_code_that_is_ported) {
  virtual_loop loop;
  queue<int> jobs(8, "jobs");
  auto worker = [&]() -> task<> {
    for (;;) {
      const int job = co_await jobs.get();
      co_await sleep_for(1ms * job);
      jobs.task_done();
    }
  };
  auto main = [&]() -> task<> {
    auto running = spawn(worker);
    for (int i = 0; i < 5; ++i) co_await jobs.put(i);
    co_await jobs.join();
    running.cancel();
  };
  loop.run(main());
  EXPECT_EQ(jobs.unfinished(), 0U);
}

}  // namespace
}  // namespace brigade
