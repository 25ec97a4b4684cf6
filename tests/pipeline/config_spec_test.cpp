#include <brigade/pipeline/config_spec.hpp>

#include <gtest/gtest.h>

#include <chrono>

namespace brigade {
namespace {

using namespace std::chrono_literals;

TEST(config_spec, settings_give_back_what_was_set_under_its_type) {
  settings values;
  values.set("path", std::string("orders.ndjson"));
  values.set("in_flight", std::int64_t{64});
  values.set("fsync", true);
  values.set("timeout", 5000ms);
  values.set("command", std::vector<std::string>{"python3", "charge.py"});
  values.set("env", std::map<std::string, std::string>{{"MODE", "test"}});
  EXPECT_EQ(values.text("path"), "orders.ndjson");
  EXPECT_EQ(values.integer("in_flight"), 64);
  EXPECT_TRUE(values.flag("fsync"));
  EXPECT_EQ(values.duration("timeout"), 5s);
  EXPECT_EQ(values.list("command").size(), 2U);
  EXPECT_EQ(values.table("env").at("MODE"), "test");
  EXPECT_TRUE(values.has("path"));
  EXPECT_FALSE(values.has("columns"));
}

TEST(config_spec, a_config_error_names_its_field) {
  const config_error error("format", "is not a format");
  EXPECT_EQ(error.field(), "format");
  EXPECT_STREQ(error.what(), "is not a format");
}

TEST(config_spec_death_test, asking_for_another_type_is_a_misuse) {
  settings values;
  values.set("path", std::string("orders.ndjson"));
  EXPECT_DEATH(static_cast<void>(values.integer("path")), "misuse");
}

}  // namespace
}  // namespace brigade
