/// A pipeline without a file: `--from lines:in.txt --do exec:./handler -j 16 --to ndjson:out`.
///
/// FROM and TO are `lines:PATH` or `ndjson:PATH`, where `-` is a standard stream, or a component
/// and its value, as every stage is. The value is the component's one field, or its fields as a
/// YAML mapping in braces.
#pragma once
#include "cli/execute.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace brigade::cli {

/// Its name is made of its source, stages and sink, so that the same line finds its state again.
/// Throws `invalid_pipeline`; places are the arguments.
[[nodiscard]] pipeline_config read_one_liner(const one_liner& line,
                                             const std::vector<std::string>& sets,
                                             const registry& known);

/// Words as a shell would split them: at blanks, but not in quotes or behind a backslash; nothing
/// else means anything. Throws std::invalid_argument for a quote that is not closed.
[[nodiscard]] std::vector<std::string> split_words(std::string_view text);

}  // namespace brigade::cli
