#include <brigade/pipeline/registry.hpp>

#include <gtest/gtest.h>

namespace brigade {
namespace {

component stage_named(const std::string& name) {
  component entry;
  entry.name = name;
  entry.make_stage = [](const settings&, const component_context&) {
    return std::unique_ptr<stage_body>();
  };
  return entry;
}

component sink_named(const std::string& name) {
  component entry;
  entry.kind = component_kind::sink;
  entry.name = name;
  entry.make_sink = [](const settings&, const component_context&) {
    return std::unique_ptr<sink>();
  };
  return entry;
}

TEST(registry, finds_by_kind_and_name) {
  registry known;
  known.add(stage_named("file"));
  known.add(sink_named("file"));
  EXPECT_EQ(known.find(component_kind::stage, "file"), &known.all().at(0));
  EXPECT_EQ(known.find(component_kind::sink, "file"), &known.all().at(1));
  EXPECT_EQ(known.find(component_kind::source, "file"), nullptr);
  EXPECT_EQ(known.find(component_kind::sink, "fil"), nullptr);
}

TEST(registry, two_of_one_kind_and_name_are_a_misuse) {
  registry known;
  known.add(stage_named("file"));
  EXPECT_DEATH(known.add(stage_named("file")), "have the same name");
}

TEST(registry, a_component_has_exactly_one_factory) {
  registry known;
  EXPECT_DEATH(known.add(component{}), "exactly one factory");
  component both = stage_named("x");
  both.make_sink = sink_named("x").make_sink;
  EXPECT_DEATH(known.add(both), "exactly one factory");
}

}  // namespace
}  // namespace brigade
