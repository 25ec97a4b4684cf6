/// The handles a wait was given, each once.
#pragma once
#include <brigade/async/detail/completion.hpp>

#include <algorithm>
#include <concepts>
#include <ranges>
#include <utility>
#include <vector>

namespace brigade::detail {

/// A task handle, a task_ref or a future.
template <class Handle>
concept end_handle = std::copyable<Handle> && requires(const Handle& handle) {
  { handle.record() } -> std::convertible_to<completion&>;
  { handle.done() } -> std::same_as<bool>;
};

template <class Range>
concept handle_range =
    std::ranges::input_range<Range> && end_handle<std::ranges::range_value_t<Range>>;

template <class Handle>
class handle_list {
 public:
  template <class Range>
    requires(!std::same_as<std::remove_cvref_t<Range>, handle_list>)
  // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): it cannot, see the line above
  explicit handle_list(Range&& handles) {
    for (auto&& handle : handles) {
      handles_.push_back(handle);
      targets_.push_back(&handles_.back().record());
    }
    if (has_duplicates()) keep_first_of_each();
  }
  [[nodiscard]] std::vector<Handle>& all() { return handles_; }
  [[nodiscard]] const std::vector<completion*>& targets() const { return targets_; }

 private:
  [[nodiscard]] bool has_duplicates() const {
    std::vector<completion*> sorted = targets_;
    std::ranges::sort(sorted);
    return std::ranges::adjacent_find(sorted) != sorted.end();
  }
  void keep_first_of_each() {
    std::vector<Handle> handles;
    std::vector<completion*> targets;
    std::vector<completion*> seen;
    for (std::size_t i = 0; i < targets_.size(); ++i) {
      const auto place = std::ranges::lower_bound(seen, targets_[i]);
      if (place != seen.end() && *place == targets_[i]) continue;
      seen.insert(place, targets_[i]);
      handles.push_back(std::move(handles_[i]));
      targets.push_back(targets_[i]);
    }
    handles_ = std::move(handles);
    targets_ = std::move(targets);
  }
  std::vector<Handle> handles_;
  std::vector<completion*> targets_;
};

}  // namespace brigade::detail
