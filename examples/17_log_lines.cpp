// Log lines, parsed by a pool and written out, and a consumer that keeps one for ever.
//
//   lines ──> [ raw: 8 ] ──> parse x 3 ──> [ parsed: 8 ] ──> write x 2, one of which hangs
//
// A join with a deadline names who it is and what they hold.
#include <brigade/async.hpp>

#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace brigade;
using namespace std::chrono_literals;

struct entry {
  std::string path;
  int status;
};

entry parsed(const std::string& line) {
  const std::size_t space = line.find(' ');
  if (space == std::string::npos) throw std::runtime_error("no status in '" + line + "'");
  return entry{line.substr(0, space), std::stoi(line.substr(space))};
}

task<> read_lines(queue<std::string>& raw) {
  for (int n = 1; n <= 30; ++n) {
    std::string line = "/page/" + std::to_string(n) + (n == 13 ? "" : " 200");
    co_await raw.put(std::move(line));
  }
  raw.close();
}

task<> parse(queue<std::string>& raw, queue<entry>& out) {
  while (auto line = co_await raw.take()) {
    try {
      entry one = parsed(*line);
      co_await out.put(std::move(one));
    } catch (const std::exception& error) {
      std::printf("left out: %s\n", error.what());
      line.fail();
    }
  }
}

task<> write_out(queue<entry>& entries, std::vector<std::string>& file) {
  while (auto one = co_await entries.take()) {
    if (one->path == "/page/20") co_await sleep_for(24h);  // a disk that never answers
    file.push_back(one->path);
  }
}

task<> evening() {
  queue<std::string> raw(8, "raw");
  queue<entry> entries(queue<entry>::options(8).name("parsed").note_holders());
  std::vector<std::string> file;
  task_group crew("crew");
  auto work = [&](task_group& group) -> task<> {
    group.spawn_named("writer A", write_out, std::ref(entries), std::ref(file));
    group.spawn_named("writer B", write_out, std::ref(entries), std::ref(file));
    std::vector<task_handle<>> parsers;
    for (int id = 1; id <= 3; ++id) {
      parsers.push_back(group.spawn(parse, std::ref(raw), std::ref(entries)));
    }
    group.spawn(read_lines, std::ref(raw));
    for (auto& one : parsers) co_await one;
    entries.close();

    const join_result all = co_await entries.join(50ms);
    std::printf("written: %zu\n", file.size());
    for (const item_holder& one : all.holders) {
      std::printf("%s keeps %zu item for too long\n", one.task.c_str(), one.items);
    }
    group.cancel("the evening is over");
  };
  co_await crew.run(work);

  const queue_statistics ends = entries.statistics();
  std::printf("put %d = done %d + abandoned %d\n", static_cast<int>(ends.put),
              static_cast<int>(ends.done), static_cast<int>(ends.abandoned));
}

int main() { run(evening()); }
