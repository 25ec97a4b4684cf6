// The frames of a connection, whatever its client sends, and what they are as items.
#include "connect/json_text.hpp"
#include "connect/socket_format.hpp"
#include "connect/text_lines.hpp"
#include "fuzz.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace brigade::fuzz {
namespace {

struct found {
  std::vector<std::string> frames;  ///< packed
  std::uint64_t unfinished = 0;
  bool broken = false;
  friend bool operator==(const found&, const found&) = default;
};

void check_frame(const socket_frame& frame, std::uint64_t bytes_max) {
  demand(frame.cut || frame.bytes.size() <= bytes_max + 1, "what is too long is cut");
  demand(frame.bytes.size() <= std::max<std::uint64_t>(bytes_max + 1, cut_line_bytes),
         "no more is held than is allowed");
  demand(!frame.cut || frame.whole_bytes > bytes_max, "what is cut is too long");
}

template <class NextEnd>
found split(socket_framing how, std::string_view stream, std::uint64_t bytes_max,
            NextEnd next_end) {
  found all;
  frame_splitter splitter(how, bytes_max);
  try {
    for (std::size_t at = 0; at < stream.size();) {
      const std::size_t end = next_end(at);
      // A copy of the exact size, so that a sanitizer sees a step beyond the chunk.
      const std::vector<char> chunk(stream.begin() + static_cast<std::ptrdiff_t>(at),
                                    stream.begin() + static_cast<std::ptrdiff_t>(end));
      splitter.feed({chunk.data(), chunk.size()});
      while (const auto frame = splitter.next()) {
        check_frame(*frame, bytes_max);
        all.frames.push_back(pack_frame(*frame));
      }
      at = end;
    }
    if (const auto last = splitter.finish()) all.frames.push_back(pack_frame(*last));
    all.unfinished = splitter.unfinished();
  } catch (const framing_error&) {
    all.broken = true;
  }
  return all;
}

void decode(socket_format format, const std::string& packed) {
  const socket_item item = unpack_frame(format, packed, 100);
  const record back = record::from_text(text_of(item.value));
  const socket_item again = decode_again(format, back, 100);
  demand(again.undecodable == item.undecodable && again.value.raw() == item.value.raw(),
         "a dead letter is decoded as it was the first time");
  demand(item.undecodable || item.value.what() == record::shape::line ||
             !json_text::check(item.value.raw()),
         "what is not a line is JSON");
}

void run(std::string_view stream) {
  chance random(stream);
  const std::uint64_t bytes_max = 1 + random.below(stream.size() + 8);
  for (const socket_framing how : {socket_framing::line, socket_framing::length,
                                   socket_framing::octet_counting, socket_framing::syslog}) {
    const found whole = split(how, stream, bytes_max, [&](std::size_t) { return stream.size(); });
    const auto cut = [&](std::size_t at) { return at + 1 + random.below(stream.size() - at); };
    demand(split(how, stream, bytes_max, cut) == whole, "chunks make no difference");
    demand(split(how, stream, bytes_max, [](std::size_t at) { return at + 1; }) == whole,
           "single bytes make no difference");
    for (const std::string& packed : whole.frames) {
      for (const socket_format format : {socket_format::lines, socket_format::ndjson,
                                         socket_format::syslog, socket_format::bytes}) {
        decode(format, packed);
      }
    }
  }
}

}  // namespace
}  // namespace brigade::fuzz

BRIGADE_FUZZ(framing, brigade::fuzz::run);
