/// What the program does, one function a verb; each returns the exit code.
///
/// They throw `invalid_pipeline` for a bad pipeline file, and other std::exceptions with one line
/// for the user: `main` turns those into 78 and 1.
#pragma once
#include "cli/command_line.hpp"

#include <iosfwd>

namespace brigade::cli {

[[nodiscard]] int run_verb(const run_options& options, const registry& known);
[[nodiscard]] int check_verb(const check_options& options, const registry& known, std::ostream& out,
                             std::ostream& err);
[[nodiscard]] int list_verb(const registry& known, std::ostream& out);
[[nodiscard]] int help_verb(const help_options& options, const registry& known, std::ostream& out,
                            std::ostream& err);
[[nodiscard]] int new_verb(const new_options& options, const registry& known, std::ostream& out,
                           std::ostream& err);
[[nodiscard]] int graph_verb(const graph_options& options, const registry& known,
                             std::ostream& out);
[[nodiscard]] int test_verb(const test_options& options, const registry& known, std::ostream& out);
[[nodiscard]] int report_verb(const report_options& options, std::ostream& out);
[[nodiscard]] int explain_verb(const explain_options& options, std::ostream& out,
                               std::ostream& err);
[[nodiscard]] int dlq_list_verb(const dlq_list_options& options, std::ostream& out);
[[nodiscard]] int dlq_show_verb(const dlq_show_options& options, std::ostream& out);
[[nodiscard]] int dlq_drop_verb(const dlq_drop_options& options, std::ostream& out,
                                std::ostream& err);
[[nodiscard]] int dlq_replay_verb(const replay_options& options, const registry& known);

}  // namespace brigade::cli
