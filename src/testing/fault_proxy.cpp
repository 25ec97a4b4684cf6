#include "testing/fault_proxy_link.hpp"

#include <brigade/testing/fault_proxy.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <exception>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace brigade::testing {

namespace {

using detail::owned_socket;
using detail::proxy_clock;
using detail::proxy_link;

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), std::string("fault_proxy: ") + what);
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

owned_socket make_socket() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) fail("no socket");
  owned_socket made(fd);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  return made;
}

owned_socket bound_to(std::uint16_t port) {
  owned_socket made = make_socket();
  const sockaddr_in address = loopback(port);
  if (::bind(made.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fail("no port");
  }
  return made;
}

std::uint16_t port_of(const owned_socket& socket) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    fail("no port");
  }
  return ntohs(address.sin_port);
}

// Small pieces leave when they come: delays are the rules', not Nagle's.
void send_at_once(const owned_socket& socket) {
  const int on = 1;
  ::setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

/// Everything but `counts_` and the orders belongs to the thread.
class fault_proxy::wire {
 public:
  explicit wire(std::uint16_t target_port)
      : target_port_(target_port), reserved_(bound_to(0)), port_(port_of(reserved_)) {
    const int woken = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (woken < 0) fail("no eventfd");
    wake_ = owned_socket(woken);
    listen_again();
    thread_ = std::thread([this] { serve(); });
  }
  ~wire() {
    order([this] { over_ = true; });
    thread_.join();
    for (proxy_link& link : links_) link.reset();
  }
  wire(const wire&) = delete;
  wire& operator=(const wire&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }

  /// Has the thread do it, and waits until it has.
  void order(const std::function<void()>& what) {
    std::exception_ptr failed;
    std::unique_lock lock(mutex_);
    orders_.emplace_back([&] {
      try {
        what();
      } catch (...) {
        failed = std::current_exception();
      }
    });
    const std::uint64_t number = ++ordered_;
    ring();
    changed_.wait(lock, [&] { return done_ >= number; });
    if (failed) std::rethrow_exception(failed);
  }

  // --- orders ---
  void set_rules(const std::function<void(detail::link_rules&)>& change) { change(rules_); }
  void strike(proxy_fault what) {
    count([](proxy_counts& counts) { ++counts.strikes; });
    if (what == proxy_fault::silence) {
      rules_.silent = true;
      return;
    }
    if (what == proxy_fault::refuse) listener_.close();
    for (proxy_link& link : links_) {
      if (what == proxy_fault::cut) {
        link.cut();
      } else {
        link.reset();
      }
    }
    links_.clear();
  }
  void strike_after(std::uint64_t bytes, proxy_fault what, proxy_way counted) {
    limit_ = limit{bytes, what, counted};
    strike_if_due();
  }
  void strike_next(proxy_fault what) { next_ = what; }
  void heal() {
    rules_ = {};
    limit_.reset();
    next_.reset();
    for (proxy_link& link : links_) link.speak();
    if (listener_.fd() < 0) listen_again();
  }

  // --- from any thread ---
  /// Those of a whole turn: what was received has been counted.
  [[nodiscard]] proxy_counts counts() {
    proxy_counts now;
    order([&] {
      const std::lock_guard lock(mutex_);
      now = counts_;
      now.open = links_.size();
    });
    return now;
  }
  bool wait_for(const std::function<bool(const proxy_counts&)>& wanted,
                std::chrono::milliseconds within) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, within, [&] { return wanted(counts_); });
  }

 private:
  struct limit {
    std::uint64_t bytes;
    proxy_fault what;
    proxy_way counted;
    [[nodiscard]] bool counts(bool to_target) const {
      return counted == proxy_way::both || (counted == proxy_way::to_target) == to_target;
    }
  };

  void ring() const {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(wake_.fd(), &one, sizeof one));
  }
  void count(const std::function<void(proxy_counts&)>& change) {
    const std::lock_guard lock(mutex_);
    change(counts_);
    changed_.notify_all();
  }
  void listen_again() {
    listener_ = bound_to(port_);
    if (::listen(listener_.fd(), 128) != 0) fail("cannot listen");
  }

  void serve() {
    while (!over_) {
      wait();
      take_orders();
      if (over_) return;
      accept_some();
      work();
      strike_if_due();
      count([this](proxy_counts& counts) { counts.open = links_.size(); });
    }
  }

  void wait() {
    const auto now = proxy_clock::now();
    std::deque<pollfd> wanted;
    wanted.push_back({wake_.fd(), POLLIN, 0});
    if (listener_.fd() >= 0) wanted.push_back({listener_.fd(), POLLIN, 0});
    std::optional<proxy_clock::time_point> until;
    for (proxy_link& link : links_) {
      link.add_to(wanted, rules_, now);
      const auto due = link.due(rules_);
      if (due && *due > now && (!until || *due < *until)) until = due;
    }
    std::vector<pollfd> all(wanted.begin(), wanted.end());
    int wait_ms = -1;
    if (until) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - now);
      wait_ms = static_cast<int>(std::min<std::int64_t>(left.count(), 60'000));
    }
    ::poll(all.data(), all.size(), wait_ms);
  }

  void take_orders() {
    std::uint64_t rung = 0;
    static_cast<void>(!::read(wake_.fd(), &rung, sizeof rung));
    std::unique_lock lock(mutex_);
    while (!orders_.empty()) {
      const std::function<void()> what = std::move(orders_.front());
      orders_.pop_front();
      lock.unlock();
      what();
      lock.lock();
      ++done_;
    }
    changed_.notify_all();
  }

  void accept_some() {
    while (listener_.fd() >= 0) {
      owned_socket client(::accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC));
      if (client.fd() < 0) return;
      count([](proxy_counts& counts) { ++counts.connections; });
      const std::optional<proxy_fault> fault = std::exchange(next_, std::nullopt);
      if (fault && *fault != proxy_fault::silence) {
        strike_first_of(std::move(client), *fault);
        continue;
      }
      if (fault) count([](proxy_counts& counts) { ++counts.strikes; });
      connect(std::move(client), fault.has_value());
    }
  }

  void strike_first_of(owned_socket client, proxy_fault what) {
    if (what == proxy_fault::cut) {
      client.close();
    } else {
      client.reset();
    }
    if (what == proxy_fault::refuse) {
      strike(what);
    } else {
      count([](proxy_counts& counts) { ++counts.strikes; });
    }
  }

  // A target that lets it wait is like one that does not read.
  void connect(owned_socket client, bool silent) {
    owned_socket target = make_socket();
    const sockaddr_in address = loopback(target_port_);
    if (::connect(target.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
        errno != EINPROGRESS) {
      client.reset();
      return;
    }
    send_at_once(client);
    send_at_once(target);
    links_.emplace_back(std::move(client), std::move(target), silent);
  }

  void work() {
    const auto now = proxy_clock::now();
    const detail::link_toll toll{
        [this](bool to_target, std::size_t bytes) {
          if (!limit_ || !limit_->counts(to_target)) return bytes;
          return static_cast<std::size_t>(std::min<std::uint64_t>(bytes, limit_->bytes));
        },
        [this](bool to_target, std::size_t bytes) {
          if (limit_ && limit_->counts(to_target)) limit_->bytes -= bytes;
          count([&](proxy_counts& counts) {
            (to_target ? counts.to_target : counts.from_target) += bytes;
          });
        }};
    for (auto link = links_.begin(); link != links_.end();) {
      link = link->work(rules_, now, toll) ? std::next(link) : links_.erase(link);
    }
  }

  void strike_if_due() {
    if (!limit_ || limit_->bytes != 0) return;
    const proxy_fault what = limit_->what;
    limit_.reset();
    strike(what);
  }

  const std::uint16_t target_port_;
  const owned_socket reserved_;  ///< bound and never listening, so that nobody else gets the port
  const std::uint16_t port_;
  owned_socket wake_;
  owned_socket listener_;
  std::list<proxy_link> links_;
  detail::link_rules rules_;
  std::optional<limit> limit_;
  std::optional<proxy_fault> next_;
  bool over_ = false;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::deque<std::function<void()>> orders_;
  std::uint64_t ordered_ = 0;
  std::uint64_t done_ = 0;
  proxy_counts counts_;
  std::thread thread_;
};

fault_proxy::fault_proxy(std::uint16_t target_port) : wire_(std::make_unique<wire>(target_port)) {}
fault_proxy::~fault_proxy() = default;
std::uint16_t fault_proxy::port() const { return wire_->port(); }
void fault_proxy::delay(std::chrono::milliseconds by) {
  wire_->order([&] { wire_->set_rules([&](auto& rules) { rules.delay = by; }); });
}
void fault_proxy::throttle(std::uint64_t bytes_per_second) {
  wire_->order(
      [&] { wire_->set_rules([&](auto& rules) { rules.bytes_per_second = bytes_per_second; }); });
}
void fault_proxy::strike(proxy_fault what) {
  wire_->order([&] { wire_->strike(what); });
}
void fault_proxy::strike_after(std::uint64_t bytes, proxy_fault what, proxy_way counted) {
  wire_->order([&] { wire_->strike_after(bytes, what, counted); });
}
void fault_proxy::strike_next(proxy_fault what) {
  wire_->order([&] { wire_->strike_next(what); });
}
void fault_proxy::heal() {
  wire_->order([&] { wire_->heal(); });
}
proxy_counts fault_proxy::counts() const { return wire_->counts(); }
bool fault_proxy::wait_for(const std::function<bool(const proxy_counts&)>& wanted,
                           std::chrono::milliseconds within) const {
  return wire_->wait_for(wanted, within);
}

}  // namespace brigade::testing
