#include <brigade/pipeline/registry.hpp>

#include <gtest/gtest.h>

#include <utility>

namespace brigade {
namespace {

component named(component_kind kind, std::string name) {
  component entry;
  entry.name = std::move(name);
  entry.kind = kind;
  // Exactly one factory, that of its kind; none is called here.
  if (kind == component_kind::source) {
    entry.make_source = [](const settings&, const component_context&) { return nullptr; };
  } else if (kind == component_kind::stage) {
    entry.make_stage = [](const settings&, const component_context&) { return nullptr; };
  } else {
    entry.make_sink = [](const settings&, const component_context&) { return nullptr; };
  }
  return entry;
}

TEST(registry, finds_a_component_by_kind_and_name) {
  registry known;
  known.add(named(component_kind::source, "file"));
  known.add(named(component_kind::sink, "file"));
  ASSERT_NE(known.find(component_kind::sink, "file"), nullptr);
  EXPECT_EQ(known.find(component_kind::sink, "file")->kind, component_kind::sink);
  EXPECT_EQ(known.find(component_kind::stage, "file"), nullptr);
  EXPECT_EQ(known.all().size(), 2U);
}

TEST(registry_death_test, a_second_one_of_a_kind_and_name_is_a_misuse) {
  registry known;
  known.add(named(component_kind::stage, "jq"));
  EXPECT_DEATH(known.add(named(component_kind::stage, "jq")), "misuse");
}

}  // namespace
}  // namespace brigade
