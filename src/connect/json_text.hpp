/// Reading JSON as text, without building a document: checking, finding members, taking values.
///
/// A connector that only looks at a few members of an item, or passes values on, works on the
/// original bytes: nothing is rounded or respelled, and nothing is allocated per value.
///
/// Only `check` accepts any text. The others want text that passed it; of other text they make
/// little sense, but they never read past its end.
/// Thread safety: none needed. Throws: only std::bad_alloc.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace brigade::json_text {

struct problem {
  std::string why;     ///< "expected ',' or '}'"
  std::size_t at = 0;  ///< the offending byte, counted from 1
};
/// Nothing when `text` is exactly one JSON value (RFC 8259) in valid UTF-8, with blanks around it
/// allowed. An escaped half of a surrogate pair is refused too: it is no text.
[[nodiscard]] std::optional<problem> check(std::string_view text);

/// In jq's order of kinds.
enum class kind : std::uint8_t { null, boolean_false, boolean_true, number, string, array, object };
[[nodiscard]] kind kind_of(std::string_view value);
/// `null`, `boolean`, `number`...: as jq's messages say it.
[[nodiscard]] std::string_view kind_name(kind what);

/// `text` without JSON's blanks at both ends.
[[nodiscard]] std::string_view trimmed(std::string_view text);
/// The JSON value that `text` begins with.
[[nodiscard]] std::string_view leading_value(std::string_view text);

/// The members of an object, in order.
class object_reader {
 public:
  explicit object_reader(std::string_view object);
  /// Goes to the next member; false behind the last.
  bool next();
  [[nodiscard]] std::string_view key() const { return key_; }  ///< as spelled, with its quotes
  [[nodiscard]] std::string_view value() const { return value_; }

 private:
  std::string_view rest_;
  std::string_view key_;
  std::string_view value_;
};

/// The elements of an array, in order.
class array_reader {
 public:
  explicit array_reader(std::string_view array);
  bool next();
  [[nodiscard]] std::string_view value() const { return value_; }

 private:
  std::string_view rest_;
  std::string_view value_;
};

/// The member `key` of an object; where it is there more than once, the last, as everywhere.
[[nodiscard]] std::optional<std::string_view> member(std::string_view object, std::string_view key);

/// What a JSON string says. Without escapes that is a part of `quoted` itself; else it is put
/// into `storage`.
[[nodiscard]] std::string_view unquoted(std::string_view quoted, std::string& storage);

/// True when a JSON number means the same after a trip through a double.
[[nodiscard]] bool survives_double(std::string_view number);
/// A number's value where it is an integer that fits.
[[nodiscard]] std::optional<std::int64_t> to_int64(std::string_view number);
/// The nearest double; nothing when the number is larger than any.
[[nodiscard]] std::optional<double> to_double(std::string_view number);
/// True when a JSON number is written without a point and an exponent.
[[nodiscard]] bool is_integer(std::string_view number);

}  // namespace brigade::json_text
