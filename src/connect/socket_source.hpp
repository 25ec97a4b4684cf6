/// The source `socket`: see docs/sockets.md.
#pragma once
#include "connect/socket_server.hpp"

#include <brigade/async/cancel.hpp>
#include <brigade/pipeline/source.hpp>

#include <memory>
#include <string>
#include <vector>

namespace brigade {

class socket_source final : public source {
 public:
  explicit socket_source(socket_options options);
  ~socket_source() override;

  task<> open(std::vector<partition_mark> resume, std::string state) override;
  [[nodiscard]] std::vector<std::uint32_t> take_forgotten() override;
  [[nodiscard]] std::optional<std::string> decode(payload& value) const override;
  task<std::vector<source_item>> read(std::size_t items_max) override;
  void acknowledge(std::uint32_t partition, const watermark& at) override;
  task<> close() override;
  [[nodiscard]] const std::vector<std::string>& partitions() const override { return partitions_; }
  [[nodiscard]] bool finite() const override { return false; }
  [[nodiscard]] bool replayable() const override { return options_.journal.has_value(); }
  [[nodiscard]] std::string fingerprint() const override;

  /// Where it listens, once it is open.
  [[nodiscard]] const socket_address& at() const { return options_.listen.at; }

 private:
  void forget_earlier_runs(const std::vector<partition_mark>& resume);
  std::vector<source_item> items_of(std::vector<intake_item> taken) const;
  void failed(const std::string& why);

  socket_options options_;
  const std::string written_;  ///< the address, as it is in the pipeline file
  std::vector<std::string> partitions_;
  std::vector<std::uint32_t> forgotten_;
  mark done_;  ///< of the journal
  std::shared_ptr<socket_inbox> inbox_;
  std::unique_ptr<socket_server> server_;
  std::string failed_;
  cancel_scope* reading_ = nullptr;
};

}  // namespace brigade
