// What being watched costs: the pipeline of pipeline_bench alone, on a status board, and behind an
// admin endpoint whose /metrics is scraped (by default) once a second.
//
// The three take turns; what is printed is the median of the CPU time of the whole process, the
// scraper and the endpoint's thread included. Usage: admin_bench [items] [rounds] [milliseconds]
#include <brigade/connect/admin.hpp>
#include <brigade/pipeline.hpp>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// Bytes of the answer; 0: none.
std::size_t scrape(const std::string& address) {
  const int own = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port =
      htons(static_cast<std::uint16_t>(std::atoi(address.c_str() + address.rfind(':') + 1)));
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const std::string request =
      "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  std::size_t bytes = 0;
  if (::connect(own, reinterpret_cast<sockaddr*>(&where), sizeof where) == 0 &&
      ::send(own, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
    std::array<char, 65536> answer{};
    for (ssize_t got = 0; (got = ::recv(own, answer.data(), answer.size(), 0)) > 0;) {
      bytes += static_cast<std::size_t>(got);
    }
  }
  ::close(own);
  return bytes;
}

/// Scrapes until it is destroyed.
class scraper {
 public:
  scraper(std::string address, std::chrono::milliseconds every)
      : thread_([this, address = std::move(address), every](const std::stop_token& end) {
          std::unique_lock lock(mutex_);
          while (!ended_.wait_for(lock, end, every, [&] { return end.stop_requested(); })) {
            if (scrape(address) > 0) ++scrapes_;
          }
        }) {}
  [[nodiscard]] int end() {
    thread_.request_stop();
    thread_.join();
    return scrapes_;
  }

 private:
  int scrapes_ = 0;
  std::mutex mutex_;
  std::condition_variable_any ended_;
  std::jthread thread_;
};

/// CPU nanoseconds an item; nothing when items were lost.
std::optional<double> run(std::uint64_t items, std::shared_ptr<brigade::status_board> board) {
  std::uint64_t next = 0;
  std::uint64_t sum = 0;
  auto generate = [&]() -> std::optional<std::uint64_t> {
    if (next == items) return std::nullopt;
    return ++next;
  };
  auto pass = [](const std::uint64_t&) {};
  const brigade::stage_policy policy{.workers = 8};
  auto ready = brigade::pipeline("noop")
                   .from(generate)
                   .stage("first", pass, policy)
                   .stage("second", pass, policy)
                   .stage("third", pass, policy)
                   .to("sum", [&](const std::uint64_t& item) { sum += item; });
  brigade::run_observer watching;
  watching.board = std::move(board);
  ready.observe(watching);
  const double before = cpu_seconds();
  const brigade::report account = ready.run();
  const double spent = cpu_seconds() - before;
  if (account.exit_code != 0 || sum != items * (items + 1) / 2) return std::nullopt;
  return spent * 1e9 / static_cast<double>(items);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint64_t items = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 3'000'000;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 7;
  const std::chrono::milliseconds every(argc > 3 ? std::atoi(argv[3]) : 1000);
  // A second thread makes glibc's malloc dearer; the program always has some.
  const std::jthread idle([](const std::stop_token& end) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any never;
    never.wait(lock, end, [] { return false; });
  });
  std::array<std::vector<double>, 3> spent;
  int scrapes = 0;
  for (int round = 0; round < rounds; ++round) {
    const auto board = std::make_shared<brigade::status_board>();
    const auto alone = run(items, nullptr);
    const auto watched = run(items, board);
    const brigade::admin_server admin(brigade::admin_options("127.0.0.1:0"),
                                      [board] { return board->look(); });
    scraper asking(admin.address(), every);
    const auto scraped = run(items, board);
    scrapes += asking.end();
    if (!alone || !watched || !scraped) {
      std::puts("ITEMS LOST");
      return 1;
    }
    spent[0].push_back(*alone);
    spent[1].push_back(*watched);
    spent[2].push_back(*scraped);
  }
  const double alone = median(spent[0]);
  const auto show = [&](const char* what, double value) {
    std::printf("%-32s %6.0f ns an item  %+.1f%%\n", what, value, (value / alone - 1) * 100);
  };
  show("alone", alone);
  show("on a status board", median(spent[1]));
  std::printf("%d scrapes, one every %d ms\n", scrapes, static_cast<int>(every.count()));
  show("behind an admin endpoint", median(spent[2]));
  return 0;
}
