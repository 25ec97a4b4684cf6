#include <brigade/async/assert.hpp>
#include <brigade/async/detail/probe.hpp>
#include <brigade/pipeline/watermark.hpp>

#include <algorithm>

namespace brigade {

watermark::watermark(const mark& resume, gaps between) : between_(between), settled_(resume) {}

std::uint64_t watermark::taken(std::uint64_t begin, std::uint64_t end) {
  BRIGADE_ASSERT(begin < end, "watermark: an item that ends before it begins");
  BRIGADE_ASSERT(begin >= end_, "watermark: items were not taken in ascending order");
  BRIGADE_ASSERT(!settled_.finished(begin), "watermark: an item was taken that is finished");
  end_ = end;
  window_.push_back({begin, end, false});
  ++unfinished_;
  return first_ + window_.size() - 1;
}

const watermark::item& watermark::at_slot(std::uint64_t slot) const {
  BRIGADE_ASSERT(slot >= first_, "watermark: an item was finished twice");
  BRIGADE_ASSERT(slot < first_ + window_.size(), "watermark: a slot that was never taken");
  return window_[static_cast<std::size_t>(slot - first_)];
}

void watermark::finished(std::uint64_t slot) {
  BRIGADE_ASSERT(!at_slot(slot).finished, "watermark: an item was finished twice");
  window_[static_cast<std::size_t>(slot - first_)].finished = true;
  --unfinished_;
  while (!window_.empty() && window_.front().finished) {
    add_run(settled_, window_.front().begin, window_.front().end, true);
    window_.pop_front();
    ++first_;
  }
}

void watermark::part_finished(std::uint64_t slot, std::string path) {
  const item& whole = at_slot(slot);
  BRIGADE_ASSERT(!whole.finished, "watermark: a child was finished after its item");
  settled_.finish_part(whole.begin, std::move(path));
}

bool watermark::is_part_finished(std::uint64_t slot, const std::string& path) const {
  return settled_.part_finished(at_slot(slot).begin, path);
}

bool watermark::has_finished_parts(std::uint64_t slot) const {
  return settled_.has_parts(at_slot(slot).begin);
}

/// Before the window's first item nothing is unfinished, so a run that starts with it starts at
/// low.
void watermark::add_run(mark_builder& to, std::uint64_t begin, std::uint64_t end,
                        bool is_first) const {
  const bool behind_no_hole =
      is_first || !detail::probe::stands(detail::probe::guard::watermark_hole);
  const bool from_low = behind_no_hole && between_ == gaps::bridged && begin > to.low();
  to.finish(from_low ? to.low() : begin, end);
}

mark watermark::at_with(std::span<const std::uint64_t> slots,
                        std::span<const slot_part> parts) const {
  std::vector<std::uint64_t> also(slots.begin(), slots.end());
  if (!std::ranges::is_sorted(also)) std::ranges::sort(also);
  mark_builder result = settled_;
  for (const slot_part& child : parts) {
    result.finish_part(at_slot(child.slot).begin, child.path);
  }

  auto next_also = also.begin();
  // What lies behind the last that is finished is not looked at: with a large window, most of it.
  std::size_t finished_left = window_.size() - unfinished_ + also.size();
  std::size_t index = 0;
  const auto more = [&] { return finished_left != 0 && index < window_.size(); };
  const auto take_finished = [&] {
    bool finished = window_[index].finished;
    if (next_also != also.end() && *next_also == first_ + index) {
      BRIGADE_ASSERT(!finished, "watermark: an item was finished twice");
      finished = true;
      ++next_also;
    }
    ++index;
    if (finished) --finished_left;
    return finished;
  };
  while (more()) {
    const std::size_t run = index;
    if (!take_finished()) continue;
    std::size_t last = run;
    while (more()) {
      const bool joined = between_ == gaps::bridged || window_[index].begin == window_[last].end;
      if (!joined || !take_finished()) break;
      last = index - 1;
    }
    add_run(result, window_[run].begin, window_[last].end, run == 0);
  }
  BRIGADE_ASSERT(next_also == also.end(), "watermark: a slot that is finished, or named twice");
  return result.at();
}

}  // namespace brigade
