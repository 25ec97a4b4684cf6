// The source `http` with `reply: accepted`.
#pragma once
#include "connect/http_journal_desk.hpp"
#include "connect/http_server.hpp"

#include <brigade/pipeline/source.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace brigade {

struct http_journal_source_options {
  http_server_options server;
  http_journal_desk_options desk;
  intake_options journal;
  std::string journal_name = {};  ///< as the pipeline file gives it
  /// Where the outcomes of earlier runs are; empty: nowhere.
  std::filesystem::path ledger = {};
};

class http_journal_source final : public source {
 public:
  explicit http_journal_source(http_journal_source_options options);
  ~http_journal_source() override;

  task<> open(std::vector<partition_mark> resume, std::string state) override;
  task<std::vector<source_item>> read(std::size_t items_max) override;
  void stopping() override;
  void acknowledge(std::uint32_t partition, const watermark& at) override;
  /// Answers what is answered, hangs up, and closes the journal.
  task<> close() override;
  [[nodiscard]] const std::vector<std::string>& partitions() const override { return partitions_; }
  [[nodiscard]] bool finite() const override { return false; }
  [[nodiscard]] std::string fingerprint() const override;

  /// Where it listens, once it is open.
  [[nodiscard]] std::string address() const { return server_->address(); }

 private:
  http_journal_source_options options_;
  std::vector<std::string> partitions_;
  mark done_;
  std::shared_ptr<intake_journal> journal_;
  std::shared_ptr<http_journal_desk> desk_;
  std::unique_ptr<http_server> server_;
};

}  // namespace brigade
