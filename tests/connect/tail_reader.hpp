/// A source `file` in mode tail, read in virtual time, through lives and kills.
#pragma once
#include "connect/file_tail.hpp"
#include "connect/temporary_folder.hpp"

#include <brigade/async/timeout.hpp>
#include <brigade/pipeline/log.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace brigade::test {

using texts = std::vector<std::string>;

/// What one life of a reader leaves to the next.
struct kept {
  std::map<std::string, mark> marks;
  std::string state;
  std::chrono::nanoseconds rotated_quiet = std::chrono::seconds(10);
  std::size_t open_max = 256;

  [[nodiscard]] std::vector<partition_mark> resume() const {
    std::vector<partition_mark> all;
    for (const auto& [partition, at] : marks) all.push_back({partition, at});
    return all;
  }
};

/// A reader in virtual time that acknowledges what it reads, unless told otherwise.
class tail_reader {
 public:
  tail_reader(const temporary_folder& folder, texts paths, kept& memory)
      : folder_(folder), paths_(std::move(paths)), memory_(memory) {
    start();
  }
  ~tail_reader() { stop(); }

  /// What is read until nothing has come for `quiet`, as texts.
  texts next(std::chrono::nanoseconds quiet = std::chrono::milliseconds(1500)) {
    texts all;
    loop_.run(read_until_quiet(quiet, all));
    return all;
  }
  void again() {
    stop();
    start();
  }
  /// Without the chance to keep anything more.
  void kill_and_start() {
    loop_.run(from_->close());
    from_.reset();
    start();
  }
  [[nodiscard]] texts said() { return std::exchange(said_, {}); }
  bool acknowledges = true;
  line_format format = line_format::lines;
  /// Of the partitions whose marks are kept.
  [[nodiscard]] std::size_t kept_marks() const { return memory_.marks.size(); }
  [[nodiscard]] const std::string& state() const { return memory_.state; }
  [[nodiscard]] file_tail& source() { return *from_; }

 private:
  void start() {
    file_tail_options options;
    options.follow.name = "main";
    options.follow.folder = folder_.path().string();
    options.follow.paths = paths_;
    options.follow.chunk_bytes = 64;
    options.follow.open_max = memory_.open_max;
    options.follow.rotated_quiet = memory_.rotated_quiet;
    options.format.what = format;
    options.in_place = true;
    from_.emplace(std::move(options));
    marks_.clear();
    const log_to here([this](std::string_view line) { said_.emplace_back(line); });
    loop_.run(open());
  }
  void stop() {
    if (!from_) return;
    loop_.run(finish());
    from_.reset();
  }
  task<> open() {
    co_await from_->open(memory_.resume(), memory_.state);
    memory_.state = from_->state();
    learn();
  }
  task<> finish() {
    if (auto state = from_->changed_state(source::state_kept::at_end)) memory_.state = *state;
    forget();
    co_await from_->close();
  }
  void learn() {
    const std::vector<std::string>& names = from_->partitions();
    if (marks_.size() < names.size()) marks_.resize(names.size(), {std::string(), watermark({})});
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (marks_[i].first == names[i]) continue;
      const auto known = memory_.marks.find(names[i]);
      const mark from = known == memory_.marks.end() ? mark{} : known->second;
      marks_[i] = {names[i], watermark(from)};
    }
  }
  void forget() {
    learn();
    const std::vector<std::uint32_t> over = from_->take_forgotten();
    if (!over.empty()) memory_.state = from_->state();
    for (const std::uint32_t index : over) {
      EXPECT_EQ(marks_[index].second.unfinished(), 0U);
      memory_.marks.erase(marks_[index].first);
      marks_[index] = {std::string(), watermark({})};
    }
  }
  task<> read_until_quiet(std::chrono::nanoseconds quiet, texts& all) {
    const log_to here([this](std::string_view line) { said_.emplace_back(line); });
    for (;;) {
      std::vector<source_item> items;
      bool came = true;
      try {
        auto reading = from_->read(3);
        auto bounded = timeout(quiet, std::move(reading));
        items = co_await std::move(bounded);
      } catch (const timed_out&) {
        came = false;
      }
      if (!came) break;
      take(items, all);
    }
    learn();
    keep_state();
    forget();
  }
  /// As the engine does from time to time.
  void keep_state() {
    if (auto state = from_->changed_state(source::state_kept::with_outcomes)) {
      memory_.state = *state;
    }
  }
  void take(const std::vector<source_item>& items, texts& all) {
    learn();
    if (auto state = from_->changed_state(source::state_kept::before_items)) {
      memory_.state = *state;
    }
    for (const source_item& item : items) {
      const std::uint64_t slot = marks_[item.partition].second.taken(item.begin, item.end);
      all.emplace_back(item.undecodable ? "!" + *item.undecodable
                                        : std::string(item.value.get<record>().raw()));
      if (!acknowledges) continue;
      auto& [name, at] = marks_[item.partition];
      at.finished(slot);
      memory_.marks[name] = at.at();
      from_->acknowledge(item.partition, at);
    }
    if (acknowledges) keep_state();
  }

  const temporary_folder& folder_;
  texts paths_;
  kept& memory_;
  testing::virtual_loop loop_;
  std::optional<file_tail> from_;
  std::vector<std::pair<std::string, watermark>> marks_;
  texts said_;
};

}  // namespace brigade::test
