/// A stream given to a splitter in pieces, and what comes out of it.
#pragma once
#include "connect/text_lines.hpp"
#include "fuzz.hpp"

#include <string>
#include <utility>
#include <vector>

namespace brigade::fuzz {

/// A text_line that owns its text.
struct piece {
  std::string text;
  std::uint64_t begin, end, start, bytes;
  bool cut;
  explicit piece(const text_line& line)
      : text(line.text),
        begin(line.begin),
        end(line.end),
        start(line.start),
        bytes(line.bytes),
        cut(line.cut) {}
  friend bool operator==(const piece&, const piece&) = default;
};

/// Feeds `stream` as chunks that end where `next_end` says, given where they begin.
template <class Splitter, class NextEnd>
std::vector<piece> split(Splitter splitter, std::string_view stream, NextEnd next_end) {
  std::vector<piece> pieces;
  const std::uint64_t offset = splitter.offset();
  std::size_t at = 0;
  while (at < stream.size()) {
    const std::size_t end = next_end(at);
    // A copy of the exact size, so that a sanitizer sees a step beyond the chunk.
    const std::vector<char> chunk(stream.begin() + static_cast<std::ptrdiff_t>(at),
                                  stream.begin() + static_cast<std::ptrdiff_t>(end));
    splitter.feed({chunk.data(), chunk.size()});
    while (const auto line = splitter.next()) pieces.emplace_back(*line);
    at = end;
  }
  if (const auto last = splitter.finish()) pieces.emplace_back(*last);
  demand(splitter.offset() == offset + stream.size(), "a splitter looks at every byte");
  return pieces;
}

/// What any splitter owes: chunks make no difference, ranges follow each other, nothing that is
/// longer than allowed is held, and from the end of any piece on the same ones follow.
template <class MakeSplitter>
std::vector<piece> check_splitter(MakeSplitter make, std::string_view stream,
                                  std::uint64_t line_bytes_max) {
  chance random(stream);
  const auto whole = [&](std::size_t) { return stream.size(); };
  const auto cut = [&](std::size_t at) { return at + 1 + random.below(stream.size() - at); };
  const std::vector<piece> pieces = split(make(0), stream, whole);
  demand(split(make(0), stream, cut) == pieces, "chunks make no difference");
  demand(split(make(0), stream, [](std::size_t at) { return at + 1; }) == pieces,
         "single bytes make no difference");
  std::uint64_t end = 0;
  for (const piece& each : pieces) {
    demand(each.begin == end && each.begin <= each.start && each.start < each.end,
           "ranges follow each other");
    demand(each.cut == (each.bytes > line_bytes_max), "what is too long is cut");
    demand(each.text.size() <= std::max<std::uint64_t>(line_bytes_max, cut_line_bytes),
           "no more is held than is allowed");
    demand(each.cut || each.text.size() == each.bytes, "what is not cut is whole");
    end = each.end;
  }
  demand(end <= stream.size(), "ranges are within the stream");
  if (pieces.empty()) return pieces;
  const std::size_t behind = random.below(pieces.size());
  const std::uint64_t from = pieces[behind].end;
  const std::vector<piece> rest =
      split(make(from), stream.substr(from), [&](std::size_t) { return stream.size() - from; });
  demand(rest == std::vector<piece>(pieces.begin() + static_cast<std::ptrdiff_t>(behind) + 1,
                                    pieces.end()),
         "from the end of a piece on the same ones follow");
  return pieces;
}

}  // namespace brigade::fuzz
