// A crowd of timers, against a model: what is next, and what fires in which order.
#include <brigade/async/detail/timer.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace brigade::detail {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

/// A queue of timers, and what must be true of it.
class crowd {
 public:
  explicit crowd(std::uint64_t seed) : random_(seed), now_(start(seed)) { timers_.fire_due(now_); }
  crowd(const crowd&) = delete;
  crowd& operator=(const crowd&) = delete;
  ~crowd() {
    while (!model_.empty()) disarm_some();
  }

  void play(int steps) {
    for (int i = 0; i < steps && problem_.empty(); ++i) step();
    while (!model_.empty() && problem_.empty()) fire_until(model_.begin()->first.first);
    if (problem_.empty() && !timers_.empty()) problem_ = "something is armed that is not";
  }
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  class entry final : public timer {
   public:
    explicit entry(crowd& of) : of_(of) {}
    void fire() noexcept override { of_.fired(*this); }

   private:
    crowd& of_;
  };
  using place = std::pair<time_point, std::uint64_t>;

  // Clocks that begin near 0 and before it, too.
  static time_point start(std::uint64_t seed) {
    return time_point(seed % 3 == 0 ? nanoseconds(-2s) : seed % 3 == 1 ? 0ns : nanoseconds(40h));
  }

  void step() {
    const auto what = random_.below(100);
    if (what < 60) {
      for (auto n = random_.below(200); n > 0; --n) arm_one();
    } else if (what < 90) {
      for (auto n = random_.below(60); n > 0 && !model_.empty(); --n) disarm_some();
    } else {
      fire_until(now_ + nanoseconds(random_.below(random_.one_in(4) ? 700'000'000 : 5'000'000)));
    }
    check();
  }
  [[nodiscard]] nanoseconds some_delay() {
    switch (random_.below(8)) {
      case 0:
        return std::chrono::milliseconds(random_.below(10));  // ties
      case 1:
        return nanoseconds(random_.below(3'000'000'000));
      case 2:
        return -nanoseconds(random_.below(1000));
      default:
        return nanoseconds(random_.below(600'000'000));
    }
  }
  void arm_one() {
    auto made = std::make_unique<entry>(*this);
    const time_point when = now_ + some_delay();
    timers_.arm(*made, when, false);
    model_.emplace(place(when, armed_++), std::move(made));
  }
  void disarm_some() {
    auto victim = model_.lower_bound(place(now_ + some_delay(), 0));
    if (victim == model_.end()) victim = model_.begin();
    timers_.disarm(*victim->second);
    model_.erase(victim);
  }
  void fire_until(time_point when) {
    now_ = std::max(now_, when);
    timers_.fire_due(now_);
    if (!model_.empty() && model_.begin()->first.first <= now_) problem_ = "one that is due waits";
  }
  void fired(const entry& which) {
    if (model_.empty() || model_.begin()->second.get() != &which) {
      problem_ = "one fired that was not the next";
      return;
    }
    if (model_.begin()->first.first > now_) problem_ = "one fired before its time";
    model_.erase(model_.begin());
  }
  void check() {
    if (timers_.empty() != model_.empty()) problem_ = "empty, or not?";
    if (model_.empty() || !problem_.empty()) return;
    if (timers_.next() != model_.begin()->first.first) problem_ = "the next one is not the next";
  }

  testing::random_source random_;
  timer_queue timers_;
  time_point now_;
  std::map<place, std::unique_ptr<entry>> model_;
  std::uint64_t armed_ = 0;
  std::string problem_;
};

TEST(timer, a_crowd_fires_in_order_and_on_time) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    crowd everybody(seed);
    everybody.play(400);
    ASSERT_EQ(everybody.problem(), "") << "seed " << seed;
  }
}

}  // namespace
}  // namespace brigade::detail
