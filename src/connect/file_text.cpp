#include "connect/file_text.hpp"

#include <stdexcept>
#include <utility>

namespace brigade {
namespace {

std::variant<line_splitter, csv_reader> splitter_for(const text_format& format,
                                                     std::uint64_t offset) {
  if (format.what == line_format::csv) {
    return csv_reader(offset, format.line_bytes_max, format.csv);
  }
  return line_splitter(offset, format.line_bytes_max,
                       format.what == line_format::ndjson ? blank_lines::skip : blank_lines::keep);
}

}  // namespace

std::string format_fingerprint(std::string_view source, const text_format& format) {
  std::string text(source);
  if (format.what == line_format::lines) return text + " lines";
  if (format.what == line_format::ndjson) return text + " ndjson";
  return text + (format.csv.header ? " csv" : " csv without header");
}

text_splitter::text_splitter(const text_format& format, std::uint64_t offset, std::string shown)
    : format_(format.what),
      shown_(std::move(shown)),
      line_bytes_max_(format.line_bytes_max),
      how_(splitter_for(format, offset)) {}

void text_splitter::feed(std::string_view chunk) {
  std::visit([&](auto& how) { how.feed(chunk); }, how_);
}

std::optional<text_line> text_splitter::next() {
  if (auto* const lines = std::get_if<line_splitter>(&how_)) return lines->next();
  return checked(&csv_reader::next);
}

std::optional<text_line> text_splitter::finish() {
  if (auto* const lines = std::get_if<line_splitter>(&how_)) return lines->finish();
  return checked(&csv_reader::finish);
}

std::optional<text_line> text_splitter::checked(std::optional<text_line> (csv_reader::*call)()) {
  try {
    return (std::get<csv_reader>(how_).*call)();
  } catch (const std::runtime_error& error) {
    throw std::runtime_error("cannot read " + shown_ + ": " + error.what());
  }
}

std::uint64_t text_splitter::offset() const {
  return std::visit([](const auto& how) { return how.offset(); }, how_);
}

decoded_line text_splitter::decode(const text_line& line) const {
  if (const auto* const csv = std::get_if<csv_reader>(&how_)) return csv->decode(line);
  return decode_line(format_, line, line_bytes_max_);
}

decoded_line decode_again(const text_format& format, const record& value) {
  if (format.what == line_format::csv) {
    return decode_csv_again(format.csv, value, format.line_bytes_max);
  }
  return decode_again(format.what, value, format.line_bytes_max);
}

}  // namespace brigade
