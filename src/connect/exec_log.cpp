#include "connect/exec_log.hpp"

#include "connect/exec_protocol.hpp"

#include <brigade/async/timeout.hpp>
#include <brigade/async/wait_for.hpp>
#include <brigade/pipeline/log.hpp>

#include <chrono>
#include <optional>
#include <utility>

namespace brigade::exec {

namespace {
// A handler may write for ever, and faster than this reads: timeouts and stops must get through.
constexpr std::size_t lines_between_yields = 64;
constexpr std::chrono::seconds last_words_time{1};
}  // namespace

void log_line(std::string_view label, std::string_view text) {
  std::string line(label);
  line += ": ";
  line += text;
  brigade::log_line(line);
}

task<> error_log::copy(descriptor& from, std::function<std::string_view()> item) {
  line_buffer lines;
  bool skipping = false;  // the rest of a line that was cut
  std::size_t lines_taken = 0;
  for (;;) {
    const std::size_t count = co_await from.read_some(lines.space());
    if (count == 0) break;
    lines.filled(count);
    while (const std::optional<std::string_view> line = lines.next()) {
      if (!std::exchange(skipping, false)) take(*line, item());
      if (++lines_taken % lines_between_yields == 0) co_await yield();
    }
    if (lines.rest().size() > line_bytes_max) {
      if (!std::exchange(skipping, true)) take(lines.rest(), item());
      lines.drop_rest();
      co_await yield();
    }
  }
  if (!skipping && !lines.rest().empty()) take(lines.rest(), item());
}

task<> error_log::last_words(event& drained, std::string_view its_group) const {
  try {
    co_await wait_for(drained.wait(), last_words_time);
  } catch (const timed_out&) {
    std::string text("something outside ");
    text += its_group;
    text += " keeps its output open";
    log_line(label_, text);
  }
}

void error_log::take(std::string_view line, std::string_view item) {
  std::string text = one_line(line, line_bytes_max);
  if (item.empty()) {
    log_line(label_, text);
  } else {
    log_line(label_, std::string(item) + ": " + text);
  }
  if (!text.empty()) last_line_ = std::move(text);
}

}  // namespace brigade::exec
