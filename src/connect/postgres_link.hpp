/// What the parts of a connection share: libpq's handle, its socket as a loop sees it, and waits.
#pragma once
#include "connect/postgres_connection.hpp"

#include <brigade/async/descriptor.hpp>
#include <brigade/async/task.hpp>

#include <libpq-fe.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace brigade::postgres {

using handle = std::shared_ptr<PGconn>;

/// libpq owns its socket and may change it; a loop watches a duplicate, which is its own to close.
[[nodiscard]] descriptor watched_socket(PGconn* connection);

/// libpq's messages end in a newline and may have several lines.
[[nodiscard]] std::string one_line(std::string_view text);
/// The error that a result is.
[[nodiscard]] error error_of(const PGresult* result, bool is_lost, std::size_t statement);

class connection::implementation {
 public:
  explicit implementation(handle connected)
      : pq(std::move(connected)), socket(watched_socket(pq.get())) {}

  /// Completes when all that was sent has left.
  task<> flush();
  /// The next result of what was asked; null where a statement's (or all) results end.
  task<std::shared_ptr<PGresult>> next();
  /// Closes it. Nobody waits in it.
  void drop() noexcept;

  handle pq;  ///< null: it was dropped
  std::optional<descriptor> socket;
  std::map<std::string, std::string> prepared;  ///< statements, and the names they have there
  bool busy = false;
};

/// One question, from being sent to the last of its answer. Where it does not come to its end, the
/// connection is dropped.
class exchange {
 public:
  explicit exchange(connection::implementation& with);
  ~exchange();
  exchange(const exchange&) = delete;
  exchange& operator=(const exchange&) = delete;

  /// A call of libpq that gives 0 or 1 did not work: throws what is known.
  void check(int worked) const;
  /// Keeps the first error.
  void note(const PGresult* result, std::size_t statement);
  [[nodiscard]] bool has_failed() const { return failed_.has_value(); }
  /// All was read. Throws the error that was kept.
  void finish();

 private:
  connection::implementation& with_;
  std::optional<error> failed_;
  bool done_ = false;
};

}  // namespace brigade::postgres
