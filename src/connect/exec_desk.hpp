/// What one worker's handler has been asked and owes an answer for: who waits, who is out, and who
/// is to blame when the handler dies. Pure: it is told what happened, and says what to do.
///
/// An order waits until the handler has room for it, is out until it is answered, and leaves with a
/// result. A handler that must go (an order timed out or was withdrawn, it printed rubbish) is
/// condemned: the orders that are not to blame wait again, in their old order, for the next
/// handler, and nothing more is heard from the old one. When a handler fails with several orders
/// out, each may be to blame: they become suspects and go out one at a time, alone, until one of
/// them fails the handler again, or all are answered. What a handler has not read cannot have
/// killed it, unless it has done nothing at all.
#pragma once
#include "connect/exec_protocol.hpp"

#include <brigade/pipeline/stage.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brigade::exec {

/// One attempt at one item. Stays where it is until it has a result or is withdrawn.
class order {
 public:
  order(std::string_view id_, std::string_view key_, int attempt_, std::string_view item_)
      : id(id_), key(key_), item(item_), attempt(attempt_) {}
  virtual ~order() = default;
  order(const order&) = delete;
  order& operator=(const order&) = delete;

  std::string_view id;
  std::string_view key;
  std::string_view item;  ///< its JSON text
  int attempt;
  std::optional<attempt_result> result;

 private:
  friend class desk;
  /// The result is there.
  virtual void settled() noexcept = 0;
  bool suspect_ = false;
};

/// How a handler came to its end.
struct handler_end {
  std::string how;                 ///< "exit code 1"
  std::string last_words;          ///< the last line of its standard error
  std::uint64_t bytes_unread = 0;  ///< of what was written to it, left in the pipe
  bool never_started = false;      ///< its exit code says that the program was not found
};

/// "5s", "250ms".
[[nodiscard]] std::string duration_text(milliseconds duration);

class desk {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// Told what to do next; called from within the calls below, so nothing is to be called back.
  class port {
   public:
    virtual void handler_wanted() noexcept = 0;  ///< start one: orders wait and there is none
    virtual void output_ready() noexcept = 0;    ///< `take_output` has something
    virtual void condemned() noexcept = 0;       ///< end the handler; `condemnation` says why
    virtual void order_out() noexcept = 0;       ///< the first order went out: minds the deadline
    virtual void silent(const std::string& why) noexcept = 0;  ///< to be said; it goes on

   protected:
    ~port() = default;
  };

  /// At most `in_flight` orders are out at once. `timeout` is that of an attempt; 0: none.
  desk(port& outside, int in_flight, milliseconds timeout,
       std::size_t answer_bytes_max = line_bytes_usual);

  // --- from the attempts ---
  void submit(order& wanted, time_point now);
  /// The attempt is over without a result. An order that is out takes the handler with it: a late
  /// answer must not meet the next attempt.
  void withdraw(order& unwanted);

  // --- from the handler ---
  void handler_began(time_point now);
  void handler_ended(const handler_end& end);
  /// No handler can be started, ever: fatal to every order.
  void cannot_start(const std::string& why);
  void line_came(std::string_view line, time_point now);
  /// What has come of a line that has no end yet.
  void part_came(std::string_view part);
  /// The next bytes to write, and as many of them as have been written.
  [[nodiscard]] std::string take_output(std::string spare);
  void wrote(std::size_t bytes) { bytes_written_ += bytes; }

  // --- from the clock ---
  [[nodiscard]] std::optional<time_point> next_deadline() const;
  void time_passed(time_point now);

  /// Why the handler has to go; empty: it may stay.
  [[nodiscard]] const std::string& condemnation() const { return condemnation_; }
  /// The withdrawn order's handler is asked to end; one that failed is killed at once.
  [[nodiscard]] bool condemned_gently() const { return gently_; }
  [[nodiscard]] bool idle() const { return waiting_.empty() && out_count_ == 0; }
  /// The id of the item the handler works on, when there is exactly one.
  [[nodiscard]] std::string_view only_item() const;

 private:
  struct seat {
    order* taken_by = nullptr;
    std::uint64_t number = 0;          ///< the request's id; the last one, when it is free
    std::uint64_t number_before = 0;   ///< the last one that went to another handler
    std::uint64_t begins_at_byte = 0;  ///< of all that went to this handler
    time_point sent_at;
  };
  enum class handler : std::uint8_t { none, wanted, running, condemned };

  void send_waiting(time_point now);
  void send(order& next, time_point now);
  void settle(order& done, attempt_result result);
  void clear_suspicion(order& cleared);
  seat* seat_of(std::uint64_t number);
  /// Empties the seats; the orders in the order they went out.
  std::vector<seat> take_all_out();
  void wait_again(const std::vector<seat>& orders);
  void condemn(std::string why, bool gently);
  enum class blame_on : std::uint8_t { who_is_out, nobody };
  void broke_protocol(const std::string& why, blame_on whom = blame_on::who_is_out);
  void line_too_long();
  [[nodiscard]] std::string hint_at_silence() const;
  [[nodiscard]] std::optional<time_point> oldest_out() const;
  void blame(const handler_end& end);
  void suspect_all(const std::vector<seat>& orders);
  void end_hunt();

  port& port_;
  milliseconds timeout_;
  std::size_t answer_bytes_max_;
  std::deque<order*> waiting_;  ///< suspects, when there are any, come first
  std::vector<seat> seats_;
  std::vector<std::size_t> free_seats_;
  std::size_t out_count_ = 0;
  std::size_t suspects_ = 0;  ///< unsettled orders that are suspects
  handler handler_ = handler::none;
  bool answered_ = false;  ///< the handler has answered something
  bool half_answer_ = false;
  bool silence_told_ = false;
  bool gently_ = false;
  std::string condemnation_;
  std::string output_;
  std::uint64_t bytes_queued_ = 0;
  std::uint64_t bytes_written_ = 0;
};

}  // namespace brigade::exec
