/// Reads a table of an SQLite database on behind the last id. One process writes at a time, so
/// with ids that SQLite itself gives, no smaller one comes later; `lag` is for others.
#pragma once
#include "connect/rows_desk.hpp"
#include "connect/sqlite_table.hpp"
#include "connect/sqlite_values.hpp"

#include <chrono>
#include <deque>
#include <optional>

namespace brigade::sqlite {

class cursor_desk final : public rows::cursor_desk {
 public:
  explicit cursor_desk(table_place place) : place_(std::move(place)) {}
  task<> open() override;
  task<> wait(std::chrono::milliseconds most) override;
  task<rows::cursor_rows> next(std::uint64_t low, rows::page_limits most) override;

 private:
  using clock = std::chrono::steady_clock;
  struct sight {
    clock::time_point at;
    std::int64_t largest;  ///< id that was there
  };
  void check_ids();
  [[nodiscard]] std::int64_t fence();
  [[nodiscard]] rows::cursor_rows read(std::uint64_t low, rows::page_limits most);
  [[nodiscard]] std::uint64_t id_of(const statement& rows) const;

  table_place place_;
  std::optional<table> table_;
  std::optional<statement> select_;
  std::optional<statement> largest_;
  std::deque<sight> sights_;
  std::int64_t sure_ = -1;  ///< with `lag`: ids up to here can be given
};

}  // namespace brigade::sqlite
