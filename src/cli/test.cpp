// Each test is a run of its own: its item as the source, the file's stages, and a sink that only
// looks. Nothing is recorded, and one worker a stage does.
#include "cli/execute.hpp"
#include "cli/exit_code.hpp"
#include "cli/json_difference.hpp"
#include "cli/plain_text.hpp"
#include "cli/verbs.hpp"

#include <brigade/connect/record.hpp>
#include <brigade/pipeline/recorded_run.hpp>

#include <fmt/format.h>

#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace brigade::cli {
namespace {

/// Gives the item of a test.
class test_source final : public source {
 public:
  test_source(payload item, std::optional<std::string> undecodable)
      : item_(source_item(std::move(item), 0, 0, 1)), partitions_{"test"} {
    item_->undecodable = std::move(undecodable);
  }
  task<> open(std::vector<partition_mark>, std::string) override { co_return; }
  task<std::vector<source_item>> read(std::size_t) override {
    std::vector<source_item> batch;
    if (item_) batch.push_back(*std::exchange(item_, std::nullopt));
    co_return batch;
  }
  [[nodiscard]] const std::vector<std::string>& partitions() const override { return partitions_; }
  [[nodiscard]] bool finite() const override { return true; }
  [[nodiscard]] std::string fingerprint() const override { return "test"; }

 private:
  std::optional<source_item> item_;
  std::vector<std::string> partitions_;
};

/// Keeps what reaches it, as JSON.
class test_sink final : public sink {
 public:
  explicit test_sink(std::vector<std::string>& seen) : seen_(seen) {}
  task<std::vector<partition_mark>> open(const sink_resume&) override {
    co_return std::vector<partition_mark>{};
  }
  task<write_result> write(std::span<const sink_item> batch,
                           std::span<const partition_mark>) override {
    write_result result;
    for (const sink_item& item : batch) result.failures.push_back(take(*item.value));
    co_return result;
  }

 private:
  std::optional<failure> take(const payload& value) {
    try {
      seen_.push_back(value.get<record>().json_text());
      return std::nullopt;
    } catch (const permanent_error& error) {
      return failure(verdict::permanent, error.what());
    }
  }
  std::vector<std::string>& seen_;
};

struct tried {
  report account;
  std::vector<std::string> outputs;
};

void prepare(chain_plan& chain, std::vector<std::string>& outputs) {
  for (stage_plan& stage : chain.stages) {
    stage.policy.workers = 1;
    stage.policy.workers_max = 0;
    stage.policy.retry.backoff_min = stage.policy.retry.backoff_max = milliseconds(1);
    stage.policy.failure = on_error::isolate;
    stage.policy.rate = {};
    if (!stage.fork) continue;
    for (branch_plan& branch : stage.fork->branches) prepare(branch.chain, outputs);
  }
  if (!chain.to) return;
  chain.to = std::make_unique<test_sink>(outputs);
  chain.sink_rules = sink_policy{};
  chain.sink_rules.batch_age_max = milliseconds(0);
}

tried try_item(const test_config& test, pipeline_config& config, const registry& known) {
  pipeline_parts parts = make_parts(config, known);
  payload item(test.is_line ? record::line(test.input) : record::json(test.input));
  std::optional<std::string> undecodable;
  if (test.is_line) undecodable = parts.source->decode(item);
  pipeline_plan plan = plan_of(config, std::move(parts));
  tried result;
  prepare(plan, result.outputs);
  plan.from = std::make_unique<test_source>(std::move(item), std::move(undecodable));
  result.account = run_recorded(recorded_run(std::move(plan)));
  return result;
}

outcome outcome_of(const report& account) {
  for (const outcome one : all_outcomes) {
    if (account.count(one) > 0) return one;
  }
  return outcome::returned;
}

/// `dead_lettered at stage 'charge' after 3 attempts: card declined`
std::string told(const report& account) {
  const outcome result = outcome_of(account);
  std::string text(to_string(result));
  if (result == outcome::dead_lettered && !account.dead_letters.empty()) {
    const dead_letter_report& letter = account.dead_letters.front();
    return fmt::format("{} at stage '{}' after {} attempt{}: {}", text, letter.stage,
                       letter.attempts, letter.attempts == 1 ? "" : "s", plain_line(letter.error));
  }
  for (const stage_report& stage : account.stages) {
    if (stage.settled[static_cast<std::size_t>(result)] == 0) continue;
    return fmt::format("{} at stage '{}'", text, stage.name);
  }
  return text;
}

void compare_outputs(const std::vector<std::string>& expected, const tried& got,
                     std::vector<std::string>& faults) {
  const bool many = expected.size() > 1 || got.outputs.size() > 1;
  for (std::size_t i = 0; i < std::max(expected.size(), got.outputs.size()); ++i) {
    const std::string label = many ? fmt::format("output {}", i + 1) : "output";
    if (i >= got.outputs.size()) {
      faults.push_back(fmt::format("{}: expected {}, got nothing: {}", label,
                                   plain_line(expected[i]), told(got.account)));
    } else if (i >= expected.size()) {
      faults.push_back(
          fmt::format("{}: expected nothing, got {}", label, plain_line(got.outputs[i])));
    } else {
      for (const std::string& line : json_differences(expected[i], got.outputs[i])) {
        faults.push_back(fmt::format("{} {}", label, line));
      }
    }
  }
}

/// What is not as expected; nothing: the test passes.
std::vector<std::string> faults_of(const test_config& test, const tried& got) {
  std::vector<std::string> faults;
  const report& account = got.account;
  if (account.exit_code == exit_failed) faults.push_back("the run failed: " + account.error);
  if (test.result && *test.result != outcome_of(account)) {
    faults.push_back(
        fmt::format("outcome: expected {}, got {}", to_string(*test.result), told(account)));
  }
  if (test.outputs) compare_outputs(*test.outputs, got, faults);
  if (test.error) {
    const bool failed = !account.dead_letters.empty();
    const std::string error = failed ? account.dead_letters.front().error : "";
    if (error.find(*test.error) == std::string::npos || !failed) {
      faults.push_back(fmt::format("error: expected '{}', got {}", plain_line(*test.error),
                                   failed ? "'" + plain_line(error) + "'" : told(account)));
    }
  }
  return faults;
}

}  // namespace

int test_verb(const test_options& options, const registry& known, std::ostream& out) {
  pipeline_config config = load_pipeline(options.file, options.sets, known);
  static_cast<void>(make_parts(config, known));  // what is wrong with the file comes first
  std::size_t failed = 0;
  for (const test_config& test : config.tests) {
    const auto faults = faults_of(test, try_item(test, config, known));
    out << fmt::format("{}  {}\n", faults.empty() ? "ok    " : "FAILED", plain_line(test.name));
    for (const std::string& fault : faults) out << "        " << fault << '\n';
    if (!faults.empty()) out << "        it stands at " << config.where(test.at) << '\n';
    failed += faults.empty() ? 0 : 1;
    out.flush();
  }
  out << fmt::format("{}: {} test{}, {} failed\n", options.file, config.tests.size(),
                     config.tests.size() == 1 ? "" : "s", failed);
  return failed == 0 ? exit_ok : exit_failed;
}

}  // namespace brigade::cli
