/// counted: an item that is counted, so that a test sees what was lost, kept or copied.
///
///     census items;                       // outlives them; asserts at its end that none is left
///     q.try_put(counted(items, 7));
///     items.held()                        // 1: values somebody has; what was moved from is empty
///
/// Thread safety: none.
#pragma once
#include <compare>
#include <cstdint>

namespace brigade::testing {

/// Counts the `counted` objects made for it. At its end none may be left (asserted).
class census {
 public:
  census() = default;
  ~census();
  census(const census&) = delete;
  census& operator=(const census&) = delete;

  /// Objects, those moved from among them.
  [[nodiscard]] std::int64_t live() const { return live_; }
  /// Objects that have a value.
  [[nodiscard]] std::int64_t held() const { return held_; }
  [[nodiscard]] std::uint64_t copies() const { return copies_; }
  [[nodiscard]] std::uint64_t moves() const { return moves_; }

 private:
  friend class counted;
  std::int64_t live_ = 0;
  std::int64_t held_ = 0;
  std::uint64_t copies_ = 0;
  std::uint64_t moves_ = 0;
};

class counted {
 public:
  explicit counted(census& in, int value = 0);
  counted(const counted& other);
  counted(counted&& other) noexcept;
  counted& operator=(const counted& other);
  counted& operator=(counted&& other) noexcept;
  ~counted();

  /// Of one that was moved from: a misuse (asserted).
  [[nodiscard]] int value() const;
  /// False once moved from.
  [[nodiscard]] bool holds() const { return holds_; }
  friend bool operator==(const counted& a, const counted& b) { return a.value() == b.value(); }
  friend auto operator<=>(const counted& a, const counted& b) { return a.value() <=> b.value(); }

 private:
  void take(counted& other) noexcept;
  void drop() noexcept;
  census* census_;
  int value_;
  bool holds_;
};

}  // namespace brigade::testing
