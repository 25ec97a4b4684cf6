#include "cli/problems.hpp"

#include <brigade/async/assert.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace brigade::cli {

std::string place_names::operator()(position at) const {
  if (at.line > 0) return fmt::format("{}:{}:{}", file_, at.line, at.column);
  const auto index = static_cast<std::size_t>(at.column) - 1;
  BRIGADE_ASSERT(index < arguments_.size(), "a position names an argument that was not given");
  return arguments_[index];
}

invalid_pipeline::invalid_pipeline(std::vector<std::string> lines)
    : std::runtime_error(fmt::format("{}", fmt::join(lines, "\n"))), lines_(std::move(lines)) {}

std::vector<std::string> problem_list::lines(const place_names& names) const {
  std::vector<std::string> result;
  for (const auto& [at, message] : problems_) {
    result.push_back(fmt::format("{}: {}", names(at), message));
  }
  return result;
}

void problem_list::raise(const place_names& names) const {
  if (!problems_.empty()) throw invalid_pipeline(lines(names));
}

}  // namespace brigade::cli
