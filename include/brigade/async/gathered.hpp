/// How one of several ended, where errors are collected and not thrown.
///
/// Thread safety: none.
#pragma once
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace brigade {

/// Spells that errors are collected, not thrown.
struct collect_errors_t {
  explicit collect_errors_t() = default;
};
inline constexpr collect_errors_t collect_errors{};

/// How one member ended: by a value, by an error, or cancelled.
template <class T>
class gathered {
 public:
  using stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
  explicit gathered(stored value) : value_(std::move(value)) {}
  gathered(std::exception_ptr error, bool by_cancel)
      : error_(std::move(error)), cancelled_(by_cancel) {}

  [[nodiscard]] bool has_value() const { return value_.has_value(); }
  /// Throws the error, or `cancelled`, when there is no value.
  [[nodiscard]] stored& value() {
    if (error_) std::rethrow_exception(error_);
    return *value_;
  }
  [[nodiscard]] const stored& value() const {
    if (error_) std::rethrow_exception(error_);
    return *value_;
  }
  [[nodiscard]] bool cancelled() const { return cancelled_; }
  /// Null when there is a value; a `cancelled` when it was cancelled.
  [[nodiscard]] const std::exception_ptr& error() const { return error_; }

 private:
  std::optional<stored> value_;
  std::exception_ptr error_;
  bool cancelled_ = false;
};

}  // namespace brigade
