// The code in docs/threads-and-processes.md.

#include <brigade/async.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;

using order = int;
constexpr int orders_each = 200;

task<> prepare(order&) { co_await yield(); }

task<> read_orders(std::size_t index, shared_queue<order>& orders, std::atomic<int>& reading) {
  for (int i = 0; i < orders_each; ++i) co_await orders.put(static_cast<int>(index) * 1000 + i);
  if (--reading == 0) orders.close();
}

task<> cook(shared_queue<order>& orders, std::size_t& cooked) {
  while (auto ticket = co_await orders.take()) {
    co_await prepare(*ticket);
    ++cooked;
  }
}

TEST(threads_chapter, several_loops) {
  shared_queue<order> orders(64, "orders");
  std::atomic<int> reading = 2;

  auto main = [&](std::size_t index) -> task<std::size_t> {
    std::size_t cooked = 0;
    auto crew = [&](task_group& group) {
      group.spawn(read_orders, index, std::ref(orders), std::ref(reading));
      for (int i = 0; i < 4; ++i) group.spawn(cook, std::ref(orders), std::ref(cooked));
    };
    co_await with_group(std::ref(crew));
    co_return cooked;
  };
  std::vector<std::size_t> cooked = run_threads(2, main);

  EXPECT_EQ(std::accumulate(cooked.begin(), cooked.end(), std::size_t{0}), 2U * orders_each);
}

TEST(threads_chapter, a_thread_without_a_loop) {
  shared_queue<order> orders(4, "orders");
  std::vector<order> shipped;
  const auto ship = [&](order one) { shipped.push_back(one); };
  std::thread docks([&] {
    shared_queue<order>::blocking_end end(orders);
    while (auto ticket = end.take()) ship(*ticket);
  });
  {
    order next = 7;
    shared_queue<order>::blocking_end end(orders);
    end.put(std::move(next));  // blocks while it is full
  }
  orders.close();
  docks.join();
  EXPECT_EQ(shipped, std::vector<order>{7});
}

std::string read_file(const std::string& path) { return "text of " + path; }
using picture = std::vector<int>;
picture scale(picture image) {
  for (int& pixel : image) pixel /= 2;
  return image;
}

TEST(threads_chapter, calls_on_threads) {
  std::vector<std::string> logged;
  const auto log = [&](std::string line) { logged.push_back(std::move(line)); };
  auto main = [&]() -> task<> {
    const std::string path = "menu.txt";
    picture image = {8, 6};
    std::string text = co_await to_thread(read_file, path);

    thread_pool images(2, "images");
    auto scaled = co_await images.run(scale, std::move(image));
    images.set_size(8);
    for (const abandoned_call& call : co_await images.shutdown(5s)) log(to_string(call));

    EXPECT_EQ(text, "text of menu.txt");
    EXPECT_EQ(scaled, (picture{4, 3}));
  };
  run(main());
  EXPECT_TRUE(logged.empty());
}

task<int> ask(int number) {
  co_await yield();
  co_return number + 1;
}

TEST(threads_chapter, into_a_loop) {
  std::thread caller;
  auto main = [&]() -> task<> {
    const auto box = loop::current().mailbox();
    event answered;
    const outside_hold open;
    caller = std::thread([&answered, box] {
      auto answer = submit(box, ask, 42);  // box: loop.mailbox(), kept from before
      int value = answer.get_within(2s);   // timed_out: and the task is cancelled
      EXPECT_EQ(value, 43);
      box->post([&answered] { answered.set(); });
    });
    co_await answered.wait();
  };
  run(main());
  caller.join();
}

// The chapter's child, in a folder of its own.
class handler_folder {
 public:
  handler_folder() : before_(std::filesystem::current_path()) {
    std::string name = (std::filesystem::temp_directory_path() / "brigade.XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    folder_ = name;
    std::filesystem::current_path(folder_);
    std::ofstream("classify.py") << "import sys\n"
                                    "def classify(line):\n"
                                    "    return 'liquid' if line.strip() == 'soup' else 'solid'\n"
                                    "for line in sys.stdin:\n"
                                    "    print(classify(line), flush=True)\n";
  }
  handler_folder(const handler_folder&) = delete;
  handler_folder& operator=(const handler_folder&) = delete;
  ~handler_folder() {
    std::filesystem::current_path(before_);
    std::filesystem::remove_all(folder_);
  }

 private:
  std::filesystem::path before_;
  std::filesystem::path folder_;
};

TEST(threads_chapter, processes) {
  const handler_folder here;
  auto main = []() -> task<> {
    const std::string text = "soup";
    const std::vector<std::string> command = {"python3", "classify.py"};
    child_pool_options options;
    options.size = 4;
    options.call_timeout = 10s;
    child_pool children(process_options(command), options);
    std::string label = co_await children.call(text);
    co_await children.shutdown();

    EXPECT_EQ(label, "liquid");
  };
  run(main());
}

}  // namespace
}  // namespace brigade
