// Stages joined by channels: the end of one is the end of the next, an error ends them all.
//
//   read ──> [ 8 ] ──> parse, parse, parse ──> [ 8 ] ──> total
#include <brigade/async.hpp>

#include <cstdio>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace brigade;
using namespace std::chrono_literals;

using lines = std::vector<std::string>;

task<> read_lines(lines given, sender<std::string> out) {
  for (std::string& line : given) co_await out.send(std::move(line));
}  // the sender goes, and it was the only one: the parsers' loops end

task<> parse(receiver<std::string> in, sender<int> out) {
  while (auto line = co_await in.receive()) {
    const int amount = std::stoi(*line);  // throws, when it is no number
    co_await sleep_for(1ms);
    co_await out.send(amount);
  }
}

task<> total(receiver<int> in) {
  int sum = 0;
  while (auto amount = co_await in.receive()) sum += *amount;
  std::printf("total %d\n", sum);
}

task<> add_up(lines given) {
  co_await with_group([&](task_group& stages) {
    auto [text_in, text_out] = channel<std::string>(8, "text");
    auto [amounts_in, amounts_out] = channel<int>(8, "amounts");
    stages.spawn(read_lines, std::move(given), std::move(text_in));
    for (int i = 0; i < 3; ++i) stages.spawn(parse, text_out, amounts_in);
    stages.spawn(total, std::move(amounts_out));
  });
}

task<> books() {
  const lines good(100, "25");
  co_await add_up(good);

  lines one_bad = good;
  one_bad[50] = "a lot";
  try {
    co_await add_up(std::move(one_bad));
  } catch (const exception_group& failed) {
    std::printf("no total: %s\n", error_text(failed.errors().front()).c_str());
  }
}

int main() { run(books()); }
