/// Claims rows of a table of PostgreSQL, and keeps who has which, in the table's schema:
///
///   _brigade_claims(pipeline, source, id, holder, token, outcome, stage, error,
///                   claimed_at, settled_at)
///       a row for each row that was ever claimed. `source` is `orders:table`, `holder` empty: it
///       was given back; `outcome` null: it is worked on.
///   _brigade_holders(holder, run, last, leased_until, process)
///       who claims, with which numbers so far, and until when that is to be believed.
///
/// Rows are taken FOR NO KEY UPDATE SKIP LOCKED, so that those who claim at once do not wait for
/// each other, nor for those who write rows that refer to these. That a row goes to one is the
/// business of the key of `_brigade_claims`: its conflict is decided on what is committed.
#pragma once
#include "connect/postgres_source_session.hpp"
#include "connect/rows_desk.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace brigade::postgres {

class claim_desk final : public rows::claim_desk {
 public:
  explicit claim_desk(source_place place)
      : place_(std::move(place)), session_(place_), keeper_(place_), listener_(place_) {}
  task<> open() override;
  task<> wait(std::chrono::milliseconds most) override;
  task<std::vector<rows::row>> take_over(std::string holder) override;
  task<std::uint64_t> last_number() override;
  task<std::vector<rows::row>> claim(std::uint64_t first, std::size_t rows_max,
                                     bool from_start) override;
  task<std::size_t> settle(const std::vector<rows::settled_row>& rows) override;
  task<> renew() override;
  task<> release() override;

 private:
  task<> make_tables();
  [[nodiscard]] std::string claim_sql(std::size_t rows_max, bool goes_on) const;
  [[nodiscard]] statement settling(const rows::settled_row& row) const;
  [[nodiscard]] std::string lease_end() const;
  [[noreturn]] void replaced() const;

  source_place place_;
  source_session session_;
  source_session keeper_;  ///< of the lease, which no long question must hold up
  source_session listener_;
  source_table table_;
  std::string claims_;  ///< tables, as SQL
  std::string holders_;
  std::string source_;  ///< as the claims name it
  std::string holder_;
  std::int64_t run_ = 0;
  std::uint64_t last_ = 0;
  std::string last_key_;  ///< empty: none yet
};

}  // namespace brigade::postgres
