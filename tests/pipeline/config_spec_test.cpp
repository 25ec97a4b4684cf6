#include <brigade/pipeline/config_spec.hpp>

#include <gtest/gtest.h>

namespace brigade {
namespace {

settings example() {
  settings given;
  given.set("name", std::string("orders"));
  given.set("count", std::int64_t{7});
  given.set("on", true);
  given.set("wait", std::chrono::milliseconds(250));
  given.set("paths", std::vector<std::string>{"a", "b"});
  given.set("types", std::map<std::string, std::string>{{"status", "int"}});
  return given;
}

TEST(settings, give_each_value_as_its_type) {
  const settings given = example();
  EXPECT_EQ(given.text("name"), "orders");
  EXPECT_EQ(given.integer("count"), 7);
  EXPECT_TRUE(given.flag("on"));
  EXPECT_EQ(given.duration("wait"), std::chrono::milliseconds(250));
  EXPECT_EQ(given.list("paths").size(), 2U);
  EXPECT_EQ(given.table("types").at("status"), "int");
}

TEST(settings, know_which_fields_have_a_value) {
  settings given = example();
  EXPECT_TRUE(given.has("name"));
  EXPECT_FALSE(given.has("nam"));
  given.set("name", std::string("invoices"));
  EXPECT_EQ(given.text("name"), "invoices");
}

TEST(settings, asking_for_what_is_not_there_is_a_misuse) {
  const settings given = example();
  EXPECT_DEATH(static_cast<void>(given.text("nam")), "a field that has no value");
  EXPECT_DEATH(static_cast<void>(given.integer("name")), "a field as another type");
}

TEST(config_error, names_the_field) {
  const config_error error("path", "it is empty");
  EXPECT_EQ(error.field(), "path");
  EXPECT_STREQ(error.what(), "it is empty");
}

}  // namespace
}  // namespace brigade
