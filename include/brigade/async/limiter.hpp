/// limiter: so many per so long, and at most so many at once. `co_await calls.acquire();`
///
/// A token bucket: it starts full with `burst` tokens, and `tokens` come every `per`, evenly. The
/// arithmetic is exact: after any time, as many have been let through as the rate allows, without
/// drift. Waiters are served in the order they came; one who wants several tokens waits until all
/// of them are there. A waiter cancelled before it went through gives its turn to the next.
///
/// Thread safety: one loop. Times are the loop's clock (virtual in tests). Lifetime: outlives its
/// waiters (asserted).
#pragma once
#include <brigade/async/detail/timer.hpp>
#include <brigade/async/detail/turnstile.hpp>

#include <chrono>
#include <cstdint>
#include <source_location>
#include <string>

namespace brigade {

struct limiter_statistics {
  std::int64_t available = 0;  ///< tokens, as of the loop's last look at the clock
  std::int64_t burst = 0;
  line_statistics line;
};

class limiter {
 public:
  /// All three are at least 1 (asserted). The name stands in reports.
  limiter(std::int64_t tokens, std::chrono::nanoseconds per, std::int64_t burst,
          std::string name = "limiter");
  ~limiter();
  limiter(const limiter&) = delete;
  limiter& operator=(const limiter&) = delete;

  class [[nodiscard]] acquire_operation final : public detail::turn_waiter {
   public:
    acquire_operation(limiter& from, std::int64_t count, std::source_location where);
    [[nodiscard]] bool await_ready() noexcept;
    void await_resume() { go_in(); }
    [[nodiscard]] std::string describe() const override { return limiter_.describe(units_); }

   private:
    limiter& limiter_;
  };

  /// Waits for `count` tokens, from 1 to `burst` (asserted), and uses them.
  ///
  /// Completes:  once the tokens are there; at once when they are and nobody waits.
  /// Cancelled:  throws `cancelled`; the tokens stay, the next waiter gets its turn.
  /// Resumes:    through the loop.
  acquire_operation acquire(std::int64_t count = 1,
                            std::source_location where = std::source_location::current()) {
    return acquire_operation(*this, count, where);
  }
  /// False when one would have to wait.
  [[nodiscard]] bool try_acquire(std::int64_t count = 1,
                                 std::source_location where = std::source_location::current());
  [[nodiscard]] std::int64_t burst() const { return bucket_.full / bucket_.cost; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] limiter_statistics statistics() const;

 private:
  /// Its units are parts of a token: so small that every nanosecond brings a whole number of them.
  struct bucket final : detail::turnstile, private detail::timer {
    bucket(std::int64_t tokens, std::int64_t nanoseconds, std::int64_t burst);
    ~bucket() { stop_clock(); }
    /// Takes note of the time that has passed.
    void refill(detail::time_point now) noexcept;
    void hand_on() noexcept override;
    void stop_clock() noexcept;
    void set_clock() noexcept;
    void fire() noexcept override { hand_on(); }

    std::int64_t flow;  ///< units a nanosecond
    std::int64_t cost;  ///< units a token
    std::int64_t full;  ///< units at most
    detail::time_point as_of{};
    loop* owner = nullptr;  ///< whose clock is set
  };
  void look_at_clock(std::int64_t wanted) noexcept;
  [[nodiscard]] std::int64_t units_of(std::int64_t count) const noexcept;
  [[nodiscard]] std::string describe(std::int64_t units) const;

  bucket bucket_;
  std::string name_;
};

}  // namespace brigade
