#include <brigade/async/assert.hpp>
#include <brigade/pipeline/config_spec.hpp>

namespace brigade {
namespace {

template <class T, class Values>
const T& get(const Values& values, std::string_view name) {
  const auto found = values.find(name);
  BRIGADE_ASSERT(found != values.end(), "settings asked for a field that has no value");
  const T* const value = std::get_if<T>(&found->second);
  BRIGADE_ASSERT(value != nullptr, "settings asked for a field as another type");
  return *value;
}

}  // namespace

bool settings::has(std::string_view name) const { return values_.find(name) != values_.end(); }

const std::string& settings::text(std::string_view name) const {
  return get<std::string>(values_, name);
}
std::int64_t settings::integer(std::string_view name) const {
  return get<std::int64_t>(values_, name);
}
bool settings::flag(std::string_view name) const { return get<bool>(values_, name); }
std::chrono::milliseconds settings::duration(std::string_view name) const {
  return get<std::chrono::milliseconds>(values_, name);
}
const std::vector<std::string>& settings::list(std::string_view name) const {
  return get<std::vector<std::string>>(values_, name);
}
const std::map<std::string, std::string>& settings::table(std::string_view name) const {
  return get<std::map<std::string, std::string>>(values_, name);
}

}  // namespace brigade
