/// What a loop has to do with other loops: its ends of the queues it shares with them, and the
/// circle of loops that may all wait for each other.
#pragma once
#include <brigade/async/loop.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace brigade::detail {

class shared_core;
class shared_port;

/// Loops that were started together. A loop is quiet when it can go on only if another one acts at
/// a shared queue; when all of them are quiet, or have ended, nobody ever will.
class loop_circle {
 public:
  explicit loop_circle(std::size_t loops) : members_(loops) {}
  void enter(std::size_t index, std::shared_ptr<mailbox> box);
  /// False: nobody outside the loop can act any more.
  bool others_may_act(std::size_t index, std::vector<std::shared_ptr<shared_core>> awaited);
  void active(std::size_t index);
  /// All were found quiet, and the loop has not been told yet.
  [[nodiscard]] bool doomed(std::size_t index);
  /// The loop has gone. Others may have waited for it alone.
  void ended(std::size_t index);

 private:
  enum class state : std::uint8_t { active, quiet, ended };
  struct member {
    state now = state::active;
    bool doomed = false;  ///< found quiet with all others, and was not told yet
    std::shared_ptr<mailbox> box;
    std::vector<std::shared_ptr<shared_core>> awaited;
  };
  [[nodiscard]] bool all_quiet() const;
  void doom();

  std::mutex mutex_;
  std::vector<member> members_;
};

class loop_junction final : public junction {
 public:
  /// The loop's own, made at its first use.
  static loop_junction& of(loop& owner);
  explicit loop_junction(loop& owner) : loop_(owner) {}
  ~loop_junction() override;

  void join(std::shared_ptr<loop_circle> circle, std::size_t index);
  [[nodiscard]] const loop_circle* circle() const { return circle_.get(); }

  /// The loop's end of a queue; null: it has none yet.
  [[nodiscard]] shared_port* find(std::uint64_t queue_id) noexcept {
    const entry& guess = recent_[queue_id % recent_.size()];
    return guess.queue_id == queue_id ? guess.port : search(queue_id);
  }
  void add(std::shared_ptr<shared_core> queue, shared_port& port);

  void look(bool idle) override;
  bool others_may_act() override;
  bool linger() override;
  void woke_up() override;

 private:
  struct entry {
    std::uint64_t queue_id = 0;
    shared_port* port = nullptr;
  };
  struct end {
    std::shared_ptr<shared_core> queue;
    shared_port* port;
  };
  shared_port* search(std::uint64_t queue_id) noexcept;

  loop& loop_;
  std::array<entry, 8> recent_{};
  std::vector<end> ends_;
  std::shared_ptr<loop_circle> circle_;
  std::size_t index_ = 0;
  bool quiet_ = false;
};

}  // namespace brigade::detail
