#include "testing/fault_proxy_link.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace brigade::testing::detail {

namespace {

constexpr std::size_t held_bytes_max = std::size_t{256} << 10;
constexpr std::size_t read_bytes_max = std::size_t{64} << 10;
// A throttled direction sends in pieces of this much time, so that it flows.
constexpr std::uint64_t pieces_a_second = 50;

bool would_wait(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

owned_socket& owned_socket::operator=(owned_socket&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = other.release();
  }
  return *this;
}

int owned_socket::release() noexcept { return std::exchange(fd_, -1); }

void owned_socket::close() noexcept {
  if (fd_ >= 0) ::close(release());
}

void owned_socket::reset() noexcept {
  if (fd_ < 0) return;
  const linger at_once{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close();
}

proxy_link::proxy_link(owned_socket client, owned_socket target, bool silent)
    : client_(std::move(client)), target_(std::move(target)), silent_(silent) {
  up_.from = down_.to = &client_;
  up_.to = down_.from = &target_;
}

// What was read counts as sent on at the end of its delay, and not before the throttle is free.
std::optional<proxy_clock::time_point> proxy_link::next_send(const way& one,
                                                             const link_rules& rules) {
  if (one.is_over) return std::nullopt;
  if (!one.held.empty()) return std::max(one.held.front().read_at + rules.delay, one.free_at);
  if (one.ended) return *one.ended + rules.delay;
  return std::nullopt;
}

void proxy_link::add_to(std::deque<pollfd>& wanted, const link_rules& rules,
                        proxy_clock::time_point now) {
  if (is_quiet(rules)) return;
  pollfd client{client_.fd(), 0, 0};
  pollfd target{target_.fd(), 0, 0};
  const auto want = [&](const way& one, pollfd& from, pollfd& to) {
    if (!one.ended && one.held_bytes < held_bytes_max) from.events |= POLLIN;
    const auto when = next_send(one, rules);
    if (when && *when <= now && !one.held.empty()) to.events |= POLLOUT;
  };
  want(up_, client, target);
  want(down_, target, client);
  // A socket nobody wants anything of would still report its hang-up, again and again.
  if (client.events != 0) wanted.push_back(client);
  if (target.events != 0) wanted.push_back(target);
}

std::optional<proxy_clock::time_point> proxy_link::due(const link_rules& rules) const {
  if (is_quiet(rules)) return std::nullopt;
  const auto up = next_send(up_, rules);
  const auto down = next_send(down_, rules);
  if (up && down) return std::min(*up, *down);
  return up ? up : down;
}

bool proxy_link::work(const link_rules& rules, proxy_clock::time_point now, const link_toll& toll) {
  if (is_quiet(rules)) return true;
  for (way* const one : {&up_, &down_}) {
    if (!take_in(*one, now) || !send_on(*one, rules, now, toll)) {
      reset();  // one side has: so does the other
      return false;
    }
  }
  return !(up_.is_over && down_.is_over);
}

// False: the sender has reset it.
bool proxy_link::take_in(way& one, proxy_clock::time_point now) {
  static thread_local std::array<char, read_bytes_max> buffer;
  while (!one.ended && one.held_bytes < held_bytes_max) {
    const std::size_t room = std::min(buffer.size(), held_bytes_max - one.held_bytes);
    const ssize_t got = ::recv(one.from->fd(), buffer.data(), room, MSG_DONTWAIT);
    if (got < 0) return would_wait(errno);
    if (got == 0) {
      one.ended = now;
      break;
    }
    const auto size = static_cast<std::size_t>(got);
    one.held.push_back({now, std::string(buffer.data(), size)});
    one.held_bytes += size;
  }
  return true;
}

// False: the receiver has reset it.
bool proxy_link::send_on(way& one, const link_rules& rules, proxy_clock::time_point now,
                         const link_toll& toll) {
  const bool to_target = &one == &up_;
  for (auto when = next_send(one, rules); when && *when <= now; when = next_send(one, rules)) {
    if (one.held.empty()) {
      ::shutdown(one.to->fd(), SHUT_WR);
      one.is_over = true;
      break;
    }
    chunk& first = one.held.front();
    std::size_t size = first.bytes.size();
    if (rules.bytes_per_second != 0) {
      const std::uint64_t piece = rules.bytes_per_second / pieces_a_second;
      size = std::min<std::size_t>(size, std::max<std::uint64_t>(piece, 1));
    }
    size = toll.allowed(to_target, size);
    if (size == 0) break;  // a strike is due
    const ssize_t sent =
        ::send(one.to->fd(), first.bytes.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) return would_wait(errno);
    const auto passed = static_cast<std::size_t>(sent);
    if (rules.bytes_per_second != 0) {
      const std::chrono::nanoseconds cost(std::uint64_t{1'000'000'000} * passed /
                                          rules.bytes_per_second);
      one.free_at = std::max(one.free_at, now) + cost;
    }
    one.held_bytes -= passed;
    first.bytes.erase(0, passed);
    if (first.bytes.empty()) one.held.pop_front();
    toll.passed(to_target, passed);
  }
  return true;
}

// Unread bytes would turn the end into a reset.
void proxy_link::cut() {
  static thread_local std::array<char, read_bytes_max> buffer;
  for (owned_socket* const side : {&client_, &target_}) {
    ::shutdown(side->fd(), SHUT_WR);
    while (::recv(side->fd(), buffer.data(), buffer.size(), MSG_DONTWAIT) > 0) {
    }
    side->close();
  }
}

void proxy_link::reset() {
  client_.reset();
  target_.reset();
}

}  // namespace brigade::testing::detail
