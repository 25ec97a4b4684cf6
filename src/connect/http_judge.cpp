#include "connect/http_judge.hpp"

namespace brigade::http {

void judge::works(time_point now) {
  ++successes_;
  last_success_ = now;
  without_success_.clear();
}

void judge::failed(std::string_view key, time_point now) {
  // Forgotten, they are as new: held for a while, and never lost.
  if (suspects_.size() >= suspects_max) suspects_.clear();
  suspects_.emplace(key, successes_);
  if (without_success_.empty()) since_ = now;
  if (!is_outage()) without_success_.emplace(key);
}

void judge::settled(std::string_view key) {
  const auto found = suspects_.find(key);
  if (found != suspects_.end()) suspects_.erase(found);
}

bool judge::blames(std::string_view key) const {
  const auto found = suspects_.find(key);
  return found != suspects_.end() && found->second < successes_;
}

bool judge::takes_turns(time_point now) {
  if (without_success_.empty() || is_outage()) return false;
  const bool worked_just_before = last_success_ + just_before > since_;
  if (now - since_ < (worked_just_before ? patience_short : patience)) return false;
  since_ = now;
  return true;
}

}  // namespace brigade::http
