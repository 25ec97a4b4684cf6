#include "cli/failure_log.hpp"

#include "cli/plain_text.hpp"

#include <fmt/format.h>

#include <cmath>

namespace brigade::cli {
namespace {

constexpr std::uint64_t shown_max = 10;
constexpr double tick_seconds = 10;
constexpr std::size_t kinds_max = 1000;  // errors with random text in them must not eat the memory

std::string_view fate_of(const failure_event& event) {
  if (!event.final) return "to be tried again";
  return event.is_dropped ? "dropped" : "dead-lettered";
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::string error_shape(std::string_view error) {
  std::string shape;
  for (const char c : error) {
    if (!is_digit(c)) {
      shape += c;
    } else if (shape.empty() || shape.back() != '#') {
      shape += '#';
    }
  }
  return shape;
}

failure_log::kind& failure_log::kind_of(const failure_event& event, const std::string& error) {
  const std::string_view fate = fate_of(event);
  std::string key = fmt::format("{}\n{}\n{}", event.stage, fate, error_shape(error));
  std::string first_error = error;
  const bool is_new = kinds_.find(key) == kinds_.end();
  if (is_new && kinds_.size() >= kinds_max) {
    key = fmt::format("{}\n{}", event.stage, fate);
    first_error = "errors of many kinds";
  }
  const auto [place, added] = kinds_.try_emplace(key);
  if (added) {
    place->second.label = fmt::format("stage '{}': {}", event.stage, fate);
    place->second.error = std::move(first_error);
  }
  return place->second;
}

void failure_log::add(const failure_event& event) {
  const std::string error = plain_line(event.error);
  kind& alike = kind_of(event, error);
  if (++alike.count > shown_max) return;
  alike.counted = alike.count;
  const std::string_view last = alike.count == shown_max ? " (from now on, these are counted)" : "";
  if (event.final) {
    // Poison may have been charged no attempt at all.
    const std::string after =
        event.attempts == 0
            ? ""
            : fmt::format(" after {} attempt{}", event.attempts, event.attempts == 1 ? "" : "s");
    emit_(fmt::format("stage '{}': {} {}{}: {}{}", event.stage, event.id, fate_of(event), after,
                      error, last));
  } else {
    emit_(fmt::format("stage '{}': {} failed at attempt {}, to be tried again: {}{}", event.stage,
                      event.id, event.attempts, error, last));
  }
}

void failure_log::tick(double seconds) {
  if (seconds < next_seconds_) return;
  next_seconds_ = (std::floor(seconds / tick_seconds) + 1) * tick_seconds;
  for (auto& [key, alike] : kinds_) {
    if (alike.count == alike.counted) continue;
    emit_(fmt::format("{}: {} more like this in the last 10 s: {}", alike.label,
                      alike.count - alike.counted, alike.error));
    alike.counted = alike.count;
  }
}

void failure_log::end() {
  for (const auto& [key, alike] : kinds_) {
    if (alike.count <= shown_max) continue;
    emit_(fmt::format("{}: {} in all, the first {} shown: {}", alike.label, alike.count, shown_max,
                      alike.error));
  }
  kinds_.clear();
}

}  // namespace brigade::cli
