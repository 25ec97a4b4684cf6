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
#include <vector>

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
  /// Goes to the next member if its key is spelled like this, with quotes and without escapes; else
  /// false, and it stays where it is.
  bool next_if(std::string_view key);
  [[nodiscard]] std::string_view key() const { return key_; }  ///< as spelled, with its quotes
  [[nodiscard]] std::string_view value() const { return value_; }

 private:
  void take_member(std::size_t key_size);

  std::string_view rest_;
  std::string_view key_;
  std::string_view value_;
};

/// The names an object had, for the objects behind it: they mostly have the same, in the same
/// order, and names that were looked at once need not be again.
class object_shape {
 public:
  /// Changes with the names; 0 is none.
  [[nodiscard]] unsigned version() const { return version_; }
  [[nodiscard]] std::size_t size() const { return keys_.size(); }

  /// Gives `take` each member's place, name and value, as long as the names are these in this
  /// order. False: they are not, or not all.
  template <class Take>
  bool read(std::string_view object, Take take) const {
    if (version_ == 0) return false;
    object_reader members(object);
    for (std::size_t at = 0; at < keys_.size(); ++at) {
      if (!members.next_if(keys_[at])) return false;
      take(at, members.key().substr(1, members.key().size() - 2), members.value());
    }
    return !members.next();
  }
  /// Takes the names of an object that has so many different ones; none where one is there twice or
  /// has an escape. Gives the version, or 0.
  unsigned learn(std::string_view object, std::size_t names);

 private:
  std::vector<std::string> keys_;  ///< as spelled, with their quotes
  unsigned version_ = 0;
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
