// What a ledger keeps of a source: marks, and the identities of files.
#include "connect/file_identity.hpp"
#include "fuzz.hpp"

#include <brigade/pipeline/mark.hpp>

#include <optional>
#include <stdexcept>
#include <string>

namespace brigade::fuzz {
namespace {

std::optional<mark> decoded(std::uint64_t low, std::string_view above) {
  try {
    return mark::decode(low, above);
  } catch (const std::invalid_argument&) {
    return std::nullopt;
  }
}

void read_mark(std::uint64_t low, std::string_view above) {
  const auto found = decoded(low, above);
  if (!found) return;
  demand(found->encode_above() == above, "a mark is written as it was read");
  demand(decoded(found->low, found->encode_above()) == found, "and reads back");
  demand(mark::merge(*found, *found) == *found, "a mark and itself are itself");
  demand(mark::merge(mark{}, *found) == *found, "a mark and nothing are itself");
  for (const mark::range& each : found->above) {
    demand(found->finished(each.begin) && found->finished(each.end - 1), "a range is finished");
    demand(!found->finished(each.end), "and nothing behind it");
  }
}

// A mark made by finishing things in any order reads back.
void make_mark(std::string_view input) {
  mark_builder made;
  for (std::size_t at = 0; at + 2 < input.size(); at += 3) {
    const auto begin = static_cast<unsigned char>(input[at]);
    const auto length = static_cast<unsigned char>(input[at + 1]) % 16U;
    if (input[at + 2] % 4 == 0) {
      made.finish_part(begin, std::to_string(length) + "/0");
    } else {
      made.finish(begin, begin + length);
    }
  }
  const mark at = made.at();
  demand(decoded(at.low, at.encode_above()) == at, "what is finished in any order reads back");
}

void read_identities(std::string_view input) {
  try {
    const std::string once = encode_identities(decode_identities(input));
    demand(encode_identities(decode_identities(once)) == once, "identities read back");
  } catch (const std::runtime_error&) {  // damaged, and says so
  }
}

void run(std::string_view input) {
  const std::size_t blank = input.find(' ');
  if (blank != std::string_view::npos && blank < 20) {
    std::uint64_t low = 0;
    for (const char c : input.substr(0, blank))
      low = low * 10 + static_cast<unsigned char>(c - '0');
    read_mark(low, input.substr(blank + 1));
  }
  read_mark(0, input);
  make_mark(input);
  read_identities(input);
}

}  // namespace
}  // namespace brigade::fuzz

BRIGADE_FUZZ(marks, brigade::fuzz::run);
