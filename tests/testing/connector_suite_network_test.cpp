// The cases on a network: a source and a sink without a flaw pass, and one that has what a case is
// for is found. The sink is the example of docs/write-a-connector.md.
#include "../../examples/connector/courier_server.hpp"
#include "../../examples/connector/courier_sink.hpp"
#include "testing/network_source.hpp"

#include <brigade/async/timeout.hpp>
#include <brigade/testing/connector_suite.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace brigade::testing {
namespace {

/// A courier_sink that makes one thing of another.
class flawed_courier final : public sink {
 public:
  flawed_courier(std::uint16_t port, std::string flaw) : inner_(port), flaw_(std::move(flaw)) {}
  task<std::vector<partition_mark>> open(const sink_resume& resume) override {
    return inner_.open(resume);
  }
  task<write_result> write(std::span<const sink_item> batch,
                           std::span<const partition_mark> marks) override {
    const bool is_hasty = flaw_ == "does not wait" || flaw_ == "blames when late";
    const std::chrono::milliseconds limit(is_hasty ? 15 : 60'000);
    std::string wrong;
    try {
      auto bounded = timeout(limit, inner_.write(batch, marks));
      write_result result = co_await std::move(bounded);
      co_return result;
    } catch (const timed_out&) {
      wrong = "late";
    } catch (const sink_down& down) {
      if (flaw_ != "blames when broken") throw;
      wrong = down.what();
    }
    write_result result;
    result.failures.resize(batch.size());
    if (flaw_ == "does not wait") co_return result;
    for (auto& each : result.failures) each.emplace(verdict::permanent, wrong);
    co_return result;
  }
  task<> close() override { return inner_.close(); }
  [[nodiscard]] bool wants_names() const override { return false; }

 private:
  courier_sink inner_;
  std::string flaw_;
};

class courier_far_side final : public sink_far_side {
 public:
  explicit courier_far_side(std::string flaw) : flaw_(std::move(flaw)) {}
  std::unique_ptr<sink> make_sink() override {
    return std::make_unique<flawed_courier>(wire_.port(), flaw_);
  }
  std::vector<std::string> stored() override { return server_.taken(); }
  fault_proxy* wire() override { return &wire_; }

 private:
  std::string flaw_;
  courier_server server_;
  fault_proxy wire_{server_.port()};
};

sink_description courier(const std::string& flaw) {
  std::signal(SIGPIPE, SIG_IGN);
  sink_description what;
  what.name = "courier";
  what.make = [flaw] { return std::make_unique<courier_far_side>(flaw); };
  what.texts.bad = "a bomb";
  what.on_a_network = true;
  what.goes_down = true;
  return what;
}

source_description network(const std::string& flaw) {
  std::signal(SIGPIPE, SIG_IGN);
  source_description what;
  what.name = "network";
  what.make = [flaw] { return std::make_unique<network_far_source>(flaw); };
  what.on_a_network = true;
  what.goes_down = true;
  what.fed_while_open = true;
  return what;
}

template <class Description, class Case>
std::string run_named(const Description& what, const std::vector<Case>& cases,
                      const std::string& name) {
  const auto found = std::ranges::find(cases, name, &Case::name);
  return found == cases.end() ? "there is no such case" : run_case(what, *found);
}

class connector_suite_network : public ::testing::Test {
 protected:
  connector_suite_network() { ::setenv("BRIGADE_SUITE_PATIENCE", "3", 1); }
  ~connector_suite_network() override { ::unsetenv("BRIGADE_SUITE_PATIENCE"); }
};

TEST_F(connector_suite_network, finds_each_flaw_of_a_source) {
  const std::vector<std::pair<std::string, std::string>> flaws = {
      {"gets_through_a_reset", "skips when broken"},
      {"gets_through_a_cut", "skips when broken"},
      {"gets_through_an_outage", "skips when broken"},
      {"gets_through_silence", "skips when late"},
      {"gets_through_a_slow_wire", "skips when late"},
      {"gets_through_connections_that_fail", "skips when broken"},
      {"stops_while_its_far_side_is_silent", "cannot be cancelled"}};
  for (const auto& [name, flaw] : flaws) {
    const std::string wrong = run_named(network(flaw), source_cases(), name);
    EXPECT_NE(wrong, "") << name << " does not see that a source " << flaw;
    EXPECT_NE(wrong, "there is no such case") << name;
  }
}

TEST_F(connector_suite_network, finds_each_flaw_of_a_sink) {
  const std::vector<std::pair<std::string, std::string>> flaws = {
      {"gets_through_a_reset", "blames when broken"},
      {"gets_through_a_cut", "blames when broken"},
      {"gets_through_a_reset_in_a_write", "blames when broken"},
      {"gets_through_an_answer_that_is_lost", "blames when broken"},
      {"gets_through_an_outage", "blames when broken"},
      {"gets_through_silence", "blames when late"},
      {"gets_through_a_slow_wire", "blames when late"},
      {"gets_through_connections_that_fail", "blames when broken"},
      {"stops_while_its_far_side_is_silent", "does not wait"}};
  for (const auto& [name, flaw] : flaws) {
    const std::string wrong = run_named(courier(flaw), sink_cases(), name);
    EXPECT_NE(wrong, "") << name << " does not see that a sink " << flaw;
    EXPECT_NE(wrong, "there is no such case") << name;
  }
}

TEST(connector_suite_without_a_flaw, passes_on_a_network) {
  std::ostringstream said;
  EXPECT_EQ(run_suite(network(""), said).failed, 0) << said.str();
  EXPECT_EQ(run_suite(courier(""), said).failed, 0) << said.str();
}

}  // namespace
}  // namespace brigade::testing
