#include "connect/exec_log.hpp"

#include <brigade/async/timeout.hpp>
#include <brigade/async/wait_for.hpp>
#include <brigade/pipeline/log.hpp>

#include <optional>
#include <utility>

namespace brigade::exec {

namespace {
// A handler may write for ever, and faster than this reads: timeouts and stops must get through.
constexpr std::size_t lines_between_yields = 64;
}  // namespace

void log_line(std::string_view label, std::string_view text) {
  std::string line(label);
  line += ": ";
  line += text;
  brigade::log_line(line);
}

void error_log::forget() {
  last_line_.clear();
  lines_.drop_rest();
  skipping_ = ended_ = false;
}

task<> error_log::copy(descriptor& from, std::function<std::string_view()> item) {
  std::size_t lines_taken = 0;
  while (!ended_) {
    co_await from.wait_readable();
    read_more(from, item());
    while (take_line(item())) {
      if (++lines_taken % lines_between_yields == 0) co_await yield();
    }
  }
}

void error_log::copy_now(descriptor& from, std::string_view item) {
  if (ended_) return;
  while (take_line(item)) {
  }
  if (!read_more(from, item)) return;
  while (take_line(item)) {
  }
}

bool error_log::read_more(descriptor& from, std::string_view item) {
  const std::optional<std::size_t> count = from.read_now(lines_.space());
  if (!count) return false;
  if (*count == 0) {
    ended_ = true;
    if (!skipping_ && !lines_.rest().empty()) take(lines_.rest(), item);
    lines_.drop_rest();
    return false;
  }
  lines_.filled(*count);
  return true;
}

bool error_log::take_line(std::string_view item) {
  if (const std::optional<std::string_view> line = lines_.next()) {
    if (!std::exchange(skipping_, false)) take(*line, item);
    return true;
  }
  if (lines_.rest().size() > line_bytes_max) {
    if (!std::exchange(skipping_, true)) take(lines_.rest(), item);
    lines_.drop_rest();
  }
  return false;
}

task<> error_log::last_words(event& drained, std::string_view its_group,
                             std::chrono::milliseconds limit) const {
  try {
    co_await wait_for(drained.wait(), limit);
  } catch (const timed_out&) {
    std::string text("something outside ");
    text += its_group;
    text += " keeps its output open";
    log_line(label_, text);
  }
}

void error_log::take(std::string_view line, std::string_view item) {
  std::string text = indented_line(line, line_bytes_max);
  if (item.empty()) {
    log_line(label_, text);
  } else {
    log_line(label_, std::string(item) + ": " + text);
  }
  if (!text.empty()) last_line_ = one_line(text, line_bytes_max);
}

}  // namespace brigade::exec
