#include "cli/units.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <span>

namespace brigade::cli {
namespace {

struct unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array<unit, 5> duration_units = {{
    {"ms", 1},
    {"s", 1000},
    {"m", 60'000},
    {"h", 3'600'000},
    {"d", 86'400'000},
}};
constexpr std::array<unit, 9> size_units = {{
    {"B", 1},
    {"KB", 1000},
    {"MB", 1'000'000},
    {"GB", 1'000'000'000},
    {"TB", 1'000'000'000'000},
    {"KiB", std::uint64_t{1} << 10},
    {"MiB", std::uint64_t{1} << 20},
    {"GiB", std::uint64_t{1} << 30},
    {"TiB", std::uint64_t{1} << 40},
}};
constexpr std::array<unit, 3> rate_units = {{{"/s", 1}, {"/m", 60}, {"/h", 3600}}};

constexpr std::uint64_t duration_ms_max = std::uint64_t{36'500} * 86'400'000;
constexpr std::uint64_t size_max = std::numeric_limits<std::int64_t>::max();

/// A number and what stands behind it.
struct quantity {
  std::uint64_t number = 0;
  std::string_view rest;
  bool fits = true;
};

std::optional<quantity> split(std::string_view text) {
  quantity result;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, result.number);
  if (error == std::errc::invalid_argument) return std::nullopt;
  result.fits = error == std::errc();
  result.rest = std::string_view(stop, static_cast<std::size_t>(end - stop));
  return result;
}

const unit* find_unit(std::span<const unit> units, std::string_view name) {
  for (const unit& one : units) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

std::string names_of(std::span<const unit> units) {
  std::string names;
  for (std::size_t i = 0; i < units.size(); ++i) {
    if (i > 0) names += i + 1 == units.size() ? " or " : ", ";
    names += units[i].name;
  }
  return names;
}

/// What a kind of quantity is called, and how it is written.
struct notation {
  std::string_view noun;
  std::string_view examples;
  std::span<const unit> units;
  std::uint64_t number_max;
  std::string_view number_max_text;
};

std::uint64_t scaled(std::string_view text, const notation& kind) {
  const auto parts = split(text);
  if (!parts) {
    throw unit_error(fmt::format("'{}' is not a {}: write a whole number and a unit, such as {}",
                                 text, kind.noun, kind.examples));
  }
  if (parts->rest.empty()) {
    throw unit_error(fmt::format("'{}' needs a unit: {}", text, kind.examples));
  }
  const unit* const found = find_unit(kind.units, parts->rest);
  if (found == nullptr) {
    throw unit_error(fmt::format("'{}' has no unit brigade knows: a {} is a whole number and {}",
                                 text, kind.noun, names_of(kind.units)));
  }
  if (!parts->fits || parts->number > kind.number_max / found->factor) {
    throw unit_error(fmt::format("'{}' is too much: at most {}", text, kind.number_max_text));
  }
  return parts->number * found->factor;
}

std::string written(std::uint64_t amount, std::span<const unit> units) {
  const unit* largest = &units.front();
  for (const unit& one : units) {
    if (amount > 0 && amount % one.factor == 0 && one.factor > largest->factor) largest = &one;
  }
  return fmt::format("{}{}", amount / largest->factor, largest->name);
}

}  // namespace

std::string duration_text(milliseconds duration) {
  return written(static_cast<std::uint64_t>(duration.count()), duration_units);
}

std::string size_text(std::uint64_t bytes) { return written(bytes, size_units); }

milliseconds parse_duration(std::string_view text) {
  const notation kind{"duration", "5s, 500ms, 2m", duration_units, duration_ms_max, "36500d"};
  return milliseconds(scaled(text, kind));
}

std::uint64_t parse_size(std::string_view text) {
  const notation kind{"size", "64KiB, 10MB, 1GiB", size_units, size_max, "8388607TiB"};
  return scaled(text, kind);
}

rate_value parse_rate(std::string_view text) {
  const auto parts = split(text);
  const unit* const per = parts ? find_unit(rate_units, parts->rest) : nullptr;
  if (per == nullptr || !parts->fits || parts->number == 0) {
    throw unit_error(fmt::format("'{}' is not a rate: write 100/s, 600/m or 10/h", text));
  }
  constexpr std::uint64_t per_second_max = 1'000'000'000;
  if (parts->number > per_second_max * static_cast<std::uint64_t>(per->factor)) {
    throw unit_error(fmt::format("'{}' is more than 1000000000/s: leave the rate out", text));
  }
  rate_value rate;
  rate.items = parts->number;
  rate.per = std::chrono::seconds(per->factor);
  return rate;
}

duration_range parse_duration_range(std::string_view text) {
  const std::size_t dots = text.find("..");
  if (dots == std::string_view::npos) {
    throw unit_error(fmt::format("'{}' is not a range: write both ends, such as 200ms..30s", text));
  }
  const duration_range range{parse_duration(text.substr(0, dots)),
                             parse_duration(text.substr(dots + 2))};
  if (range.min > range.max) {
    throw unit_error(fmt::format("'{}' is a range from more to less: turn it round", text));
  }
  return range;
}

double parse_percentage(std::string_view text) {
  const auto parts = split(text);
  if (!parts || parts->rest != "%" || !parts->fits || parts->number > 100) {
    throw unit_error(fmt::format("'{}' is not a percentage: write 0% to 100%", text));
  }
  return static_cast<double>(parts->number) / 100;
}

std::int64_t parse_integer(std::string_view text) {
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc::result_out_of_range) {
    throw unit_error(fmt::format("'{}' is too large a number", text));
  }
  if (error != std::errc() || stop != end) {
    throw unit_error(fmt::format("'{}' is not a whole number", text));
  }
  return number;
}

}  // namespace brigade::cli
