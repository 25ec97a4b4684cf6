/// How far one partition of a source is worked off, kept while items finish in any order.
///
/// The mark never passes a hole: whatever was taken and is not finished lies at or behind `low` and
/// in none of the ranges above it. So a restart from the mark takes again exactly what is
/// unfinished.
///
///   taken:     [ 1 ][ 2 ][ 3 ][ 4 ][ 5 ]         low = begin of 2, above = { 4 }
///   finished:    x         .    x    .
///
/// A source gives nothing its resume mark calls finished, so what lies between two items taken one
/// after the other is finished, or holds no item: it is bridged. Where the items are a selection
/// (letters to replay), what lies between is somebody's work still to do: `gaps::stay`.
///
/// Throws nothing; breaking a precondition is a misuse (asserted): a slot is settled once.
/// Thread safety: none. Copying gives an independent watermark.
#pragma once
#include <brigade/pipeline/mark.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

namespace brigade {

class watermark {
 public:
  enum class gaps : std::uint8_t { bridged, stay };
  /// A child of the item in a slot.
  struct slot_part {
    std::uint64_t slot = 0;
    std::string path;
  };

  explicit watermark(const mark& resume, gaps between = gaps::bridged);

  /// The next item was taken; `begin` is not before the end of the one before it. Returns its slot:
  /// 0, 1, 2, ... Costs O(1).
  std::uint64_t taken(std::uint64_t begin, std::uint64_t end);
  /// The item has a final outcome. Not for `returned`: that item stays a hole. Costs O(1)
  /// amortised.
  void finished(std::uint64_t slot);
  /// A child has a final outcome, its item not yet. Forgotten when the item is finished.
  void part_finished(std::uint64_t slot, std::string path);
  /// True when the child was finished already, in this run or one before: it is not done again.
  [[nodiscard]] bool is_part_finished(std::uint64_t slot, const std::string& path) const;
  /// Whether any part of it is finished, though it is not.
  [[nodiscard]] bool has_finished_parts(std::uint64_t slot) const;

  /// What is finished now. Costs O(items from the oldest unfinished one on).
  [[nodiscard]] mark at() const { return at_with({}, {}); }
  /// The mark once these, all unfinished now, are finished too: what a transactional sink commits
  /// with a batch. Costs O(items from the oldest unfinished one on + slots log slots).
  [[nodiscard]] mark at_with(std::span<const std::uint64_t> slots,
                             std::span<const slot_part> parts) const;
  /// `at().low`, at no cost.
  [[nodiscard]] std::uint64_t low() const { return settled_.low(); }
  /// How many were taken and are not finished.
  [[nodiscard]] std::size_t unfinished() const { return unfinished_; }

 private:
  struct item {
    std::uint64_t begin;
    std::uint64_t end;
    bool finished;
  };
  [[nodiscard]] const item& at_slot(std::uint64_t slot) const;
  void add_run(mark_builder& to, std::uint64_t begin, std::uint64_t end, bool is_first) const;

  gaps between_;
  mark_builder settled_;     ///< the resume mark, and whatever left the window
  std::deque<item> window_;  ///< from the oldest unfinished item on
  std::uint64_t first_ = 0;  ///< slot of the window's front
  std::uint64_t end_ = 0;    ///< of the item taken last
  std::size_t unfinished_ = 0;
};

}  // namespace brigade
