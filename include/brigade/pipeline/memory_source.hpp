/// Sources for the typed builder: a range, a function that gives one item after the other, several
/// of these side by side, and the receiving end of a channel.
///
/// The items of a range or a function have positions 0, 1, 2, ...: with a ledger, a second run over
/// the same items goes on behind what the first one finished. What came through a channel cannot be
/// asked for again: its positions go on behind those of the run before, and what the run has
/// received when it is stopped is worked on, or returned, like what is under way.
///
/// Thread safety: the loop's thread.
#pragma once
#include <brigade/async/channel.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/task.hpp>
#include <brigade/pipeline/mark.hpp>
#include <brigade/pipeline/source.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace brigade {

/// One of several producers: its name stands in the ids of its items and in the report, so no other
/// of the pipeline has it.
template <class Items>
struct producer {
  producer(std::string name_, Items items_) : name(std::move(name_)), items(std::move(items_)) {}
  std::string name;
  Items items;  ///< a range, or a function as `pipeline::from` takes
};

namespace detail {

/// What is left of a callable's result without `task` and `optional` around it.
template <class T>
struct plain_result {
  using type = T;
};
template <class T>
struct plain_result<task<T>> : plain_result<T> {};
template <class T>
struct plain_result<std::optional<T>> : plain_result<T> {};

/// Numbers its items; see above.
class memory_source : public source {
 public:
  explicit memory_source(const std::string& name) : partitions_{name + ":0"} {}
  task<> open(std::vector<partition_mark> resume, std::string state) override;
  [[nodiscard]] const std::vector<std::string>& partitions() const final { return partitions_; }
  [[nodiscard]] bool finite() const final { return true; }
  [[nodiscard]] std::string fingerprint() const final { return "memory"; }

 protected:
  /// Adds the next item, unless a run before has finished it.
  void add(std::vector<source_item>& batch, payload value) {
    const std::uint64_t at = position_++;
    if (!done_.finished(at)) batch.emplace_back(std::move(value), 0, at, at + 1);
  }
  void go_on_behind_the_last();

 private:
  mark done_;
  std::vector<std::string> partitions_;
  std::uint64_t position_ = 0;
};

template <class Range>
class range_source final : public memory_source {
 public:
  using value = std::ranges::range_value_t<Range>;
  range_source(const std::string& name, Range items)
      : memory_source(name), items_(std::move(items)), at_(std::ranges::begin(items_)) {}
  task<std::vector<source_item>> read(std::size_t items_max) override {
    std::vector<source_item> batch;
    for (; batch.size() < items_max && at_ != std::ranges::end(items_); ++at_) {
      add(batch, payload(value(*at_)));
    }
    co_return batch;
  }

 private:
  Range items_;
  std::ranges::iterator_t<Range> at_;
};

/// Calls a function until it gives nothing.
template <class F>
class generator_source final : public memory_source {
 public:
  using given = std::invoke_result_t<F&>;
  using value = typename plain_result<given>::type;
  generator_source(const std::string& name, F generate)
      : memory_source(name), generate_(std::move(generate)) {}
  task<std::vector<source_item>> read(std::size_t items_max) override {
    std::vector<source_item> batch;
    if constexpr (is_task<given>) {
      while (batch.empty()) {
        auto one = co_await std::invoke(generate_);
        if (!one) break;
        add(batch, payload(std::move(*one)));
      }
    } else {
      while (batch.size() < items_max) {
        auto one = std::invoke(generate_);
        if (!one) break;
        add(batch, payload(std::move(*one)));
      }
    }
    co_return batch;
  }

 private:
  F generate_;
};

template <class T>
class channel_source final : public memory_source {
 public:
  using value = T;
  channel_source(const std::string& name, receiver<T> in)
      : memory_source(name), in_(std::move(in)) {}
  task<> open(std::vector<partition_mark> resume, std::string state) override {
    co_await memory_source::open(std::move(resume), std::move(state));
    go_on_behind_the_last();
  }
  [[nodiscard]] bool replayable() const override { return false; }
  task<std::vector<source_item>> read(std::size_t items_max) override {
    std::vector<source_item> batch;
    std::optional<T> one = co_await in_.receive();
    while (one) {
      add(batch, payload(std::move(*one)));
      if (batch.size() == items_max) break;
      one = in_.try_receive();
    }
    co_return batch;
  }

 private:
  receiver<T> in_;
};

/// Several sources side by side: each is read by a task of its own, so that none waits for another.
class merged_source final : public source {
 public:
  merged_source();
  ~merged_source() override;
  void add(std::unique_ptr<source> one);

  task<> open(std::vector<partition_mark> resume, std::string state) override;
  task<std::vector<source_item>> read(std::size_t items_max) override;
  void stopping() override;
  task<> close() override;
  [[nodiscard]] const std::vector<std::string>& partitions() const override { return partitions_; }
  [[nodiscard]] bool finite() const override { return true; }
  [[nodiscard]] std::string fingerprint() const override { return "memory"; }

 private:
  struct desk;
  void start_readers();
  static task<> read_ahead(std::shared_ptr<desk> shared, std::size_t number);
  [[nodiscard]] std::vector<source_item> take_turn(std::size_t items_max);

  std::shared_ptr<desk> desk_;  ///< the readers' as well: they may end after this
  std::vector<task_handle<>> readers_;
  std::vector<std::string> partitions_;  ///< one a source
  std::size_t next_ = 0;                 ///< whose turn it is
};

template <class Items>
inline constexpr bool is_receiver = false;
template <class T>
inline constexpr bool is_receiver<receiver<T>> = true;

/// What `pipeline::from` makes of a range, a function or a receiver.
template <class Items>
struct source_for : std::type_identity<generator_source<Items>> {};
template <std::ranges::input_range Items>
struct source_for<Items> : std::type_identity<range_source<Items>> {};
template <class T>
struct source_for<receiver<T>> : std::type_identity<channel_source<T>> {};
template <class Items>
using source_of = typename source_for<Items>::type;

}  // namespace detail
}  // namespace brigade
