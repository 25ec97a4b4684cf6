#include <brigade/pipeline/ledger.hpp>

#include <algorithm>

namespace brigade {

std::string resume_point::token_of(std::string_view sink, bool is_alone) const {
  const auto named = std::ranges::find(sink_tokens, sink, &sink_token::sink);
  if (named != sink_tokens.end()) return named->token;
  const auto of_old = std::ranges::find(sink_tokens, "", &sink_token::sink);
  if (of_old != sink_tokens.end()) return of_old->token;
  return is_alone && sink_tokens.size() == 1 ? sink_tokens.front().token : std::string();
}

}  // namespace brigade
