/// Components made from settings as the program makes them, and single attempts at items.
#pragma once
#include <brigade/connect/record.hpp>
#include <brigade/pipeline/registry.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace brigade::test {

/// The settings of `entry`, its defaults filled in, with `given` over them.
inline settings settings_for(const component& entry,
                             std::vector<std::pair<std::string, field_value>> given) {
  settings result;
  for (const field_spec& field : entry.fields) {
    if (field.fallback.empty()) continue;
    switch (field.type) {
      case field_type::boolean:
        result.set(field.name, field.fallback == "true");
        break;
      case field_type::bytes:
        result.set(field.name, std::int64_t{1} << 20);
        break;
      case field_type::integer:
        result.set(field.name, std::int64_t{std::stoll(field.fallback)});
        break;
      case field_type::duration:
        result.set(field.name,
                   std::chrono::milliseconds(std::stoll(field.fallback) *
                                             (field.fallback.ends_with("ms") ? 1 : 1000)));
        break;
      case field_type::text_list:
      case field_type::text_or_list:
        result.set(field.name, std::vector<std::string>{field.fallback});
        break;
      default:
        result.set(field.name, field.fallback);
    }
  }
  for (auto& [name, value] : given) result.set(std::move(name), std::move(value));
  return result;
}

inline component_context context_in(const std::filesystem::path& folder,
                                    std::string name = "main") {
  component_context context;
  context.pipeline = "test";
  context.name = std::move(name);
  context.folder = folder;
  return context;
}

inline std::unique_ptr<stage_body> make_stage(
    const registry& known, std::string_view name,
    std::vector<std::pair<std::string, field_value>> given) {
  const component* const entry = known.find(component_kind::stage, name);
  return entry->make_stage(settings_for(*entry, std::move(given)), context_in("."));
}

/// What one attempt came to: `unchanged`, `filtered`, `failed permanent: why`, or the JSON texts.
inline std::string attempt(stage_body& stage, record item) {
  payload value(std::move(item));
  attempt_info info;
  try {
    attempt_result result = stage.run_now(value, info);
    switch (result.what()) {
      case attempt_result::kind::unchanged:
        return "unchanged";
      case attempt_result::kind::filtered:
        return "filtered";
      case attempt_result::kind::passed:
        return std::string(result.value().get<record>().json_text());
      case attempt_result::kind::split: {
        std::string all = "split";
        for (payload& each : result.values()) all += " " + each.get<record>().json_text();
        return all;
      }
      case attempt_result::kind::routed:
        return "routed " + std::to_string(result.branch());
      case attempt_result::kind::failed:
        return "failed: " + result.why().error;
    }
  } catch (const permanent_error& error) {
    return std::string("permanent: ") + error.what();
  }
  return "?";
}

/// The message of the config_error that `make` throws, as `field: message`; empty: it throws none.
template <class F>
std::string config_error_of(F make) {
  try {
    make();
  } catch (const config_error& error) {
    return error.field() + ": " + error.what();
  }
  return {};
}

}  // namespace brigade::test
