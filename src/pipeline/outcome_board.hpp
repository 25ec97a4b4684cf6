// Between an engine that tells outcomes and whoever reads them: either may end first.
#pragma once
#include <brigade/async/assert.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/pipeline/outcome_stream.hpp>

#include <functional>
#include <memory>
#include <optional>

namespace brigade::detail {

class outcome_board {
 public:
  // --- the engine's side ---
  [[nodiscard]] bool has_reader() const { return has_reader_; }
  /// Told and not read: each of them keeps its item's place in the window.
  [[nodiscard]] std::size_t unread() const { return told_.size(); }
  std::function<void()> on_room;  ///< called when there are fewer unread
  void tell(item_outcome what) {
    if (has_reader_) told_.try_put(what);
  }
  void close() { told_.close(); }

  // --- the reader's side ---
  void reader_comes() {
    BRIGADE_ASSERT(!had_reader_, "the outcomes of a run have one reader");
    has_reader_ = had_reader_ = true;
  }
  void reader_goes() {
    has_reader_ = false;
    static_cast<void>(told_.abort());
    if (on_room) on_room();
  }
  static task<std::optional<item_outcome>> next(std::shared_ptr<outcome_board> from);

 private:
  bool has_reader_ = false;
  bool had_reader_ = false;
  queue<item_outcome> told_{unbounded, "outcomes"};
};

}  // namespace brigade::detail
