/// The command line, read: which verb, and what it was told.
#pragma once
#include "cli/execute.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace brigade::cli {

struct check_options {
  std::string file;
  bool offline = false;
};

struct report_options {
  std::filesystem::path ledger;
  std::optional<std::uint64_t> run;
};

struct explain_options {
  std::filesystem::path ledger;
  std::string item;
};

struct dlq_list_options {
  std::filesystem::path ledger;
  letter_filter which;
};

struct dlq_show_options {
  std::filesystem::path ledger;
  letter_filter which;
};

struct dlq_drop_options {
  std::filesystem::path ledger;
  letter_filter which;
  bool all = false;  ///< said in words, where nothing else says which
};

struct test_options {
  std::string file;
  std::vector<std::string> sets;
};

struct graph_options {
  std::string file;
  bool svg = false;
};

struct list_options {};

struct help_options {
  std::vector<std::string> words;  ///< a component's name, perhaps with its kind before it
};

struct new_options {
  std::vector<std::string> components;
};

/// Nothing to do but to say something: help, the version, or what is wrong with the command.
struct answer {
  int exit_code = 0;
  std::string text;  ///< with its last newline; for stdout when the exit code is 0
};

using command =
    std::variant<answer, run_options, check_options, report_options, explain_options,
                 dlq_list_options, dlq_show_options, replay_options, list_options, help_options,
                 new_options, graph_options, dlq_drop_options, test_options>;

/// Never throws for what a user can get wrong: that is an `answer` with exit code 2.
[[nodiscard]] command read_command_line(int argc, const char* const* argv);

}  // namespace brigade::cli
