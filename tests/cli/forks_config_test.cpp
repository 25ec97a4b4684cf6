// Routes, tees, batches and splits of a pipeline file: what is read, and what is refused.
#include "cli/all_components.hpp"
#include "cli/pipeline_config.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace brigade::cli {
namespace {

pipeline_text file_of(const std::string& text) {
  pipeline_text input;
  input.text = text;
  input.shown = "f.yaml";
  input.file = "/jobs/f.yaml";
  input.lookup = [](const std::string&) { return std::nullopt; };
  return input;
}

pipeline_config read(const std::string& text) {
  return read_pipeline(file_of(text), all_components());
}

std::vector<std::string> problems_of(const std::string& text) {
  try {
    pipeline_config config = read(text);
    static_cast<void>(make_parts(config, all_components()));
    return {};
  } catch (const invalid_pipeline& error) {
    return error.lines();
  }
}

const std::string front = "source: { file: a }\n";

using lines = std::vector<std::string>;

TEST(forks_config, refuses_two_writers_of_one_file) {
  EXPECT_EQ(problems_of(front + R"(
stages:
  - tee: [ { file: out.ndjson }, { file: { path: ./x/../out.ndjson } } ]
sink: { file: other.ndjson }
)"),
            (lines{"f.yaml:4:50: './x/../out.ndjson' is the file of sink 'file', too: give each "
                   "a file of its own"}));
}

TEST(forks_config, a_sink_stands_last_in_its_branch) {
  EXPECT_EQ(problems_of(front + R"(
stages: [ { route: [ { when: .n, to: [ { file: x }, { jq: . } ] } ] } ]
sink: { "null": {} }
)"),
            lines{"f.yaml:3:42: 'file' is a sink, not a stage"});
}

TEST(forks_config, refuses_a_sink_that_feeds_the_source) {
  EXPECT_EQ(
      problems_of(front + "sink: { file: ./a }\n"),
      lines{"f.yaml:2:15: './a' is the file of the source, too: give each a file of its own"});
}

TEST(forks_config, a_branch_that_is_not_required_cannot_end_the_run) {
  EXPECT_EQ(
      problems_of(front + R"(
stages:
  - tee:
      - required: false
        to:
          - { jq: ., on_error: fail_fast }
          - { jq: ., on_error: { tolerate: 5 } }
          - { jq: ., on_error: { tolerate: 5, then: pause } }
          - { "null": {} }
      - to: [ { jq: ., on_error: fail_fast }, { "null": {} } ]
)"),
      (lines{"f.yaml:7:15: 'on_error' of stage 'jq' may end the run, and it stands in a branch "
             "that is not required: leave it out, or require the branch",
             "f.yaml:8:15: 'on_error' of stage 'jq2' may end the run, and it stands in a "
             "branch that is not required: leave it out, or require the branch"}));
}

TEST(forks_config, reads_the_ways_and_their_names_in_the_order_of_the_file) {
  const pipeline_config config = read(front + R"(
stages:
  - name: size
    route:
      - { when: .n > 3, to: { file: big.ndjson, } }
      - when: .n > 2
        to: [ { jq: . }, { file: mid.ndjson } ]
    else: []
  - tee: [ { file: copy.ndjson, required: false }, { to: [ { batch: 5 }, { "null": {} } ] } ]
  - split: .all
sink: { stdout: {} }
)");
  lines names;
  walk(
      config, [&](const stage_config& stage) { names.push_back(stage.use.context.name); },
      [&](const sink_config& sink) { names.push_back(sink.use.context.name); });
  EXPECT_EQ(names, (lines{"size", "file", "jq", "file2", "tee", "file3", "batch", "null", "split",
                          "stdout"}));
  const stage_config& route = config.stages.front();
  ASSERT_EQ(route.branches.size(), 3U);
  EXPECT_EQ(route.branches[0].when->text, ".n > 3");
  EXPECT_FALSE(route.branches[2].when.has_value());
  EXPECT_TRUE(leads_on(route.branches[2].chain, true));
  EXPECT_FALSE(config.stages[1].branches[0].required);
  EXPECT_TRUE(config.stages[1].branches[1].required);
}

TEST(forks_config, a_pipeline_may_end_in_its_branches) {
  EXPECT_EQ(problems_of(front + "stages: [ { tee: [ { stdout: {} }, { file: b } ] } ]"), lines{});
  EXPECT_EQ(problems_of(front + "stages: [ { route: { branches: [ { when: .a, to: { file: b } } ] "
                                "}, else: [ { tee: [ { file: c }, { file: d } ] } ] } ]"),
            lines{});
}

TEST(forks_config, a_branch_that_leads_nowhere_is_refused) {
  EXPECT_EQ(problems_of(front + "stages: [ { route: [ { when: .a, to: [ { jq: . } ] } ] } ]"),
            (lines{"f.yaml:2:22: this branch of stage 'route' ends in no sink, and nothing stands "
                   "behind the stage: end it with a sink"}));
  EXPECT_EQ(
      problems_of(front + "stages: [ { tee: [ { to: [ { jq: . } ] } ] } ]\nsink: { stdout: {} }"),
      (lines{"f.yaml:2:20: this branch of stage 'tee' ends in no sink: a branch of a tee does "
             "not come back; end it with a sink"}));
}

TEST(forks_config, what_no_item_reaches_is_refused) {
  const std::string route = "stages: [ { route: [ { when: .a, to: { file: b } } ] }";
  EXPECT_EQ(problems_of(front + route + " ]\nsink: { stdout: {} }"),
            (lines{"f.yaml:3:9: no item comes here: all branches of stage 'route' end in a sink; "
                   "leave this out, or leave the sink of a branch out"}));
  EXPECT_EQ(problems_of(front + route + ", { jq: . } ]\nsink: { stdout: {} }"),
            (lines{"f.yaml:2:59: no item comes here: all branches of stage 'route' end in a sink; "
                   "leave this out, or leave the sink of a branch out"}));
}

TEST(forks_config, says_what_a_branch_is) {
  const std::string sink = "\nsink: { stdout: {} }";
  EXPECT_EQ(problems_of(front + "stages: [ { route: .a } ]" + sink).size(), 1U);
  EXPECT_EQ(problems_of(front + "stages: [ { tee: [] } ]" + sink),
            (lines{"f.yaml:2:18: 'tee' must be a list of branches, such as [{ file: copy.ndjson, "
                   "required: false }]"}));
  EXPECT_EQ(problems_of(front + "stages: [ { route: [ { to: [] }, { when: .a } , 7 ] } ]" + sink),
            (lines{"f.yaml:2:22: branch 1 of stage 1 has no 'when': what takes all that is left is "
                   "'else', beside 'route'",
                   "f.yaml:2:34: branch 2 of stage 1 has no 'to': a sink, or a list of stages",
                   "f.yaml:2:49: a branch of stage 1 must be a mapping with 'when' and 'to', not "
                   "'7'"}));
  EXPECT_EQ(problems_of(front + "stages: [ { route: [ { wen: .a, when: .b, to: [] } ] } ]" + sink),
            (lines{"f.yaml:2:24: unknown key 'wen' in branch 1 of stage 1; did you mean 'when'?"}));
  EXPECT_EQ(problems_of(front + "stages: [ { jq: ., else: [] } ]" + sink).size(), 1U);
  EXPECT_EQ(
      problems_of(front + "stages: [ { route: [ { when: '.a |', to: [] } ] } ]" + sink).size(), 1U);
  EXPECT_EQ(problems_of(front + "stages: [ { tee: [ { fiel: x } ] } ]" + sink),
            (lines{"f.yaml:2:22: unknown key 'fiel' in sink of branch 1 of stage 1; did you mean "
                   "'file'?"}));
  EXPECT_EQ(problems_of(front + "stages: [ { tee: [ { file: x } ], workers: 3 } ]" + sink),
            (lines{"f.yaml:2:35: 'workers' cannot be used with 'tee': leave it out"}));
}

TEST(forks_config, names_are_unique_over_all_branches) {
  EXPECT_EQ(problems_of(front + "stages: [ { tee: [ { file: x, name: out } ] } ]\n"
                                "sink: { stdout: {}, name: out }"),
            (lines{"f.yaml:3:27: a stage is already called 'out': give the sink another name"}));
}

TEST(forks_config, a_tee_needs_a_branch_that_counts) {
  EXPECT_EQ(problems_of(front + "stages: [ { tee: [ { file: x, required: false } ] } ]"),
            (lines{"f.yaml:2:13: no branch of stage 'tee' is required, so all of an item may be "
                   "dropped: make one required"}));
}

TEST(forks_config, a_batch_says_when_it_is_complete) {
  const std::string sink = "\nsink: { stdout: {} }";
  EXPECT_EQ(problems_of(front + "stages: [ { batch: {} } ]" + sink),
            (lines{"f.yaml:2:13: a batch needs to know when it is complete: give it 'count', "
                   "'bytes' or 'within'"}));
  EXPECT_EQ(problems_of(front + "stages: [ { batch: { count: 0 } } ]" + sink),
            (lines{"f.yaml:2:29: 'count' must be at least 1"}));
  EXPECT_EQ(
      problems_of(front + "window: { items: 50 }\nstages: [ { batch: { count: 51 } } ]" + sink),
      (lines{"f.yaml:3:29: a batch of 51 items is never complete: no more than 50 are in "
             "flight at once; make 'window' larger, or the batch smaller"}));
}

TEST(forks_config, what_cannot_keep_the_order_is_refused_where_there_is_one) {
  const std::string sink = "\nsink: { stdout: {} }";
  EXPECT_EQ(problems_of(front + "order_by: .k\nstages: [ { batch: 5 } ]" + sink),
            (lines{"f.yaml:3:13: 'batch' cannot be used with 'order_by': a batch holds items of "
                   "several keys; a sink has a 'batch' of its own"}));
  EXPECT_EQ(
      problems_of(front + "order: source\nstages: [ { route: [ { when: .a, to: [] } ] } ]" + sink),
      (lines{"f.yaml:3:13: branches that go on behind stage 'route' cannot be used with "
             "'order: source': an item could overtake another in another branch; end the "
             "branches with sinks"}));
  EXPECT_EQ(problems_of(front + "order_by: .k\nstages: [ { tee: [ { file: x } ] } ]" + sink),
            lines{});
}

}  // namespace
}  // namespace brigade::cli
