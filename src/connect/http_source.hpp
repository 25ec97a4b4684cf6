// The source `http`.
#pragma once
#include "connect/http_desk.hpp"
#include "connect/http_server.hpp"

#include <brigade/pipeline/source.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace brigade {

struct http_source_options {
  http_server_options server;
  http_desk_options desk;
  /// Where the outcomes of earlier runs are; empty: nowhere.
  std::filesystem::path ledger = {};
};

class http_source final : public source {
 public:
  explicit http_source(http_source_options options);
  ~http_source() override;

  task<> open(std::vector<partition_mark> resume, std::string state) override;
  task<std::vector<source_item>> read(std::size_t items_max) override;
  void stopping() override;
  [[nodiscard]] bool wants_outcomes() const override { return true; }
  void settled(const settled_item& what) override { desk_->settled(what); }
  [[nodiscard]] std::vector<std::uint32_t> take_forgotten() override;
  /// Answers what is answered, and hangs up.
  task<> close() override;
  [[nodiscard]] const std::vector<std::string>& partitions() const override { return partitions_; }
  [[nodiscard]] bool finite() const override { return false; }
  [[nodiscard]] bool replayable() const override { return false; }
  [[nodiscard]] std::string fingerprint() const override { return "http"; }

  /// Where it listens, once it is open.
  [[nodiscard]] std::string address() const { return server_->address(); }
  [[nodiscard]] std::size_t connections() const { return server_->connections(); }

 private:
  http_source_options options_;
  std::vector<std::string> partitions_;
  std::vector<std::uint32_t> forgotten_;
  std::shared_ptr<http_desk> desk_;
  std::unique_ptr<http_server> server_;
};

/// Reads a ledger for what became of items, by their ids; on a thread.
[[nodiscard]] http_memory memory_of_ledger(std::filesystem::path ledger);

}  // namespace brigade
