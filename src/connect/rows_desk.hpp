/// What a database does for a source that reads a table: the part that differs between databases.
///
/// All of it runs on the source's own thread, in tasks of its loop, and may block that. Where the
/// database cannot be asked now, `outage` is thrown, and the same is asked again later; anything
/// else that is thrown ends the run.
#pragma once
#include "connect/rows_options.hpp"

#include <brigade/async/task.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace brigade::rows {

class desk {
 public:
  virtual ~desk() = default;
  /// Connects and checks that there is what the options speak of. Throws std::runtime_error with a
  /// message for the user.
  virtual task<> open() = 0;
  /// Completes when there may be news, at the latest after `most`.
  virtual task<> wait(std::chrono::milliseconds most) = 0;
};

/// How much is given at a time.
struct page_limits {
  std::size_t rows;
  std::size_t bytes;  ///< about; a row is given whatever it has
};

struct cursor_rows {
  std::vector<row> rows;   ///< ascending
  bool held_back = false;  ///< there are rows that must not be given yet: look again soon
  std::string by;          ///< who holds them back, for people; empty: only time does
};

class cursor_desk : public desk {
 public:
  /// Rows from id `low` on. What it gives is never followed by a row with a smaller id.
  virtual task<cursor_rows> next(std::uint64_t low, page_limits most) = 0;
};

/// Numbers are given to claims by whoever holds them, ascending, each once: with its holder's name
/// a number is the fencing token of a claim.
class claim_desk : public desk {
 public:
  /// From now on this process, and none before it, claims for `holder`. Gives the rows that are
  /// claimed for it and have no outcome, by number.
  virtual task<std::vector<row>> take_over(std::string holder) = 0;
  /// The largest number there is of this holder; 0: none.
  virtual task<std::uint64_t> last_number() = 0;
  /// Claims rows that are nobody's: behind those of the last claim, or from the start. They are
  /// numbered from `first` on.
  virtual task<std::vector<row>> claim(std::uint64_t first, std::size_t rows_max,
                                       bool from_start) = 0;
  /// Writes outcomes. What is somebody else's by now stays as it is; gives how many of these were
  /// not just to be given back.
  virtual task<std::size_t> settle(const std::vector<settled_row>& rows) = 0;
  virtual task<> renew() = 0;
  /// Gives all back that has no outcome.
  virtual task<> release() = 0;
};

}  // namespace brigade::rows
