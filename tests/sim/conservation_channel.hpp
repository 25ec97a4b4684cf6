// One simulated life of a channel: handles are copied and given up, also under those who wait,
// senders and receivers come to their end in any order, and the last one at either end decides what
// becomes of the rest.
#pragma once
#include "sim/conservation_world.hpp"

#include <brigade/async/channel.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace brigade::sim {

class channel_life {
 public:
  explicit channel_life(std::uint64_t seed);
  /// What went wrong first; empty: nothing did.
  std::string run();
  [[nodiscard]] std::string in_words() const;
  [[nodiscard]] oracle& judge() { return all_.judge; }

 private:
  enum class side : std::uint8_t { sending, receiving };
  /// Counts as a handle of its side; goes before what it counts, so that the model hears first.
  class handle_note {
   public:
    handle_note(channel_life& of, side which) : of_(&of), which_(which) { of.count(which, 1); }
    handle_note(const handle_note&) = delete;
    handle_note& operator=(const handle_note&) = delete;
    ~handle_note() { end(); }
    void end() {
      if (of_ != nullptr) std::exchange(of_, nullptr)->count(which_, -1);
    }

   private:
    channel_life* of_;
    side which_;
  };
  /// A handle that its task uses, and others may give up; the note is behind it.
  template <class Handle>
  struct held {
    held(channel_life& of, side which, const Handle& from) : end(from), note(of, which) {}
    [[nodiscard]] bool open() const { return end.has_value(); }
    std::optional<Handle> end;
    handle_note note;
  };
  using sending_end = held<sender<parcel>>;
  using receiving_end = held<receiver<parcel>>;

  task<> play();
  void populate(task_group& group);
  task<> send_all(std::shared_ptr<sending_end> by, int producer);
  task<> send_somehow(sending_end& by, parcel& item);
  task<> send(sending_end& by, parcel& item);
  task<> send_from(sending_end& by, parcel& item);
  task<> select_send(sending_end& by, parcel& item);
  void try_send(sending_end& by, parcel& item);
  void sent(item_record& item);
  task<> receive_all(std::shared_ptr<receiving_end> by);
  task<> receive_somehow(receiving_end& by, bool& ended);
  task<> receive(receiving_end& by, bool& ended);
  task<> select_receive(receiving_end& by, bool& ended);
  void received(const std::optional<parcel>& got, bool& ended);
  task<> make_trouble();
  void do_harm();
  void give_up(sending_end& one);
  void give_up(receiving_end& one);
  void count(side which, int change);
  [[nodiscard]] detail::channel_state<parcel>* state() const;
  void check_step();
  void check_end();

  std::uint64_t seed_;
  world all_;
  testing::virtual_loop loop_;
  std::uint64_t dies_after_;
  int items_each_;
  int sender_count_;
  int receiver_count_;
  waiting_line senders_waiting_;
  waiting_line receivers_waiting_;
  queue_model model_;
  int senders_ = 0;    ///< handles and operations that wait
  int receivers_ = 0;  ///< the same
  std::vector<std::weak_ptr<sending_end>> sending_;
  std::vector<std::weak_ptr<receiving_end>> receiving_;
  std::vector<task_handle<>> victims_;
};

}  // namespace brigade::sim
