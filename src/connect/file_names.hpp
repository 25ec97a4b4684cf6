/// The names of a file sink's files: a path with strftime's percent signs, and numbers.
#pragma once
#include <chrono>
#include <cstdint>
#include <ctime>
#include <string>

namespace brigade {

/// `path` with `{name}` filled in. Throws config_error on the field `path` for any other word in
/// braces, and for what strftime makes nothing of.
[[nodiscard]] std::string fill_in_name(const std::string& path, const std::string& pipeline);
/// `text` with what strftime would take for its own made harmless.
[[nodiscard]] std::string without_meaning_to_strftime(const std::string& text);

/// `out.ndjson`, `out.1.ndjson`, `out.2.ndjson`; without an extension, or with one that begins with
/// a digit, `out.1`.
[[nodiscard]] std::string numbered(const std::string& stem, std::uint64_t number);

/// Says which file it is that belongs to a time, and when the next one is due. Local time.
class file_clock {
 public:
  /// `every` 0: a file is as long the right one as its name stays.
  file_clock(std::string pattern, std::chrono::seconds every);

  /// The name without a number.
  [[nodiscard]] std::string stem(std::time_t at) const;
  /// Whether a file of that name, begun then, is over now.
  [[nodiscard]] bool is_over(const std::string& stem_of_file, std::time_t begun,
                             std::time_t now) const;
  /// The folder that is named by the pattern without any percent sign.
  [[nodiscard]] std::string fixed_folder() const;
  [[nodiscard]] const std::string& pattern() const { return pattern_; }

 private:
  [[nodiscard]] std::int64_t period(std::time_t at) const;
  std::string pattern_;
  std::chrono::seconds every_;
  bool follows_time_;
};

}  // namespace brigade
