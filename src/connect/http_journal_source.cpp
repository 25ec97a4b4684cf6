#include "connect/http_journal_source.hpp"

#include "connect/http_source.hpp"
#include "connect/intake_opening.hpp"

#include <brigade/connect/record.hpp>
#include <brigade/pipeline/log.hpp>

#include <utility>

namespace brigade {

http_journal_source::http_journal_source(http_journal_source_options options)
    : options_(std::move(options)) {}
http_journal_source::~http_journal_source() = default;

task<> http_journal_source::open(std::vector<partition_mark> resume, std::string) {
  auto opening = open_intake(options_.journal, options_.desk.name,
                             "requests are refused until there is room", std::move(resume));
  opened_intake opened = co_await std::move(opening);
  journal_ = std::move(opened.journal);
  partitions_.push_back(std::move(opened.partition));
  done_ = std::move(opened.done);
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
  const std::string left = left_in_intake(journal_->unfinished(done_));
  journal_.reset();
  if (!left.empty()) log_line("source '" + options_.desk.name + "': " + left);
}

std::string http_journal_source::fingerprint() const {
  return "http accepted " + options_.journal_name;
}

}  // namespace brigade
