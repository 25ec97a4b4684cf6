#include "cli/tests_reader.hpp"

#include <brigade/connect/record.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <regex>

namespace brigade::cli {
namespace {

bool is_plain(const yaml_node& node) { return !node.quoted || node.expanded; }

/// As JSON spells them; `0x10`, `.5` and `yes` are text.
bool is_literal(const std::string& text) {
  static const std::regex number(R"(-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?)");
  return text == "true" || text == "false" || text == "null" || std::regex_match(text, number);
}

bool is_text(const yaml_node& node) {
  return node.what == yaml_node::kind::scalar && !(is_plain(node) && is_literal(node.text));
}

std::optional<outcome> outcome_called(std::string_view name) {
  for (const outcome one : all_outcomes) {
    if (to_string(one) == name) return one;
  }
  return std::nullopt;
}

class one_test_reader {
 public:
  one_test_reader(value_reader& reader, const yaml_node& node, std::size_t number)
      : reader_(reader), node_(node), owner_(fmt::format("test {}", number)) {}

  test_config read() {
    static constexpr std::array<std::string_view, 3> keys = {"name", "input", "expect"};
    test_.name = owner_;
    test_.at = node_.at;
    if (!reader_.is_map(owner_, node_)) return test_;
    if (const yaml_entry* const name = node_.find("name")) {
      test_.name = reader_.text("name", name->value).value_or(owner_);
      owner_ = fmt::format("test '{}'", test_.name);
    }
    reader_.keys_are_known(node_, keys, owner_);
    read_input();
    read_expectation();
    return test_;
  }

 private:
  void read_input() {
    const yaml_entry* const input = node_.find("input");
    if (input == nullptr) {
      reader_.problem(node_.at, fmt::format("{} has no 'input'", owner_));
      return;
    }
    test_.is_line = is_text(input->value);
    test_.input = test_.is_line ? input->value.text : json_of(input->value);
    if (!valid_utf8(test_.input)) {
      reader_.problem(input->value.at, fmt::format("{}: 'input' is not UTF-8", owner_));
    }
    if (test_.is_line && test_.input.find('\n') != std::string::npos) {
      reader_.problem(input->value.at, fmt::format("{}: 'input' is one line of text, and this has "
                                                   "a newline in it",
                                                   owner_));
    }
  }

  void read_expectation() {
    static constexpr std::array<std::string_view, 4> keys = {"outcome", "output", "outputs",
                                                             "error"};
    const yaml_entry* const expect = node_.find("expect");
    if (expect == nullptr) {
      reader_.problem(node_.at, fmt::format("{} has no 'expect'", owner_));
      return;
    }
    const yaml_node& wanted = expect->value;
    if (!reader_.is_map("expect", wanted)) return;
    reader_.keys_are_known(wanted, keys, fmt::format("'expect' of {}", owner_));
    if (wanted.entries.empty()) {
      reader_.problem(wanted.at, fmt::format("{} expects nothing: write an 'outcome' or an "
                                             "'output'",
                                             owner_));
    }
    read_outcome(wanted);
    read_outputs(wanted);
    if (const yaml_entry* const error = wanted.find("error")) {
      test_.error = reader_.text("error", error->value);
    }
  }

  void read_outcome(const yaml_node& wanted) {
    static constexpr std::array<std::string_view, 4> names = {"delivered", "filtered",
                                                              "dead_lettered", "dropped"};
    const yaml_entry* const result = wanted.find("outcome");
    if (result == nullptr) return;
    if (const auto name = reader_.choice("outcome", result->value, names)) {
      test_.result = outcome_called(*name);
    }
  }

  void read_outputs(const yaml_node& wanted) {
    const yaml_entry* const one = wanted.find("output");
    const yaml_entry* const several = wanted.find("outputs");
    if (one != nullptr && several != nullptr) {
      reader_.problem(several->at,
                      fmt::format("{} has 'output' and 'outputs': write one of them", owner_));
    } else if (one != nullptr) {
      test_.outputs = {json_of(one->value)};
    } else if (several != nullptr) {
      test_.outputs.emplace();
      if (several->value.what != yaml_node::kind::list) {
        reader_.problem(several->value.at,
                        fmt::format("'outputs' must be a list, not {}", describe(several->value)));
      }
      for (const yaml_node& item : several->value.items) test_.outputs->push_back(json_of(item));
    }
  }

  value_reader& reader_;
  const yaml_node& node_;
  std::string owner_;
  test_config test_;
};

}  // namespace

std::string json_of(const yaml_node& node) {
  std::string json;
  switch (node.what) {
    case yaml_node::kind::null:
      return "null";
    case yaml_node::kind::scalar:
      return is_text(node) ? json_quoted(node.text) : node.text;
    case yaml_node::kind::list:
      for (const yaml_node& item : node.items) json += (json.empty() ? "" : ",") + json_of(item);
      return "[" + json + "]";
    case yaml_node::kind::map:
      for (const yaml_entry& entry : node.entries) {
        json += (json.empty() ? "" : ",") + json_quoted(entry.key) + ":" + json_of(entry.value);
      }
      return "{" + json + "}";
  }
  return json;
}

std::vector<test_config> read_tests(value_reader& reader, const yaml_entry& entry) {
  std::vector<test_config> tests;
  if (entry.value.what != yaml_node::kind::list) {
    reader.problem(entry.value.at,
                   fmt::format("'tests' must be a list, not {}", describe(entry.value)));
    return tests;
  }
  for (const yaml_node& item : entry.value.items) {
    tests.push_back(one_test_reader(reader, item, tests.size() + 1).read());
  }
  return tests;
}

}  // namespace brigade::cli
