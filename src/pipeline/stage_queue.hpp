// In which order a stage's queue keeps its items. First in, first out costs one test more than a
// store that can do nothing else; the other orders are told apart behind that test.
#pragma once
#include <brigade/async/detail/queue_store.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/pipeline/policy.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <utility>

namespace brigade::detail {

struct item;

/// By urgency. Ageing: while the one that has waited longest has done so for `ripe_after`, every
/// `ripe_one_in`th take is of that one, so the wait of each is bounded.
class ranked_items {
 public:
  static constexpr std::chrono::seconds ripe_after{30};
  static constexpr int ripe_one_in = 4;

  void push(item* one, time_point now);
  item* pop(time_point now);
  /// Takes out the one that gives way: of the least urgent the oldest.
  item* remove_victim();
  [[nodiscard]] item* const& at(std::size_t index) const {
    return std::next(by_urgency_.begin(), static_cast<std::ptrdiff_t>(index))->which;
  }
  [[nodiscard]] item* victim() const { return by_urgency_.lower_bound(least_urgency())->which; }
  [[nodiscard]] std::size_t size() const { return by_urgency_.size(); }

 private:
  struct entry {
    double urgency;
    std::uint64_t arrival;  ///< greater than of those that came before
    time_point since;
    item* which;
  };
  struct before {
    using is_transparent = void;
    bool operator()(const entry& a, const entry& b) const {
      return a.urgency != b.urgency ? a.urgency > b.urgency : a.arrival < b.arrival;
    }
    bool operator()(const entry& a, double urgency) const { return a.urgency > urgency; }
    bool operator()(double urgency, const entry& b) const { return urgency > b.urgency; }
  };
  using ranking = std::set<entry, before>;
  [[nodiscard]] double least_urgency() const { return by_urgency_.rbegin()->urgency; }
  item* remove(ranking::iterator at);

  ranking by_urgency_;
  std::map<std::uint64_t, ranking::iterator> by_age_;
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
    ring_.push_back(std::forward<item*>(one));
  }
  item* pop() {
    if (kind_ != queue_kind::fifo) [[unlikely]]
      return pop_by_kind();
    return ring_.pop_front();
  }
  void put_back(item*&& one);
  [[nodiscard]] std::size_t size() const { return ranked_ ? ranked_->size() : ring_.size(); }
  [[nodiscard]] item* const& at(std::size_t index) const {
    return ranked_ ? ranked_->at(index) : ring_.at(index);
  }
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

class stage_queue final : public basic_queue<item*, stage_store> {
 public:
  using basic_queue<item*, stage_store>::basic_queue;
};

}  // namespace brigade::detail
