/// Expressions that need no libjq: a plain path, and a comparison of one with a constant.
///
///   .  .a.b[0]  .["a b"]  .items[-1].price           a path
///   .total != null   .status >= 500   "x" == .name   a comparison: == != < <= > >=
///
/// They mean what they mean in jq: what is missing is null, indexing a number or a string is an
/// error, and values are ordered null < false < true < numbers < strings < arrays < objects.
/// Integers up to 64 bits are compared exactly, where jq rounds them to doubles. Evaluation works
/// on the item's text and builds no document.
///
/// Thread safety: immutable after parsing.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

class native_expression {
 public:
  /// Nothing when `text` is anything else: then it is libjq's.
  static std::optional<native_expression> parse(std::string_view text);

  /// The result as JSON text; a part of `json` where it is a path's, spelled as it is there.
  /// `json` is valid JSON. Throws permanent_error where jq reports an error.
  [[nodiscard]] std::string evaluate(std::string_view json) const;
  /// Whether the result is neither false nor null.
  [[nodiscard]] bool holds(std::string_view json) const;
  /// True when it is a path without a comparison.
  [[nodiscard]] bool is_path() const { return !comparison_.has_value(); }
  /// The one key of a path like `.line`; nothing when the expression is anything else.
  [[nodiscard]] std::optional<std::string_view> single_key() const;

 private:
  friend class expression_parser;
  struct step {
    std::optional<std::string> key;
    std::int64_t index = 0;  ///< where there is no key; negative: counted from the end
  };
  enum class relation : std::uint8_t { equal, unequal, less, less_equal, greater, greater_equal };
  struct comparison {
    relation how = relation::equal;
    std::string constant;  ///< as JSON
  };

  [[nodiscard]] std::string_view resolve(std::string_view json) const;
  [[nodiscard]] bool compare(std::string_view value) const;

  std::vector<step> path_;
  std::optional<comparison> comparison_;
};

}  // namespace brigade
