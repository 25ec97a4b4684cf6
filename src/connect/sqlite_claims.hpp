/// Claims rows of a table in an SQLite database, and keeps who has which, beside the table:
///
///   _brigade_claims(pipeline, source, id, holder, token, outcome, stage, error,
///                   claimed_at, settled_at)
///       a row for each row that was ever claimed. `source` is `orders:table`, `holder` empty: it
///       was given back; `outcome` null: it is worked on.
///   _brigade_holders(holder, run, last, leased_until, process)
///       who claims, with which numbers so far, and until when that is to be believed.
///
/// Times are Unix seconds.
#pragma once
#include "connect/rows_desk.hpp"
#include "connect/sqlite_table.hpp"
#include "connect/sqlite_values.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

struct sqlite3_value;

namespace brigade::sqlite {

class claim_desk final : public rows::claim_desk {
 public:
  explicit claim_desk(table_place place) : place_(std::move(place)) {}
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
  struct key_closes {
    void operator()(sqlite3_value* key) const;
  };
  template <class Work>
  auto in_transaction(Work work) -> decltype(work());
  template <class Work>
  auto told(Work work) -> decltype(work());
  void make_tables();
  void prepare();
  void renew_lease(std::uint64_t last);
  [[nodiscard]] std::vector<rows::row> unsettled();
  [[nodiscard]] std::vector<rows::row> claim_rows(std::uint64_t first, std::size_t rows_max,
                                                  bool from_start);
  [[nodiscard]] bool settle_one(const rows::settled_row& row);
  void give_back_all();
  [[nodiscard]] std::string claim_sql(bool from_start) const;

  table_place place_;
  std::string source_;  ///< as the claims name it
  std::string holder_;
  std::int64_t run_ = 0;
  std::uint64_t last_ = 0;
  std::optional<table> table_;
  std::optional<statement> from_start_;
  std::optional<statement> behind_;  ///< the last key
  std::optional<statement> insert_;
  std::optional<statement> update_;
  std::optional<statement> give_back_;
  std::optional<statement> lease_;
  std::unique_ptr<sqlite3_value, key_closes> last_key_;
};

}  // namespace brigade::sqlite
