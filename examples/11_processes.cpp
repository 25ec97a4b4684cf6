// Work for child processes: a line in, a line out. One that dies fails its call, and is replaced.
//
//   dishes ──> [ child_pool: 2 ] ──┬── sh
//                                  └── sh ──x exit 3 ──> sh
#include <brigade/async.hpp>

#include <cstdio>
#include <string>
#include <vector>

using namespace brigade;
using namespace std::chrono_literals;

const char* const kitchen_script = R"(
while read -r dish; do
  [ "$dish" = bomb ] && exit 3
  echo "$dish is ready"
done
)";

task<> evening() {
  const std::vector<std::string> command = {"sh", "-c", kitchen_script};
  child_pool_options options;
  options.size = 2;
  options.call_timeout = 5s;
  options.name = "kitchen";
  child_pool kitchen(process_options(command), options);

  const std::vector<std::string> dishes = {"soup", "bomb", "tart"};
  auto cook = [&](const std::string& dish) { return kitchen.call(dish); };
  for (const auto& dish : co_await map(collect_errors, dishes, 2, cook)) {
    if (dish.has_value()) {
      std::printf("%s\n", dish.value().c_str());
    } else {
      std::printf("%s\n", error_text(dish.error()).c_str());
    }
  }
  co_await kitchen.shutdown();
}

int main() { run(evening()); }
