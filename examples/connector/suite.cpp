// Both connectors, through the suite that brigade's own have to pass.
#include "courier_server.hpp"
#include "courier_sink.hpp"
#include "spool_source.hpp"

#include <brigade/testing/connector_suite.hpp>

#include <stdlib.h>

#include <csignal>
#include <fstream>
#include <iostream>

namespace {

using brigade::testing::fault_proxy;
using texts = std::vector<std::string>;

class spool final : public brigade::testing::source_far_side {
 public:
  spool() {
    std::string pattern = (std::filesystem::temp_directory_path() / "spool-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no folder");
    folder_ = pattern;
  }
  ~spool() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<brigade::source> make_source() override {
    return std::make_unique<spool_source>("main", folder_);
  }
  void feed(const texts& items) override {
    for (const std::string& text : items) {
      const std::filesystem::path file = folder_ / std::to_string(++fed_);
      std::ofstream(file, std::ios::binary) << text;
      std::filesystem::rename(file, file.string() + ".item");
    }
  }
  // How many files are gone.
  std::size_t acknowledged() override {
    std::size_t left = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      left += entry.path().extension() == ".item" ? 1 : 0;
    }
    return fed_ - left;
  }
  void go_down() override { std::filesystem::rename(folder_, folder_.string() + ".away"); }
  void come_back() override { std::filesystem::rename(folder_.string() + ".away", folder_); }

 private:
  std::filesystem::path folder_;
  std::size_t fed_ = 0;
};

class courier final : public brigade::testing::sink_far_side {
 public:
  std::unique_ptr<brigade::sink> make_sink() override {
    return std::make_unique<courier_sink>(wire_.port());
  }
  texts stored() override { return server_.taken(); }
  fault_proxy* wire() override { return &wire_; }

 private:
  courier_server server_;
  fault_proxy wire_{server_.port()};
};

brigade::testing::source_description spool_description() {
  brigade::testing::source_description what;
  what.name = "spool";
  what.make = [] { return std::make_unique<spool>(); };
  what.goes_down = true;
  what.fed_while_open = true;
  what.hears_acknowledgements = true;
  return what;
}

brigade::testing::sink_description courier_description() {
  brigade::testing::sink_description what;
  what.name = "courier";
  what.make = [] { return std::make_unique<courier>(); };
  what.texts.bad = "a bomb";
  what.on_a_network = true;
  what.goes_down = true;
  return what;
}

}  // namespace

int main() {
  std::signal(SIGPIPE, SIG_IGN);  // a write to a closed connection is an error, not the end
  const int failed = run_suite(spool_description(), std::cout).failed +
                     run_suite(courier_description(), std::cout).failed;
  return failed == 0 ? 0 : 1;
}
