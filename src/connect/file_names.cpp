#include "connect/file_names.hpp"

#include <brigade/pipeline/config_spec.hpp>

#include <array>
#include <filesystem>
#include <string_view>

namespace brigade {
namespace {

std::tm local(std::time_t at) {
  std::tm parts{};
  ::localtime_r(&at, &parts);
  return parts;
}

std::string expanded(const std::string& pattern, std::time_t at) {
  if (pattern.find('%') == std::string::npos) return pattern;
  const std::tm parts = local(at);
  std::array<char, 4096> text{};
  if (std::strftime(text.data(), text.size(), pattern.c_str(), &parts) == 0) {
    throw config_error("path", "'" + pattern + "' is too long, or has no meaning to strftime");
  }
  return text.data();
}

bool has_a_time_in_it(const std::string& pattern) {
  for (std::size_t at = pattern.find('%'); at != std::string::npos; at = pattern.find('%', at)) {
    if (at + 1 < pattern.size() && pattern[at + 1] != '%') return true;
    at += 2;
  }
  return false;
}

}  // namespace

std::string fill_in_name(const std::string& path, const std::string& pipeline) {
  constexpr std::string_view name = "{name}";
  std::string text;
  for (std::size_t at = 0; at < path.size();) {
    if (path.compare(at, name.size(), name) == 0) {
      text += pipeline;
      at += name.size();
    } else if (path[at] == '{' || path[at] == '}') {
      throw config_error("path", "'" + path + "': only {name}, the pipeline's, can be filled in");
    } else {
      text.push_back(path[at++]);
    }
  }
  static_cast<void>(expanded(text, std::time(nullptr)));
  return text;
}

std::string without_meaning_to_strftime(const std::string& text) {
  std::string result;
  for (const char c : text) result.append(c == '%' ? 2 : 1, c);
  return result;
}

std::string numbered(const std::string& stem, std::uint64_t number) {
  if (number == 0) return stem;
  const std::string between = "." + std::to_string(number);
  const std::filesystem::path path(stem);
  const std::string extension = path.extension().string();
  if (extension.size() < 2 || (extension[1] >= '0' && extension[1] <= '9')) return stem + between;
  return stem.substr(0, stem.size() - extension.size()) + between + extension;
}

file_clock::file_clock(std::string pattern, std::chrono::seconds every)
    : pattern_(std::move(pattern)), every_(every), follows_time_(has_a_time_in_it(pattern_)) {}

std::string file_clock::stem(std::time_t at) const { return expanded(pattern_, at); }

// Counted from a midnight, so that those which divide a day begin with it.
std::int64_t file_clock::period(std::time_t at) const {
  return (static_cast<std::int64_t>(at) + local(at).tm_gmtoff) / every_.count();
}

bool file_clock::is_over(const std::string& stem_of_file, std::time_t begun,
                         std::time_t now) const {
  if (every_.count() != 0) return period(begun) != period(now);
  return follows_time_ && stem(now) != stem_of_file;
}

std::string file_clock::fixed_folder() const {
  const std::size_t percent = pattern_.find('%');
  const std::size_t slash = pattern_.rfind('/', percent);
  return slash == std::string::npos ? "." : pattern_.substr(0, slash + 1);
}

}  // namespace brigade
