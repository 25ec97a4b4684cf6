/// fail_at: an error at the n-th call, and a helper that puts it at every call in turn.
///
///     for_each_failure([](fail_at& fault) {
///       virtual_loop loop;
///       loop.run(save_all(fault));        // calls fault.pass() wherever the real thing may fail
///     });
///
/// Thread safety: none.
#pragma once
#include <cstdint>
#include <functional>
#include <source_location>
#include <stdexcept>

namespace brigade::testing {

/// What `fail_at` throws; the text names the call.
class injected_fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class fail_at {
 public:
  /// The call of `pass` that throws, counted from 1; 0: none.
  explicit fail_at(std::uint64_t nth) : nth_(nth) {}
  fail_at(const fail_at&) = delete;
  fail_at& operator=(const fail_at&) = delete;

  /// Stands where the real thing may fail. Throws `injected_fault` at its turn, once.
  void pass(std::source_location where = std::source_location::current());
  [[nodiscard]] std::uint64_t passed() const { return passed_; }
  [[nodiscard]] bool failed() const { return nth_ != 0 && passed_ >= nth_; }

 private:
  std::uint64_t nth_;
  std::uint64_t passed_ = 0;
};

/// Runs `scenario` with the first call failing, the second, and so on, until it gets through
/// without: how many calls that were. The fault may come out of it, alone or as a group; any other
/// exception is passed on with the number of the call. More than `calls_max` are an error.
std::uint64_t for_each_failure(const std::function<void(fail_at&)>& scenario,
                               std::uint64_t calls_max = 100'000);

}  // namespace brigade::testing
