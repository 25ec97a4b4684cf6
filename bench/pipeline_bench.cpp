// Three no-op stages in memory: what the engine itself costs an item, outcomes counted.
//
//   1,000,000 numbers ──> [ no-op ] ──> [ no-op ] ──> [ no-op ] ──> sum
//
// Prints CPU nanoseconds an item over the whole pipeline. Loss and duplication are checked by count
// and sum. Usage: pipeline_bench [items] [workers a stage]
#include <brigade/pipeline.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <optional>

namespace {

double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint64_t items = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  const int workers = argc > 2 ? std::atoi(argv[2]) : 8;
  std::uint64_t next = 0;
  std::uint64_t sum = 0;
  auto generate = [&]() -> std::optional<std::uint64_t> {
    if (next == items) return std::nullopt;
    return ++next;
  };
  auto pass = [](const std::uint64_t&) {};
  const brigade::stage_policy policy{.workers = workers};

  const double before = cpu_seconds();
  const brigade::report account = brigade::pipeline("noop")
                                      .from(generate)
                                      .stage("first", pass, policy)
                                      .stage("second", pass, policy)
                                      .stage("third", pass, policy)
                                      .to("sum", [&](const std::uint64_t& item) { sum += item; })
                                      .run();
  const double spent = cpu_seconds() - before;

  const bool whole = account.exit_code == 0 && sum == items * (items + 1) / 2 &&
                     account.count(brigade::outcome::delivered) == items;
  std::printf("three no-op stages of %d workers: %.0f ns an item (%llu items)%s\n", workers,
              spent * 1e9 / static_cast<double>(items), static_cast<unsigned long long>(items),
              whole ? "" : "  ITEMS LOST");
  return whole ? 0 : 1;
}
