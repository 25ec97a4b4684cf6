#include <brigade/async/asio.hpp>
#include <brigade/async/loop.hpp>

#include <boost/asio/steady_timer.hpp>

brigade::task<> wait_a_little() {
  boost::asio::steady_timer timer(brigade::asio_context(), std::chrono::milliseconds(1));
  co_await timer.async_wait(brigade::use_await);
}

int main() { brigade::run(wait_a_little()); }
