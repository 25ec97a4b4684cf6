#include "connect/http_journal_source.hpp"

#include "connect/http_source.hpp"

#include <brigade/connect/record.hpp>
#include <brigade/pipeline/log.hpp>

#include <utility>

namespace brigade {

http_journal_source::http_journal_source(http_journal_source_options options)
    : options_(std::move(options)) {}
http_journal_source::~http_journal_source() = default;

task<> http_journal_source::open(std::vector<partition_mark> resume, std::string) {
  auto opening = intake_journal::open(options_.journal);
  journal_ = co_await std::move(opening);
  partitions_.push_back(options_.desk.name + ":" + journal_->token());
  for (partition_mark& each : resume) {
    if (each.partition == partitions_.front()) done_ = std::move(each.at);
  }
  // Without `this`: a connection may hold the journal for longer.
  journal_->on_full = [name = options_.desk.name](const std::string& why) { say_full(name, why); };
  journal_->start(done_);
  if (!options_.ledger.empty()) options_.desk.memory = memory_of_ledger(options_.ledger);
  desk_ = std::make_shared<http_journal_desk>(options_.desk, journal_);
  server_ = std::make_unique<http_server>(options_.server, desk_);
}

task<std::vector<source_item>> http_journal_source::read(std::size_t items_max) {
  auto reading = journal_->read(items_max);
  const std::vector<intake_item> taken = co_await std::move(reading);
  std::vector<source_item> items;
  items.reserve(taken.size());
  for (const intake_item& each : taken) {
    items.emplace_back(payload(record::json(each.payload)), 0, each.position, each.position + 1);
    if (!each.id.empty()) items.back().id = options_.desk.name + ":" + each.id;
  }
  co_return items;
}

void http_journal_source::stopping() {
  if (desk_ != nullptr) desk_->stop();
}

void http_journal_source::acknowledge(std::uint32_t partition, const watermark& at) {
  if (partition != 0 || journal_ == nullptr) return;
  done_ = at.at();
  journal_->trim(at.low());
}

task<> http_journal_source::close() {
  if (server_ != nullptr) {
    desk_->stop();
    auto closing = server_->close();
    co_await std::move(closing);
    server_.reset();
  }
  if (journal_ == nullptr) co_return;
  auto closing = journal_->close();
  co_await std::move(closing);
  const std::uint64_t left = journal_->unfinished(done_);
  journal_.reset();
  if (left == 0) co_return;
  log_line("source '" + options_.desk.name + "': " + std::to_string(left) +
           " items stay in the journal, for the next run");
}

std::string http_journal_source::fingerprint() const {
  return "http accepted " + options_.journal_name;
}

void http_journal_source::say_full(const std::string& name, const std::string& why) {
  log_line("source '" + name + "': " +
           (why.empty() ? "there is room in the journal again"
                        : why + ": requests are refused until there is room"));
}

}  // namespace brigade
