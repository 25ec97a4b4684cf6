/// Whose fault it is when a far side to which every item goes does not do what it is asked.
///
/// An item that was failed is to blame when the far side works for others since. Five different
/// items without one that went well between are the far side's outage: nobody is blamed, however
/// long it takes. With fewer, nothing can be told; then the far side gets a minute (or five
/// seconds, when it worked just before), and then other items a chance, so that one bad item cannot
/// hold up all.
///
/// Pure; times are given. Thread safety: none.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

namespace brigade::http {

class judge {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  static constexpr std::size_t different_items = 5;
  static constexpr std::chrono::seconds patience{60};
  static constexpr std::chrono::seconds patience_short{5};
  static constexpr std::chrono::seconds just_before{10};

  /// The far side did what it was asked, or refused an item for the item's own sake.
  void works(time_point now);
  /// It did neither, for this item.
  void failed(std::string_view key, time_point now);
  /// What became of the item is known now.
  void settled(std::string_view key);

  /// Enough have failed to call it an outage: until `works`.
  [[nodiscard]] bool is_outage() const { return without_success_.size() >= different_items; }
  /// Of an item that `failed`: others went well since, so it is to blame.
  [[nodiscard]] bool blames(std::string_view key) const;
  /// Those that failed have to make room for others now; the next wait begins.
  [[nodiscard]] bool takes_turns(time_point now);

 private:
  static constexpr std::size_t suspects_max = 1000;

  std::uint64_t successes_ = 0;
  /// By item: the successes there were when it failed first.
  std::map<std::string, std::uint64_t, std::less<>> suspects_;
  std::set<std::string, std::less<>> without_success_;
  time_point since_;  ///< the first of `without_success_`
  time_point last_success_ = time_point::min();
};

}  // namespace brigade::http
