#include "cli/admin_endpoint.hpp"

#include "cli/fake_components.hpp"
#include "cli/pipeline_config.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace brigade::cli {
namespace {

using namespace std::chrono_literals;
using lines = std::vector<std::string>;

pipeline_config read(const std::string& admin) {
  static const registry known = fake_registry();
  pipeline_text input;
  input.text = "source: { file: { path: a } }\nsink: { sqlite: { file: a, table: t } }\n" + admin;
  input.shown = "orders.yaml";
  input.file = "/kitchen/orders.yaml";
  input.lookup = [](const std::string& name) -> std::optional<std::string> {
    return name == "ADMIN_TOKEN" ? std::optional<std::string>("secret") : std::nullopt;
  };
  return read_pipeline(input, known);
}

lines problems_of(const std::string& admin) {
  try {
    static_cast<void>(read(admin));
  } catch (const invalid_pipeline& error) {
    return error.lines();
  }
  return {};
}

TEST(admin_endpoint, is_absent_unless_the_file_has_it) {
  EXPECT_FALSE(read("").admin);
  const auto config = read("admin: { listen: 127.0.0.1:9464 }").admin;
  ASSERT_TRUE(config);
  EXPECT_EQ(config->listen, "127.0.0.1:9464");
  EXPECT_EQ(config->token, "");
  EXPECT_EQ(config->stuck_after, 60s);
}

TEST(admin_endpoint, takes_a_token_from_the_environment) {
  const auto config = read(
                          "admin: { listen: 0.0.0.0:9464, token: \"${ADMIN_TOKEN}\", "
                          "hosts: [a.example], stuck_after: 5m }")
                          .admin;
  ASSERT_TRUE(config);
  EXPECT_EQ(config->token, "secret");
  EXPECT_EQ(config->hosts, lines{"a.example"});
  EXPECT_EQ(config->stuck_after, 5min);
}

TEST(admin_endpoint, says_what_is_wrong_and_where) {
  const std::vector<std::pair<std::string, lines>> cases = {
      {"admin: {}", {"orders.yaml:3:1: 'admin' needs 'listen', such as 127.0.0.1:9464"}},
      {"admin: 127.0.0.1:9464",
       {"orders.yaml:3:8: 'admin' must be a mapping, not '127.0.0.1:9464'"}},
      {"admin: { listen: 0.0.0.0:9464 }",
       {"orders.yaml:3:18: 'listen' 0.0.0.0:9464 can be reached by others: give it a 'token', or "
        "listen on 127.0.0.1:9464"}},
      {"admin: { listen: 9464 }",
       {"orders.yaml:3:18: 'listen' must be an IP address and a port, such as 127.0.0.1:9464 or "
        "[::1]:9464, not '9464'"}},
      {"admin: { listen: 127.0.0.1:1, tokn: x, token: '' }",
       {"orders.yaml:3:31: unknown key 'tokn' in 'admin'; did you mean 'token'?",
        "orders.yaml:3:47: 'token' is empty: leave it out, or give it a value"}},
      {"admin: { listen: 127.0.0.1:1, stuck_after: 10ms }",
       {"orders.yaml:3:44: 'stuck_after' must be at least 1s"}},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(problems_of(text), expected) << text;
}

}  // namespace
}  // namespace brigade::cli
