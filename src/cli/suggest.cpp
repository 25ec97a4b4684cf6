#include "cli/suggest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace brigade::cli {
namespace {

/// People misspell the ends of words: of two equally near, the one that begins alike was meant.
std::size_t common_front(std::string_view left, std::string_view right) {
  std::size_t length = 0;
  while (length < left.size() && length < right.size() && left[length] == right[length]) ++length;
  return length;
}

}  // namespace

std::size_t edit_distance(std::string_view left, std::string_view right) {
  std::vector<std::size_t> before_last(right.size() + 1);
  std::vector<std::size_t> last(right.size() + 1);
  std::vector<std::size_t> row(right.size() + 1);
  for (std::size_t j = 0; j <= right.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= left.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= right.size(); ++j) {
      const std::size_t change = left[i - 1] == right[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + change});
      const bool swapped =
          i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    before_last.swap(last);
    last.swap(row);
  }
  return last[right.size()];
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> known) {
  constexpr std::size_t word_length_max = 64;  // nobody misspells a key into a paragraph
  if (word.size() > word_length_max) return {};
  std::string_view best;
  std::size_t best_distance = 1 + word.size() / 4;
  for (const std::string_view candidate : known) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance > best_distance || distance >= candidate.size()) continue;
    const bool nearer = best.empty() || distance < best_distance ||
                        common_front(word, candidate) > common_front(word, best);
    if (nearer) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> known) {
  const std::string_view best = nearest(word, known);
  return best.empty() ? std::string{} : fmt::format("; did you mean '{}'?", best);
}

}  // namespace brigade::cli
