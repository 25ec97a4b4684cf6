#include "connect/file_tail.hpp"

#include <brigade/async/timeout.hpp>
#include <brigade/pipeline/log.hpp>

#include <algorithm>
#include <utility>

namespace brigade {
namespace {

// A state of many files is not written with every batch of outcomes.
constexpr std::size_t small_state_bytes = std::size_t{8} << 10;
constexpr std::chrono::seconds large_state_every{1};

follower_news open_follower(file_follower& follower, const std::vector<partition_mark>& resume,
                            const std::string& state, const std::chrono::nanoseconds& now) {
  return follower.open(resume, state, now);
}

follower_news advance_follower(file_follower& follower, const follower_request& request) {
  return follower.advance(request);
}

std::chrono::nanoseconds time_of(detail::time_point now) { return now.time_since_epoch(); }

detail::time_point fresh_now() {
  loop& here = loop::current();
  here.refresh_now();
  return here.now();
}

}  // namespace

task<> file_tail::open(std::vector<partition_mark> resume, std::string state) {
  follower_ = std::make_shared<guarded<file_follower>>(options_.follow);
  const std::chrono::nanoseconds now = time_of(fresh_now());
  follower_news news;
  if (options_.in_place) {
    news = follower_->object.open(resume, state, now);
  } else {
    if (const auto problem = watch_.begin()) log_line(*problem);
    auto call = call_guarded(follower_, &open_follower, std::move(resume), std::move(state), now);
    news = co_await std::move(call);
  }
  take_in(std::move(news));
  look_ = follower_look::folders;  // for what happened before there was a watch
}

task<std::vector<source_item>> file_tail::read(std::size_t items_max) {
  std::vector<source_item> items;
  for (;;) {
    take_lines(items, items_max);
    take_last_lines(items, items_max);
    if (!items.empty()) co_return items;
    co_await advance();
  }
}

// Nothing is lost when this is cancelled: the call is waited for, and its news are taken in.
task<> file_tail::advance() {
  take_hints();
  if (!more_) co_await wait_until_there_may_be_more();
  follower_request request = next_request();
  follower_news news;
  if (options_.in_place) {
    news = follower_->object.advance(request);
  } else {
    auto call = call_guarded(follower_, &advance_follower, std::move(request));
    news = co_await std::move(call);
  }
  take_in(std::move(news));
}

task<> file_tail::wait_until_there_may_be_more() {
  const detail::time_point next_look = looked_into_folders_ + options_.look_every;
  if (look_ == follower_look::nowhere && watch_.is_watching()) {
    const auto patience = next_look - loop::current().now();
    try {
      auto hint = watch_.wait();
      auto bounded = timeout(patience, std::move(hint));
      co_await std::move(bounded);
    } catch (const timed_out&) {
      look_ = follower_look::folders;
    }
  } else if (look_ == follower_look::nowhere) {
    co_await sleep_until(next_look);
    look_ = follower_look::folders;
  }
  const detail::time_point earliest = looked_ + options_.look_at_most_every;
  if (fresh_now() < earliest) co_await sleep_until(earliest);
  take_hints();
}

void file_tail::take_hints() {
  switch (watch_.take()) {
    case folder_watch::hint::nothing:
      break;
    case folder_watch::hint::written:
      look_ = std::max(look_, follower_look::sizes);
      break;
    case folder_watch::hint::renamed:
      look_ = follower_look::folders;
      break;
  }
  if (fresh_now() >= looked_into_folders_ + options_.look_every) look_ = follower_look::folders;
}

follower_request file_tail::next_request() {
  follower_request request;
  const detail::time_point now = loop::current().now();
  request.now = time_of(now);
  request.forgotten = std::exchange(forgotten_, {});
  for (std::uint32_t index = 0; index < streams_.size(); ++index) {
    if (!std::exchange(streams_[index].low_changed, false)) continue;
    request.acknowledged.emplace_back(index, streams_[index].low);
  }
  if (look_ == follower_look::nowhere || now < looked_ + options_.look_at_most_every) {
    return request;
  }
  request.look = std::exchange(look_, follower_look::nowhere);
  looked_ = now;
  if (request.look == follower_look::folders) looked_into_folders_ = now;
  return request;
}

void file_tail::take_in(follower_news news) {
  for (follower_news::opened_file& each : news.opened) {
    if (partitions_.size() <= each.index) {
      partitions_.resize(each.index + 1);
      streams_.resize(each.index + 1);
    }
    partitions_[each.index] = std::move(each.partition);
    stream& made = streams_[each.index];
    made = stream{};
    made.low = each.done.low;
    made.done = std::move(each.done);
    made.lines.emplace(options_.format, made.low, partitions_[each.index]);
  }
  for (const std::string& line : news.notices) log_line(line);
  if (!news.folders.empty()) {
    if (const auto problem = watch_.watch(news.folders)) log_line(*problem);
  }
  ended_.insert(ended_.end(), news.ended.begin(), news.ended.end());
  for (follower_news::chunk& each : news.chunks) {
    const follower_news::chunk& kept = chunks_.emplace_back(std::move(each));
    streams_[kept.index].lines->feed(kept.bytes);
  }
  for (const std::uint32_t index : news.gone) {
    streams_[index].gone = true;
    forget_if_over(index);
  }
  if (news.state) {
    state_ = *std::move(news.state);
    state_changed_ = true;
    state_first_ = state_first_ || news.state_first;
  }
  more_ = news.more;
}

void file_tail::take_lines(std::vector<source_item>& items, std::size_t items_max) {
  while (!chunks_.empty() && items.size() < items_max) {
    const std::uint32_t index = chunks_.front().index;
    if (auto line = streams_[index].lines->next()) {
      add_item(items, index, *line);
      continue;
    }
    chunks_.pop_front();
    forget_if_over(index);
  }
}

// What has no newline and will not get one.
void file_tail::take_last_lines(std::vector<source_item>& items, std::size_t items_max) {
  while (chunks_.empty() && !ended_.empty() && items.size() < items_max) {
    const std::uint32_t index = ended_.back();
    ended_.pop_back();
    if (auto last = streams_[index].lines->finish()) add_item(items, index, *last);
    forget_if_over(index);
  }
}

void file_tail::add_item(std::vector<source_item>& items, std::uint32_t index,
                         const text_line& line) {
  stream& from = streams_[index];
  if (from.done.finished(line.begin)) return;
  const std::uint64_t begin = line.begin;
  const std::uint64_t end = line.end;
  from.given_end = end;
  decoded_line decoded = from.lines->decode(line);
  items.emplace_back(payload(std::move(decoded.value)), index, begin, end);
  items.back().undecodable = std::move(decoded.undecodable);
}

void file_tail::acknowledge(std::uint32_t partition, const watermark& at) {
  stream& from = streams_[partition];
  from.low = at.low();
  from.low_changed = true;
  forget_if_over(partition);
}

void file_tail::forget_if_over(std::uint32_t index) {
  stream& from = streams_[index];
  if (!from.gone || from.low < from.given_end) return;
  if (std::ranges::find(chunks_, index, &follower_news::chunk::index) != chunks_.end()) return;
  if (std::ranges::find(ended_, index) != ended_.end()) return;
  from.gone = false;  // said once
  over_.push_back(index);
}

std::vector<std::uint32_t> file_tail::take_forgotten() {
  for (const std::uint32_t index : over_) {
    partitions_[index].clear();
    streams_[index] = stream{};
    forgotten_.push_back(index);
  }
  return std::exchange(over_, {});
}

// What must be durable before items go on is not durable yet when it was given with outcomes.
std::optional<std::string> file_tail::changed_state(state_kept when) {
  if (!state_changed_) return std::nullopt;
  const detail::time_point now = loop::current().now();
  switch (when) {
    case state_kept::before_items:
      if (!std::exchange(state_first_, false)) return std::nullopt;
      break;
    case state_kept::with_outcomes:
      // What is forgotten must not be looked for any more.
      if (over_.empty() && state_.size() > small_state_bytes &&
          now < state_given_ + large_state_every) {
        return std::nullopt;
      }
      break;
    case state_kept::at_end:
      break;
  }
  state_given_ = now;
  state_changed_ = state_first_;
  return state_;
}

task<> file_tail::close() {
  watch_.end();
  follower_.reset();
  co_return;
}

std::optional<std::string> file_tail::decode(payload& value) const {
  decoded_line decoded = decode_again(options_.format, value.get<record>());
  value = payload(std::move(decoded.value));
  return std::move(decoded.undecodable);
}

// That of `once`: what was read in one mode is read on in the other.
std::string file_tail::fingerprint() const {
  std::string text = format_fingerprint("file", options_.format);
  for (const std::string& path : options_.follow.paths) text += " " + path;
  return text;
}

}  // namespace brigade
