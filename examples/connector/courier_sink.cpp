#include "courier_sink.hpp"

#include <brigade/async/thread.hpp>
#include <brigade/async/timeout.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>

namespace {

constexpr std::chrono::seconds patience{5};

int connect_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  const int error = errno;
  ::close(fd);
  throw std::system_error(error, std::generic_category(),
                          "cannot reach the courier at port " + std::to_string(port));
}

}  // namespace

brigade::task<std::vector<brigade::partition_mark>> courier_sink::open(
    const brigade::sink_resume&) {
  co_await connect();
  co_return std::vector<brigade::partition_mark>{};  // it keeps no marks
}

// Whatever goes wrong, nobody knows which answers are still to come over that connection. So it is
// dropped, also when the write is cancelled.
brigade::task<brigade::write_result> courier_sink::write(std::span<const brigade::sink_item> batch,
                                                         std::span<const brigade::partition_mark>) {
  struct dropped_unless_whole {
    std::optional<brigade::descriptor>& wire;
    bool is_whole = false;
    ~dropped_unless_whole() {
      if (!is_whole) wire.reset();
    }
  };
  dropped_unless_whole guard{wire_};
  std::string down;
  try {
    if (!wire_) co_await connect();
    auto bounded = brigade::timeout(patience, exchange(batch));
    brigade::write_result result = co_await std::move(bounded);
    guard.is_whole = true;
    co_return result;
  } catch (const std::system_error& broken) {
    down = broken.what();
  } catch (const brigade::timed_out&) {
    down = "the courier does not answer";
  }
  throw brigade::sink_down(down);
}

brigade::task<brigade::write_result> courier_sink::exchange(
    std::span<const brigade::sink_item> batch) {
  std::string bytes;
  for (const brigade::sink_item& item : batch) {
    const std::string text = item.value->text();
    bytes += std::to_string(text.size()) + "\n" + text;
  }
  co_await send(bytes);
  brigade::write_result result;
  result.failures.resize(batch.size());
  for (auto& failure : result.failures) {
    const std::string said = co_await answer();
    if (said != "ok") failure.emplace(brigade::verdict::permanent, "the courier says " + said);
  }
  co_return result;
}

brigade::task<> courier_sink::connect() {
  auto call = brigade::to_thread(&connect_to, port_);
  wire_.emplace(co_await std::move(call));
  received_.clear();
}

brigade::task<> courier_sink::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t sent = co_await wire_->write_some(bytes);
    bytes.remove_prefix(sent);
  }
}

brigade::task<std::string> courier_sink::answer() {
  std::array<char, 4096> buffer;
  std::size_t end = received_.find('\n');
  while (end == std::string::npos) {
    const std::size_t got = co_await wire_->read_some(buffer);
    if (got == 0) {
      throw std::system_error(ECONNRESET, std::generic_category(), "the courier has hung up");
    }
    received_.append(buffer.data(), got);
    end = received_.find('\n');
  }
  std::string said = received_.substr(0, end);
  received_.erase(0, end + 1);
  co_return said;
}

brigade::task<> courier_sink::close() {
  wire_.reset();
  co_return;
}
