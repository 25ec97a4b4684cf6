/// What is wrong with a pipeline file, and where: collected, so that all of it is told at once.
#pragma once
#include <compare>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brigade::cli {

/// A place in a pipeline file, from 1. Line 0: the argument number `column`, from 1.
struct position {
  int line = 1;
  int column = 1;
  friend auto operator<=>(const position&, const position&) = default;
};

/// What positions are called: `orders.yaml:12:5`, `--set stages.charge.workers=8`.
class place_names {
 public:
  /// `arguments` are those of the command line that say something about the pipeline, as written.
  explicit place_names(std::string file, std::vector<std::string> arguments = {})
      : file_(std::move(file)), arguments_(std::move(arguments)) {}
  [[nodiscard]] std::string operator()(position at) const;
  [[nodiscard]] const std::string& file() const { return file_; }

 private:
  std::string file_;  // as the user wrote it
  std::vector<std::string> arguments_;
};

/// The pipeline file is absent or invalid, exit code 78. `lines` are for the user, in the order of
/// the file: `orders.yaml:12:5: unknown key 'worker' in stage 'charge'; did you mean 'workers'?`
class invalid_pipeline : public std::runtime_error {
 public:
  explicit invalid_pipeline(std::vector<std::string> lines);
  [[nodiscard]] const std::vector<std::string>& lines() const { return lines_; }

 private:
  std::vector<std::string> lines_;
};

/// Thread safety: none. The same message at the same place (an alias used twice) counts once.
class problem_list {
 public:
  void add(position at, std::string message) { problems_.emplace(at, std::move(message)); }
  [[nodiscard]] bool empty() const { return problems_.empty(); }
  [[nodiscard]] std::size_t size() const { return problems_.size(); }
  [[nodiscard]] std::vector<std::string> lines(const place_names& names) const;
  /// Throws `invalid_pipeline` when there is a problem.
  void raise(const place_names& names) const;

 private:
  std::set<std::pair<position, std::string>> problems_;
};

}  // namespace brigade::cli
