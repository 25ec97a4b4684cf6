/// Dead letters as a source: each is taken again, at its number in the ledger, under its own id.
#pragma once
#include <brigade/pipeline/engine.hpp>
#include <brigade/pipeline/ledger_reader.hpp>
#include <brigade/pipeline/source.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace brigade::cli {

class replay_source final : public source {
 public:
  /// `stages` are the pipeline's by name, in order, the sink last. `original` decodes letters that
  /// failed at the source; `order_key`, if there is one, gives an item's key. Throws
  /// std::runtime_error for a letter whose stage is no more.
  replay_source(std::vector<letter_row> letters, const std::vector<std::string>& stages,
                bool from_start, std::unique_ptr<source> original,
                const std::function<std::string(const payload&)>& order_key);

  /// Where the letter with this number goes on.
  [[nodiscard]] const replay_entry* entry(std::uint64_t number) const;

  task<> open(std::vector<partition_mark> resume, std::string state) override;
  task<std::vector<source_item>> read(std::size_t items_max) override;
  [[nodiscard]] const std::vector<std::string>& partitions() const override { return partitions_; }
  [[nodiscard]] bool finite() const override { return true; }
  [[nodiscard]] std::string fingerprint() const override { return "replay"; }

 private:
  [[nodiscard]] source_item item_of(const letter_row& letter) const;
  std::vector<letter_row> letters_;
  std::size_t next_ = 0;
  std::map<std::uint64_t, replay_entry> entries_;
  std::unique_ptr<source> original_;
  std::vector<std::string> partitions_;
};

}  // namespace brigade::cli
