// A fault_proxy for tests that are not written in C++: `fault_proxy TARGET_PORT`.
//
// Says `port N`, and then answers each line on its standard input by one line: `ok`, what was asked
// for, or `error: why`. Ends with its input. The words:
//
//   delay MILLISECONDS        throttle BYTES_A_SECOND        heal        counts
//   cut | reset | silence | refuse
//   next FAULT                after BYTES FAULT [to|from]
#include <brigade/testing/fault_proxy.hpp>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

using brigade::testing::fault_proxy;
using brigade::testing::proxy_fault;
using brigade::testing::proxy_way;

namespace {

using words = std::vector<std::string>;

std::uint64_t number_of(const std::string& text) {
  std::uint64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || stop != text.data() + text.size()) {
    throw std::invalid_argument("'" + text + "' is no number");
  }
  return number;
}

proxy_fault fault_of(const std::string& text) {
  if (text == "cut") return proxy_fault::cut;
  if (text == "reset") return proxy_fault::reset;
  if (text == "silence") return proxy_fault::silence;
  if (text == "refuse") return proxy_fault::refuse;
  throw std::invalid_argument("'" + text + "' is none of cut, reset, silence, refuse");
}

proxy_way way_of(const std::string& text) {
  if (text == "to") return proxy_way::to_target;
  if (text == "from") return proxy_way::from_target;
  throw std::invalid_argument("'" + text + "' is neither to nor from");
}

std::string counts_of(const fault_proxy& wire) {
  const auto now = wire.counts();
  return "connections " + std::to_string(now.connections) + " open " + std::to_string(now.open) +
         " to_target " + std::to_string(now.to_target) + " from_target " +
         std::to_string(now.from_target) + " strikes " + std::to_string(now.strikes);
}

std::string obey(fault_proxy& wire, const words& said) {
  const std::string& verb = said.front();
  if (said.size() == 1 && verb == "heal") {
    wire.heal();
  } else if (said.size() == 1 && verb == "counts") {
    return counts_of(wire);
  } else if (said.size() == 2 && verb == "delay") {
    wire.delay(std::chrono::milliseconds(number_of(said[1])));
  } else if (said.size() == 2 && verb == "throttle") {
    wire.throttle(number_of(said[1]));
  } else if (said.size() == 2 && verb == "next") {
    wire.strike_next(fault_of(said[1]));
  } else if (said.size() == 3 && verb == "after") {
    wire.strike_after(number_of(said[1]), fault_of(said[2]));
  } else if (said.size() == 4 && verb == "after") {
    wire.strike_after(number_of(said[1]), fault_of(said[2]), way_of(said[3]));
  } else if (said.size() == 1) {
    wire.strike(fault_of(verb));
  } else {
    throw std::invalid_argument("not understood");
  }
  return "ok";
}

void serve(std::uint16_t target_port) {
  fault_proxy wire(target_port);
  std::cout << "port " << wire.port() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream text(line);
    words said;
    for (std::string word; text >> word;) said.push_back(word);
    if (said.empty()) continue;
    try {
      std::cout << obey(wire, said) << std::endl;
    } catch (const std::exception& wrong) {
      std::cout << "error: " << wrong.what() << std::endl;
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: fault_proxy TARGET_PORT\n");
    return 64;
  }
  try {
    const std::uint64_t port = number_of(arguments[1]);
    if (port == 0 || port > 65535) throw std::invalid_argument("no such port");
    serve(static_cast<std::uint16_t>(port));
  } catch (const std::exception& wrong) {
    std::fprintf(stderr, "fault_proxy: %s\n", wrong.what());
    return 1;
  }
}
