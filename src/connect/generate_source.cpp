#include "connect/generate_source.hpp"

#include <brigade/async/timeout.hpp>

#include <algorithm>
#include <utility>

namespace brigade {
namespace {

constexpr std::string_view placeholder = "{n}";
constexpr std::chrono::seconds made_up_for{1};

}  // namespace

std::string numbered(std::string_view pattern, std::uint64_t number) {
  std::string text;
  for (std::size_t at = pattern.find(placeholder); at != std::string_view::npos;
       at = pattern.find(placeholder)) {
    text.append(pattern, 0, at).append(std::to_string(number));
    pattern.remove_prefix(at + placeholder.size());
  }
  return text.append(pattern);
}

generate_source::generate_source(generate_options options) : options_(std::move(options)) {}

task<> generate_source::open(std::vector<partition_mark> resume, std::string) {
  partitions_.push_back(options_.name);
  for (partition_mark& known : resume) {
    if (known.partition != options_.name) continue;
    next_ = std::max<std::uint64_t>(known.at.low, 1);
    finished_ = std::move(known.at.above);
  }
  skip_finished();
  co_return;
}

void generate_source::skip_finished() {
  for (; range_ < finished_.size() && next_ >= finished_[range_].begin; ++range_) {
    next_ = std::max(next_, finished_[range_].end);
  }
}

task<std::vector<source_item>> generate_source::read(std::size_t items_max) {
  std::vector<source_item> items;
  if (at_end()) co_return items;
  const bool paced = options_.every.count() > 0;
  loop& here = loop::current();
  if (paced) {
    here.refresh_now();
    due_ = std::max(due_.value_or(here.now()), here.now() - made_up_for);
    if (*due_ > here.now()) co_await sleep_until(*due_);
  }
  while (items.size() < items_max && !at_end()) {
    if (paced && *due_ > here.now()) break;
    items.push_back(item_of(next_++));
    skip_finished();
    if (paced) *due_ += options_.every;
  }
  co_return items;
}

source_item generate_source::item_of(std::uint64_t number) const {
  std::string text = numbered(options_.pattern, number);
  record made = options_.shape == record::shape::json ? record::json(std::move(text))
                                                      : record::line(std::move(text));
  return source_item(payload(std::move(made)), 0, number, number + 1);
}

/// More items of the same kind, or another pace, are no other source.
std::string generate_source::fingerprint() const {
  return (options_.shape == record::shape::json ? "generate json " : "generate text ") +
         options_.pattern;
}

}  // namespace brigade
