// CSV: rows out of a stream, fields out of rows, and rows as the sink writes them.
#include "connect/csv_row.hpp"
#include "connect/file_csv.hpp"
#include "connect/json_text.hpp"
#include "fuzz.hpp"
#include "splitting.hpp"

#include <brigade/connect/record.hpp>

#include <stdexcept>

namespace brigade::fuzz {
namespace {

// What is written reads back as it was.
void write_again(const csv_row& row) {
  std::string text;
  for (const std::string_view& field : row.fields()) {
    if (&field != row.fields().data()) text.push_back(',');
    append_csv_field(text, field);
  }
  if (text.empty()) text = R"("")";
  csv_row back;
  demand(!back.read(text), "what is written is CSV");
  demand(std::equal(row.fields().begin(), row.fields().end(), back.fields().begin(),
                    back.fields().end()),
         "what is written reads back as it was");
  text.push_back('\n');
  csv_splitter splitter(1, text.size());
  splitter.feed(text);
  const auto line = splitter.next();
  demand(line && line->end == text.size() + 1, "what is written is one row");
}

void read(const piece& row) {
  csv_row fields;
  const csv_columns numbered;
  std::string json = "before";
  const auto why = append_csv_row(numbered, row.text, json);
  if (why) {
    demand(json == "before", "a row that is none leaves nothing");
    return;
  }
  demand(!json_text::check(std::string_view(json).substr(6)), "a row becomes JSON");
  demand(!fields.read(row.text), "a row is read alike twice");
  write_again(fields);
}

// The way of a source: with a header, from any offset.
void read_as_source(std::string_view input, const std::vector<piece>& rows,
                    std::uint64_t row_bytes_max) {
  const auto items_from = [&](std::uint64_t offset) {
    csv_reader reader(offset, row_bytes_max, csv_format{});
    std::vector<std::string> items;
    const auto keep = [&](const text_line& row) {
      const std::string place = std::to_string(row.begin) + " " + std::to_string(row.end) + " ";
      const decoded_line decoded = reader.decode(row);
      items.push_back(place + decoded.undecodable.value_or("") + text_of(decoded.value));
    };
    while (reader.offset() < input.size()) {
      reader.feed(input.substr(reader.offset()));
      while (const auto row = reader.next()) keep(*row);
    }
    if (const auto row = reader.finish()) keep(*row);
    return items;
  };
  try {
    const std::vector<std::string> items = items_from(0);
    demand(items.size() + 1 == rows.size() || rows.empty(), "a row is an item, but the header");
    for (std::size_t i = 1; i < rows.size(); ++i) {
      const std::vector<std::string> rest = items_from(rows[i].end);
      demand(std::equal(rest.begin(), rest.end(), items.begin() + static_cast<std::ptrdiff_t>(i),
                        items.end()),
             "the same items follow wherever it resumes");
      if (i == 8) break;
    }
  } catch (const std::runtime_error&) {  // the header is none
  }
}

void run(std::string_view input) {
  const std::uint64_t row_bytes_max = 1 + chance(input).below(input.size() + 8);
  const auto make = [&](std::uint64_t offset) { return csv_splitter(offset, row_bytes_max); };
  const std::vector<piece> rows = check_splitter(make, input, row_bytes_max);
  for (const piece& row : rows) {
    if (!row.cut) read(row);
  }
  read_as_source(input, rows, row_bytes_max);
}

}  // namespace
}  // namespace brigade::fuzz

BRIGADE_FUZZ(csv, brigade::fuzz::run);
