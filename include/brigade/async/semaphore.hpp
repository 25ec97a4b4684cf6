/// semaphore, bounded_semaphore: at most so many at a time. `auto permit = co_await s.acquire();`
///
/// A permit gives itself back when it goes; it can be moved, also to another task. What comes back
/// is handed to the oldest waiter at once. One who wants several waits until all of them are free,
/// and nobody behind him gets one before. A waiter that was handed its permits and is cancelled
/// hands them on.
///
/// The limit can be changed while it is in use: `set_limit`. Lowered below what is out, nobody is
/// let in until enough has come back.
///
/// Thread safety: one loop. Lifetime: outlives its permits and waiters (asserted).
#pragma once
#include <brigade/async/detail/turnstile.hpp>

#include <cstdint>
#include <source_location>
#include <string>
#include <utility>

namespace brigade {

struct semaphore_statistics {
  std::int64_t value = 0;  ///< free permits; below zero after the limit was lowered
  std::int64_t limit = 0;
  line_statistics line;
};

class semaphore {
 public:
  /// `limit` permits, none or more (asserted). The name stands in reports.
  explicit semaphore(std::int64_t limit, std::string name = "semaphore");
  ~semaphore();
  semaphore(const semaphore&) = delete;
  semaphore& operator=(const semaphore&) = delete;

  /// One or several permits, while it is not empty. Gives them back when it goes.
  class [[nodiscard]] permit {
   public:
    permit() = default;
    permit(permit&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)), count_(other.count_) {}
    permit& operator=(permit&& other) noexcept {
      if (this == &other) return *this;
      if (owner_ != nullptr) release();
      owner_ = std::exchange(other.owner_, nullptr);
      count_ = other.count_;
      return *this;
    }
    ~permit() {
      if (owner_ != nullptr) release();
    }
    /// Gives them back now; an empty permit is a misuse (asserted).
    void release() noexcept;
    /// Lets them be given back by `semaphore::release` instead.
    void detach() noexcept;
    [[nodiscard]] explicit operator bool() const { return owner_ != nullptr; }
    [[nodiscard]] std::int64_t count() const { return owner_ == nullptr ? 0 : count_; }

   private:
    friend class semaphore;
    permit(semaphore& owner, std::int64_t count) : owner_(&owner), count_(count) {
      ++owner_->permits_out_;
    }
    semaphore* owner_ = nullptr;
    std::int64_t count_ = 0;
  };

  class acquire_base : public detail::turn_waiter {
   public:
    acquire_base(semaphore& from, std::int64_t count, std::source_location where);
    [[nodiscard]] std::string describe() const override { return semaphore_.describe(units_); }

   protected:
    ~acquire_base() = default;
    semaphore& semaphore_;
  };
  class [[nodiscard]] acquire_operation final : public acquire_base {
   public:
    using acquire_base::acquire_base;
    permit await_resume() {
      go_in();
      return permit(semaphore_, units_);
    }
  };
  class [[nodiscard]] raw_acquire_operation final : public acquire_base {
   public:
    using acquire_base::acquire_base;
    void await_resume() { go_in(); }
  };

  /// Waits for `count` permits, at least one (asserted).
  ///
  /// Completes:  with the permits; at once when they are free and nobody waits.
  /// Cancelled:  throws `cancelled`, without permits; those handed over already go to the next.
  /// Resumes:    through the loop, never inside `release`.
  acquire_operation acquire(std::int64_t count = 1,
                            std::source_location where = std::source_location::current()) {
    return acquire_operation(*this, count, where);
  }
  /// An empty permit when one would have to wait.
  permit try_acquire(std::int64_t count = 1,
                     std::source_location where = std::source_location::current());

  /// `acquire` and `release` without a guard, for code where the two are far apart. Whatever
  /// happens in between, `release` has to be called; a release without an acquire adds permits.
  raw_acquire_operation raw_acquire(std::int64_t count = 1,
                                    std::source_location where = std::source_location::current()) {
    return raw_acquire_operation(*this, count, where);
  }
  /// From a bounded semaphore, more than was acquired is a misuse (asserted).
  void release(std::int64_t count = 1) noexcept;

  /// Changes how many there are.
  void set_limit(std::int64_t limit) noexcept;
  [[nodiscard]] std::int64_t limit() const { return limit_; }
  /// How many are free; below zero after the limit was lowered.
  [[nodiscard]] std::int64_t value() const { return turns_.free(); }
  /// Whether `acquire` would wait: none is free, or others are before.
  [[nodiscard]] bool locked() const { return !turns_.open_to(1); }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] semaphore_statistics statistics() const {
    return {value(), limit_, turns_.statistics()};
  }

 protected:
  semaphore(std::int64_t limit, std::string name, bool bounded)
      : semaphore(limit, std::move(name)) {
    bounded_ = bounded;
  }

 private:
  struct line final : detail::turnstile {
    using turnstile::turnstile;
  };
  [[nodiscard]] std::string describe(std::int64_t wanted) const;
  line turns_;
  std::int64_t limit_;
  std::uint64_t permits_out_ = 0;  ///< guards, not units
  bool bounded_ = false;
  std::string name_;
};

/// A semaphore that cannot come to have more permits than its limit.
class bounded_semaphore : public semaphore {
 public:
  explicit bounded_semaphore(std::int64_t limit, std::string name = "semaphore")
      : semaphore(limit, std::move(name), true) {}
};

}  // namespace brigade
