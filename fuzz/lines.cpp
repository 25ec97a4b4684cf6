// Lines of text and of JSON, from bytes to items and back from a dead letter.
#include "fuzz.hpp"
#include "splitting.hpp"

#include <brigade/connect/record.hpp>

namespace brigade::fuzz {
namespace {

void decode(line_format format, const piece& line, std::uint64_t line_bytes_max) {
  text_line given;
  given.text = line.text;
  given.start = line.start;
  given.bytes = line.bytes;
  given.cut = line.cut;
  const decoded_line decoded = decode_line(format, given, line_bytes_max);
  demand(decoded.undecodable.has_value() || decoded.value.what() != record::shape::cut,
         "a line that was cut is no item");
  const record back = record::from_text(text_of(decoded.value));
  demand(back.what() == decoded.value.what() && back.raw() == decoded.value.raw() &&
             back.offset() == decoded.value.offset() &&
             back.whole_bytes() == decoded.value.whole_bytes(),
         "a dead letter reads back as it was");
  const decoded_line again = decode_again(format, back, line_bytes_max);
  demand(again.undecodable == decoded.undecodable && again.value.raw() == decoded.value.raw(),
         "a dead letter is decoded as it was the first time");
}

void run(std::string_view input) {
  const std::uint64_t line_bytes_max = 1 + chance(input).below(input.size() + 8);
  for (const line_format format : {line_format::lines, line_format::ndjson}) {
    const blank_lines blanks =
        format == line_format::ndjson ? blank_lines::skip : blank_lines::keep;
    const auto make = [&](std::uint64_t offset) {
      return line_splitter(offset, line_bytes_max, blanks);
    };
    for (const piece& line : check_splitter(make, input, line_bytes_max)) {
      decode(format, line, line_bytes_max);
    }
  }
}

}  // namespace
}  // namespace brigade::fuzz

BRIGADE_FUZZ(lines, brigade::fuzz::run);
