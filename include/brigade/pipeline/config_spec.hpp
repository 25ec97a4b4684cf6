/// What a component can be told: one list of fields from which a pipeline file is checked, read and
/// documented. A connector declares its fields once, in its own .cpp.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace brigade {

enum class field_type : std::uint8_t {
  text,
  integer,
  boolean,
  duration,
  bytes,
  text_list,
  text_or_list,
  text_map,
  choice,
  branches  ///< ways through the pipeline: its value is not among the settings
};

struct field_spec {
  std::string name;
  field_type type = field_type::text;
  std::string fallback;   ///< the default, as a user would write it; empty with !required: unset
  std::string doc;        ///< one sentence
  bool required = false;  ///< a component's single required field may stand without its name
  std::vector<std::string> choices = {};
  /// A value as a user would write it, for `help` and `new`; empty: one is made of the default.
  std::string example = {};
  bool secret = false;  ///< a token, a password: pictures of a pipeline show *** instead
  bool usual = false;   ///< one of several ways, so not required: `new` and `help` show this one
};

/// A value is wrong in a way only its component can tell. Carries the field, so that the message
/// can be given with file, line and column.
class config_error : public std::runtime_error {
 public:
  config_error(std::string field_name, const std::string& message)
      : std::runtime_error(message), field_(std::move(field_name)) {}
  [[nodiscard]] const std::string& field() const { return field_; }

 private:
  std::string field_;
};

using field_value = std::variant<std::string, std::int64_t, bool, std::chrono::milliseconds,
                                 std::vector<std::string>, std::map<std::string, std::string>>;

/// The checked values of one component: types are right, defaults filled in. A field without a
/// value and a default is not there; `text_or_list` is always a list.
/// Asking for a field its spec does not have, or for another type, is a misuse (asserted).
class settings {
 public:
  void set(std::string name, field_value value) { values_[std::move(name)] = std::move(value); }
  [[nodiscard]] bool has(std::string_view name) const;
  [[nodiscard]] const std::string& text(std::string_view name) const;
  [[nodiscard]] std::int64_t integer(std::string_view name) const;  ///< also bytes
  [[nodiscard]] bool flag(std::string_view name) const;
  [[nodiscard]] std::chrono::milliseconds duration(std::string_view name) const;
  [[nodiscard]] const std::vector<std::string>& list(std::string_view name) const;
  [[nodiscard]] const std::map<std::string, std::string>& table(std::string_view name) const;

 private:
  std::map<std::string, field_value, std::less<>> values_;
};

}  // namespace brigade
