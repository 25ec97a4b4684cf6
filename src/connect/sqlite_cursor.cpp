#include "connect/sqlite_cursor.hpp"

#include <brigade/async/timeout.hpp>

#include <sqlite3.h>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>

namespace brigade::sqlite {
namespace {

constexpr std::chrono::seconds busy_timeout{5};
constexpr std::chrono::seconds longest_wait{10};
constexpr std::int64_t no_fence = std::numeric_limits<std::int64_t>::max();

}  // namespace

task<> cursor_desk::open() {
  try {
    table_.emplace(place_, busy_timeout);
    check_ids();
    const std::string& id = table_->id();
    select_.emplace(table_->in(), "SELECT " + id + ", " + table_->columns() + " FROM " +
                                      table_->source() + " WHERE " + id + " >= ?1 AND " + id +
                                      " <= ?2" + table_->condition() + " ORDER BY " + id +
                                      " LIMIT ?3");
    largest_.emplace(table_->in(), "SELECT max(" + id + ") FROM " + table_->source());
  } catch (const std::runtime_error& failed) {
    throw std::runtime_error(place_.path + ": " + failed.what());
  }
  co_return;
}

// It is compared with the last one as an integer is. A column of another type may have it all the
// same; then the rows are looked at as they come.
void cursor_desk::check_ids() {
  const std::string& id = table_->id();
  statement odd(table_->in(), "SELECT " + id + " FROM " + table_->source() + " WHERE " + id +
                                  " < 0 OR typeof(" + id + ") <> 'integer' LIMIT 1");
  if (odd.step()) static_cast<void>(id_of(odd));
}

std::uint64_t cursor_desk::id_of(const statement& rows) const {
  if (sqlite3_column_type(rows.handle(), 0) != SQLITE_INTEGER || rows.integer(0) < 0) {
    throw std::runtime_error("a row has the id " +
                             (rows.is_null(0) ? "NULL" : "'" + key_text(rows, 0) + "'") +
                             ": a cursor needs integers from 0 on; 'by: claim' needs none");
  }
  return static_cast<std::uint64_t>(rows.integer(0));
}

// What was there `lag` ago has nothing missing before it.
std::int64_t cursor_desk::fence() {
  if (place_.options.lag.count() == 0) return no_fence;
  const auto now = clock::now();
  if (largest_->step() && !largest_->is_null(0)) {
    const std::int64_t largest = largest_->integer(0);
    if (sights_.empty() || sights_.back().largest < largest) sights_.push_back({now, largest});
  }
  largest_->reset();
  for (; !sights_.empty() && now - sights_.front().at >= place_.options.lag; sights_.pop_front()) {
    sure_ = std::max(sure_, sights_.front().largest);
  }
  return sure_;
}

task<rows::cursor_rows> cursor_desk::next(std::uint64_t low, rows::page_limits most) {
  table_->check_file();
  try {
    co_return read(low, most);
  } catch (const error& failed) {
    if (select_) select_->reset();
    rethrow(place_, failed);
  } catch (const std::runtime_error& failed) {
    throw std::runtime_error(place_.path + ": " + failed.what());
  }
}

rows::cursor_rows cursor_desk::read(std::uint64_t low, rows::page_limits most) {
  rows::cursor_rows found;
  if (low > static_cast<std::uint64_t>(no_fence)) return found;
  const std::int64_t last = fence();
  select_->bind(1, static_cast<std::int64_t>(low));
  select_->bind(2, last);
  // One more, to see that it is another one.
  select_->bind(3, static_cast<std::int64_t>(most.rows) + 1);
  std::optional<row_reader> reader;  // of this page: a table may be altered between two
  for (std::size_t bytes = 0; select_->step();) {
    if (!reader) reader.emplace(*select_, 1);
    const std::uint64_t id = id_of(*select_);
    if (!found.rows.empty() && id <= found.rows.back().number) {
      throw std::runtime_error("two rows have the id " + std::to_string(id) +
                               ": a cursor needs ids without repetitions");
    }
    if (found.rows.size() >= most.rows || bytes >= most.bytes) break;
    found.rows.push_back(reader->read(*select_, id, {}));
    bytes += found.rows.back().bytes();
  }
  select_->reset();
  found.held_back = !sights_.empty();
  return found;
}

task<> cursor_desk::wait(std::chrono::milliseconds most) {
  const auto until = clock::now() + longest_wait;
  do {
    co_await sleep_for(most);
  } while (most >= place_.options.poll && clock::now() < until && !table_->has_changed());
}

}  // namespace brigade::sqlite
