// What the cases of the connector suite are made of: a folder, a shelf that things can be put on, a
// rig that runs a pipeline over them again and again, and connectors that are watched.
#pragma once
#include <brigade/pipeline/engine.hpp>
#include <brigade/pipeline/memory_source.hpp>
#include <brigade/pipeline/report.hpp>
#include <brigade/testing/connector_suite.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brigade::testing::suite {

using texts = std::vector<std::string>;

/// No run and no wait of a case takes longer than this.
std::chrono::seconds patience();

void expect(bool holds, const std::string& otherwise);
/// The samples with these numbers.
texts samples(const suite_texts& of, std::size_t first, std::size_t count);
/// Each of `wanted` is in `found` once, or more often where that is allowed, and nothing else is.
void expect_all(const texts& found, const texts& wanted, bool may_repeat = false);
/// How many different ones there are.
std::size_t different(const texts& found);

/// A folder that is gone when the case is over.
class folder {
 public:
  folder();
  ~folder();
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Where the suite's own sink puts items: a file, so that they outlive a kill.
class shelf {
 public:
  explicit shelf(const folder& in) : path_(in.path() / "shelf") {}
  void put(const texts& items) const;
  [[nodiscard]] texts all() const;

 private:
  std::filesystem::path path_;
};

/// Called at each step of a watched connector, by name ("read", "read done", "acknowledge", ...).
using step_hook = std::function<void(std::string_view step)>;

/// The connector, and a hook before and behind each of its calls.
std::unique_ptr<source> watched(std::unique_ptr<source> one, step_hook at_step,
                                std::size_t read_items_max = 1000);
std::unique_ptr<sink> watched(std::unique_ptr<sink> one, step_hook at_step);

/// The suite's own sink: at least once, on a shelf.
class shelf_sink final : public sink {
 public:
  using reader = std::function<std::string(const payload&)>;
  shelf_sink(const shelf& to, reader text_of) : to_(to), text_of_(std::move(text_of)) {}
  task<std::vector<partition_mark>> open(const sink_resume& resume) override;
  task<write_result> write(std::span<const sink_item> batch,
                           std::span<const partition_mark> marks) override;
  [[nodiscard]] bool wants_names() const override { return false; }
  /// While it is true, the sink is down.
  std::function<bool()> is_down = [] { return false; };

 private:
  const shelf& to_;
  reader text_of_;
};

/// The suite's own source: these items, asked for again until they are finished.
class list_source final : public brigade::detail::memory_source {
 public:
  using maker = std::function<payload(const std::string&)>;
  list_source(texts items, maker item_of, std::size_t read_items_max)
      : memory_source("items"),
        items_(std::move(items)),
        item_of_(std::move(item_of)),
        read_items_max_(read_items_max) {}
  task<std::vector<source_item>> read(std::size_t items_max) override;

 private:
  texts items_;
  maker item_of_;
  std::size_t read_items_max_;
  std::size_t at_ = 0;
};

/// How a run goes; the defaults are small, so that much happens with few items.
struct course {
  std::size_t window = 16;
  std::size_t batch = 4;
  milliseconds batch_age{2};
  int attempts_max = 2;
  milliseconds stop_timeout{5000};
  /// Called on the loop about once a millisecond while the engine runs.
  std::function<void(engine&)> look{};
  /// An item of this text fails for good in a stage.
  std::function<bool(const payload&)> is_poison{};
};

/// A pipeline and its ledger, in a folder of their own.
class rig {
 public:
  [[nodiscard]] const folder& place() const { return place_; }
  [[nodiscard]] std::filesystem::path ledger_path() const { return place_.path() / "ledger.db"; }
  /// Fails when it does not end, or its numbers do not add up. The engine is `running()` meanwhile.
  report run(std::unique_ptr<source> from, std::unique_ptr<sink> to, const course& how);
  [[nodiscard]] engine* running() const { return running_; }
  /// Items with an outcome that is not `returned`, over all runs; of a ledger that is closed.
  [[nodiscard]] std::uint64_t finished() const;

 private:
  folder place_;
  engine* running_ = nullptr;
};

/// Says yes once the condition has held for so long, asked about once a millisecond.
class held_for {
 public:
  explicit held_for(std::chrono::milliseconds how_long) : how_long_(how_long) {}
  bool operator()(bool holds);

 private:
  std::chrono::milliseconds how_long_;
  std::optional<std::chrono::steady_clock::time_point> since_;
};

/// Runs a task of its own on a loop of its own; fails when it does not end.
void run_bounded(task<> body);

/// How a child process ended: killed, or with what went wrong (empty: nothing).
struct child_end {
  bool killed = false;
  std::string failure{};
};
/// Runs it in a child process, which is killed when it takes too long.
child_end in_child(const std::function<void()>& body);
[[noreturn]] void kill_this_process();

// --- a pipeline from the source that is tried to a shelf ---
class source_trial {
 public:
  explicit source_trial(const source_description& of)
      : what(of), far(of.make()), on_shelf(world.place()) {
    far->keeps_ledger_at(world.ledger_path());
  }
  /// Runs until the source ends or, where it does not, `wanted` different items are on the shelf.
  report run_until(std::size_t wanted, course how = {}, const step_hook& at_step = nullptr);
  [[nodiscard]] std::unique_ptr<shelf_sink> make_sink() const;
  [[nodiscard]] texts sample(std::size_t first, std::size_t count) const {
    return samples(what.texts, first, count);
  }
  /// Feeds, and says that this was all.
  void feed_all(const texts& items) const {
    far->feed(items);
    far->end();
  }

  const source_description& what;
  std::unique_ptr<source_far_side> far;
  rig world;
  shelf on_shelf;
};

// --- a pipeline from a list to the sink that is tried ---
class sink_trial {
 public:
  explicit sink_trial(const sink_description& of) : what(of), far(of.make()) {}
  report run(const texts& items, const course& how = {}, const step_hook& at_step = nullptr);
  [[nodiscard]] texts sample(std::size_t first, std::size_t count) const {
    return samples(what.texts, first, count);
  }
  /// All is there; more than once only where something happened and the sink does not promise more.
  void expect_stored(const texts& wanted, bool something_happened = false) const;

  const sink_description& what;
  std::unique_ptr<sink_far_side> far;
  rig world;
};

// --- the cases ---
void add_source_cases(std::vector<source_case>& to);
void add_source_stop_cases(std::vector<source_case>& to);
void add_source_network_cases(std::vector<source_case>& to);
void add_sink_cases(std::vector<sink_case>& to);
void add_sink_stop_cases(std::vector<sink_case>& to);
void add_sink_network_cases(std::vector<sink_case>& to);

template <class Description>
std::string always(const Description&) {
  return {};
}
template <class Description>
std::string on_a_network(const Description& what) {
  return what.on_a_network ? "" : "it is not on a network";
}
template <class Description>
std::string if_it_goes_down(const Description& what) {
  return what.goes_down ? "" : "its far side cannot be taken away";
}

}  // namespace brigade::testing::suite
