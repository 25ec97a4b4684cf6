#include <brigade/async/cancel.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/fakes.hpp>

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <utility>

namespace brigade::testing {

namespace {

using namespace std::chrono_literals;

std::string item_id(const std::string& partition, std::uint64_t begin) {
  return partition + ":" + std::to_string(begin);
}

task<> nap(milliseconds how_long) { co_await sleep_for(how_long); }

}  // namespace

// --- the source ---

void fake_store::add(const std::string& partition_name, entry item) {
  auto found = std::ranges::find(partitions_, partition_name, &partition::name);
  if (found == partitions_.end()) {
    partitions_.push_back({partition_name, {}});
    found = std::prev(partitions_.end());
  }
  BRIGADE_ASSERT(item.begin < item.end, "an item that ends before it begins");
  const bool behind = found->entries.empty() || found->entries.back().end <= item.begin;
  BRIGADE_ASSERT(behind, "the items of a partition are added in ascending order");
  found->entries.push_back(std::move(item));
}

task<> fake_source::open(std::vector<partition_mark> resume, std::string) {
  open_ = true;
  for (std::size_t n = 0; n < store_.partitions_.size(); ++n) {
    const fake_store::partition& from = store_.partitions_[n];
    const auto known = std::ranges::find(resume, from.name, &partition_mark::partition);
    cursor unread{n, {}};
    for (std::size_t at = from.entries.size(); at-- > 0;) {
      const fake_store::entry& entry = from.entries[at];
      if (known != resume.end() && known->at.finished(entry.begin)) continue;
      if (entry.trimmed) {
        store_.lost_.push_back(item_id(from.name, entry.begin));
      } else {
        unread.unread.push_back(at);
      }
    }
    if (!unread.unread.empty()) cursors_.push_back(std::move(unread));
  }
  co_return;
}

std::uint32_t fake_source::index_of(const std::string& name) {
  const auto known = std::ranges::find(names_, name);
  const auto index = static_cast<std::uint32_t>(known - names_.begin());
  if (known == names_.end()) names_.push_back(name);
  return index;
}

task<std::vector<source_item>> fake_source::read(std::size_t items_max) {
  const auto delay = static_cast<std::uint64_t>(faults_.read_delay_max.count());
  if (delay != 0) co_await sleep_for(milliseconds(random_.below(delay + 1)));
  if (faults_.breaks_one_in != 0 && random_.one_in(faults_.breaks_one_in)) {
    throw std::runtime_error("the source's disk broke");
  }
  std::vector<source_item> given;
  const std::size_t most = std::min(items_max, faults_.read_items_max);
  const std::size_t count = 1 + static_cast<std::size_t>(random_.below(most));
  while (given.size() < count && !cursors_.empty()) {
    const auto turn =
        cursors_.begin() + static_cast<std::ptrdiff_t>(random_.below(cursors_.size()));
    const fake_store::partition& from = store_.partitions_[turn->partition];
    const fake_store::entry& entry = from.entries[turn->unread.back()];
    turn->unread.pop_back();
    given.emplace_back(payload(entry.text), index_of(from.name), entry.begin, entry.end);
    if (entry.undecodable) given.back().undecodable = "not in any known alphabet";
    if (turn->unread.empty()) cursors_.erase(turn);
  }
  co_return given;
}

void fake_source::acknowledge(std::uint32_t partition, const watermark& at) {
  const mark finished = at.at();
  if (store_.on_acknowledge) store_.on_acknowledge(names_[partition], finished);
  if (!faults_.trims) return;
  const auto found =
      std::ranges::find(store_.partitions_, names_[partition], &fake_store::partition::name);
  for (fake_store::entry& entry : found->entries) {
    if (!entry.trimmed && finished.finished(entry.begin)) entry.trimmed = random_.one_in(2);
  }
}

task<> fake_source::close() {
  open_ = false;
  co_return;
}

// --- the sink ---

std::string fake_sink::length() const {
  return kind_ == fake_sink_kind::cut ? std::to_string(table_.rows.size()) : std::string();
}

task<std::vector<partition_mark>> fake_sink::open(const sink_resume& resume) {
  open_ = true;
  if (kind_ == fake_sink_kind::cut) {
    std::size_t keep = table_.rows.size();
    std::from_chars(resume.token.data(), resume.token.data() + resume.token.size(), keep);
    BRIGADE_ASSERT(keep <= table_.rows.size(), "a sink's token names more rows than there are");
    table_.rows.resize(keep);
  }
  opened_with_ = length();
  std::vector<partition_mark> marks;
  for (const auto& [partition, at] : table_.marks) marks.push_back({partition, at});
  co_return marks;
}

std::string fake_sink::first_token() const { return opened_with_; }

write_result fake_sink::judge(std::size_t items) {
  write_result result;
  result.failures.resize(items);
  for (auto& entry : result.failures) {
    if (!chance(faults_.item_fails_one_in)) continue;
    entry.emplace(random_.one_in(3) ? verdict::permanent : verdict::retryable, "row refused");
  }
  return result;
}

task<write_result> fake_sink::write(std::span<const sink_item> batch,
                                    std::span<const partition_mark> marks) {
  co_await sleep_for(some_delay());
  loop& here = loop::current();
  if (chance(faults_.outage_one_in)) {
    const auto most = static_cast<std::uint64_t>(faults_.outage_max.count());
    down_until_ = here.now() + milliseconds(random_.below(most + 1));
  }
  if (down_until_ && here.now() < *down_until_) throw sink_down("no route to the table");
  if (chance(faults_.breaks_one_in)) throw std::logic_error("the table is on fire");
  write_result result = judge(batch.size());
  const bool any_failed =
      std::ranges::any_of(result.failures, [](const auto& entry) { return entry.has_value(); });
  if (!(transactional() && any_failed)) {
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (result.failures[i]) continue;
      table_.rows.push_back({std::string(batch[i].id), batch[i].value->get<std::string>()});
    }
    if (transactional()) put_marks(marks);
  }
  result.token = length();
  // It is done; that the answer takes its time changes nothing, and nobody is to think otherwise.
  auto answer = shielded(1h, nap(some_delay()));
  co_await std::move(answer);
  co_return result;
}

task<> fake_sink::commit_marks(std::span<const partition_mark> marks) {
  co_await sleep_for(some_delay());
  put_marks(marks);
}

void fake_sink::put_marks(std::span<const partition_mark> marks) {
  for (const partition_mark& each : marks) {
    mark& known = table_.marks[each.partition];
    BRIGADE_ASSERT(mark::merge(known, each.at) == each.at, "the marks of a sink went back");
    known = each.at;
  }
}

task<> fake_sink::close() {
  open_ = false;
  co_return;
}

}  // namespace brigade::testing
