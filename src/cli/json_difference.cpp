#include "cli/json_difference.hpp"

#include "cli/plain_text.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace brigade::cli {
namespace {

namespace json = boost::json;

std::string shown(const json::value& value) {
  constexpr std::size_t bytes_max = 200;
  return plain_line(json::serialize(value), bytes_max);
}

bool same_number(const json::value& left, const json::value& right) {
  if (!left.is_double() && !right.is_double()) return left == right;
  return left.to_number<double>() == right.to_number<double>();
}

std::string member_path(const std::string& path, std::string_view key) {
  const bool plain = !key.empty() && std::ranges::all_of(key, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
  if (plain) return fmt::format("{}.{}", path, key);
  return fmt::format("{}[{}]", path.empty() ? "." : path, shown(json::value(key)));
}

class comparison {
 public:
  std::vector<std::string> lines;

  void compare(const json::value& expected, const json::value& got, const std::string& path) {
    if (expected.is_object() && got.is_object()) {
      compare_objects(expected.get_object(), got.get_object(), path);
    } else if (expected.is_array() && got.is_array()) {
      compare_arrays(expected.get_array(), got.get_array(), path);
    } else {
      const bool numbers = expected.is_number() && got.is_number();
      if (numbers ? same_number(expected, got) : expected == got) return;
      add(path, shown(expected), shown(got));
    }
  }

 private:
  void compare_objects(const json::object& expected, const json::object& got,
                       const std::string& path) {
    for (const auto& [key, value] : expected) {
      const json::value* const there = got.if_contains(key);
      if (there == nullptr) {
        add(member_path(path, key), shown(value), "nothing");
      } else {
        compare(value, *there, member_path(path, key));
      }
    }
    for (const auto& [key, value] : got) {
      if (!expected.contains(key)) add(member_path(path, key), "nothing", shown(value));
    }
  }

  void compare_arrays(const json::array& expected, const json::array& got,
                      const std::string& path) {
    for (std::size_t i = 0; i < std::max(expected.size(), got.size()); ++i) {
      const std::string place = fmt::format("{}[{}]", path.empty() ? "." : path, i);
      if (i >= got.size()) {
        add(place, shown(expected[i]), "nothing");
      } else if (i >= expected.size()) {
        add(place, "nothing", shown(got[i]));
      } else {
        compare(expected[i], got[i], place);
      }
    }
  }

  void add(const std::string& path, std::string_view expected, std::string_view got) {
    lines.push_back(
        fmt::format("{}: expected {}, got {}", path.empty() ? "." : path, expected, got));
  }
};

}  // namespace

std::vector<std::string> json_differences(std::string_view expected, std::string_view got) {
  comparison result;
  result.compare(json::parse(expected), json::parse(got), {});
  return std::move(result.lines);
}

}  // namespace brigade::cli
