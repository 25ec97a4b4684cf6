/// The source `stdin`: lines from a descriptor that cannot be asked again.
#pragma once
#include "connect/file_lines.hpp"

#include <brigade/pipeline/source.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace brigade {

/// Reads a descriptor on threads. What a call that nobody waits for any more has read is kept for
/// the next; calls take turns, so bytes stay in order.
class stream_inbox;

class stdin_source final : public source {
 public:
  /// `fd` stays the caller's, and open.
  stdin_source(std::string name, line_format format, int fd);
  ~stdin_source() override;

  task<> open(std::vector<partition_mark> resume, std::string state) override;
  task<std::vector<source_item>> read(std::size_t items_max) override;
  [[nodiscard]] std::optional<std::string> decode(payload& value) const override;
  [[nodiscard]] const std::vector<std::string>& partitions() const override { return partitions_; }
  [[nodiscard]] bool finite() const override { return true; }
  [[nodiscard]] bool replayable() const override { return false; }
  [[nodiscard]] std::string fingerprint() const override;

 private:
  void take_lines(std::vector<source_item>& items, std::size_t items_max);
  void add_item(std::vector<source_item>& items, const text_line& line);

  std::string name_;
  line_format format_;
  std::shared_ptr<stream_inbox> inbox_;
  std::vector<std::string> partitions_;
  std::string chunk_;
  line_splitter splitter_;
  bool at_end_ = false;
};

}  // namespace brigade
