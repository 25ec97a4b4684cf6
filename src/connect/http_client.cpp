#include "connect/http_client.hpp"

#include <brigade/async/loop.hpp>
#include <brigade/async/timeout.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace brigade::http {
namespace {

std::string in_seconds(milliseconds time) {
  const std::string text = std::to_string(time.count());
  return time.count() % 1000 == 0 ? std::to_string(time.count() / 1000) + " s" : text + " ms";
}

}  // namespace

client::client(client_options options)
    : options_(std::move(options)),
      slots_(static_cast<std::int64_t>(options_.connections_max), "HTTP connections") {}

client::~client() {
  if (loop::current_if_any() != nullptr) return;
  // Sockets belong to a loop. It ended without us, so what they stand on is gone.
  for (idle_connection& each : idle_) static_cast<void>(each.line.release());
}

task<answer> client::send(const address& to, const request& what) {
  auto slot = co_await slots_.acquire();
  std::unique_ptr<connection> line = take_idle(to);
  bool is_used = line != nullptr;
  for (;;) {
    if (!line) line = co_await connect(to);
    try {
      answer got = co_await ask(to, *line, what);
      if (line->goes_on()) keep(to, std::move(line));
      co_return got;
    } catch (const broken& failed) {
      if (!is_used || failed.answer_began() || !what.repeatable) throw;
    }
    is_used = false;
    line = nullptr;
  }
}

task<std::unique_ptr<connection>> client::connect(const address& to) {
  make_room();
  auto opening = connection::open(to, options_.tls);
  try {
    co_return co_await timeout(options_.connect_timeout, std::move(opening));
  } catch (const timed_out&) {
    throw unreachable("cannot connect to " + to.shown() + " within " +
                      in_seconds(options_.connect_timeout));
  }
}

task<answer> client::ask(const address& to, connection& line, const request& what) {
  auto asking = line.ask(what, options_.body_bytes_max);
  try {
    co_return co_await timeout(options_.answer_timeout, std::move(asking));
  } catch (const timed_out&) {
    throw broken(to.shown() + " did not answer within " + in_seconds(options_.answer_timeout),
                 true);
  }
}

std::unique_ptr<connection> client::take_idle(const address& to) {
  const std::string where = to.shown();
  const auto oldest = loop::current().now() - options_.idle_max;
  std::erase_if(idle_, [&](const idle_connection& each) { return each.since < oldest; });
  for (auto at = idle_.begin(); at != idle_.end();) {
    if (at->where != where) {
      ++at;
      continue;
    }
    std::unique_ptr<connection> line = std::move(at->line);
    at = idle_.erase(at);
    if (line->is_quiet()) return line;
  }
  return nullptr;
}

void client::keep(const address& to, std::unique_ptr<connection> line) {
  idle_.push_front({to.shown(), std::move(line), loop::current().now()});
}

// Who asks has a slot, and the slots of others may all have a connection.
void client::make_room() {
  const auto busy = options_.connections_max - static_cast<std::size_t>(slots_.statistics().value);
  while (!idle_.empty() && busy + idle_.size() > options_.connections_max) idle_.pop_back();
}

}  // namespace brigade::http
