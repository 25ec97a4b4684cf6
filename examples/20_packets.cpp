// Packets from a socket, unpacked, parsed and stored in SQLite.
//
//   socket ──> unpack ──> parse (2 workers, then 6) ──> store, tried again ──> readings
//
// Workers are added while the traffic grows, a store that is locked now and then is tried again,
// and at the end nothing is left running.
#include <brigade/async.hpp>
#include <brigade/pipeline.hpp>

#include <sqlite3.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

using namespace brigade;
using namespace std::chrono_literals;

constexpr int packets_sent = 600;

// On the wire: a byte with the length of the sensor's name, the name, the value as text.
struct reading {
  std::string sensor;
  double value;
};

std::string packed(int number) {
  const std::string sensor = "s" + std::to_string(number % 7);
  const std::string value = number % 100 == 99 ? "broken" : std::to_string(number * 0.5);
  return static_cast<char>(sensor.size()) + sensor + value;
}

std::pair<std::string, std::string> unpack(const std::string& packet) {
  const auto length = static_cast<std::size_t>(packet.at(0));
  if (packet.size() <= length) throw permanent_error("the packet was cut off");
  return {packet.substr(1, length), packet.substr(1 + length)};
}

task<reading> parse(std::pair<std::string, std::string> fields) {
  co_await sleep_for(1ms);  // looks the sensor up
  const bool is_number = fields.second.find_first_not_of("0123456789.") == std::string::npos;
  if (!is_number) throw permanent_error("no number: " + fields.second);
  reading result{std::move(fields.first), std::stod(fields.second)};
  co_return result;
}

class store {
 public:
  store() {
    sqlite3_open(":memory:", &database_);
    sqlite3_exec(database_, "create table readings (sensor, value)", nullptr, nullptr, nullptr);
  }
  ~store() { sqlite3_close(database_); }
  store(const store&) = delete;
  store& operator=(const store&) = delete;

  void add(const reading& one) {
    if (++calls_ % 50 == 0) throw std::runtime_error("the database is locked");  // tried again
    const std::unique_ptr<char, void (*)(void*)> sql(
        sqlite3_mprintf("insert into readings values (%Q, %f)", one.sensor.c_str(), one.value),
        sqlite3_free);
    if (sqlite3_exec(database_, sql.get(), nullptr, nullptr, nullptr) != SQLITE_OK) {
      throw std::runtime_error(sqlite3_errmsg(database_));
    }
  }
  int rows() {
    const auto count = [](void* to, int, char** values, char**) {
      *static_cast<int*>(to) = std::stoi(values[0]);
      return 0;
    };
    int rows = 0;
    sqlite3_exec(database_, "select count(*) from readings", count, &rows, nullptr);
    return rows;
  }

 private:
  sqlite3* database_ = nullptr;
  int calls_ = 0;
};

// What this process has open and running.
struct inventory {
  std::size_t threads = entries("/proc/self/task");
  std::size_t descriptors = entries("/proc/self/fd");
  bool children = ::waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD;
  bool operator==(const inventory&) const = default;

  static std::size_t entries(const char* folder) {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
  }
};

task<> traffic(descriptor out) {
  for (int number = 0; number < packets_sent; ++number) {
    const std::string packet = packed(number);
    co_await out.write_some(packet);
    if (number < packets_sent / 6) co_await sleep_for(1ms);  // slow at first, then all at once
  }
}  // the socket closes: the end of the stream

task<> receive(descriptor& in, task_group& group, store& readings) {
  auto next = [&in]() -> task<std::optional<std::string>> {
    std::array<char, 512> buffer{};
    const std::size_t size = co_await in.read_some(buffer);
    if (size == 0) co_return std::nullopt;
    co_return std::string(buffer.data(), size);
  };
  sink_policy patient;
  patient.retry.backoff_min = 1ms;
  patient.retry.backoff_max = 10ms;
  pipeline_run run = pipeline("packets")
                         .from(next)
                         .stage("unpack", unpack)
                         .stage("parse", parse, {.workers = 2})
                         .to(
                             "store", [&](const reading& one) { readings.add(one); }, patient)
                         .start(group);
  bool more_workers = false;
  while (!run.ended()) {
    co_await sleep_for(2ms);
    if (more_workers || run.look().in_flight < 50) continue;
    run.scale("parse", 6);
    more_workers = true;
  }
  const report account = co_await run.finished();
  std::printf("%s\n", more_workers ? "workers were added" : "two workers were enough");
  std::printf("taken %d = stored %d + dead letters %d; tried again: %s\n",
              static_cast<int>(account.taken), static_cast<int>(account.count(outcome::delivered)),
              static_cast<int>(account.count(outcome::dead_lettered)),
              account.retries > 0 ? "yes" : "no");
}

task<> day() {
  store readings;
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends.data()) != 0) throw std::runtime_error("socket");
  descriptor in(ends[0]);
  descriptor out(ends[1]);
  auto body = [&](task_group& group) {
    group.spawn(traffic, std::move(out));
    group.spawn(receive, std::ref(in), std::ref(group), std::ref(readings));
  };
  co_await with_group(body);
  std::printf("rows %d; tasks left: %zu\n", readings.rows(), all_tasks().size() - 1);  // this one
}

int main() {
  const inventory before;
  run(day());
  std::printf("threads, children, descriptors left: %s\n", inventory() == before ? "none" : "some");
}
