/// What every shared queue has, whatever it holds.
///
/// Each loop that uses the queue has a port: the items its tasks have put, the free room it may
/// fill, and its waiters. As long as a loop's own tasks take what they put, no other thread touches
/// its port, and an operation costs two uncontended locks. Loops look at each other once a turn and
/// before they sleep: one whose tasks wait takes from the front of another's port what nobody there
/// is promised, never more than tasks wait for; room travels the same way, and in the same small
/// portions. An item so fetched is promised to a task at once; when that promise falls, it goes
/// back to the front of the port it came from.
///
/// Invariants: the sum over all ports of items (own and fetched), free and reserved room, and of
///             room in the pool, less debt, is the capacity.
///             granted <= own items. Waiters of a port are touched by its loop alone.
/// Locks:      the core's mutex, then ports' locks; more than one of these only with the mutex.
///             Nothing moves between ports without the mutex, so who holds it sees every item.
#pragma once
#include <brigade/async/assert.hpp>
#include <brigade/async/detail/junction.hpp>
#include <brigade/async/detail/waiter.hpp>
#include <brigade/async/queue.hpp>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace brigade::detail {

/// Lets the other hardware thread have the core for a moment.
inline void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Held for some ten instructions at a time.
class spin_lock {
 public:
  void lock() noexcept {
    while (held_.exchange(true, std::memory_order_acquire)) wait();
  }
  void unlock() noexcept { held_.store(false, std::memory_order_release); }

 private:
  void wait() const noexcept;
  std::atomic<bool> held_{false};
};

/// A count that one thread changes and all may read.
class own_count {
 public:
  void add(std::uint64_t n = 1) noexcept { value_.store(get() + n, std::memory_order_release); }
  void subtract(std::uint64_t n) noexcept { value_.store(get() - n, std::memory_order_release); }
  void add_shared() noexcept { value_.fetch_add(1); }
  [[nodiscard]] std::uint64_t get() const noexcept {
    return value_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// What became of a place that came free.
enum class room_use : std::uint8_t {
  kept,     ///< by the port, or it paid a debt
  granted,  ///< to the port's first putter, who is to be woken
  donated,  ///< to another loop, whose putters have none
};

/// One loop's end of a shared queue; that of the threads without a loop has no mailbox.
class shared_port {
 public:
  shared_port(shared_core& core, bool for_threads) : core_(core), for_threads_(for_threads) {}
  virtual ~shared_port() = default;
  shared_port(const shared_port&) = delete;
  shared_port& operator=(const shared_port&) = delete;

  // --- by its loop, without a lock ---
  void look(bool idle);
  /// The loop ends; what is here is for the others.
  void leave();
  /// A task that counts as work in progress waits here.
  [[nodiscard]] bool awaited() const;
  void settle(own_count shared_port::* counter) noexcept;
  void wake_getter() noexcept;
  void wake_putter() noexcept;
  void take_back_item_grant() noexcept;
  void take_back_room_grant() noexcept;
  /// Behind every operation that took something.
  void after_take(room_use freed) noexcept;
  /// Worth a look at the other ports: one of them has room in plenty.
  void fetch_room_in_plenty();

  // --- under `lock_` ---
  [[nodiscard]] std::uint64_t items() const noexcept { return in_.get() - out_.get(); }
  [[nodiscard]] std::uint64_t spare_items() const noexcept { return items() - granted_.get(); }
  /// One place has come free here, and has been put to use.
  [[nodiscard]] room_use free_place() noexcept;
  /// A place for an item that was given back; there may be none to spare.
  void take_place_back() noexcept;
  void add_room(std::uint64_t places) noexcept;

  // --- with the core's mutex held ---
  /// Moves up to `count` items that nobody is promised from the front of `from` to here, each with
  /// a promise to a getter of this port. Gives how many.
  std::uint64_t fetch_items(shared_port& from, std::uint64_t count);
  /// Gives how many places there are to spare then.
  std::uint64_t fetch_room(std::uint64_t wanted);
  void call() noexcept;
  static void set_hungry(std::atomic<bool>& flag, std::atomic<std::uint32_t>& count,
                         bool now) noexcept;
  void set_starving(bool now) noexcept;

  shared_core& core_;
  const bool for_threads_;
  const loop_circle* circle_ = nullptr;
  std::shared_ptr<mailbox> box_;

  spin_lock lock_;
  own_count granted_;           ///< own items that are promised
  std::uint64_t fetched_ = 0;   ///< items of others, each promised
  own_count room_;              ///< places nobody is promised
  std::uint64_t reserved_ = 0;  ///< places promised to putters
  std::uint64_t debt_ = 0;      ///< items given back beyond the places there were
  own_count in_;                ///< items that ever came to this port's own
  own_count out_;

  // Changed by the loop's thread alone; the threads' port: with the mutex held.
  link_list getters_;
  link_list putters_;
  link_list joiners_;
  own_count getters_waiting_;
  own_count putters_waiting_;
  std::uint64_t freed_ = 0;
  std::uint64_t foreign_quota_ = 0;  ///< how many items of others to take this turn
  bool foreign_is_next_ = false;
  bool settled_since_look_ = false;
  own_count put_;
  own_count done_;
  own_count failed_;
  own_count abandoned_;

  // With the mutex held.
  bool alive_ = false;
  bool starving_ = false;  ///< found no room at all when it last looked
  std::atomic<bool> hungry_for_items_{false};
  std::atomic<bool> hungry_for_room_{false};
  std::atomic<bool> called_{false};

 protected:
  virtual void move_front_of(shared_port& from, std::uint64_t count) = 0;
  /// Moves the last of the fetched items to the front of the port it came from.
  virtual shared_port& send_last_back() = 0;
  [[nodiscard]] const std::vector<shared_port*>& others() const { return others_; }

 private:
  friend class shared_core;
  void see_others();
  void serve_own();
  void serve_ends();
  /// True: somebody was served.
  bool fetch_for_waiters(bool now);
  /// With the mutex held. Gives how many putters are to be woken.
  std::uint64_t reserve_fetched_room();
  void share(bool idle);
  void note_age();
  [[nodiscard]] bool room_worth_sending() const noexcept;
  [[nodiscard]] std::uint64_t aged_spare(std::size_t index) const noexcept;

  std::vector<shared_port*> others_;  ///< the core's, as of `others_version_`
  std::vector<std::uint64_t> seen_;   ///< what `in_` of each was at the last look
  std::uint64_t own_seen_ = 0;
  int looks_with_room_ = 0;  ///< while others lacked it
  std::uint64_t others_version_ = 0;
};

/// Threads that block for one thing. Those that were woken may act, although they have not yet.
struct blocked_threads {
  void wake_all() {
    ++wakes;
    asleep = 0;
    woken.notify_all();
  }
  std::condition_variable woken;
  std::size_t waiting = 0;
  std::size_t asleep = 0;
  std::uint64_t wakes = 0;
};

class shared_core : public std::enable_shared_from_this<shared_core> {
 public:
  shared_core(std::size_t items_max, std::string name);
  virtual ~shared_core() = default;
  shared_core(const shared_core&) = delete;
  shared_core& operator=(const shared_core&) = delete;

  [[nodiscard]] shared_port& here(loop& own) {
    loop_junction& junction = loop_junction::of(own);
    shared_port* const port = junction.find(id_);
    return port != nullptr ? *port : open(own, junction);
  }
  [[nodiscard]] bool closed() const noexcept { return closed_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool aborted() const noexcept { return aborted_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool at_end() { return closed() && drained(); }
  void close();
  [[nodiscard]] bool drained();
  /// The last item may have gone: then those who wait for one hear of the end.
  void check_drained();
  void check_joined();
  [[nodiscard]] std::uint64_t unfinished();
  [[nodiscard]] std::uint64_t size();
  [[nodiscard]] queue_statistics statistics();
  [[nodiscard]] std::string describe(std::string_view verb);
  void assert_unused();
  /// Whether anybody but the loops of `circle` may act here.
  [[nodiscard]] bool strangers_may_act(const loop_circle& circle);
  /// A place for a loop whose putters have none at all.
  void donate_place();

  // --- with the mutex held ---
  [[nodiscard]] bool is_drained() const;
  [[nodiscard]] std::uint64_t count_unfinished() const;
  void wake_hungry_for_items(std::uint64_t items);
  void wake_hungry_for_room();
  void call_all();
  /// Loops that waited for the last thread able to act look again.
  void thread_blocks();
  [[nodiscard]] shared_port& threads_port() { return *ports_.front(); }

  const std::uint64_t id_;
  const std::uint64_t capacity_;
  const std::string name_;
  std::atomic<bool> closed_{false};
  std::atomic<bool> aborted_{false};
  std::atomic<bool> gone_{false};  ///< its owner has destroyed it
  std::atomic<std::uint32_t> hungry_for_items_{0};
  std::atomic<std::uint32_t> hungry_for_room_{0};
  std::atomic<std::uint32_t> joining_{0};
  std::atomic<std::uint64_t> version_{0};  ///< of `ports_`

  mutable std::mutex mutex_;
  // With the mutex held.
  std::vector<std::unique_ptr<shared_port>> ports_;  ///< the first is that of the threads
  std::uint64_t pool_ = 0;                           ///< places for the starving
  std::size_t starving_ = 0;
  std::uint64_t thrown_out_ = 0;  ///< by abort
  std::uint64_t sent_back_ = 0;
  std::size_t next_to_wake_ = 0;
  std::size_t thread_ends_ = 0;
  blocked_threads takers_;
  blocked_threads putters_;

 protected:
  virtual std::unique_ptr<shared_port> make_port(bool for_threads) = 0;
  void open_for_threads();

 private:
  shared_port& open(loop& own, loop_junction& junction);
};

/// Says that somebody wants something; before looking for it, so that who adds it after that sees
/// the mark.
class want_mark {
 public:
  explicit want_mark(std::atomic<std::uint32_t>& count) : count_(count) { count_.fetch_add(1); }
  ~want_mark() { count_.fetch_sub(1); }
  want_mark(const want_mark&) = delete;
  want_mark& operator=(const want_mark&) = delete;

 private:
  std::atomic<std::uint32_t>& count_;
};

/// A thread that blocks can do nothing for others. With the mutex held.
class blocked_thread {
 public:
  blocked_thread(shared_core& core, blocked_threads& among) : among_(among), wakes_(among.wakes) {
    ++among_.waiting;
    ++among_.asleep;
    core.thread_blocks();
  }
  ~blocked_thread() {
    --among_.waiting;
    if (wakes_ == among_.wakes) --among_.asleep;
  }
  blocked_thread(const blocked_thread&) = delete;
  blocked_thread& operator=(const blocked_thread&) = delete;

 private:
  blocked_threads& among_;
  std::uint64_t wakes_;
};

}  // namespace brigade::detail
