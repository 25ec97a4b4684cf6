/// Items as lines of output.
#pragma once
#include <brigade/connect/record.hpp>
#include <brigade/pipeline/sink.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

enum class row_format : std::uint8_t {
  ndjson,  ///< the item as JSON
  lines,   ///< the text of its field `line`
  csv,     ///< its fields in the columns of the file
};

/// The rows of a batch as one text, each with its newline; items that have no such row fail, for
/// good, and the others are written all the same.
struct rows {
  std::string text;
  std::vector<std::optional<failure>> failures;
};

/// Makes rows. In CSV the columns are those given, or those of the file's header, or else the
/// fields of the first item that is an object, in its order.
class row_maker {
 public:
  /// `columns` are for csv; none: see above.
  explicit row_maker(row_format format, std::vector<std::string> columns = {});

  [[nodiscard]] rows make(std::span<const sink_item> batch);
  /// What a file begins with, with its newline; empty: with nothing, or not yet.
  [[nodiscard]] std::string header() const;
  /// The file goes on that begins so; `beginning` is as much of it as there is, up to
  /// `header_bytes_max`. Throws std::runtime_error (`has no header...`) when it cannot be gone on.
  void go_on(std::string_view beginning);
  static constexpr std::size_t header_bytes_max = std::size_t{1} << 20;
  [[nodiscard]] bool needs_header() const { return format_ == row_format::csv; }

 private:
  void append(std::string& to, const record& value);
  void append_csv(std::string& to, const record& value);
  void set_columns(std::vector<std::string> columns);

  row_format format_;
  bool chosen_;  ///< the columns were given: other fields are left out
  std::vector<std::string> columns_;
  std::map<std::string, std::size_t, std::less<>> place_;  ///< column -> index
};

/// Throws std::runtime_error (`has the columns...`) when a file that begins so has another header.
void check_header(std::string_view beginning, std::string_view header);

/// Where the row ends that byte `at` of `text` stands in; whole rows begin at its front.
[[nodiscard]] std::size_t end_of_row(row_format format, std::string_view text, std::size_t at);

}  // namespace brigade
