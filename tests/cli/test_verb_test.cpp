#include "cli/all_components.hpp"
#include "cli/verbs.hpp"
#include "connect/temporary_folder.hpp"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

namespace brigade::cli {
namespace {

class test_verb_test : public testing::Test {
 protected:
  /// Runs the tests of a pipeline with these stages.
  int run(const std::string& tests, const std::string& source = "stdin: { format: ndjson }") {
    folder_.write("t.yaml", "source: { " + source +
                                " }\n"
                                "stages:\n"
                                "  - { name: whole, filter: .total != null }\n"
                                "  - jq: 'if .n == 3 then error(\"no threes\") else . end'\n"
                                "  - jq: 'if .each then .each[] else . end'\n"
                                "sink: { sqlite: { file: out.db, table: t } }\n"
                                "tests:\n" +
                                tests);
    test_options options;
    options.file = folder_ / "t.yaml";
    out_.str("");
    return test_verb(options, all_components(), out_);
  }
  std::string last_line() {
    const std::string all = out_.str();
    return all.substr(all.rfind('\n', all.size() - 2) + 1);
  }

  test::temporary_folder folder_;
  std::ostringstream out_;
};

TEST_F(test_verb_test, a_line_a_test_and_exit_0_when_all_are_as_expected) {
  EXPECT_EQ(run("  - { name: a bad order, input: {total: null}, expect: { outcome: filtered } }\n"
                "  - { name: plain, input: {total: 2, id: '7'}, expect: { output: {id: '7', total: "
                "2.0} } }\n"
                "  - { name: dead, input: {total: 2, n: 3}, expect: { outcome: dead_lettered, "
                "error: threes } }\n"
                "  - { name: many, input: {total: 2, each: [1, x]}, expect: { outputs: [1, x] } }\n"
                "  - { input: {}, expect: { outcome: filtered, outputs: [] } }\n"),
            0)
      << out_.str();
  EXPECT_EQ(out_.str(),
            "ok      a bad order\nok      plain\nok      dead\nok      many\nok      test 5\n" +
                (folder_ / "t.yaml") + ": 5 tests, 0 failed\n");
}

TEST_F(test_verb_test, a_failing_one_is_told_by_its_differences_and_its_place) {
  EXPECT_EQ(run("  - { name: wrong, input: {total: 2}, expect: { outcome: filtered, output: "
                "{total: 5} } }\n"),
            1);
  EXPECT_EQ(out_.str(),
            "FAILED  wrong\n"
            "        outcome: expected filtered, got delivered\n"
            "        output .total: expected 5, got 2\n"
            "        it stands at " +
                (folder_ / "t.yaml") + ":8:5\n" + (folder_ / "t.yaml") + ": 1 test, 1 failed\n");
  EXPECT_EQ(run("  - { name: a, input: {total: 2, n: 3}, expect: { output: 1, error: fours } }\n"),
            1);
  EXPECT_NE(out_.str().find("        output: expected 1, got nothing: dead_lettered at stage 'jq' "
                            "after 1 attempt: no threes\n"
                            "        error: expected 'fours', got 'no threes'\n"),
            std::string::npos)
      << out_.str();
  EXPECT_EQ(run("  - { input: {total: null}, expect: { error: x, outputs: [1, 2] } }\n"), 1);
  EXPECT_NE(out_.str().find("output 2: expected 2, got nothing: filtered at stage 'whole'"),
            std::string::npos)
      << out_.str();
  EXPECT_NE(out_.str().find("error: expected 'x', got filtered at stage 'whole'"),
            std::string::npos);
  EXPECT_EQ(run("  - { input: {total: 1, each: [1, 2]}, expect: { output: 1 } }\n"), 1);
  EXPECT_NE(out_.str().find("output 2: expected nothing, got 2"), std::string::npos);
}

TEST_F(test_verb_test, a_text_is_a_line_as_the_source_reads_it) {
  EXPECT_EQ(run("  - { input: '{\"total\": 4}', expect: { output: {total: 4} } }\n"
                "  - { input: '{\"total', expect: { outcome: dead_lettered, error: not JSON } }\n"),
            0)
      << out_.str();
  EXPECT_EQ(run("  - { input: GET /, expect: { outcome: filtered } }\n", "stdin: {}"), 0)
      << out_.str();
}

TEST_F(test_verb_test, writes_nothing_and_opens_no_source) {
  EXPECT_EQ(run("  - { input: {total: 1}, expect: { outcome: delivered } }\n",
                "file: { path: nowhere.txt }"),
            0);
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    EXPECT_EQ(entry.path().filename(), "t.yaml");
  }
}

TEST_F(test_verb_test, a_stage_that_cannot_be_opened_fails_the_test) {
  folder_.write("t.yaml",
                "source: { stdin: {} }\nstages: [ { exec: [./nowhere] } ]\nsink: { null: {} }\n"
                "tests: [ { input: a, expect: { outcome: delivered } } ]\n");
  test_options options;
  options.file = folder_ / "t.yaml";
  EXPECT_EQ(test_verb(options, all_components(), out_), 1);
  EXPECT_NE(out_.str().find("the run failed: "), std::string::npos) << out_.str();
}

TEST_F(test_verb_test, what_is_wrong_with_a_test_is_wrong_with_the_file) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"{ expect: { outcome: filtered } }", ":8:5: test 1 has no 'input'"},
      {"{ name: x, input: 1 }", ":8:5: test 'x' has no 'expect'"},
      {"{ input: 1, expect: {} }",
       ":8:25: test 1 expects nothing: write an 'outcome' or an "
       "'output'"},
      {"{ input: 1, expect: { outcom: filtered } }",
       ":8:27: unknown key 'outcom' in 'expect' of test 1; did you mean 'outcome'?"},
      {"{ input: 1, expect: { outcome: filterd } }",
       ":8:36: 'outcome' must be delivered or filtered or dead_lettered or dropped, not 'filterd'; "
       "did you mean 'filtered'?"},
      {"{ input: 1, expect: { output: 1, outputs: [] } }",
       ":8:38: test 1 has 'output' and 'outputs': write one of them"},
      {"{ input: 1, expect: { outputs: 1 } }", ":8:36: 'outputs' must be a list, not '1'"},
      {"{ input: \"a\\nb\", expect: { outcome: filtered } }",
       ":8:14: test 1: 'input' is one line of text, and this has a newline in it"},
  };
  for (const auto& [test, message] : table) {
    try {
      run("  - " + test + "\n");
      ADD_FAILURE() << test;
    } catch (const invalid_pipeline& error) {
      EXPECT_EQ(error.what(), (folder_ / "t.yaml") + message) << test;
    }
  }
}

}  // namespace
}  // namespace brigade::cli
