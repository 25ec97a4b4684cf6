#include "cli/command_line.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace brigade::cli {
namespace {

command typed(std::vector<const char*> words) {
  words.insert(words.begin(), "brigade");
  return read_command_line(static_cast<int>(words.size()), words.data());
}

template <class Options>
Options expect(const command& given) {
  const Options* const found = std::get_if<Options>(&given);
  if (found != nullptr) return *found;
  ADD_FAILURE() << "another verb, or: " << std::get<answer>(given).text;
  return Options{};
}

TEST(command_line, run_takes_its_options) {
  const auto plain = expect<run_options>(typed({"run", "orders.yaml"}));
  EXPECT_EQ(plain.file, "orders.yaml");
  EXPECT_FALSE(plain.fresh);
  EXPECT_FALSE(plain.report.has_value());
  EXPECT_EQ(plain.progress, progress_mode::automatic);

  const auto full =
      expect<run_options>(typed({"run", "--set", "a=1", "--fresh", "o.yaml", "--set", "b.c=2",
                                 "--report", "r.json", "--progress", "none"}));
  EXPECT_EQ(full.file, "o.yaml");
  EXPECT_EQ(full.sets, (std::vector<std::string>{"a=1", "b.c=2"}));
  EXPECT_EQ(full.report, "r.json");
  EXPECT_TRUE(full.fresh);
  EXPECT_EQ(full.progress, progress_mode::none);
}

TEST(command_line, set_takes_one_word_and_leaves_the_file_alone) {
  const auto run = expect<run_options>(typed({"run", "--set", "a=[x, y]", "o.yaml"}));
  EXPECT_EQ(run.sets, std::vector<std::string>{"a=[x, y]"});
  EXPECT_EQ(run.file, "o.yaml");
}

TEST(command_line, check_report_and_explain_take_theirs) {
  EXPECT_TRUE(expect<check_options>(typed({"check", "o.yaml", "--offline"})).offline);
  EXPECT_EQ(expect<report_options>(typed({"report", "o.db"})).run, std::nullopt);
  EXPECT_EQ(expect<report_options>(typed({"report", "o.db", "--run", "7"})).run, 7u);
  EXPECT_EQ(expect<explain_options>(typed({"explain", "o.db", "main:8f3a:0"})).item, "main:8f3a:0");
}

TEST(command_line, dlq_takes_the_ledger_first_then_filters_and_ids) {
  const auto list = expect<dlq_list_options>(typed({"dlq", "ls", "o.db", "--stage", "charge"}));
  EXPECT_EQ(list.ledger, "o.db");
  EXPECT_EQ(list.which.stage, "charge");
  const auto show = expect<dlq_show_options>(typed({"dlq", "show", "o.db", "a:b:1", "a:b:2"}));
  EXPECT_EQ(show.which.ids, (std::vector<std::string>{"a:b:1", "a:b:2"}));
  const auto replay =
      expect<replay_options>(typed({"dlq", "replay", "o.db", "--pipeline", "o.yaml", "--from-start",
                                    "--error", "declined", "a:b:1"}));
  EXPECT_EQ(replay.pipeline, "o.yaml");
  EXPECT_TRUE(replay.from_start);
  EXPECT_EQ(replay.which.error, "declined");
  EXPECT_EQ(replay.which.ids, std::vector<std::string>{"a:b:1"});
}

TEST(command_line, run_takes_a_pipeline_without_a_file) {
  const auto run =
      expect<run_options>(typed({"run", "--from", "lines:in.txt", "--do", "exec:./h a", "--do",
                                 "jq:.", "-j", "16", "--to", "ndjson:out", "--fresh"}));
  EXPECT_EQ(run.file, "");
  EXPECT_EQ(run.line.from, "lines:in.txt");
  EXPECT_EQ(run.line.stages, (std::vector<std::string>{"exec:./h a", "jq:."}));
  EXPECT_EQ(run.line.workers, "16");
  EXPECT_EQ(run.line.to, "ndjson:out");
  EXPECT_TRUE(run.fresh);
  EXPECT_EQ(expect<run_options>(typed({"run", "--from", "-"})).line.to, "ndjson:-");
  EXPECT_NE(expect<answer>(typed({"run", "--help"})).text.find(".brigade/"), std::string::npos);
}

TEST(command_line, dlq_drop_wants_to_be_told_which) {
  const auto some =
      expect<dlq_drop_options>(typed({"dlq", "drop", "o.db", "--error", "no", "a:1"}));
  EXPECT_EQ(some.which.error, "no");
  EXPECT_EQ(some.which.ids, std::vector<std::string>{"a:1"});
  EXPECT_TRUE(expect<dlq_drop_options>(typed({"dlq", "drop", "o.db", "--all"})).all);
  EXPECT_NE(expect<answer>(typed({"dlq", "drop", "o.db"})).text.find("--all for every one"),
            std::string::npos);
}

TEST(command_line, graph_and_test_take_a_file) {
  EXPECT_TRUE(expect<graph_options>(typed({"graph", "o.yaml", "--svg"})).svg);
  const auto test = expect<test_options>(typed({"test", "o.yaml", "--set", "a=1"}));
  EXPECT_EQ(test.file, "o.yaml");
  EXPECT_EQ(test.sets, std::vector<std::string>{"a=1"});
}

TEST(command_line, list_help_and_new_take_names_of_components) {
  static_cast<void>(expect<list_options>(typed({"list"})));
  EXPECT_EQ(expect<help_options>(typed({"help", "sink", "file"})).words,
            (std::vector<std::string>{"sink", "file"}));
  EXPECT_EQ(expect<new_options>(typed({"new", "file", "exec", "sqlite"})).components,
            (std::vector<std::string>{"file", "exec", "sqlite"}));
  const auto on_a_verb = expect<answer>(typed({"help", "check"}));
  EXPECT_EQ(on_a_verb.exit_code, 0);
  EXPECT_NE(on_a_verb.text.find("--offline"), std::string::npos);
  EXPECT_EQ(expect<answer>(typed({"help"})).text, expect<answer>(typed({"--help"})).text);
}

TEST(command_line, whatever_is_wrong_with_a_command_is_exit_2) {
  const std::vector<std::vector<const char*>> table = {
      {},
      {"cook"},
      {"run"},
      {"run", "a.yaml", "b.yaml"},
      {"run", "a.yaml", "--fast"},
      {"run", "a.yaml", "--progress", "loud"},
      {"run", "a.yaml", "--set"},
      {"report"},
      {"report", "o.db", "--run", "first"},
      {"explain", "o.db"},
      {"dlq"},
      {"dlq", "burn", "o.db"},
      {"dlq", "ls"},
      {"new"},
      {"run", "o.yaml", "--from", "lines:in"},
      {"run", "--from", ""},
      {"run", "o.yaml", "--do", "jq:."},
      {"run", "o.yaml", "-j", "4"},
      {"run", "-j", "4", "--to", "lines:-"},
      {"graph"},
      {"test"},
      {"dlq", "drop", "o.db"},
      {"dlq", "drop", "o.db", "--all", "--stage", "charge"},
      {"help", "a", "b", "c"},
  };
  for (const auto& words : table) {
    const auto given = expect<answer>(typed(words));
    EXPECT_EQ(given.exit_code, 2) << testing::PrintToString(words);
    EXPECT_FALSE(given.text.empty());
  }
}

TEST(command_line, help_and_version_are_exit_0) {
  const auto help = expect<answer>(typed({"--help"}));
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_NE(help.text.find("Exit codes:"), std::string::npos);
  EXPECT_EQ(expect<answer>(typed({"run", "--help"})).exit_code, 0);
  const auto version = expect<answer>(typed({"--version"}));
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_EQ(version.text.rfind("brigade ", 0), 0u);
}

}  // namespace
}  // namespace brigade::cli
