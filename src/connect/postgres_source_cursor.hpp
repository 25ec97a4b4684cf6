/// Reads a table of PostgreSQL on behind the last id, and never past one that may still come.
///
/// An id is drawn when a row is written, and is seen when its transaction is committed, so a larger
/// one may be seen first. Whoever draws an id in its INSERT holds the table's lock for writers by
/// then, until the end of the transaction. So: the largest id that is seen is the fence; who holds
/// that lock now is asked; when all of those have ended, every id up to the fence that will ever
/// come is there. Transactions that only read hold nothing up.
///
/// The visibility of xmin against pg_snapshot_xmin would not do: a transaction has no xid, and no
/// snapshot knows of it, until it writes, and its id may have been drawn before.
#pragma once
#include "connect/postgres_source_session.hpp"
#include "connect/rows_desk.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace brigade::postgres {

class cursor_desk final : public rows::cursor_desk {
 public:
  explicit cursor_desk(source_place place)
      : place_(std::move(place)), session_(place_), listener_(place_) {}
  task<> open() override;
  task<> wait(std::chrono::milliseconds most) override;
  task<rows::cursor_rows> next(std::uint64_t low, rows::page_limits most) override;

 private:
  struct fence {
    std::uint64_t last;  ///< id
    std::chrono::steady_clock::time_point seen;
    std::string writers;  ///< an array of virtual transaction ids
  };
  task<> check_ids();
  void check_id_type(const std::string& type) const;
  task<> raise_fence(std::uint64_t low);
  /// Who is still at it; empty: nobody.
  task<std::string> writers_left();
  /// True: all there are up to the fence.
  task<bool> read(std::uint64_t low, rows::page_limits most, std::vector<rows::row>& to);
  [[nodiscard]] std::vector<parameter> whose_writers() const;
  [[nodiscard]] std::string page_sql(std::uint64_t low, std::size_t rows) const;

  source_place place_;
  source_session session_;
  source_session listener_;
  source_table table_;
  std::size_t page_rows_ = 64;            ///< how many are asked for: as many as have room
  std::optional<fence> fence_;            ///< not sure yet
  std::optional<std::uint64_t> sure_;     ///< ids up to here are all there
  std::optional<std::uint64_t> read_to_;  ///< and were read
};

}  // namespace brigade::postgres
