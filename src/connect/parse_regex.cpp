#include "connect/typed_value.hpp"

#include <brigade/connect/parse.hpp>
#include <brigade/connect/record.hpp>
#include <brigade/pipeline/config_spec.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace brigade {
namespace {

constexpr std::uint32_t match_steps_max = 2'000'000;
constexpr std::size_t jit_stack_min = std::size_t{32} << 10;
constexpr std::size_t jit_stack_max = std::size_t{1} << 20;

struct frees {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
  void operator()(pcre2_jit_stack* stack) const { pcre2_jit_stack_free(stack); }
};

struct group {
  std::uint32_t number = 0;
  std::string name;
  std::string key;  ///< `"name":`
  value_type type = value_type::text;
};

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

void refuse_repeated(const std::vector<group>& groups) {
  for (std::size_t i = 1; i < groups.size(); ++i) {  // PCRE2 sorts its table by name
    if (groups[i].name == groups[i - 1].name) {
      throw config_error("regex", "two groups are named '" + groups[i].name +
                                      "'; (?|...|...) gives one group several ways");
    }
  }
}

std::vector<group> named_groups(const pcre2_code* code) {
  std::uint32_t count = 0;
  std::uint32_t entry_bytes = 0;
  PCRE2_SPTR entry = nullptr;
  pcre2_pattern_info(code, PCRE2_INFO_NAMECOUNT, &count);
  pcre2_pattern_info(code, PCRE2_INFO_NAMEENTRYSIZE, &entry_bytes);
  pcre2_pattern_info(code, PCRE2_INFO_NAMETABLE, &entry);
  std::vector<group> groups;
  for (std::uint32_t i = 0; i < count; ++i, entry += entry_bytes) {
    group next;
    next.number = static_cast<std::uint32_t>(entry[0] << 8 | entry[1]);
    next.name = reinterpret_cast<const char*>(entry + 2);
    next.key = json_quoted(next.name) + ":";
    groups.push_back(std::move(next));
  }
  refuse_repeated(groups);
  std::sort(groups.begin(), groups.end(),
            [](const group& a, const group& b) { return a.number < b.number; });
  return groups;
}

void set_types(std::vector<group>& groups, const std::map<std::string, std::string>& types) {
  for (const auto& [name, type] : read_types(types)) {
    const auto found = std::find_if(groups.begin(), groups.end(),
                                    [&](const group& each) { return each.name == name; });
    if (found == groups.end()) {
      throw config_error("types", "the regex has no group named '" + name + "'");
    }
    found->type = type;
  }
}

}  // namespace

struct regex_parser::compiled {
  explicit compiled(std::string_view pattern) {
    int error = 0;
    PCRE2_SIZE at = 0;
    code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                             PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, &error, &at, nullptr));
    if (!code) {
      throw config_error("regex", message_of(error) + " (at character " + std::to_string(at) + ")");
    }
    groups = named_groups(code.get());
    if (groups.empty()) {
      throw config_error("regex",
                         "it has no named group, like (?<status>\\d+), to make a field of");
    }
    // Where the system forbids JIT the same matches are found more slowly.
    pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
    data.reset(pcre2_match_data_create_from_pattern(code.get(), nullptr));
    context.reset(pcre2_match_context_create(nullptr));
    stack.reset(pcre2_jit_stack_create(jit_stack_min, jit_stack_max, nullptr));
    if (!data || !context || !stack) throw std::bad_alloc();
    pcre2_set_match_limit(context.get(), match_steps_max);
    pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  }

  std::unique_ptr<pcre2_code, frees> code;
  std::unique_ptr<pcre2_match_data, frees> data;
  std::unique_ptr<pcre2_match_context, frees> context;
  std::unique_ptr<pcre2_jit_stack, frees> stack;
  std::vector<group> groups;
};

regex_parser::regex_parser(std::string_view pattern,
                           const std::map<std::string, std::string>& types)
    : compiled_(std::make_unique<compiled>(pattern)) {
  set_types(compiled_->groups, types);
}
regex_parser::regex_parser(regex_parser&&) noexcept = default;
regex_parser& regex_parser::operator=(regex_parser&&) noexcept = default;
regex_parser::~regex_parser() = default;

std::optional<std::string> regex_parser::append(std::string_view text, std::string& to) {
  const std::size_t before = to.size();
  const int found =
      pcre2_match(compiled_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0,
                  PCRE2_NO_UTF_CHECK, compiled_->data.get(), compiled_->context.get());
  if (found == PCRE2_ERROR_NOMATCH) return "the regex does not match: '" + excerpt(text) + "'";
  if (found < 0) {
    return "the regex gave up (" + message_of(found) + ") on: '" + excerpt(text) + "'";
  }
  const PCRE2_SIZE* const ends = pcre2_get_ovector_pointer(compiled_->data.get());
  for (const group& each : compiled_->groups) {
    if (to.size() != before) to.push_back(',');
    to += each.key;
    const PCRE2_SIZE begin = ends[std::size_t{2} * each.number];
    const PCRE2_SIZE end = ends[std::size_t{2} * each.number + 1];
    if (begin == PCRE2_UNSET) {
      to += "null";
      continue;
    }
    const std::string_view part = text.substr(begin, end - begin);
    if (const auto wanted = append_typed(to, each.type, part)) {
      to.resize(before);
      return not_of_type(each.name, *wanted, part);
    }
  }
  return std::nullopt;
}

}  // namespace brigade
