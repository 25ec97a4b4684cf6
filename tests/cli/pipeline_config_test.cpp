#include "cli/pipeline_config.hpp"

#include "cli/all_components.hpp"
#include "cli/fake_components.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace brigade::cli {
namespace {

using namespace std::chrono_literals;
using lines = std::vector<std::string>;

const registry& components() {
  static const registry known = fake_registry();
  return known;
}

pipeline_text file(std::string text, std::vector<std::string> sets = {}) {
  pipeline_text input;
  input.text = std::move(text);
  input.shown = "orders.yaml";
  input.file = "/kitchen/orders.yaml";
  input.sets = std::move(sets);
  input.lookup = [](const std::string& name) -> std::optional<std::string> {
    if (name == "WORKERS") return "3";
    return std::nullopt;
  };
  return input;
}

pipeline_config read(const std::string& text, std::vector<std::string> sets = {}) {
  return read_pipeline(file(text, std::move(sets)), components());
}

/// Everything that is wrong, whether the file or its components say so.
lines problems_of(const std::string& text, std::vector<std::string> sets = {}) {
  try {
    pipeline_config config = read(text, std::move(sets));
    static_cast<void>(make_parts(config, components()));
  } catch (const invalid_pipeline& error) {
    return error.lines();
  }
  return {};
}

const std::string whole_file = R"(name: orders
threads: 1
state: ./state
source:  { file: { path: orders.ndjson, format: ndjson } }
id: .order_id
window: { items: 500, bytes: 1MiB }
give_up_after: 7m
stages:
  - { name: validate, filter: '.total != null', workers: 4 }
  - name: charge
    exec: [python3, charge.py]
    workers: 16
    timeout: 5s
    deadline: 2m
    retry: { attempts: 3, backoff: 100ms..10s }
    on_error: fail_fast
    queue: { size: 32, kind: fifo, when_full: wait }
    when: .total > 0
  - jq: .total
  - jq: .
  - parse: combined
sink:
  sqlite: { file: receipts.db, table: receipts }
  retry: { attempts: 9 }
  batch: { count: 50, bytes: 1KiB, within: 1s }
ledger: { mode: full, keep: 30d, max: 1GiB }
stop_timeout: 10s
)";

TEST(pipeline_config, where_somebody_waits_for_outcomes_batches_hardly_wait) {
  const auto read_all = [](const std::string& text) {
    return read_pipeline(file(text), all_components());
  };
  const std::string posted = "source: { http: 127.0.0.1:8080 }\n";
  const pipeline_config config = read_all(posted + "sink: { stdout: {} }\n");
  EXPECT_EQ(config.sink.policy.batch_age_max, 2ms);
  EXPECT_EQ(config.ledger.mode, ledger_mode::full);
  EXPECT_EQ(config.source.context.ledger, config.ledger_path());
  const pipeline_config told =
      read_all(posted + "sink: { stdout: {}, batch: { within: 1s } }\nledger: failures\n");
  EXPECT_EQ(told.sink.policy.batch_age_max, 1s);
  EXPECT_TRUE(told.source.context.ledger.empty());
  EXPECT_EQ(read("source: { stdin: {} }\nsink: { null: {} }\n").sink.policy.batch_age_max, 50ms);
}

TEST(pipeline_config, reads_what_belongs_to_the_whole_run) {
  const pipeline_config config = read(whole_file);
  EXPECT_EQ(config.name, "orders");
  EXPECT_EQ(config.folder, "/kitchen");
  EXPECT_EQ(config.state, "/kitchen/state");
  EXPECT_EQ(config.ledger_path(), "/kitchen/state/orders.ledger.db");
  EXPECT_EQ(config.id->text, ".order_id");
  EXPECT_EQ(config.where(config.id->at), "orders.yaml:5:5");
  EXPECT_EQ(config.run.window_items_max, 500u);
  EXPECT_EQ(config.run.window_bytes_max, 1u << 20);
  EXPECT_EQ(config.run.give_up_after, 7min);
  EXPECT_EQ(config.run.stop_timeout, 10s);
  EXPECT_EQ(config.ledger.mode, ledger_mode::full);
  EXPECT_EQ(config.ledger.keep, 720h);
  EXPECT_EQ(config.ledger.bytes_max, 1u << 30);
}

TEST(pipeline_config, reads_a_source_with_its_defaults) {
  const component_use source = read(whole_file).source;
  EXPECT_EQ(source.what->name, "file");
  EXPECT_EQ(source.context.name, "file");
  EXPECT_EQ(source.context.pipeline, "orders");
  EXPECT_EQ(source.context.folder, "/kitchen");
  EXPECT_EQ(source.values.list("path"), lines{"orders.ndjson"});
  EXPECT_EQ(source.values.text("format"), "ndjson");
  EXPECT_EQ(source.values.integer("max_line"), 1 << 20);
}

TEST(pipeline_config, reads_a_stage_with_all_its_keys) {
  const stage_config charge = read(whole_file).stages.at(1);
  EXPECT_EQ(charge.use.context.name, "charge");
  EXPECT_EQ(charge.use.context.attempt_timeout, 5s);
  EXPECT_EQ(charge.use.values.list("command"), (lines{"python3", "charge.py"}));
  EXPECT_EQ(charge.use.values.integer("in_flight"), 1);
  EXPECT_EQ(charge.use.values.text("cwd"), ".");
  EXPECT_FALSE(charge.use.values.has("env"));
  EXPECT_EQ(charge.policy.workers, 16);
  EXPECT_EQ(charge.policy.queue_items_max, 32u);
  EXPECT_EQ(charge.policy.retry.attempts_max, 3);
  EXPECT_EQ(charge.policy.retry.backoff_min, 100ms);
  EXPECT_EQ(charge.policy.retry.backoff_max, 10s);
  EXPECT_EQ(charge.policy.failure, on_error::fail_fast);
  EXPECT_EQ(charge.policy.attempt_timeout, 5s);
  EXPECT_EQ(charge.policy.item_deadline, 2min);
  EXPECT_EQ(charge.when->text, ".total > 0");
}

TEST(pipeline_config, reads_a_sink_with_its_batch) {
  const sink_config sink = read(whole_file).sink;
  EXPECT_EQ(sink.use.context.name, "sqlite");
  EXPECT_EQ(sink.use.values.text("table"), "receipts");
  EXPECT_EQ(sink.policy.retry.attempts_max, 9);
  EXPECT_EQ(sink.policy.batch_items_max, 50u);
  EXPECT_EQ(sink.policy.batch_bytes_max, 1024u);
  EXPECT_EQ(sink.policy.batch_age_max, 1s);
}

TEST(pipeline_config, names_stages_after_their_component_and_numbers_repeats) {
  const pipeline_config config = read(whole_file);
  EXPECT_EQ(config.stages.at(2).use.context.name, "jq");
  EXPECT_EQ(config.stages.at(3).use.context.name, "jq2");
  EXPECT_EQ(config.stages.at(4).use.context.name, "parse");
  EXPECT_EQ(config.stages.at(4).use.values.text("format"), "combined");

  const pipeline_config taken = read(
      "source: { stdin: {} }\nstages: [ { jq: . }, { jq: . }, { name: jq, jq: . } ]\n"
      "sink: { stdout: }\n");
  EXPECT_EQ(taken.stages.at(0).use.context.name, "jq2");
  EXPECT_EQ(taken.stages.at(1).use.context.name, "jq3");
}

TEST(pipeline_config, the_least_file_has_the_documented_defaults) {
  pipeline_config config = read(
      "source: { file: a.log }\nstages: [ { exec: [a] } ]\n"
      "sink: { null: {} }\n");
  EXPECT_EQ(config.name, "orders");
  EXPECT_EQ(config.state, "/kitchen");
  EXPECT_EQ(config.ledger.mode, ledger_mode::failures);
  const stage_policy& stage = config.stages.at(0).policy;
  EXPECT_EQ(stage.workers, 1);
  EXPECT_EQ(stage.queue_items_max, 64u);
  EXPECT_EQ(stage.retry.attempts_max, 5);
  EXPECT_EQ(stage.retry.backoff_min, 200ms);
  EXPECT_EQ(stage.retry.backoff_max, 30s);
  EXPECT_EQ(stage.failure, on_error::isolate);
  EXPECT_EQ(stage.attempt_timeout, 60s) << "the component's own default";
  EXPECT_EQ(stage.item_deadline, 0s);
  EXPECT_EQ(config.run.stop_timeout, 25s);
  EXPECT_EQ(config.run.window_items_max, 10'000u);
  EXPECT_EQ(config.run.window_bytes_max, 64u << 20);
}

TEST(pipeline_config, a_finite_source_waits_five_minutes_for_a_sink_an_endless_one_for_ever) {
  pipeline_config finite = read("source: { file: a }\nsink: { null: {} }\n");
  static_cast<void>(make_parts(finite, components()));
  EXPECT_EQ(finite.run.give_up_after, 5min);
  pipeline_config endless = read("source: { stdin: {} }\nsink: { null: {} }\n");
  static_cast<void>(make_parts(endless, components()));
  EXPECT_EQ(endless.run.give_up_after, 0min);
  pipeline_config told = read("source: { file: a }\nsink: { null: {} }\ngive_up_after: never\n");
  static_cast<void>(make_parts(told, components()));
  EXPECT_EQ(told.run.give_up_after, 0min);
}

TEST(pipeline_config, a_component_is_told_how_long_its_far_side_may_be_away) {
  struct told {
    std::optional<milliseconds> source;
    std::vector<std::optional<milliseconds>> sinks;
  };
  const auto tell = [](const std::string& text) {
    told found;
    registry listening;
    for (component each : all_components().all()) {
      if (each.kind == component_kind::source && each.make_source) {
        each.make_source = [&found, make = each.make_source](const settings& given,
                                                             const component_context& context) {
          found.source = context.give_up_after;
          return make(given, context);
        };
      }
      if (each.kind == component_kind::sink && each.make_sink) {
        each.make_sink = [&found, make = each.make_sink](const settings& given,
                                                         const component_context& context) {
          found.sinks.push_back(context.give_up_after);
          return make(given, context);
        };
      }
      listening.add(std::move(each));
    }
    pipeline_config config = read_pipeline(file(text), listening);
    static_cast<void>(make_parts(config, listening));
    return found;
  };
  const told usual = tell("source: { file: { path: a, format: lines } }\nsink: { null: {} }\n");
  EXPECT_EQ(usual.source, std::nullopt);
  EXPECT_EQ(usual.sinks.at(0), 5min);
  const told never = tell("source: { file: { path: a, mode: tail } }\nsink: { null: {} }\n");
  EXPECT_EQ(never.sinks.at(0), 0ms);
  const told said = tell(
      "source: { file: { path: a, format: lines } }\ngive_up_after: 3s\nstages: [ { tee: [ { null: "
      "{} }, { null: {}, "
      "required: false } ] } ]\n");
  EXPECT_EQ(said.source, 3s);
  EXPECT_EQ(said.sinks.at(0), 3s);
  EXPECT_EQ(said.sinks.at(1), 0ms) << "one that is not required ends no run";
}

TEST(pipeline_config, quoted_variables_may_be_numbers) {
  const pipeline_config config = read(
      "source: { file: a }\nstages: [ { jq: ., workers: \"${WORKERS}\" } ]\n"
      "sink: { null: {} }\n");
  EXPECT_EQ(config.stages.at(0).policy.workers, 3);
}

TEST(pipeline_config, overrides_are_applied_before_checking) {
  const pipeline_config config = read(whole_file, {"stages.charge.workers=8", "state=/tmp/s"});
  EXPECT_EQ(config.stages.at(1).policy.workers, 8);
  EXPECT_EQ(config.state, "/tmp/s");
  EXPECT_EQ(problems_of(whole_file, {"stages.charge.workers=many"}),
            lines{"--set stages.charge.workers=many: 'workers': 'many' is not a whole number"});
}

struct bad_file {
  std::string text;
  lines messages;
};

/// A stage of its own in line 3, in a file that is right otherwise.
bad_file in_stage(const std::string& stage, const lines& messages) {
  return {"source: { file: a }\nstages:\n  - { " + stage + " }\nsink: { null: {} }\n", messages};
}

/// A key of its own in line 3, in a file that is right otherwise.
bad_file in_file(const std::string& line, const lines& messages) {
  return {"source: { file: a }\nsink: { null: {} }\n" + line + "\n", messages};
}

void expect_messages(const std::vector<bad_file>& table) {
  for (const bad_file& one : table) {
    EXPECT_EQ(problems_of(one.text), one.messages) << one.text;
  }
}

TEST(pipeline_config, misspelt_and_missing_keys_are_named) {
  expect_messages({
      in_stage("name: charge, exec: [a], worker: 2",
               {"orders.yaml:3:32: unknown key 'worker' in stage 'charge'; did you mean "
                "'workers'?"}),
      in_stage("jqq: .", {"orders.yaml:3:7: unknown key 'jqq' in stage 1; did you mean 'jq'?"}),
      in_stage("name: a", {"orders.yaml:3:5: stage 'a' has no component: it needs one of exec, "
                           "filter, jq, parse"}),
      in_stage("jq: ., filter: .", {"orders.yaml:3:14: stage 1 has two components, 'jq' and "
                                    "'filter': make two stages of them"}),
      in_stage("stdout: {}", {"orders.yaml:3:7: 'stdout' is a sink, not a stage"}),
      in_stage("exec: { comand: [a] }",
               {"orders.yaml:3:7: stage 1: 'exec' needs 'command'",
                "orders.yaml:3:15: unknown key 'comand' in 'exec' of stage 1; did you mean "
                "'command'?"}),
      in_stage("jq: ., retry: { attempt: 3 }",
               {"orders.yaml:3:23: unknown key 'attempt' in 'retry' of stage 1; did you mean "
                "'attempts'?"}),
      in_stage("jq: ., workers: 1, workers: 2",
               {"orders.yaml:3:26: duplicate key 'workers'; the first is in line 3"}),
      in_file("stage: []", {"orders.yaml:3:1: unknown key 'stage' in the pipeline; did you mean "
                            "'stages'?"}),
      {"{}",
       {"orders.yaml:1:1: the pipeline has no 'sink'",
        "orders.yaml:1:1: the pipeline has no 'source'"}},
      {"",
       {"orders.yaml:1:1: a pipeline file is a mapping with a source, stages and a sink; this "
        "is nothing"}},
      {"source: { fil: a }\nsink: stdout\n",
       {"orders.yaml:1:11: unknown key 'fil' in source; did you mean 'file'?",
        "orders.yaml:2:7: the sink must be a mapping, such as { stdout: {} }, not 'stdout'"}},
      {"source: { file: a, stdin: {} }\nsink: { sqlite: r.db }\n",
       {"orders.yaml:1:20: source has two components, 'file' and 'stdin': it takes one",
        "orders.yaml:2:17: 'sqlite' must be a mapping with its fields (file, table, key), not "
        "'r.db'"}},
  });
}

TEST(pipeline_config, wrong_values_say_what_was_expected) {
  expect_messages({
      in_stage("jq: ., workers: '2'", {"orders.yaml:3:23: 'workers' must be a whole number, not "
                                       "the text '2': leave the quotes out"}),
      in_stage("jq: ., workers: 0", {"orders.yaml:3:23: 'workers' must be at least 1, not 0"}),
      in_stage("jq: ., workers: [2]",
               {"orders.yaml:3:23: 'workers' must be a whole number, not a list"}),
      in_stage("jq: ., workers:", {"orders.yaml:3:14: 'workers' must be a whole number, not "
                                   "nothing"}),
      in_stage("exec: [a], timeout: 5",
               {"orders.yaml:3:27: 'timeout': '5' needs a unit: 5s, 500ms, 2m"}),
      in_stage("exec: [a], timeout: 0s", {"orders.yaml:3:27: 'timeout' must be more than nothing; "
                                          "write 'none' for no limit"}),
      in_stage("exec: a", {"orders.yaml:3:13: 'command' must be a list, such as [a, b], not 'a'"}),
      in_stage("exec: [a, [b]]", {"orders.yaml:3:17: 'command[1]' must be text, not a list"}),
      in_stage("exec: { command: [a], env: { A: [] } }",
               {"orders.yaml:3:39: 'env.A' must be text, not a list"}),
      in_stage("parse: { format: json, keep_rest: yes }",
               {"orders.yaml:3:41: 'keep_rest' must be true or false, not 'yes'"}),
      in_stage("parse: jsn", {"orders.yaml:3:14: 'format' must be json or combined, not 'jsn'; did "
                              "you mean 'json'?"}),
      in_stage("jq: ., on_error: stop",
               {"orders.yaml:3:24: 'on_error' must be isolate or fail_fast, not 'stop'"}),
      in_stage("jq: ., retry: 5", {"orders.yaml:3:21: 'retry' must be a mapping, not '5'"}),
      in_stage("jq: ., retry: { backoff: 1s }",
               {"orders.yaml:3:32: 'backoff': '1s' is not a range: write both ends, such as "
                "200ms..30s"}),
      in_stage("jq: ., timeout: 5s", {"orders.yaml:3:14: 'timeout' cannot be used with 'jq': leave "
                                      "it out"}),
      in_stage("jq: ., name: source", {"orders.yaml:3:20: 'source' is what the source is called in "
                                       "the ledger: take another name"}),
      in_file("name: Orders",
              {"orders.yaml:3:7: 'name' must be lower case letters, digits, '_' and "
               "'-', not 'Orders'"}),
      in_file("window: { bytes: 64 }",
              {"orders.yaml:3:18: 'bytes': '64' needs a unit: 64KiB, 10MB, 1GiB"}),
      in_file("stages: {}", {"orders.yaml:3:9: 'stages' must be a list, not a mapping"}),
      in_file("ledger: none", {"orders.yaml:3:9: 'mode' must be full or failures or off, not "
                               "'none'"}),
      in_file("state: ${STATE}", {"orders.yaml:3:8: variable 'STATE' is not set: set it, or give a "
                                  "default, ${STATE:...}"}),
  });
}

TEST(pipeline_config, names_of_stages_are_unique) {
  EXPECT_EQ(problems_of("source: { file: a }\n"
                        "stages: [ { name: a, jq: . }, { name: a, jq: . } ]\n"
                        "sink: { name: a, null: {} }\n"),
            (lines{"orders.yaml:2:39: a second stage 'a': names of stages are unique",
                   "orders.yaml:3:15: a stage is already called 'a': give the sink another name"}));
}

TEST(pipeline_config, mistakes_in_policies_say_what_to_write) {
  expect_messages({
      in_file("order: source\norder_by: .a",
              {"orders.yaml:3:1: 'order: source' and 'order_by' are two orders: leave one out"}),
      in_file("order: key", {"orders.yaml:3:8: 'order' must be none or source, not 'key'"}),
      in_file("after_dead_letter: hold_key",
              {"orders.yaml:3:1: 'after_dead_letter' is about keys: it needs 'order_by'"}),
      in_stage("jq: ., rate: 100", {"orders.yaml:3:20: 'rate': '100' is not a rate: write 100/s, "
                                    "600/m or 10/h"}),
      in_stage("jq: ., on_error: { tolerate: 500% }",
               {"orders.yaml:3:36: 'tolerate': '500%' is not a percentage: write 0% to 100%"}),
      in_stage("jq: ., on_error: { tolerate: 5%, then: wait }",
               {"orders.yaml:3:46: 'then' must be stop or pause, not 'wait'"}),
      in_stage("jq: ., on_error: { then: stop }",
               {"orders.yaml:3:24: 'on_error' must be isolate, fail_fast or { tolerate: 5% }"}),
      in_stage(
          "jq: ., queue: { kind: priority }",
          {"orders.yaml:3:29: 'kind: priority' needs to know by what: { priority: .urgency }"}),
      in_stage("jq: ., queue: { kind: { priority: '!!' } }",
               {"orders.yaml:3:41: '!!' is no program"}),
      in_stage("jq: ., queue: { kind: {} }",
               {"orders.yaml:3:29: 'kind' must be fifo, lifo or { priority: EXPRESSION }"}),
  });
}

TEST(pipeline_config, policies_are_read) {
  const pipeline_config config = read(
      "source: { file: a }\n"
      "order_by: .customer\n"
      "after_dead_letter: hold_key\n"
      "stages:\n"
      "  - jq: .\n"
      "    rate: 600/m\n"
      "    on_error: { tolerate: 5%, then: pause }\n"
      "    queue: { size: 3, kind: { priority: .urgency }, when_full: drop_oldest }\n"
      "  - { jq: ., on_error: { tolerate: 100 }, queue: { kind: lifo, when_full: drop_newest } }\n"
      "sink: { null: {}, rate: 10/h }\n");
  EXPECT_EQ(config.order_by.value().text, ".customer");
  EXPECT_EQ(config.run.order, item_order::by_key);
  EXPECT_EQ(config.run.after_letter, after_dead_letter::hold_key);
  const stage_policy& first = config.stages.at(0).policy;
  EXPECT_EQ(first.rate.items, 600);
  EXPECT_EQ(first.rate.per, std::chrono::minutes(1));
  EXPECT_EQ(first.failure, on_error::tolerate);
  EXPECT_DOUBLE_EQ(first.budget.share, 0.05);
  EXPECT_EQ(first.budget.then, error_budget::spent::pause);
  EXPECT_EQ(first.queue_order, queue_kind::priority);
  EXPECT_EQ(first.queue_full, when_full::drop_oldest);
  EXPECT_EQ(config.stages.at(0).priority.value().text, ".urgency");
  const stage_policy& second = config.stages.at(1).policy;
  EXPECT_EQ(second.budget.count, 100U);
  EXPECT_EQ(second.budget.then, error_budget::spent::stop);
  EXPECT_EQ(second.queue_order, queue_kind::lifo);
  EXPECT_EQ(second.queue_full, when_full::drop_newest);
  EXPECT_EQ(config.sink.policy.rate.per, std::chrono::hours(1));
}

stage_policy stage_with(const std::string& keys) {
  return read("source: { file: a }\nstages: [ { " + keys + " } ]\nsink: { null: {} }\n")
      .stages.at(0)
      .policy;
}

TEST(pipeline_config, workers_may_be_a_range) {
  for (const char* written : {"{ min: 2, max: 16 }", "2..16", "'2..16'", "{ max: 16, min: 2 }"}) {
    const auto policy = stage_with("jq: ., workers: " + std::string(written));
    EXPECT_EQ(policy.workers, 2) << written;
    EXPECT_EQ(policy.workers_max, 16) << written;
    EXPECT_EQ(workers_text(policy), "2..16");
  }
  EXPECT_EQ(workers_text(stage_with("jq: ., workers: 3..3")), "3");
  const std::string whole = "is not a whole number";
  expect_messages({
      in_stage("jq: ., workers: { min: 2 }",
               {"orders.yaml:3:23: 'workers' needs both ends of a range: { min: 2, max: 16 }"}),
      in_stage("jq: ., workers: { min: 2, mx: 4 }",
               {"orders.yaml:3:33: unknown key 'mx' in 'workers' of stage 1; did you mean 'max'?"}),
      in_stage("jq: ., workers: 4..2",
               {"orders.yaml:3:23: 'workers' is a range from more to less: turn it round"}),
      in_stage("jq: ., workers: 0..2", {"orders.yaml:3:23: 'workers' must be at least 1, not 0"}),
      in_stage("jq: ., workers: 2..", {"orders.yaml:3:23: 'workers': '' " + whole}),
      in_stage("jq: ., workers: 2...4", {"orders.yaml:3:23: 'workers': '.4' " + whole}),
      in_stage("jq: ., workers: { min: two, max: 3 }",
               {"orders.yaml:3:30: 'workers': 'two' " + whole}),
  });
}

TEST(pipeline_config, a_stage_may_say_when_an_item_hangs) {
  EXPECT_EQ(stage_with("jq: .").hung_after, milliseconds(0));
  EXPECT_EQ(stage_with("jq: ., hung_after: 5m").hung_after, std::chrono::minutes(5));
  EXPECT_EQ(stage_with("jq: ., hung_after: never").hung_after, stage_policy::hung_never);
  expect_messages({
      in_stage("jq: ., hung_after: 0s",
               {"orders.yaml:3:26: 'hung_after' must be more than nothing; "
                "write 'never' for no limit"}),
      in_stage("exec: [x], hung_after: 9s, timeout: 10s",
               {"orders.yaml:3:30: 'hung_after' must be longer than the timeout of 10s: until then "
                "an attempt is not hung"}),
      in_stage("exec: [x], hung_after: 1m",
               {"orders.yaml:3:30: 'hung_after' must be longer than the timeout of 1m: until then "
                "an attempt is not hung"}),
  });
}

TEST(pipeline_config, all_errors_of_a_file_come_at_once_in_its_order) {
  EXPECT_EQ(problems_of("name: Orders\n"
                        "source: { file: { pth: a } }\n"
                        "id: '!!'\n"
                        "stages:\n"
                        "  - { jq: '!!', worker: 2 }\n"
                        "  - { exec: [a], timeout: 5, when: '!!' }\n"
                        "sink: { sqlite: { file: a.db }, batch: { count: x } }\n"
                        "order_by: '!!'\n"),
            (lines{"orders.yaml:1:7: 'name' must be lower case letters, digits, '_' and '-', not "
                   "'Orders'",
                   "orders.yaml:2:11: source: 'file' needs 'path'",
                   "orders.yaml:2:19: unknown key 'pth' in 'file' of source; did you mean 'path'?",
                   "orders.yaml:3:5: '!!' is no program", "orders.yaml:5:11: '!!' is no program",
                   "orders.yaml:5:17: unknown key 'worker' in stage 1; did you mean 'workers'?",
                   "orders.yaml:6:27: 'timeout': '5' needs a unit: 5s, 500ms, 2m",
                   "orders.yaml:6:36: '!!' is no program",
                   "orders.yaml:7:9: sink: 'sqlite' needs 'table'",
                   "orders.yaml:7:49: 'count': 'x' is not a whole number",
                   "orders.yaml:8:11: '!!' is no program"}));
}

TEST(pipeline_config, a_file_that_is_absent_or_no_file_is_invalid) {
  const auto message = [](const std::string& path) -> std::string {
    try {
      static_cast<void>(load_pipeline(path, {}, components()));
    } catch (const invalid_pipeline& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(message("/nowhere/orders.yaml"), "/nowhere/orders.yaml: there is no such file");
  EXPECT_EQ(message("/"), "/: is a folder, not a pipeline file");
}

/// True when the line begins `orders.yaml:LINE:COLUMN: `.
bool has_position(const std::string& line) {
  const std::string front = "orders.yaml:";
  if (line.compare(0, front.size(), front) != 0) return false;
  const std::size_t colon = line.find(':', front.size());
  const std::size_t end = line.find(": ", colon + 1);
  const auto is_number = [](const std::string& text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  };
  return end != std::string::npos && is_number(line.substr(front.size(), colon - front.size())) &&
         is_number(line.substr(colon + 1, end - colon - 1));
}

std::string mutated(std::string text, std::mt19937& random) {
  static const std::string alphabet = "{}[]:,-&*!|>'\"#%@`?~<$ \n\tax1\x80\xff";
  const int changes = 1 + static_cast<int>(random() % 4);
  for (int i = 0; i < changes && !text.empty(); ++i) {
    const std::size_t at = random() % text.size();
    const std::size_t length = 1 + random() % std::min<std::size_t>(12, text.size() - at);
    switch (random() % 4) {
      case 0:
        text.erase(at, length);
        break;
      case 1:
        text.insert(at, 1, alphabet[random() % alphabet.size()]);
        break;
      case 2:
        text[at] = alphabet[random() % alphabet.size()];
        break;
      default:
        text.insert(random() % text.size(), text.substr(at, length));
        break;
    }
  }
  return text;
}

TEST(pipeline_config, a_mangled_file_gives_a_config_or_errors_with_positions) {
  std::mt19937 random(847);  // NOLINT: the same files each time
  int refused = 0;
  for (int round = 0; round < 5000; ++round) {
    const std::string text = mutated(whole_file, random);
    const lines messages = problems_of(text);
    if (!messages.empty()) ++refused;
    for (const std::string& line : messages) {
      ASSERT_TRUE(has_position(line)) << line << "\nround " << round << "\n" << text;
    }
  }
  EXPECT_GT(refused, 2500) << "the mutations are too tame to test anything";
  EXPECT_LT(refused, 5000) << "the mutations leave nothing valid";
}

}  // namespace
}  // namespace brigade::cli
