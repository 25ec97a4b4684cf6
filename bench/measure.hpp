// What the benchmarks of the async layer and the peers' programs share, so that they measure alike.
//
// Every program is called `program WORKLOAD int|heap [ITEMS]`, checks that nothing was lost, and
// prints two numbers: wall and CPU nanoseconds an item (bytes a task, twice, for W6m). It exits
// with 2 when it does not have the workload and with 3 when something was lost.
#pragma once
#include <time.h>
#include <unistd.h>

#include <concepts>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

namespace bench {

inline double seconds_of(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

class stopwatch {
 public:
  void stop() {
    wall_ = seconds_of(CLOCK_MONOTONIC) - wall_;
    cpu_ = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu_;
  }
  void print(std::uint64_t items) const {
    const double scale = 1e9 / static_cast<double>(items);
    std::printf("%.2f %.2f\n", wall_ * scale, cpu_ * scale);
  }

 private:
  double wall_ = seconds_of(CLOCK_MONOTONIC);
  double cpu_ = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
};

/// Resident memory of this process, in bytes.
inline double resident() {
  long total = 0;
  long pages = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%ld %ld", &total, &pages) != 2) std::abort();
  std::fclose(file);
  return static_cast<double>(pages) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

/// Ends the program without taking a million tasks apart.
[[noreturn]] inline void print_bytes_and_exit(double bytes) {
  std::printf("%.2f %.2f\n", bytes, bytes);
  std::fflush(stdout);
  ::_exit(0);
}

inline void expect(std::uint64_t got, std::uint64_t wanted) {
  if (got == wanted) return;
  std::fprintf(stderr, "LOST: got %llu, wanted %llu\n", static_cast<unsigned long long>(got),
               static_cast<unsigned long long>(wanted));
  std::exit(3);
}

[[noreturn]] inline void unsupported() {
  std::fprintf(stderr, "no such workload here\n");
  std::exit(2);
}

// --- payloads: a number, and 64 bytes on the heap ---
struct blob {
  std::uint64_t value = 0;
  char rest[56];
};
using heap_item = std::unique_ptr<blob>;

template <class T>
T make(std::uint64_t number) {
  if constexpr (std::same_as<T, heap_item>) {
    auto item = std::make_unique<blob>();
    item->value = number;
    return item;
  } else {
    return number;
  }
}
inline std::uint64_t value(std::uint64_t item) { return item; }
inline std::uint64_t value(const heap_item& item) { return item->value; }

/// The sum of 0 ... items - 1: what the consumers must have seen.
inline std::uint64_t sum_below(std::uint64_t items) { return items * (items - 1) / 2; }

/// The same numbers in every program and run.
class random_numbers {
 public:
  std::uint32_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<std::uint32_t>(state_ >> 32);
  }

 private:
  std::uint64_t state_ = 0x9E3779B97F4A7C15ULL;
};

struct arguments {
  arguments(int count, char** values)
      : workload(count > 1 ? values[1] : ""),
        heap(count > 2 && std::string_view(values[2]) == "heap"),
        given(count > 3 ? std::strtoull(values[3], nullptr, 10) : 0),
        mode(count > 4 ? values[4] : "") {}
  [[nodiscard]] std::uint64_t items(std::uint64_t usual) const { return given ? given : usual; }

  std::string workload;
  bool heap;
  std::uint64_t given;
  std::string mode;
};

}  // namespace bench
