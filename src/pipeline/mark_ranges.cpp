#include "pipeline/mark_ranges.hpp"

#include <algorithm>

namespace brigade::ledger_detail {

ranges ranges_of(const mark& at) {
  ranges result;
  if (at.low > 0) result.push_back({0, at.low});
  result.insert(result.end(), at.above.begin(), at.above.end());
  return result;
}

ranges subtract(const ranges& from, const ranges& what) {
  ranges result;
  auto hole = what.begin();
  for (mark::range rest : from) {
    while (hole != what.end() && hole->end <= rest.begin) ++hole;
    for (auto next = hole; next != what.end() && next->begin < rest.end; ++next) {
      if (next->begin > rest.begin) result.push_back({rest.begin, next->begin});
      rest.begin = std::min(next->end, rest.end);
    }
    if (rest.begin < rest.end) result.push_back(rest);
  }
  return result;
}

mark without(const mark& at, const ranges& what) {
  mark_builder rest;
  for (const mark::range& each : subtract(ranges_of(at), what)) rest.finish(each.begin, each.end);
  for (const mark::part& each : at.parts) rest.finish_part(each.begin, each.path);
  return rest.at();
}

}  // namespace brigade::ledger_detail
