/// A courier for tests: takes items on a free port of loopback, and remembers them.
/// Thread safety: all of it from any thread; it works on a thread of its own.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

class courier_server {
 public:
  courier_server();
  ~courier_server();
  std::uint16_t port() const;
  std::vector<std::string> taken() const;

 private:
  class office;
  std::unique_ptr<office> office_;
};
