#include "cli/replay_source.hpp"

#include <brigade/connect/record.hpp>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace brigade::cli {

namespace {

int stage_of(const letter_row& letter, const std::vector<std::string>& stages) {
  if (letter.stage_index < 0) return -1;
  const auto found = std::find(stages.begin(), stages.end(), letter.stage);
  if (found == stages.end()) {
    throw std::runtime_error("letter " + letter.id + " failed at stage '" + letter.stage +
                             "', which the pipeline does not have any more: replay it with "
                             "--from-start, or give the stage its name back");
  }
  return static_cast<int>(found - stages.begin());
}

}  // namespace

replay_source::replay_source(std::vector<letter_row> letters,
                             const std::vector<std::string>& stages, bool from_start,
                             std::unique_ptr<source> original,
                             const std::function<std::string(const payload&)>& order_key)
    : letters_(std::move(letters)),
      original_(std::move(original)),
      partitions_{std::string(replay_partition)} {
  for (const letter_row& letter : letters_) {
    if (!letter.replayable) {
      throw std::runtime_error("letter " + letter.id + " has no payload that reads back");
    }
    replay_entry entry;
    entry.stage_index = from_start ? -1 : stage_of(letter, stages);
    entry.id = letter.id;
    entry.source_payload = letter.source_payload;
    payload value(record::from_text(letter.source_payload));
    if (order_key && !original_->decode(value)) entry.order_key = order_key(value);
    entries_.emplace(letter.number, std::move(entry));
  }
}

const replay_entry* replay_source::entry(std::uint64_t number) const {
  const auto found = entries_.find(number);
  return found == entries_.end() ? nullptr : &found->second;
}

task<> replay_source::open(std::vector<partition_mark> resume, std::string) {
  for (const partition_mark& known : resume) {
    if (known.partition != replay_partition) continue;
    std::erase_if(letters_,
                  [&](const letter_row& letter) { return known.at.finished(letter.number); });
  }
  co_return;
}

task<std::vector<source_item>> replay_source::read(std::size_t items_max) {
  std::vector<source_item> batch;
  for (; batch.size() < items_max && next_ < letters_.size(); ++next_) {
    batch.push_back(item_of(letters_[next_]));
  }
  co_return batch;
}

source_item replay_source::item_of(const letter_row& letter) const {
  const bool from_source = entries_.at(letter.number).stage_index < 0;
  payload value(record::from_text(from_source ? letter.source_payload : letter.payload));
  std::optional<std::string> undecodable;
  if (from_source) undecodable = original_->decode(value);
  source_item item(std::move(value), 0, letter.number, letter.number + 1);
  item.undecodable = std::move(undecodable);
  return item;
}

}  // namespace brigade::cli
