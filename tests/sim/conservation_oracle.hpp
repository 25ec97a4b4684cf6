// Who judges a simulated life: what went wrong first, what happened before, and where every item
// is. Items are move-only and report their own end, so that none gets lost or is there twice
// without a word.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>

namespace brigade::sim {

class oracle {
 public:
  /// The first one stays.
  void problem(const std::string& what) {
    if (problem_.empty()) problem_ = what;
  }
  void require(bool holds, const char* what) {
    if (!holds) problem(what);
  }
  [[nodiscard]] const std::string& first_problem() const { return problem_; }

  /// From now on what happens is noted, and printed as it happens if `aloud`.
  void listen(bool aloud) {
    listening_ = true;
    aloud_ = aloud;
  }
  /// `words` gives a line; it is asked only while somebody listens.
  template <class Words>
  void tell(Words words) {
    if (listening_ && problem_.empty()) note(words());
  }
  /// The last of what happened, a line each.
  [[nodiscard]] std::string story() const;

 private:
  void note(std::string line);
  std::string problem_;
  std::deque<std::string> lines_;
  bool listening_ = false;
  bool aloud_ = false;
};

class item_book;
class queue_model;

enum class place : std::uint8_t { maker, queue, taker, ended };
/// Each item has one of these in the end, once; `kept`: no put has ever taken it.
enum class fate : std::uint8_t {
  none,
  kept,
  done,
  failed,
  abandoned,
  dropped,
  returned,
  destroyed
};

/// No item is heavier.
inline constexpr std::size_t weight_most = 6;

/// All that is known of one item.
struct item_record {
  int producer = 0;
  int number = 0;
  int rank = 0;  ///< in a priority queue; the smallest goes first
  std::size_t weight = 1;
  place where = place::maker;
  fate end = fate::none;
  bool alive = true;
  queue_model* in = nullptr;  ///< while it is in a queue
  item_book* book = nullptr;

  [[nodiscard]] std::string name() const;
};

/// The item itself: whoever has it has the only one.
class parcel {
 public:
  explicit parcel(item_record& record) : record_(&record) {}
  parcel(parcel&& other) noexcept : record_(std::exchange(other.record_, nullptr)) {}
  parcel& operator=(parcel&& other) noexcept {
    if (this != &other) {
      leave();
      record_ = std::exchange(other.record_, nullptr);
    }
    return *this;
  }
  ~parcel() { leave(); }
  [[nodiscard]] explicit operator bool() const { return record_ != nullptr; }
  [[nodiscard]] item_record& operator*() const { return *record_; }
  [[nodiscard]] item_record* operator->() const { return record_; }

 private:
  void leave() noexcept;
  item_record* record_;
};

struct by_rank {
  bool operator()(const parcel& a, const parcel& b) const { return a->rank < b->rank; }
};

class item_book {
 public:
  explicit item_book(oracle& judge) : judge_(judge) {}
  [[nodiscard]] parcel make(int producer, int number, int rank, std::size_t weight);
  void ends(item_record& item, fate how);
  void gone(item_record& item);
  /// Behind the end of everything: each item has ended exactly once.
  void check_end();
  [[nodiscard]] std::uint64_t count(fate how) const {
    return counts_[static_cast<std::size_t>(how)];
  }

 private:
  oracle& judge_;
  std::deque<item_record> records_;
  std::array<std::uint64_t, 8> counts_{};
};

}  // namespace brigade::sim
