// Connectors with a hook before and behind each call.
#include "testing/suite_world.hpp"

#include <utility>

namespace brigade::testing::suite {

namespace {

class watched_source final : public source {
 public:
  watched_source(std::unique_ptr<source> one, step_hook at_step, std::size_t read_items_max)
      : one_(std::move(one)), at_step_(std::move(at_step)), read_items_max_(read_items_max) {}

  task<> open(std::vector<partition_mark> resume, std::string state) override {
    at_step_("open");
    auto opening = one_->open(std::move(resume), std::move(state));
    co_await std::move(opening);
    at_step_("open done");
  }
  [[nodiscard]] std::string state() const override { return one_->state(); }
  [[nodiscard]] std::optional<std::string> changed_state(state_kept when) override {
    return one_->changed_state(when);
  }
  [[nodiscard]] std::vector<std::uint32_t> take_forgotten() override {
    return one_->take_forgotten();
  }
  [[nodiscard]] std::optional<std::string> decode(payload& value) const override {
    return one_->decode(value);
  }
  task<std::vector<source_item>> read(std::size_t items_max) override {
    at_step_("read");
    auto reading = one_->read(std::min(items_max, read_items_max_));
    std::vector<source_item> items = co_await std::move(reading);
    at_step_("read done");
    co_return items;
  }
  void stopping() override {
    at_step_("stopping");
    one_->stopping();
  }
  [[nodiscard]] bool wants_outcomes() const override { return one_->wants_outcomes(); }
  void settled(const settled_item& what) override {
    at_step_("settled");
    one_->settled(what);
  }
  void acknowledge(std::uint32_t partition, const watermark& at) override {
    at_step_("acknowledge");
    one_->acknowledge(partition, at);
    at_step_("acknowledge done");
  }
  task<> close() override {
    at_step_("close source");
    co_await one_->close();
  }
  [[nodiscard]] const std::vector<std::string>& partitions() const override {
    return one_->partitions();
  }
  [[nodiscard]] bool finite() const override { return one_->finite(); }
  [[nodiscard]] bool replayable() const override { return one_->replayable(); }
  [[nodiscard]] std::optional<std::uint64_t> size_total() const override {
    return one_->size_total();
  }
  [[nodiscard]] std::string fingerprint() const override { return one_->fingerprint(); }

 private:
  std::unique_ptr<source> one_;
  step_hook at_step_;
  std::size_t read_items_max_;
};

class watched_sink final : public sink {
 public:
  watched_sink(std::unique_ptr<sink> one, step_hook at_step)
      : one_(std::move(one)), at_step_(std::move(at_step)) {}

  task<std::vector<partition_mark>> open(const sink_resume& resume) override {
    at_step_("open");
    std::vector<partition_mark> marks = co_await one_->open(resume);
    at_step_("open done");
    co_return marks;
  }
  task<write_result> write(std::span<const sink_item> batch,
                           std::span<const partition_mark> marks) override {
    at_step_("write");
    std::exception_ptr failed;
    write_result result;
    try {
      result = co_await one_->write(batch, marks);
    } catch (const sink_down&) {
      failed = std::current_exception();
    }
    at_step_(failed ? "down" : "write done");
    if (failed) std::rethrow_exception(failed);
    co_return result;
  }
  task<> commit_marks(std::span<const partition_mark> marks) override {
    at_step_("marks");
    co_await one_->commit_marks(marks);
    at_step_("marks done");
  }
  task<> close() override {
    at_step_("close sink");
    co_await one_->close();
  }
  [[nodiscard]] std::string first_token() const override { return one_->first_token(); }
  [[nodiscard]] bool transactional() const override { return one_->transactional(); }
  [[nodiscard]] bool wants_names() const override { return one_->wants_names(); }
  [[nodiscard]] bool fails_in_order() const override { return one_->fails_in_order(); }

 private:
  std::unique_ptr<sink> one_;
  step_hook at_step_;
};

}  // namespace

std::unique_ptr<source> watched(std::unique_ptr<source> one, step_hook at_step,
                                std::size_t read_items_max) {
  return std::make_unique<watched_source>(std::move(one), std::move(at_step), read_items_max);
}

std::unique_ptr<sink> watched(std::unique_ptr<sink> one, step_hook at_step) {
  return std::make_unique<watched_sink>(std::move(one), std::move(at_step));
}

}  // namespace brigade::testing::suite
