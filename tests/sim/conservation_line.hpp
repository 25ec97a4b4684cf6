// Who waits at one side of one queue, in the order they came: nobody may be served before one who
// came earlier, which bounds how long anybody waits by the number of those in front.
#pragma once
#include "sim/conservation_oracle.hpp"

#include <brigade/async/detail/waiter.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace brigade::sim {

class waiting_line {
 public:
  waiting_line(oracle& judge, std::string of) : judge_(judge), of_(std::move(of)) {}
  waiting_line(const waiting_line&) = delete;
  waiting_line& operator=(const waiting_line&) = delete;

  /// One operation, from before it is awaited until it is gone.
  class entry {
   public:
    entry(waiting_line& in, const detail::waiter& operation, std::size_t weight = 0,
          bool gathers = false);
    /// Of a put that others may finish, with its item.
    entry(waiting_line& in, const detail::waiter& operation, item_record& item);
    entry(const entry&) = delete;
    entry& operator=(const entry&) = delete;
    ~entry();
    /// It has got what it came for.
    void served();
    [[nodiscard]] bool has_waited() const { return seen_ != detail::wait_state::idle; }
    /// Somebody has finished it, and was told of.
    [[nodiscard]] bool told() const { return told_; }

   private:
    friend class waiting_line;
    waiting_line& in_;
    const detail::waiter& operation_;
    detail::wait_state seen_ = detail::wait_state::idle;
    std::size_t weight_;
    bool gathers_;
    item_record* item_ = nullptr;
    bool told_ = false;
  };

  /// Before each step, so that no change of anybody's state is missed.
  void check();
  /// For what is served without an operation (`try_take`).
  void nobody_is_overtaken();

  /// The item of a put that a taker has finished since; each is told of once. Null: of none.
  [[nodiscard]] item_record* next_finished();

  // As of the last check.
  [[nodiscard]] std::size_t waiting() const { return waiting_; }
  [[nodiscard]] std::size_t granted() const { return granted_; }
  [[nodiscard]] bool somebody_gathers() const { return gatherers_ != 0; }
  /// Of the first who waits.
  [[nodiscard]] std::size_t weight_at_the_head() const { return head_weight_; }
  /// Operations that exist, waiting or not.
  [[nodiscard]] std::size_t operations() const { return entries_.size(); }

 private:
  void check_order();
  oracle& judge_;
  std::string of_;
  std::vector<entry*> entries_;  ///< those who wait in the order they came
  std::size_t waiting_ = 0;
  std::size_t granted_ = 0;
  std::size_t gatherers_ = 0;
  std::size_t head_weight_ = 0;
};

}  // namespace brigade::sim
