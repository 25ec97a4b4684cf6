#include "cli/yaml_document.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace brigade::cli {
namespace {

using lines = std::vector<std::string>;

lines problems_of(const std::string& text) {
  problem_list problems;
  static_cast<void>(parse_yaml(text, problems));
  return problems.lines(place_names("f.yaml"));
}

yaml_node parsed(const std::string& text) {
  problem_list problems;
  const auto root = parse_yaml(text, problems);
  EXPECT_EQ(problems.lines(place_names("f.yaml")), lines{});
  return root.value_or(yaml_node{});
}

std::optional<std::string> test_variables(const std::string& name) {
  if (name == "HOME") return "/srv/cook";
  if (name == "EMPTY") return "";
  return std::nullopt;
}

std::string expanded(const std::string& scalar) {
  yaml_node node;
  node.what = yaml_node::kind::scalar;
  node.text = scalar;
  problem_list problems;
  expand_variables(node, test_variables, problems);
  const lines wrong = problems.lines(place_names("f.yaml"));
  return wrong.empty() ? node.text : wrong.front();
}

TEST(yaml_document, everything_knows_its_line_and_column) {
  const yaml_node root = parsed("name: orders\nstages:\n  - { jq: '5', workers: 5 }\n  -\nid:\n");
  EXPECT_EQ(root.entries.at(0).at, (position{1, 1}));
  EXPECT_EQ(root.entries.at(0).value.at, (position{1, 7}));
  const yaml_node& stages = root.entries.at(1).value;
  EXPECT_EQ(stages.items.at(0).at, (position{3, 5}));
  const yaml_entry& jq = stages.items.at(0).entries.at(0);
  EXPECT_EQ(jq.at, (position{3, 7}));
  EXPECT_TRUE(jq.value.quoted);
  EXPECT_FALSE(stages.items.at(0).entries.at(1).value.quoted);
  EXPECT_EQ(stages.items.at(1).what, yaml_node::kind::null);
  EXPECT_EQ(root.find("id")->value.at, (position{5, 1}));
}

TEST(yaml_document, a_key_that_yaml_calls_null_is_a_word) {
  EXPECT_NE(parsed("{ null: {} }").find("null"), nullptr);
}

TEST(yaml_document, an_alias_is_a_copy) {
  const yaml_node root = parsed("a: &x { b: 1 }\nc: *x\n");
  EXPECT_EQ(root.find("c")->value.find("b")->value.text, "1");
}

TEST(yaml_document, what_yaml_allows_and_people_regret_is_refused) {
  EXPECT_EQ(problems_of("a: 1\nb: 2\na: 3\n"),
            lines{"f.yaml:3:1: duplicate key 'a'; the first is in line 1"});
  EXPECT_EQ(problems_of("a: &x [1, *x]\n"),
            lines{"f.yaml:1:11: this alias stands inside the value it refers to"});
  EXPECT_EQ(problems_of("a: &x {b: 1}\nc:\n  <<: *x\n"),
            lines{"f.yaml:3:3: merge keys ('<<') are not supported: repeat the keys"});
  EXPECT_EQ(problems_of("a: !!int 5\n"),
            lines{"f.yaml:1:4: tags are not supported: write the value without "
                  "'tag:yaml.org,2002:int'"});
  EXPECT_EQ(problems_of("? [a, b]\n: 1\n? {c: d}\n: 2\n"),
            (lines{"f.yaml:1:3: a key must be text", "f.yaml:3:3: a key must be text"}));
  EXPECT_EQ(problems_of("a: 1\n---\nb: 2\n"),
            lines{"f.yaml:2:1: a second document: a pipeline file holds one"});
}

TEST(yaml_document, syntax_errors_have_a_place) {
  EXPECT_EQ(problems_of("a: b: c\n"), lines{"f.yaml:1:5: not valid YAML: illegal map value"});
  EXPECT_EQ(problems_of("a: *x\n"),
            lines{"f.yaml:1:4: not valid YAML: the referenced anchor is not defined"});
  EXPECT_EQ(problems_of("a: { b: ${HOME} }\n"),
            lines{"f.yaml:1:10: not valid YAML: end of map flow not found; inside { } and [ ], "
                  "\"${VAR}\" must be in quotes"});
}

TEST(yaml_document, what_no_document_begins_with_has_an_end) {
  for (const char* text : {",", ",,,\n", ", a: b\n"}) {
    EXPECT_EQ(problems_of(text), lines{"f.yaml:1:1: not valid YAML: nothing can begin with this"});
  }
  EXPECT_EQ(problems_of("a: b\n, c: d\n").size(), 1U);
  EXPECT_EQ(problems_of("}\n").size(), 1U);
  EXPECT_EQ(problems_of("]").size(), 1U);
}

TEST(yaml_document, aliases_of_aliases_do_not_eat_the_memory) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i <= 9; ++i) {
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) text += "*a" + std::to_string(i - 1) + ", ";
    text += "]\n";
  }
  const lines wrong = problems_of(text);
  ASSERT_FALSE(wrong.empty());
  EXPECT_NE(wrong.front().find("aliases here stand for more than 100000 values"),
            std::string::npos);
}

TEST(yaml_document, variables_expand_in_scalars) {
  EXPECT_EQ(expanded("${HOME}/state"), "/srv/cook/state");
  EXPECT_EQ(expanded("${NOPE:8}${HOME}"), "8/srv/cook");
  EXPECT_EQ(expanded("${NOPE:}"), "");
  EXPECT_EQ(expanded("[${EMPTY:full}]"), "[]");
  EXPECT_EQ(expanded("$HOME costs 5$"), "$HOME costs 5$");
  EXPECT_EQ(expanded("${NOPE}"),
            "f.yaml:1:1: variable 'NOPE' is not set: set it, or give a default, ${NOPE:...}");
  EXPECT_EQ(expanded("${HOME"), "f.yaml:1:1: '${' without its '}'");
  EXPECT_EQ(expanded("${a b}"),
            "f.yaml:1:1: '${a b}' names no variable: write ${NAME} or ${NAME:default}");
}

class overrides : public testing::Test {
 protected:
  void apply(const std::string& assignment) {
    sets_.push_back("--set " + assignment);
    apply_override(root_, assignment, static_cast<int>(sets_.size()), problems_);
  }
  [[nodiscard]] lines wrong() const { return problems_.lines(place_names("f.yaml", sets_)); }

  yaml_node root_ =
      parsed("name: orders\nstages:\n  - { name: charge, exec: [a] }\n  - { jq: . }\nsource:\n");
  std::vector<std::string> sets_;
  problem_list problems_;
};

TEST_F(overrides, reach_stages_by_name_by_component_and_by_index) {
  apply("stages.charge.workers=8");
  apply("stages.jq.jq=.total");
  apply("stages.1.queue.size=3");
  apply("source.file={ path: x.ndjson }");
  EXPECT_EQ(wrong(), lines{});
  const yaml_node& stages = root_.find("stages")->value;
  EXPECT_EQ(stages.items[0].find("workers")->value.text, "8");
  EXPECT_EQ(stages.items[1].find("jq")->value.text, ".total");
  EXPECT_EQ(stages.items[1].find("queue")->value.find("size")->value.text, "3");
  EXPECT_EQ(root_.find("source")->value.find("file")->value.find("path")->value.text, "x.ndjson");
}

TEST_F(overrides, say_what_they_could_not_reach) {
  apply("stages.chargee.workers=8");
  apply("stages.2.workers=8");
  apply("name.first=x");
  apply("workers");
  apply("a..b=1");
  apply("id=[1");
  EXPECT_EQ(wrong(),
            (lines{"--set stages.chargee.workers=8: the list has no item named 'chargee'; did you "
                   "mean 'charge'?",
                   "--set stages.2.workers=8: there is no item 2: the list has 2, counted from 0",
                   "--set name.first=x: 'first' cannot be set: its place is taken by the text "
                   "'orders'",
                   "--set workers: write path=value, such as stages.charge.workers=8",
                   "--set a..b=1: the path has an empty part",
                   "--set id=[1: the value is not valid YAML"}));
}

}  // namespace
}  // namespace brigade::cli
