#include <brigade/async/assert.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/wait.hpp>
#include <brigade/pipeline/memory_source.hpp>

#include <algorithm>
#include <exception>
#include <iterator>

namespace brigade::detail {

namespace {
// Of each producer: enough to pay for a read, few enough to take turns soon.
constexpr std::size_t read_ahead_items_max = 64;
}  // namespace

task<> memory_source::open(std::vector<partition_mark> resume, std::string) {
  for (partition_mark& known : resume) {
    if (known.partition == partitions_.front()) done_ = std::move(known.at);
  }
  co_return;
}

void memory_source::go_on_behind_the_last() {
  position_ = done_.above.empty() ? done_.low : done_.above.back().end;
}

struct merged_source::desk {
  struct part {
    std::unique_ptr<source> from;
    std::vector<source_item> batch;  // read, not yet asked for
    bool ended = false;
    event taken{"what was read is taken"};
  };
  std::vector<std::unique_ptr<part>> parts;
  std::exception_ptr failed;
  event arrived{"a producer's item"};
};

merged_source::merged_source() : desk_(std::make_shared<desk>()) {}

merged_source::~merged_source() {
  for (auto& one : readers_) one.cancel("the source is gone");
}

void merged_source::add(std::unique_ptr<source> one) {
  BRIGADE_ASSERT(std::ranges::find(partitions_, one->partitions().front()) == partitions_.end(),
                 "each producer of a pipeline has a name of its own: ids are made of it");
  partitions_.push_back(one->partitions().front());
  desk_->parts.push_back(std::make_unique<desk::part>());
  desk_->parts.back()->from = std::move(one);
}

task<> merged_source::open(std::vector<partition_mark> resume, std::string) {
  for (auto& each : desk_->parts) co_await each->from->open(resume, {});
}

void merged_source::start_readers() {
  for (std::size_t number = 0; number < partitions_.size(); ++number) {
    readers_.push_back(spawn(&merged_source::read_ahead, desk_, number));
    readers_.back().set_name("reader of " + partitions_[number]);
  }
}

// What it has read stays until it is asked for: a stop in between loses nothing.
task<> merged_source::read_ahead(std::shared_ptr<desk> shared, std::size_t number) {
  desk::part& own = *shared->parts[number];
  try {
    while (!own.ended) {
      std::vector<source_item> batch = co_await own.from->read(read_ahead_items_max);
      own.ended = batch.empty();
      own.batch = std::move(batch);
      own.taken.clear();
      shared->arrived.set();
      if (!own.ended) co_await own.taken.wait();
    }
  } catch (...) {
    if (loop::current().running()->interrupted()) throw;
    shared->failed = std::current_exception();
    shared->arrived.set();
  }
}

// One batch of whoever has one, in turn; none: nobody has.
std::vector<source_item> merged_source::take_turn(std::size_t items_max) {
  std::vector<source_item> batch;
  for (std::size_t tried = 0; tried < desk_->parts.size() && batch.empty(); ++tried) {
    const std::size_t number = next_++ % desk_->parts.size();
    desk::part& chosen = *desk_->parts[number];
    const std::size_t count = std::min(items_max, chosen.batch.size());
    const auto end = chosen.batch.begin() + static_cast<std::ptrdiff_t>(count);
    std::move(chosen.batch.begin(), end, std::back_inserter(batch));
    chosen.batch.erase(chosen.batch.begin(), end);
    if (chosen.batch.empty()) chosen.taken.set();
    for (source_item& each : batch) each.partition = static_cast<std::uint32_t>(number);
  }
  return batch;
}

task<std::vector<source_item>> merged_source::read(std::size_t items_max) {
  if (readers_.empty()) start_readers();
  for (;;) {
    if (desk_->failed) std::rethrow_exception(desk_->failed);
    std::vector<source_item> batch = take_turn(items_max);
    const bool ended =
        std::ranges::all_of(desk_->parts, [](const auto& each) { return each->ended; });
    if (!batch.empty() || ended) co_return batch;
    desk_->arrived.clear();
    co_await desk_->arrived.wait();
  }
}

void merged_source::stopping() {
  for (auto& each : desk_->parts) each->from->stopping();
}

task<> merged_source::close() {
  for (auto& one : readers_) one.cancel("the source is closed");
  if (!readers_.empty()) co_await wait(readers_);
  readers_.clear();
  for (auto& each : desk_->parts) co_await each->from->close();
}

}  // namespace brigade::detail
