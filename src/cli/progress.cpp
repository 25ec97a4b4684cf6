#include "cli/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace brigade::cli {
namespace {

constexpr double log_seconds = 10;
constexpr std::size_t bar_cells = 20;
constexpr std::string_view erase_line = "\r\x1b[K";

std::string clock_text(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::max(seconds, 0.0));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string rate_text(double rate) {
  return rate < 10 ? fmt::format("{:.1f}/s", rate) : fmt::format("{:.0f}/s", rate);
}

/// The part of the source that is done; nothing when its size is unknown.
std::optional<double> fraction_done(const progress_snapshot& now) {
  if (!now.bytes_total || *now.bytes_total == 0) return std::nullopt;
  return std::min(1.0, static_cast<double>(now.bytes_done) / static_cast<double>(*now.bytes_total));
}

/// Seconds, at the pace of this run so far; nothing where there is no pace to go by.
std::optional<double> seconds_left(const progress_snapshot& now) {
  if (!now.bytes_total || now.seconds < 1 || now.bytes_done <= now.bytes_before) {
    return std::nullopt;
  }
  const auto done_now = static_cast<double>(now.bytes_done - now.bytes_before);
  const std::uint64_t left = *now.bytes_total - std::min(now.bytes_done, *now.bytes_total);
  return std::ceil(now.seconds * static_cast<double>(left) / done_now);
}

std::string bar_text(double fraction) {
  const auto filled = static_cast<std::size_t>(fraction * static_cast<double>(bar_cells));
  return fmt::format("[{:#<{}}{:-<{}}]", "", filled, "", bar_cells - filled);
}

/// A piece of the live line. Pieces of a higher rank are left out first.
struct piece {
  std::string text;
  int rank;
};

std::vector<piece> pieces_of(std::string_view name, const progress_snapshot& now) {
  const auto fraction = fraction_done(now);
  std::vector<piece> pieces;
  pieces.push_back({std::string(name), 5});
  if (fraction) {
    pieces.push_back({bar_text(*fraction), 8});
    pieces.push_back({fmt::format("{:3.0f}%", std::floor(*fraction * 100)), 1});
  }
  pieces.push_back({fmt::format("{} done", now.done()), 0});
  pieces.push_back({rate_text(now.rate), 3});
  pieces.push_back({fmt::format("in flight {}", now.in_flight), 6});
  pieces.push_back({fmt::format("failed {}", now.dead_lettered), 2});
  if (now.retrying > 0) pieces.push_back({fmt::format("retrying {}", now.retrying), 7});
  pieces.push_back({clock_text(now.seconds), 4});
  if (const auto left = seconds_left(now)) {
    pieces.push_back({fmt::format("ETA {}", clock_text(*left)), 4});
  }
  return pieces;
}

std::string joined(const std::vector<piece>& pieces) {
  std::string line;
  for (const piece& one : pieces) {
    if (!line.empty()) line += "  ";
    line += one.text;
  }
  return line;
}

}  // namespace

std::string progress_bar(std::string_view name, const progress_snapshot& now, std::size_t width) {
  std::vector<piece> pieces = pieces_of(name, now);
  std::string line = joined(pieces);
  while (line.size() > width && pieces.size() > 1) {
    pieces.erase(std::max_element(
        pieces.begin(), pieces.end(),
        [](const piece& left, const piece& right) { return left.rank < right.rank; }));
    line = joined(pieces);
  }
  return line.substr(0, width);
}

std::string progress_line(std::string_view name, const progress_snapshot& now) {
  std::string line = fmt::format("{}: {} done", name, now.done());
  if (const auto fraction = fraction_done(now)) {
    line += fmt::format(" ({:.0f}%)", std::floor(*fraction * 100));
  }
  line += fmt::format(", {}, in flight {}, failed {}, retrying {}, {}", rate_text(now.rate),
                      now.in_flight, now.dead_lettered, now.retrying, clock_text(now.seconds));
  if (const auto left = seconds_left(now)) line += ", ETA " + clock_text(*left);
  return line;
}

progress_output stderr_output() {
  progress_output output;
  output.write = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  };
  output.width = [] {
    constexpr std::size_t usual_width = 80;
    winsize size{};
    const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return known ? static_cast<std::size_t>(size.ws_col) : usual_width;
  };
  const char* const terminal = std::getenv("TERM");
  const bool can_erase = terminal != nullptr && std::string_view(terminal) != "dumb";
  output.is_terminal = can_erase && isatty(STDERR_FILENO) == 1;
  return output;
}

progress_display::progress_display(progress_mode mode, std::string name, progress_output output)
    : mode_(mode),
      name_(std::move(name)),
      output_(std::move(output)),
      next_line_seconds_(log_seconds) {
  if (mode_ == progress_mode::automatic) {
    mode_ = output_.is_terminal ? progress_mode::bar : progress_mode::log;
  }
}

progress_display::~progress_display() { clear(); }

void progress_display::update(const progress_snapshot& now) {
  if (mode_ == progress_mode::bar) {
    // The last column stays free: some terminals wrap as soon as it is written.
    const std::size_t width = std::max<std::size_t>(output_.width(), 2) - 1;
    drawn_ = progress_bar(name_, now, width);
    output_.write(fmt::format("{}{}", erase_line, drawn_));
  } else if (mode_ == progress_mode::log && now.seconds >= next_line_seconds_) {
    output_.write(progress_line(name_, now) + "\n");
    next_line_seconds_ = (std::floor(now.seconds / log_seconds) + 1) * log_seconds;
  }
}

void progress_display::log(std::string_view line) {
  if (drawn_.empty()) {
    output_.write(fmt::format("{}\n", line));
  } else {
    output_.write(fmt::format("{}{}\n{}", erase_line, line, drawn_));
  }
}

void progress_display::clear() {
  if (drawn_.empty()) return;
  drawn_.clear();
  output_.write(erase_line);
}

}  // namespace brigade::cli
