/// The source `file` in `mode: tail`: follows files for as long as it runs.
#pragma once
#include "connect/file_follower.hpp"
#include "connect/file_text.hpp"
#include "connect/file_watch.hpp"
#include "connect/guarded.hpp"

#include <brigade/async/loop.hpp>
#include <brigade/pipeline/source.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace brigade {

struct file_tail_options {
  follower_options follow;
  text_format format;
  std::chrono::nanoseconds look_every = std::chrono::seconds(1);  ///< without a hint
  std::chrono::nanoseconds look_at_most_every = std::chrono::milliseconds(10);
  bool in_place = false;  ///< blocks the loop and watches nothing: for virtual time
};

class file_tail final : public source {
 public:
  explicit file_tail(file_tail_options options) : options_(std::move(options)) {}

  task<> open(std::vector<partition_mark> resume, std::string state) override;
  [[nodiscard]] std::string state() const override { return state_; }
  [[nodiscard]] std::optional<std::string> changed_state(state_kept when) override;
  [[nodiscard]] std::vector<std::uint32_t> take_forgotten() override;
  task<std::vector<source_item>> read(std::size_t items_max) override;
  void acknowledge(std::uint32_t partition, const watermark& at) override;
  task<> close() override;
  [[nodiscard]] std::optional<std::string> decode(payload& value) const override;
  [[nodiscard]] const std::vector<std::string>& partitions() const override { return partitions_; }
  [[nodiscard]] bool finite() const override { return false; }
  [[nodiscard]] std::string fingerprint() const override;

 private:
  /// What is read of a file.
  struct stream {
    std::optional<text_splitter> lines;
    mark done;
    std::uint64_t low = 0;        ///< acknowledged
    std::uint64_t given_end = 0;  ///< of the item given last
    bool low_changed = false;
    bool gone = false;
  };

  task<> advance();
  task<> wait_until_there_may_be_more();
  void take_hints();
  [[nodiscard]] follower_request next_request();
  void take_in(follower_news news);
  void take_lines(std::vector<source_item>& items, std::size_t items_max);
  void take_last_lines(std::vector<source_item>& items, std::size_t items_max);
  void add_item(std::vector<source_item>& items, std::uint32_t index, const text_line& line);
  void forget_if_over(std::uint32_t index);

  file_tail_options options_;
  std::shared_ptr<guarded<file_follower>> follower_;
  folder_watch watch_;
  std::vector<std::string> partitions_;          ///< without a name: free
  std::vector<stream> streams_;                  ///< by partition
  std::deque<follower_news::chunk> chunks_;      ///< the lines of the first are being given
  std::vector<std::uint32_t> ended_;             ///< with perhaps a line left
  std::vector<std::uint32_t> over_;              ///< the engine is to forget them
  std::vector<std::uint32_t> forgotten_;         ///< it did
  follower_look look_ = follower_look::nowhere;  ///< that is due
  detail::time_point looked_{};                  ///< anywhere
  detail::time_point looked_into_folders_{};
  bool more_ = true;
  std::string state_;
  bool state_changed_ = false;
  bool state_first_ = false;
  detail::time_point state_given_{};
};

}  // namespace brigade
