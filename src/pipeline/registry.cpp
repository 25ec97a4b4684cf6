#include <brigade/async/assert.hpp>
#include <brigade/pipeline/registry.hpp>

#include <algorithm>
#include <utility>

namespace brigade {

void registry::add(component entry) {
  BRIGADE_ASSERT(find(entry.kind, entry.name) == nullptr,
                 "two components of one kind have the same name");
  entries_.push_back(std::move(entry));
}

const component* registry::find(component_kind kind, std::string_view name) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const component& one) {
    return one.kind == kind && one.name == name;
  });
  return found == entries_.end() ? nullptr : &*found;
}

}  // namespace brigade
