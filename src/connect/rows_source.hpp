/// A source that reads a table, whatever the database: the engine's side of it.
#pragma once
#include "connect/rows_desk.hpp"
#include "connect/rows_exchange.hpp"

#include <brigade/pipeline/source.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace brigade::rows {

/// How the desks of a database are made; called on the source's thread.
struct desk_makers {
  std::function<std::unique_ptr<cursor_desk>()> cursor;
  std::function<std::unique_ptr<claim_desk>()> claim;
};

/// By cursor: one partition, `<source>:<table>`, with the ids as positions. By claim: one that is
/// named after who holds the claims, `<source>:<holder>`, a name drawn once and kept as the
/// source's state, with the claims' numbers as positions. So both give again, in the same place,
/// what had no outcome.
class rows_source final : public source {
 public:
  explicit rows_source(table_options options, std::string fingerprint, desk_makers makers);
  /// Without `close` before it: as if the process had been killed.
  ~rows_source() override;

  task<> open(std::vector<partition_mark> resume, std::string state) override;
  [[nodiscard]] std::string state() const override { return holder_; }
  [[nodiscard]] std::optional<std::string> decode(payload& value) const override;
  task<std::vector<source_item>> read(std::size_t items_max) override;
  [[nodiscard]] bool wants_outcomes() const override { return claims(); }
  void settled(const settled_item& what) override;
  task<> close() override;
  [[nodiscard]] const std::vector<std::string>& partitions() const override { return partitions_; }
  [[nodiscard]] bool finite() const override { return !options_.tail; }
  [[nodiscard]] std::string fingerprint() const override { return fingerprint_; }

 private:
  [[nodiscard]] bool claims() const { return options_.by == reading::claim; }
  void start(mark done);
  void add_items(std::vector<source_item>& items, std::vector<row> rows);

  table_options options_;
  std::string fingerprint_;
  desk_makers makers_;
  std::shared_ptr<exchange> between_;
  std::thread thread_;
  std::string holder_;
  std::vector<std::string> partitions_;
  mark done_;  ///< of before, by cursor
};

}  // namespace brigade::rows
