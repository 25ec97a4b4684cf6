#include "cli/all_components.hpp"

#include "cli/component_reader.hpp"
#include "cli/component_text.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace brigade::cli {
namespace {

TEST(all_components, have_defaults_that_are_of_their_fields_type) {
  for (const component& one : all_components().all()) {
    problem_list problems;
    value_reader reader(problems);
    yaml_entry entry;
    entry.key = one.name;
    component_use use;
    use.what = &one;
    read_settings(reader, entry, "owner", use);  // asserts that each default reads
    std::size_t required = 0;
    for (const field_spec& field : one.fields) {
      required += field.required ? 1 : 0;
      EXPECT_EQ(use.values.has(field.name), !field.required && !field.fallback.empty())
          << one.name << "." << field.name;
    }
    EXPECT_EQ(problems.size(), required) << one.name;
  }
}

/// What is wrong with `name: { field: value }`, but for the fields that are missing.
std::vector<std::string> problems_with(const component& what, const field_spec& field,
                                       const std::string& value) {
  problem_list problems;
  value_reader reader(problems);
  yaml_entry entry;
  entry.key = what.name;
  entry.value = parse_yaml(field.name + ": " + value, problems).value_or(yaml_node{});
  component_use use;
  use.what = &what;
  read_settings(reader, entry, "owner", use);
  std::vector<std::string> lines = problems.lines(place_names("f"));
  std::erase_if(
      lines, [](const std::string& line) { return line.find("' needs '") != std::string::npos; });
  return lines;
}

TEST(all_components, have_examples_that_are_of_their_fields_type) {
  for (const component& one : all_components().all()) {
    for (const field_spec& field : one.fields) {
      const std::string example = example_value(field);
      EXPECT_NE(example, "") << one.name << "." << field.name;
      EXPECT_EQ(problems_with(one, field, example), std::vector<std::string>{})
          << one.name << "." << field.name;
    }
  }
}

TEST(all_components, are_documented) {
  for (const component& one : all_components().all()) {
    EXPECT_FALSE(one.doc.empty()) << one.name;
    for (const field_spec& field : one.fields) {
      EXPECT_FALSE(field.doc.empty()) << one.name << "." << field.name;
    }
  }
}

TEST(all_components, hold_what_a_first_pipeline_needs) {
  using enum component_kind;
  for (const char* name : {"file", "stdin", "generate"})
    EXPECT_NE(all_components().find(source, name), nullptr);
  for (const char* name : {"filter", "jq", "parse", "exec"}) {
    EXPECT_NE(all_components().find(stage, name), nullptr) << name;
  }
  for (const char* name : {"file", "stdout", "null"}) {
    EXPECT_NE(all_components().find(sink, name), nullptr) << name;
  }
}

// Guard: pictures of a pipeline show no value of such a field.
TEST(all_components, what_may_hold_a_password_is_marked_as_a_secret) {
  int secrets = 0;
  for (const component& each : all_components().all()) {
    for (const field_spec& field : each.fields) {
      const bool may_hold_one = field.name == "token" || field.name == "connection";
      EXPECT_EQ(field.secret, may_hold_one) << each.name << ": " << field.name;
      secrets += field.secret ? 1 : 0;
    }
  }
  EXPECT_GE(secrets, 2);
}

}  // namespace
}  // namespace brigade::cli
