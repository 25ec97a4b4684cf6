// What a queue must hold and tell: a plain list, kept by what its users say they did, against which
// the queue is compared before each step.
#pragma once
#include "sim/conservation_line.hpp"
#include "sim/conservation_oracle.hpp"

#include <brigade/async/detail/queue_core.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace brigade::sim {

enum class taking_order : std::uint8_t { fifo, lifo, priority };

struct queue_terms {
  std::string name = "queue";
  taking_order order = taking_order::fifo;
  std::size_t items_max = 1;
  std::size_t weight_max = 0;  ///< 0: not weighed
  overflow when_full = overflow::wait;
  bool notes_holders = false;

  static constexpr std::size_t no_bound = std::numeric_limits<std::size_t>::max() / 2;

  [[nodiscard]] bool drops() const { return when_full >= overflow::drop_oldest; }
  [[nodiscard]] std::string in_words() const;
};

class queue_model {
 public:
  /// `putters`: those who put, some of whom others finish for them.
  queue_model(oracle& judge, item_book& book, waiting_line& putters, queue_terms terms);
  queue_model(const queue_model&) = delete;
  queue_model& operator=(const queue_model&) = delete;
  [[nodiscard]] const queue_terms& terms() const { return terms_; }

  // --- what happened, told in the step in which it did ---
  /// A put has come to its end without an error.
  void put(item_record& item, const queue_statistics& after);
  void put(item_record& item, const detail::queue_core& queue) { put(item, queue.statistics()); }
  /// Into a queue that waits when it is full, and cannot be asked.
  void put_unseen(item_record& item) {
    require(!terms_.drops(), "the test lost sight of a queue that drops");
    put(item, queue_statistics());
  }
  /// `weight` is what room was asked for.
  void refused(std::size_t weight, const detail::queue_core& queue);
  /// It was this one that a take gave.
  void taken(item_record& item);
  void settled(item_record& item, fate how);
  void given_back(item_record& item);
  void close();
  /// In the order in which the queue gave them back.
  void aborted(const std::vector<parcel>& left);
  /// An item was destroyed in the queue.
  void vanished(item_record& item);
  /// Nobody can take any more: what vanishes now is destroyed with the queue.
  void let_items_go() { closed_ = aborted_ = lets_go_ = true; }
  void slot_taken() { ++slots_; }
  void slot_used() { --slots_; }

  /// Who holds how many items, as a queue that notes it says.
  using holding = std::pair<std::string, std::size_t>;
  void holds(const std::string& task, std::size_t items) { holders_.emplace_back(task, items); }
  void holds_no_more(const std::string& task, std::size_t items);

  // --- what must be ---
  /// Size, counts and limits.
  void check_numbers(const queue_statistics& now, std::size_t reserved_weight = 0);
  void check(const detail::queue_core& queue, const waiting_line& takers);
  /// Of a `join` that has just ended; `in_time`: it said that everything is settled.
  void check_joined(bool in_time);
  void check_holders(const join_result& told);
  /// A taker was told that it is closed and empty.
  void check_closed_and_empty();

  [[nodiscard]] bool closed() const { return closed_; }
  [[nodiscard]] bool was_aborted() const { return aborted_; }
  [[nodiscard]] const std::deque<item_record*>& waiting() const { return waiting_; }
  [[nodiscard]] std::uint64_t unfinished() const { return waiting_.size() + held_; }
  [[nodiscard]] std::uint64_t held() const { return held_; }
  [[nodiscard]] bool had_items_back() const { return given_back_ != 0; }
  [[nodiscard]] std::string state_in_words() const;

 private:
  void check_counts(const queue_statistics& now);
  void check_limits(const queue_statistics& now, std::size_t reserved_weight);
  void check_promises(const queue_statistics& now, const waiting_line& takers);
  void check_waiters(const detail::queue_core& queue, const queue_statistics& now,
                     const waiting_line& takers);
  void check_overflow(item_record& item, const queue_statistics& now);
  void dropped_for(const item_record& incoming, item_record* out, const queue_statistics& now);
  [[nodiscard]] std::size_t victim(std::size_t promised) const;
  [[nodiscard]] bool fits(std::size_t weight) const;
  /// Takes in what was put for those who wait, and who do not know of it yet.
  void catch_up();
  void take_in(item_record& item, const queue_statistics& after);
  void insert(item_record& item, bool before_its_equals);
  void require(bool holds, const char* what) {
    if (!holds) problem(what);
  }
  void problem(const std::string& what) {
    judge_.problem(terms_.name + ": " + what + state_in_words());
  }

  oracle& judge_;
  item_book& book_;
  waiting_line& putters_;
  queue_terms terms_;
  std::deque<item_record*> waiting_;  ///< in the order of taking
  std::vector<item_record*> vanished_;
  std::vector<holding> holders_;
  std::size_t weight_ = 0;
  std::size_t slots_ = 0;
  std::uint64_t held_ = 0;
  std::uint64_t put_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t abandoned_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t returned_ = 0;
  std::uint64_t refused_ = 0;
  std::uint64_t given_back_ = 0;
  // How far it is over its limits, which only what is given back can bring about.
  std::size_t items_over_ = 0;
  std::size_t weight_over_ = 0;
  std::size_t items_came_back_ = 0;  ///< since the last check
  std::size_t weight_came_back_ = 0;
  std::size_t promised_ = 0;  ///< to takers, at the last check
  bool closed_ = false;
  bool aborted_ = false;
  bool lets_go_ = false;
};

/// What somebody does with an item he has taken: it is settled in the model with it, in the same
/// step. Declared behind the ticket, so that it goes first.
class claim {
 public:
  claim(queue_model& of, item_record& item) : of_(&of), item_(&item) { of.taken(item); }
  claim(claim&& other) noexcept
      : of_(std::exchange(other.of_, nullptr)), item_(other.item_), ends_as_(other.ends_as_) {}
  claim& operator=(claim&&) = delete;
  ~claim() {
    if (of_ != nullptr) settle(ends_as_);
  }
  /// When nobody says otherwise; abandoned at first.
  void will_end_as(fate how) { ends_as_ = how; }
  void settle(fate how) { std::exchange(of_, nullptr)->settled(*item_, how); }
  void give_back() { std::exchange(of_, nullptr)->given_back(*item_); }

 private:
  queue_model* of_;
  item_record* item_;
  fate ends_as_ = fate::abandoned;
};

}  // namespace brigade::sim
