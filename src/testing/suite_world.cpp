#include "testing/suite_world.hpp"

#include <brigade/async/loop.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/pipeline/ledger.hpp>
#include <brigade/pipeline/ledger_reader.hpp>
#include <brigade/pipeline/recorded_run.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <utility>

namespace brigade::testing::suite {

using namespace std::chrono_literals;

std::chrono::seconds patience() {
  const char* const given = std::getenv("BRIGADE_SUITE_PATIENCE");
  const int seconds = given == nullptr ? 0 : std::atoi(given);
  return std::chrono::seconds(seconds > 0 ? seconds : 20);
}

void expect(bool holds, const std::string& otherwise) {
  if (!holds) throw suite_failure(otherwise);
}

texts samples(const suite_texts& of, std::size_t first, std::size_t count) {
  texts result;
  for (std::size_t number = first; number < first + count; ++number) {
    result.push_back(of.of(number));
  }
  return result;
}

namespace {

std::string shown(const std::string& text) {
  return text.size() <= 40
             ? "'" + text + "'"
             : "'" + text.substr(0, 40) + "...' (" + std::to_string(text.size()) + " bytes)";
}

}  // namespace

void expect_all(const texts& found, const texts& wanted, bool may_repeat) {
  std::map<std::string, std::pair<int, int>> counts;  // wanted, found
  for (const std::string& text : wanted) ++counts[text].first;
  for (const std::string& text : found) ++counts[text].second;
  std::string wrong;
  for (const auto& [text, count] : counts) {
    const auto& [due, came] = count;
    if (came == due || (may_repeat && due > 0 && came > due)) continue;
    if (wrong.size() > 300) break;
    wrong += "\n  " + shown(text) + ": " + std::to_string(came) + " times instead of " +
             std::to_string(due);
  }
  expect(wrong.empty(), "what came is not what was given (" + std::to_string(found.size()) +
                            " items, of " + std::to_string(wanted.size()) + "):" + wrong);
}

std::size_t different(const texts& found) { return std::set(found.begin(), found.end()).size(); }

folder::folder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "brigade-suite-XXXXXX").string();
  expect(::mkdtemp(pattern.data()) != nullptr, "no temporary folder can be made");
  path_ = pattern;
}

folder::~folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

// Each item is its length and its bytes, all of a batch in one call: a kill leaves no half.
void shelf::put(const texts& items) const {
  std::string bytes;
  for (const std::string& item : items) bytes += std::to_string(item.size()) + ":" + item;
  const int fd = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const bool whole =
      fd >= 0 && ::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  if (fd >= 0) ::close(fd);
  expect(whole, "the suite cannot write " + path_.string());
}

texts shelf::all() const {
  texts result;
  std::ifstream file(path_, std::ios::binary);
  std::size_t size = 0;
  char colon = 0;
  while (file >> size && file.get(colon)) {
    std::string text(size, '\0');
    file.read(text.data(), static_cast<std::streamsize>(size));
    result.push_back(std::move(text));
  }
  return result;
}

task<std::vector<partition_mark>> shelf_sink::open(const sink_resume&) {
  co_return std::vector<partition_mark>{};
}

task<write_result> shelf_sink::write(std::span<const sink_item> batch,
                                     std::span<const partition_mark>) {
  if (is_down()) throw sink_down("the shelf is out of reach");
  texts items;
  for (const sink_item& item : batch) items.push_back(text_of_(*item.value));
  to_.put(items);
  write_result result;
  result.failures.resize(batch.size());
  co_return result;
}

task<std::vector<source_item>> list_source::read(std::size_t items_max) {
  std::vector<source_item> batch;
  const std::size_t most = std::min(items_max, read_items_max_);
  for (; batch.size() < most && at_ < items_.size(); ++at_) add(batch, item_of_(items_[at_]));
  co_return batch;
}

namespace {

class poison_stage final : public stage_body {
 public:
  explicit poison_stage(std::function<bool(const payload&)> is_poison)
      : is_poison_(std::move(is_poison)) {}
  [[nodiscard]] bool immediate() const override { return true; }
  attempt_result run_now(payload& item, const attempt_info&) override {
    if (is_poison_(item)) throw permanent_error("the suite poisoned it");
    return attempt_result::unchanged();
  }

 private:
  std::function<bool(const payload&)> is_poison_;
};

pipeline_plan plan_of(std::unique_ptr<source> from, std::unique_ptr<sink> to, const course& how) {
  pipeline_plan plan;
  plan.name = "suite";
  plan.source_name = "main";
  plan.from = std::move(from);
  plan.sink_name = "out";
  plan.to = std::move(to);
  plan.sink_rules.batch_items_max = how.batch;
  plan.sink_rules.batch_age_max = how.batch_age;
  plan.sink_rules.retry.attempts_max = how.attempts_max;
  plan.sink_rules.retry.backoff_min = 1ms;
  plan.sink_rules.retry.backoff_max = 20ms;
  plan.rules.window_items_max = how.window;
  plan.rules.stop_timeout = how.stop_timeout;
  plan.jitter_seed = 1;
  if (how.is_poison) {
    stage_plan poison;
    poison.name = "poison";
    poison.body = std::make_unique<poison_stage>(how.is_poison);
    plan.stages.push_back(std::move(poison));
  }
  return plan;
}

task<> look_on(engine*& running, const course& how, std::exception_ptr& failed) {
  for (;;) {
    co_await sleep_for(1ms);
    if (running == nullptr || !how.look) continue;
    try {
      how.look(*running);
    } catch (...) {
      if (!failed) failed = std::current_exception();
      running->stop_now(1, "the suite has seen enough");
    }
  }
}

task<> run_watched(recorded_run run, engine*& running, const course& how, report& result) {
  std::exception_ptr failed;
  run.on_engine = [&running](engine* which) { running = which; };
  auto looking = spawn(look_on, std::ref(running), std::cref(how), std::ref(failed));
  looking.set_background();
  auto whole = execute_recorded(std::move(run));
  auto bounded = timeout(patience(), std::move(whole));
  bool late = false;
  try {
    result = co_await std::move(bounded);
  } catch (const timed_out&) {
    late = true;
  }
  running = nullptr;
  looking.cancel();
  if (failed) std::rethrow_exception(failed);
  expect(!late, "the run did not come to its end");
}

}  // namespace

report rig::run(std::unique_ptr<source> from, std::unique_ptr<sink> to, const course& how) {
  ledger_options options(ledger_path(), "suite");
  options.source_fingerprint = from->fingerprint();
  const auto account = ledger::open(options);
  recorded_run what(plan_of(std::move(from), std::move(to), how));
  what.account = account.get();
  report result;
  run_bounded(run_watched(std::move(what), running_, how, result));
  expect(result.adds_up(), "the report does not add up: " + result.line());
  expect(result.in_flight == 0, "the run left something in flight: " + result.line());
  return result;
}

std::uint64_t rig::finished() const {
  if (!std::filesystem::exists(ledger_path())) return 0;
  std::uint64_t count = 0;
  for (const run_record& run : ledger_reader(ledger_path()).runs()) {
    for (const outcome each : all_outcomes) {
      if (each != outcome::returned) count += run.settled[static_cast<std::size_t>(each)];
    }
  }
  return count;
}

bool held_for::operator()(bool holds) {
  const auto now = std::chrono::steady_clock::now();
  if (!holds) {
    since_.reset();
    return false;
  }
  if (!since_) since_ = now;
  return now - *since_ >= how_long_;
}

void run_bounded(task<> body) {
  loop own;
  own.set_leftover_timeout(100ms);
  own.run(std::move(body));
}

report source_trial::run_until(std::size_t wanted, course how, const step_hook& at_step) {
  std::unique_ptr<source> from = far->make_source();
  if (!from->finite()) {
    const auto first = std::exchange(how.look, nullptr);
    const std::uint64_t before = world.finished();
    how.look = [this, wanted, first, before](engine& running) {
      if (first) first(running);
      if (different(on_shelf.all()) < wanted) return;
      const report now = running.account();
      const std::uint64_t finished = now.taken - now.in_flight - now.count(outcome::returned);
      if (before + finished >= wanted) running.drain();
    };
  }
  if (at_step) from = watched(std::move(from), at_step, 4);
  return world.run(std::move(from), make_sink(), how);
}

std::unique_ptr<shelf_sink> source_trial::make_sink() const {
  return std::make_unique<shelf_sink>(
      on_shelf, [far = far.get()](const payload& item) { return far->text_of(item); });
}

report sink_trial::run(const texts& items, const course& how, const step_hook& at_step) {
  auto from = std::make_unique<list_source>(
      items, [far = far.get()](const std::string& text) { return far->item_of(text); },
      how.batch + 1);
  std::unique_ptr<sink> to = far->make_sink();
  if (at_step) to = watched(std::move(to), at_step);
  return world.run(std::move(from), std::move(to), how);
}

void sink_trial::expect_stored(const texts& wanted, bool something_happened) const {
  if (!what.keeps) return;
  expect_all(far->stored(), wanted, something_happened && !what.exactly_once);
}

}  // namespace brigade::testing::suite
