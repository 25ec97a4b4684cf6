/// The source `generate`: numbered items, as fast as they are taken or one in a while.
#pragma once
#include <brigade/async/loop.hpp>
#include <brigade/connect/record.hpp>
#include <brigade/pipeline/source.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace brigade {

struct generate_options {
  std::string name;  ///< of the source
  record::shape shape = record::shape::line;
  std::string pattern;                 ///< of one item; `{n}` stands for its number
  std::optional<std::uint64_t> count;  ///< none: endless
  std::chrono::milliseconds every{0};  ///< from one item to the next; 0: at once
};

/// `pattern` with the number in it, wherever it says `{n}`.
[[nodiscard]] std::string numbered(std::string_view pattern, std::uint64_t number);

class generate_source final : public source {
 public:
  explicit generate_source(generate_options options);

  task<> open(std::vector<partition_mark> resume, std::string state) override;
  /// With `every`, waits until the next item is due. Who takes too late gets at most one second's
  /// worth of items at once.
  task<std::vector<source_item>> read(std::size_t items_max) override;
  [[nodiscard]] const std::vector<std::string>& partitions() const override { return partitions_; }
  [[nodiscard]] bool finite() const override { return options_.count.has_value(); }
  [[nodiscard]] std::optional<std::uint64_t> size_total() const override { return options_.count; }
  [[nodiscard]] std::string fingerprint() const override;

 private:
  void skip_finished();
  [[nodiscard]] bool at_end() const { return options_.count && next_ > *options_.count; }
  [[nodiscard]] source_item item_of(std::uint64_t number) const;

  generate_options options_;
  std::vector<std::string> partitions_;
  std::vector<mark::range> finished_;  ///< of before, above `next_`
  std::size_t range_ = 0;              ///< the first of them that is not behind `next_`
  std::uint64_t next_ = 1;
  std::optional<detail::time_point> due_;  ///< of the next item
};

}  // namespace brigade
