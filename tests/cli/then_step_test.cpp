#include "cli/then_step.hpp"

#include "cli/fake_components.hpp"

#include <gtest/gtest.h>

#include <string>

namespace brigade::cli {
namespace {

pipeline_config read(const std::string& then) {
  static const registry known = fake_registry();
  pipeline_text input;
  input.text = "source: { stdin: {} }\nsink: { null: {} }\nthen: " + then + "\n";
  input.shown = "orders.yaml";
  input.file = "/jobs/orders.yaml";
  input.lookup = [](const std::string&) { return std::nullopt; };
  return read_pipeline(input, known);
}

std::string problem_of(const std::string& then) {
  try {
    static_cast<void>(read(then));
  } catch (const invalid_pipeline& error) {
    return error.what();
  }
  return {};
}

TEST(then_step, is_due_as_its_condition_says) {
  const pipeline_config success = read("{ if: success, exec: [a, b c] }");
  EXPECT_EQ(success.then->command, (std::vector<std::string>{"a", "b c"}));
  EXPECT_TRUE(is_due(*success.then, 0));
  EXPECT_FALSE(is_due(*success.then, 3));
  const pipeline_config failure = read("{ if: failure, exec: [a] }");
  EXPECT_FALSE(is_due(*failure.then, 0));
  EXPECT_TRUE(is_due(*failure.then, 5));
  const pipeline_config always = read("{ if: always, exec: [a] }");
  EXPECT_TRUE(is_due(*always.then, 0));
  EXPECT_TRUE(is_due(*always.then, 1));
}

TEST(then_step, is_refused_when_it_does_not_say_when_or_what) {
  EXPECT_EQ(problem_of("{ exec: [a] }"),
            "orders.yaml:3:1: 'then' needs 'if': success, failure or always");
  EXPECT_EQ(problem_of("{ if: always }"),
            "orders.yaml:3:1: 'then' needs 'exec', such as [./publish-results]");
  EXPECT_EQ(problem_of("{ if: succes, exec: [] }"),
            "orders.yaml:3:13: 'if' must be success or failure or always, not 'succes'; did you "
            "mean 'success'?\n"
            "orders.yaml:3:27: 'exec' is empty: write it as [program, argument, ...]");
  EXPECT_EQ(problem_of("./publish"), "orders.yaml:3:7: 'then' must be a mapping, not './publish'");
  EXPECT_EQ(problem_of("{ if: always, exec: ./publish }"),
            "orders.yaml:3:27: 'exec' must be a list, such as [a, b], not './publish'");
}

}  // namespace
}  // namespace brigade::cli
