// The code in docs/lifetimes.md.

#include <brigade/async.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace {

using brigade::testing::virtual_loop;

std::vector<int> plated;
void plate(int dish) { plated.push_back(dish); }

brigade::task<> work(brigade::queue<int>& rail) {
  while (auto dish = co_await rail.take()) plate(*dish);
}

TEST(lifetimes_chapter, lambdas) {
  plated.clear();
  virtual_loop loop;
  auto main = []() -> brigade::task<> {
    brigade::queue<int> rail{8};
    co_await rail.put(1);
    co_await rail.put(2);
    rail.close();

    auto serve = [&rail]() -> brigade::task<> {  // good: `serve` lives until its task has ended
      while (auto dish = co_await rail.take()) plate(*dish);
    };
    co_await serve();

    co_await brigade::with_group([&rail](brigade::task_group& group) {
      group.spawn([&rail]() -> brigade::task<> {  // good: spawn keeps the lambda itself
        while (auto dish = co_await rail.take()) plate(*dish);
      });
      auto plate_one = [](int id) -> brigade::task<> {  // good: no captures, `id` is in the frame
        plate(id);
        co_return;
      };
      group.spawn(plate_one, 7);
    });
  };
  loop.run(main());
  EXPECT_EQ(plated, (std::vector<int>{1, 2, 7}));
}

TEST(lifetimes_chapter, what_outlives_what) {
  plated.clear();
  virtual_loop loop;
  auto main = []() -> brigade::task<> {
    brigade::queue<int> rail{8};  // outlives the tasks that wait for it, in the group
    co_await brigade::with_group([&](brigade::task_group& group) {
      group.spawn(work, std::ref(rail));
      int dish = 3;
      rail.try_put(dish);
      rail.close();
    });
  };
  loop.run(main());
  EXPECT_EQ(plated, std::vector<int>{3});
}

}  // namespace
