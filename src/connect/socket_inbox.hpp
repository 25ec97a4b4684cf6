/// Where frames are from the moment they were read from a socket until the engine takes them: in a
/// journal, or in a little memory.
#pragma once
#include "connect/intake_journal.hpp"

#include <brigade/async/task.hpp>

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

namespace brigade {

/// Thread safety: the loop's thread, but for `offer`.
class socket_inbox {
 public:
  virtual ~socket_inbox() = default;
  /// Completes: when what is read now would be kept, or taken at once. Before that nothing is read:
  /// it is safer with its sender.
  virtual task<> wanted() = 0;
  /// Completes: once the frames are where they stay. Cancelled: they may be, or not.
  virtual task<> put(std::vector<std::string> frames) = 0;
  /// The same from another thread, which waits for room. False: they were not taken.
  virtual bool offer(std::vector<std::string> frames, const std::stop_token& stop) = 0;
  /// Completes: with the next frames, at least one. Cancelled: nothing was taken.
  virtual task<std::vector<intake_item>> take(std::size_t items_max) = 0;
  /// What is there without waiting, however much: it is not kept any longer.
  virtual std::vector<intake_item> take_rest() = 0;
  /// Frames that were read and not kept.
  [[nodiscard]] virtual std::uint64_t lost() const = 0;
  virtual void trim(std::uint64_t low) = 0;
  /// How many frames that are kept `done` does not call finished; also behind `close`.
  [[nodiscard]] virtual std::uint64_t unfinished(const mark& done) const = 0;
  virtual task<> close() = 0;
};

[[nodiscard]] std::unique_ptr<socket_inbox> make_memory_inbox();
[[nodiscard]] std::unique_ptr<socket_inbox> make_journal_inbox(
    std::unique_ptr<intake_journal> journal);

}  // namespace brigade
