#include "connect/http_source.hpp"

#include <brigade/async/thread.hpp>
#include <brigade/pipeline/ledger_reader.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <mutex>
#include <random>
#include <utility>

namespace brigade {
namespace {

std::string run_token() {
  std::array<char, 17> text{};
  std::random_device random;
  std::snprintf(text.data(), text.size(), "%08x", static_cast<unsigned>(random()));
  return text.data();
}

outcome outcome_named(std::string_view name) {
  for (const outcome each : all_outcomes) {
    if (to_string(each) == name) return each;
  }
  return outcome::returned;
}

/// Opened when it is asked for the first time: then the ledger is there.
class ledger_memory {
 public:
  explicit ledger_memory(std::filesystem::path ledger) : path_(std::move(ledger)) {}

  std::vector<std::optional<http_result>> look_up(const std::vector<std::string>& ids) {
    const std::lock_guard lock(mutex_);
    if (!reader_) reader_.emplace(path_);
    std::vector<std::optional<http_result>> results;
    for (const std::string& id : ids) {
      results.push_back(reader_->has_row(id) ? last_of(id) : std::nullopt);
    }
    return results;
  }

 private:
  /// What became of it last, perhaps as a replay.
  [[nodiscard]] std::optional<http_result> last_of(const std::string& id) const {
    std::optional<http_result> result;
    for (const outcome_row& row : reader_->history(id).outcomes) {
      if (row.id != id && row.replay_of != id) continue;
      const outcome what = outcome_named(row.result);
      const bool is_failure = what == outcome::dead_lettered || what == outcome::returned;
      result = http_result{what, is_failure ? row.error : std::string()};
    }
    return result;
  }

  std::filesystem::path path_;
  std::mutex mutex_;
  std::optional<ledger_reader> reader_;
};

std::vector<std::optional<http_result>> look_up(std::shared_ptr<ledger_memory> in,
                                                std::vector<std::string> ids) {
  return in->look_up(ids);
}

task<std::vector<std::optional<http_result>>> look_up_on_thread(std::shared_ptr<ledger_memory> in,
                                                                std::vector<std::string> ids) {
  auto call = to_thread(&look_up, std::move(in), std::move(ids));
  co_return co_await std::move(call);
}

}  // namespace

http_memory memory_of_ledger(std::filesystem::path ledger) {
  auto memory = std::make_shared<ledger_memory>(std::move(ledger));
  return [memory = std::move(memory)](std::vector<std::string> ids) {
    return look_up_on_thread(memory, std::move(ids));
  };
}

http_source::http_source(http_source_options options) : options_(std::move(options)) {}
http_source::~http_source() = default;

// What earlier runs gave is over: whoever sent it and was not answered sends it again.
task<> http_source::open(std::vector<partition_mark> resume, std::string) {
  const std::string prefix = options_.desk.name + ":";
  for (const partition_mark& known : resume) {
    if (!known.partition.starts_with(prefix)) continue;
    partitions_.push_back(known.partition);
  }
  for (std::uint32_t i = 0; i < partitions_.size(); ++i) forgotten_.push_back(i + 1);
  std::string own = prefix + run_token();
  while (std::ranges::find(partitions_, own) != partitions_.end()) own = prefix + run_token();
  partitions_.insert(partitions_.begin(), own);
  if (!options_.ledger.empty()) options_.desk.memory = memory_of_ledger(options_.ledger);
  desk_ = std::make_shared<http_desk>(options_.desk, own);
  server_ = std::make_unique<http_server>(options_.server, desk_);
  co_return;
}

std::vector<std::uint32_t> http_source::take_forgotten() {
  for (const std::uint32_t index : forgotten_) partitions_[index].clear();
  return std::exchange(forgotten_, {});
}

task<std::vector<source_item>> http_source::read(std::size_t items_max) {
  return desk_->take(items_max);
}

void http_source::stopping() {
  if (desk_ != nullptr) desk_->stop();
}

task<> http_source::close() {
  if (server_ == nullptr) co_return;
  desk_->give_back();
  auto closing = server_->close();
  co_await std::move(closing);
}

}  // namespace brigade
