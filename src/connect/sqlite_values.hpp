/// Rows of a query as items: a JSON object each, with the columns' names.
///
///   integer  a number; in a column declared BOOLEAN, 1 and 0 are true and false
///   real     a number with a point or an exponent, which reads back as the same double
///   text     a string; in a column declared JSON, what is JSON stands in it as such
///   blob     a string, `\x` and two hexadecimal digits a byte
///   null     null
#pragma once
#include "connect/rows_options.hpp"
#include "connect/sqlite_database.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace brigade::sqlite {

class row_reader {
 public:
  /// `first`: the columns before it are no part of the item.
  row_reader(const statement& rows, int first);

  /// The row that `rows` stands at. One whose texts are not UTF-8, or that has an infinite number,
  /// is there as a line, with the reason why it cannot be decoded.
  [[nodiscard]] rows::row read(const statement& rows, std::uint64_t number, std::string id);

 private:
  enum class kind : std::uint8_t { plain, boolean, json };
  struct column {
    std::string key;  ///< `"name":`
    std::string name;
    kind what = kind::plain;
  };
  void append(const statement& rows, int at, const column& of);
  void append_text(std::string_view text, const column& of);
  void append_real(double value, const column& of);

  int first_;
  std::vector<column> columns_;
  std::string json_;
  std::string problem_;
};

/// A value of the key column as text: of an id, and for messages.
[[nodiscard]] std::string key_text(const statement& rows, int column);

}  // namespace brigade::sqlite
