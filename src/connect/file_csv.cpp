#include "connect/file_csv.hpp"

#include <brigade/pipeline/config_spec.hpp>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace brigade {
namespace {

// What belongs to a row in the file and not to its length: the mark, and a carriage return.
constexpr std::uint64_t around_bytes = byte_order_mark.size() + 1;
constexpr std::size_t npos = std::string_view::npos;

}  // namespace

std::optional<text_line> csv_splitter::next() {
  while (!chunk().empty()) {
    const std::size_t newline = row_end();
    if (newline == npos) {
      hold_chunk();
      break;
    }
    if (auto row = complete(take_to(newline))) return row;
  }
  return std::nullopt;
}

std::optional<text_line> csv_splitter::finish() {
  if (held_bytes() == 0) return std::nullopt;
  return complete(take_held());
}

// An empty line is no row.
std::optional<text_line> csv_splitter::complete(const text_line& row) {
  place_ = place::field_start;
  if (row.bytes == 0) return std::nullopt;
  given(row);
  return row;
}

// Walks over the chunk: the newline that ends the row, or nowhere in it.
std::size_t csv_splitter::row_end() {
  std::size_t at = byte_order_mark_end();
  std::size_t newline = chunk().find('\n', at);
  while (at < chunk().size()) {
    const char c = chunk()[at];
    if (place_ == place::field_start) {
      place_ = c == '"' ? place::quoted : place::plain;
      if (c == '"') ++at;
    } else if (place_ == place::behind_quote) {
      place_ = c == '"' ? place::quoted : c == ',' ? place::field_start : place::plain;
      if (place_ != place::plain) ++at;
    } else if (place_ == place::quoted) {
      const std::size_t quote = chunk().find('"', at);
      if (const std::size_t end = given_up(at, quote); end != npos) return end;
      if (quote == npos) return npos;
      place_ = place::behind_quote;
      at = quote + 1;
    } else {
      if (newline != npos && newline < at) newline = chunk().find('\n', at);
      const std::size_t line_end = std::min(newline, chunk().size());
      const std::size_t quote = chunk().substr(0, line_end).find('"', at);
      if (quote == npos) {
        if (newline == npos && chunk().back() == ',') place_ = place::field_start;
        return newline;
      }
      if (quote > at && chunk()[quote - 1] == ',') place_ = place::quoted;
      at = quote + 1;
    }
  }
  return npos;
}

// The mark at the beginning of a file stands before the first field, which may be quoted.
std::size_t csv_splitter::byte_order_mark_end() const {
  if (start() != 0 || held_bytes() >= byte_order_mark.size() ||
      !byte_order_mark.starts_with(held())) {
    return 0;
  }
  std::size_t at = 0;
  while (held_bytes() + at < byte_order_mark.size() && at < chunk().size() &&
         chunk()[at] == byte_order_mark[held_bytes() + at]) {
    ++at;
  }
  return at;
}

// The first newline in `[from, to)` of the chunk before which the row has become too long.
std::size_t csv_splitter::given_up(std::size_t from, std::size_t to) const {
  to = std::min(to, chunk().size());
  const std::uint64_t most = bytes_max() + around_bytes;
  if (held_bytes() + to <= most) return npos;
  if (held_bytes() <= most)
    from = std::max(from, static_cast<std::size_t>(most + 1 - held_bytes()));
  return chunk().substr(0, to).find('\n', from);
}

csv_reader::csv_reader(std::uint64_t offset, std::uint64_t row_bytes_max, csv_format format)
    : resume_(offset),
      row_bytes_max_(row_bytes_max),
      format_(std::move(format)),
      splitter_(format_.header ? 0 : offset, row_bytes_max) {
  if (!format_.header) columns_ = csv_columns(format_.columns, format_.types);
}

std::optional<text_line> csv_reader::next() {
  auto row = splitter_.next();
  if (!row || !takes_header()) return row;
  take_header(*row);
  if (resume_ > row->end) {
    splitter_ = csv_splitter(resume_, row_bytes_max_);
    return std::nullopt;
  }
  splitter_.absorb(*row);
  return splitter_.next();
}

std::optional<text_line> csv_reader::finish() {
  auto row = splitter_.finish();
  if (!row || !takes_header()) return row;
  take_header(*row);
  return std::nullopt;
}

void csv_reader::take_header(const text_line& row) {
  if (row.cut) throw std::runtime_error("its header is longer than max_line");
  csv_row fields;
  std::optional<std::string> why;
  if (!valid_utf8(row.text)) why = "invalid UTF-8";
  if (!why) why = fields.read(row.text);
  if (why) throw std::runtime_error("its header is no CSV: " + *why);
  try {
    columns_ = csv_columns({fields.fields().begin(), fields.fields().end()}, format_.types);
  } catch (const config_error& error) {
    throw std::runtime_error(std::string("its header does not fit 'types': ") + error.what());
  }
  has_header_ = true;
}

decoded_line csv_reader::decode(const text_line& row) const {
  if (row.cut) return decode_line(line_format::csv, row, row_bytes_max_);
  std::string json;
  json.reserve(row.text.size() * 2 + 64);
  if (auto why = append_csv_row(columns_, row.text, json)) {
    return {record::line(row.text), std::move(why)};
  }
  return {record::json(std::move(json)), std::nullopt};
}

decoded_line decode_csv_again(const csv_format& format, const record& value,
                              std::uint64_t row_bytes_max) {
  if (value.what() != record::shape::line) {
    return decode_again(line_format::csv, value, row_bytes_max);
  }
  if (format.header) {
    return {value,
            "a row of CSV that could not be read, and its header is not at hand; put it, "
            "corrected, into a file with the header"};
  }
  std::string json;
  const csv_columns columns(format.columns, format.types);
  if (auto why = append_csv_row(columns, value.raw(), json)) return {value, std::move(why)};
  return {record::json(std::move(json)), std::nullopt};
}

}  // namespace brigade
