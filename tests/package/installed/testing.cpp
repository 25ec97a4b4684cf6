#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

brigade::task<> wait_an_hour() { co_await brigade::sleep_for(std::chrono::hours(1)); }

int main() {
  brigade::testing::virtual_loop loop;
  loop.run(wait_an_hour());
}
