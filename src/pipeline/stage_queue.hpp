// In which order a stage's queue keeps its items. First in, first out costs one test more than a
// store that can do nothing else; the other orders are told apart behind that test.
#pragma once
#include <brigade/async/detail/queue_store.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/pipeline/policy.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>

namespace brigade::detail {

struct item;

/// What a queue by priority knows of an item.
struct queue_rank {
  double urgency = 0;
  std::uint64_t arrival = 0;  ///< greater than of those that came before
  time_point since;
};

/// By urgency. Ageing: while the one that has waited longest has done so for `ripe_after`, every
/// `ripe_one_in`th take is of that one, so the wait of each is bounded.
class ranked_items {
 public:
  static constexpr std::chrono::seconds ripe_after{30};
  static constexpr int ripe_one_in = 4;

  void push(item* one, time_point now);
  item* pop(time_point now);
  void remove(item* one);
  [[nodiscard]] item* victim() const;
  [[nodiscard]] std::size_t size() const { return by_urgency_.size(); }

 private:
  struct more_urgent {
    using is_transparent = void;
    bool operator()(const item* a, const item* b) const;
    bool operator()(const item* a, double urgency) const;
    bool operator()(double urgency, const item* b) const;
  };
  struct older {
    bool operator()(const item* a, const item* b) const;
  };
  std::set<item*, more_urgent> by_urgency_;
  std::set<item*, older> by_age_;
  std::uint64_t arrivals_ = 0;
  int passed_over_ = 0;
};

/// The store (see detail/queue_store.hpp) of `stage_queue`.
class stage_store {
 public:
  struct place {
    std::size_t index = 0;
    item* which = nullptr;
  };
  explicit stage_store(queue_kind kind = queue_kind::fifo) : kind_(kind) {
    if (kind_ == queue_kind::priority) ranked_ = std::make_unique<ranked_items>();
  }
  void push(item*&& one) {
    if (kind_ == queue_kind::priority) [[unlikely]]
      return push_by_rank(one);
    ring_.push_back(std::move(one));
  }
  item* pop() {
    if (kind_ != queue_kind::fifo) [[unlikely]]
      return pop_by_kind();
    return ring_.pop_front();
  }
  void put_back(item*&& one);
  [[nodiscard]] std::size_t size() const { return ranked_ ? ranked_->size() : ring_.size(); }
  [[nodiscard]] place victim(std::size_t promised) const;
  [[nodiscard]] bool stays(const place& where, item* newcomer) const;
  item* remove(const place& where);

 private:
  void push_by_rank(item* one);
  item* pop_by_kind();

  queue_kind kind_;
  ring<item*> ring_;
  std::unique_ptr<ranked_items> ranked_;
};

using stage_queue = basic_queue<item*, stage_store>;

}  // namespace brigade::detail
