#include <brigade/async/assert.hpp>
#include <brigade/pipeline/registry.hpp>

namespace brigade {

void registry::add(component entry) {
  const int factories =
      (entry.make_source ? 1 : 0) + (entry.make_stage ? 1 : 0) + (entry.make_sink ? 1 : 0);
  BRIGADE_ASSERT(factories == 1, "a component has exactly one factory");
  BRIGADE_ASSERT(find(entry.kind, entry.name) == nullptr,
                 "two components of one kind have the same name");
  entries_.push_back(std::move(entry));
}

const component* registry::find(component_kind kind, std::string_view name) const {
  for (const component& entry : entries_) {
    if (entry.kind == kind && entry.name == name) return &entry;
  }
  return nullptr;
}

}  // namespace brigade
