/// jq programs on items, and the stages `jq` and `filter`.
///
/// libjq 1.6 has no limit on time or memory, works in doubles, and some of its words end the
/// process. So `jq_program` refuses those words, and a transform refuses an item that it would
/// change silently. What it cannot refuse: a program that runs for ever or asks for more memory
/// than there is, and global matching (`gsub`, `scan`, the flag "g") with a regex that matches
/// nothing at all. Such work belongs into `exec`, where it has a process and a timeout of its own.
#pragma once
#include <brigade/connect/expression.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct jq_state;

namespace brigade {

class registry;

/// A compiled jq program. Compiling costs about 25 ms, so workers of a loop share one.
///
/// Thread safety: none; one thread at a time.
class jq_program {
 public:
  /// Throws std::invalid_argument, with a line for the user, when the text does not compile or
  /// uses a word that would end the process, read its input or leave the item: env, $ENV, input,
  /// inputs, import, include, halt, halt_error, debug, stderr, input_filename, input_line_number,
  /// get_search_list, modulemeta, and a literal error(null).
  explicit jq_program(std::string_view text);
  jq_program(jq_program&&) noexcept;
  jq_program& operator=(jq_program&&) noexcept;
  ~jq_program();

  /// Runs on one JSON value and gives the outputs as JSON texts, at most `outputs_max` of them.
  /// Throws permanent_error when the program reports an error, whatever it gave before that.
  [[nodiscard]] std::vector<std::string> run(std::string_view json, std::size_t outputs_max);
  [[nodiscard]] std::vector<std::string> run(std::string_view json);

 private:
  struct closes {
    void operator()(jq_state* state) const;
  };
  std::unique_ptr<jq_state, closes> state_;
};

/// Why a transform by libjq would not keep `json` as it is: a number that does not survive a
/// double, or nesting deeper than 256. Nothing when it would.
[[nodiscard]] std::optional<std::string> changed_by_jq(std::string_view json);

/// A yes or no about an item: evaluated natively where that is possible, else by libjq.
///
/// Thread safety: none; one thread at a time.
class condition {
 public:
  /// Throws std::invalid_argument as jq_program does.
  explicit condition(std::string_view expression);
  /// False for false, null and no result at all. Throws permanent_error where the expression
  /// reports an error or gives more than one result.
  [[nodiscard]] bool holds(std::string_view json);
  [[nodiscard]] bool is_native() const { return native_.has_value(); }

 private:
  std::optional<native_expression> native_;
  std::optional<jq_program> program_;
};

/// Adds the stages `jq`, `filter` and `split`.
void register_jq(registry& to);

}  // namespace brigade
