#include "connect/socket_source.hpp"

#include "connect/components.hpp"
#include "connect/temporary_folder.hpp"

#include <brigade/async/event.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/connect/socket.hpp>
#include <brigade/pipeline/log.hpp>

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <sstream>

namespace brigade {
namespace {

using test::temporary_folder;
using namespace std::chrono_literals;
using texts = std::vector<std::string>;
using fields = std::vector<std::pair<std::string, field_value>>;

/// A client of a source that listens; closed by the destructor.
class client {
 public:
  explicit client(const socket_address& at) {
    const int type = at.is_stream() ? SOCK_STREAM : SOCK_DGRAM;
    fd_ = ::socket(at.is_unix() ? AF_UNIX : AF_INET, type | SOCK_CLOEXEC, 0);
    sockaddr_storage name{};
    socklen_t size = sizeof(sockaddr_in);
    if (at.is_unix()) {
      auto* const path = reinterpret_cast<sockaddr_un*>(&name);
      path->sun_family = AF_UNIX;
      std::memcpy(path->sun_path, at.path.c_str(), at.path.string().size());
      size = sizeof(sockaddr_un);
    } else {
      auto* const to = reinterpret_cast<sockaddr_in*>(&name);
      to->sin_family = AF_INET;
      to->sin_port = htons(at.port);
      to->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&name), size) != 0) {
      throw std::runtime_error("cannot connect");
    }
  }
  client(client&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  client& operator=(client&&) = delete;
  ~client() { close(); }

  void send(std::string_view bytes) const {
    ASSERT_EQ(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  /// Ends it by a reset.
  void reset() {
    const linger hard{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close();
  }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

class sockets : public ::testing::Test {
 protected:
  [[nodiscard]] std::unique_ptr<source> make(fields given) const {
    registry known;
    register_socket(known);
    const component& entry = *known.find(component_kind::source, "socket");
    given.insert(given.begin(), {{"max_connections", std::int64_t{1000}}});
    return entry.make_source(test::settings_for(entry, std::move(given)),
                             test::context_in(folder_.path()));
  }
  [[nodiscard]] static const socket_address& at(const source& from) {
    return dynamic_cast<const socket_source&>(from).at();
  }
  /// The next items as text.
  static task<texts> read(source& from, std::size_t count) {
    texts found;
    while (found.size() < count) {
      const std::vector<source_item> some = co_await from.read(count - found.size());
      for (const source_item& each : some) {
        const std::string text(each.value.get<record>().raw());
        found.push_back(each.undecodable ? "undecodable: " + *each.undecodable : text);
      }
    }
    co_return found;
  }
  static task<> open(source& opened) {
    std::vector<partition_mark> nothing;
    auto opening = opened.open(std::move(nothing), std::string());
    co_await std::move(opening);
  }
  /// `body` with a source that is open, and closed afterwards.
  template <class Body>
  void with(fields given, Body body) {
    const auto from = make(std::move(given));
    const auto main = [&]() -> task<> {
      const log_to log([&](std::string_view line) { log_.emplace_back(line); });
      auto opening = open(*from);
      co_await std::move(opening);
      auto running = body(*from);
      co_await std::move(running);
      auto closing = from->close();
      co_await std::move(closing);
    };
    run(main());
  }
  [[nodiscard]] bool logged(const std::string& part) const {
    for (const std::string& line : log_) {
      if (line.find(part) != std::string::npos) return true;
    }
    return false;
  }
  [[nodiscard]] std::string wrong(fields given) const {
    return test::config_error_of([&] { static_cast<void>(make(std::move(given))); });
  }
  temporary_folder folder_;
  texts log_;
};

fields listening(const std::string& at) { return {{"listen", at}}; }

TEST_F(sockets, reads_lines_from_tcp_and_from_a_unix_socket) {
  for (const char* const each : {"tcp://127.0.0.1:0", "unix://in.sock"}) {
    with(listening(each), [&](source& from) -> task<> {
      client sender(at(from));
      sender.send("one\ntw");
      const texts first = co_await read(from, 1);
      EXPECT_EQ(first, texts{"one"});
      sender.send("o\nthree");
      sender.close();
      const texts rest = co_await read(from, 2);
      EXPECT_EQ(rest, (texts{"two", "three"})) << "half a line at the end is a line";
    });
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "in.sock")) << "the file goes with the socket";
}

TEST_F(sockets, reads_datagrams_from_udp_and_from_a_unix_socket) {
  for (const char* const each : {"udp://127.0.0.1:0", "unixgram://in.sock"}) {
    with(listening(each), [&](source& from) -> task<> {
      client sender(at(from));
      sender.send("one\n");
      sender.send("two\nlines");
      const texts items = co_await read(from, 2);
      EXPECT_EQ(items, (texts{"one", "two\nlines"}));
    });
  }
}

TEST_F(sockets, reads_lines_out_of_datagrams) {
  with({{"listen", std::string("udp://127.0.0.1:0")}, {"framing", std::string("line")}},
       [&](source& from) -> task<> {
         client sender(at(from));
         sender.send("one\ntwo");
         sender.send("three\n");
         const texts items = co_await read(from, 3);
         EXPECT_EQ(items, (texts{"one", "two", "three"}));
       });
}

TEST_F(sockets, a_datagram_that_is_too_long_is_cut_and_says_how_long_it_was) {
  with({{"listen", std::string("udp://127.0.0.1:0")}, {"max_line", std::int64_t{100}}},
       [&](source& from) -> task<> {
         client sender(at(from));
         sender.send(std::string(300, 'x'));
         sender.send("next");
         const texts items = co_await read(from, 2);
         EXPECT_EQ(items[0], "undecodable: line of 300 bytes is longer than max_line (100 bytes)");
         EXPECT_EQ(items[1], "next");
       });
}

TEST_F(sockets, a_connection_that_breaks_the_framing_is_ended_and_others_go_on) {
  const fields given = {{"listen", std::string("tcp://127.0.0.1:0")},
                        {"format", std::string("syslog")},
                        {"framing", std::string("length")}};
  with(given, [&](source& from) -> task<> {
    client garbage(at(from));
    garbage.send("8 <1>good!GET / HTTP/1.1\r\n\r\n");
    client sender(at(from));
    const texts good = co_await read(from, 1);
    EXPECT_NE(good[0].find(R"("message":"good!")"), std::string::npos);
    sender.send("7 <1>text");
    const texts items = co_await read(from, 1);
    EXPECT_NE(items[0].find(R"("message":"text")"), std::string::npos);
    char byte = 0;
    EXPECT_EQ(::recv(garbage.fd(), &byte, 1, 0), 0) << "it was closed";
  });
  EXPECT_TRUE(logged("ended: no length before a message: 'GET / HTTP/1.1"));
}

TEST_F(sockets, a_reset_keeps_what_came_before_it) {
  with(listening("tcp://127.0.0.1:0"), [&](source& from) -> task<> {
    client sender(at(from));
    sender.send("one\nhal");
    const texts first = co_await read(from, 1);
    EXPECT_EQ(first, texts{"one"});
    sender.reset();
    const texts half = co_await read(from, 1);
    EXPECT_EQ(half, texts{"hal"});
  });
}

TEST_F(sockets, more_connections_than_allowed_wait_until_one_ends) {
  const fields given = {{"listen", std::string("tcp://127.0.0.1:0")},
                        {"max_connections", std::int64_t{1}}};
  with(given, [&](source& from) -> task<> {
    client first(at(from));
    first.send("one\n");
    const texts one = co_await read(from, 1);
    client second(at(from));
    second.send("two\n");
    first.send("three\n");
    const texts three = co_await read(from, 1);
    EXPECT_EQ(three, texts{"three"});
    first.close();
    const texts two = co_await read(from, 1);
    EXPECT_EQ(two, texts{"two"});
  });
  EXPECT_TRUE(logged("has 1 connections, its max_connections"));
}

TEST_F(sockets, a_thousand_connections_are_served) {
  with(listening("unix://in.sock"), [&](source& from) -> task<> {
    std::vector<client> clients;
    for (int n = 0; n < 1000; ++n) {
      clients.emplace_back(at(from));
      clients.back().send(std::to_string(n) + "\n");
      if (n % 100 == 99) co_await read(from, 100);  // the backlog is bounded
    }
    for (const client& each : clients) each.send("again\n");
    const texts again = co_await read(from, 1000);
    EXPECT_EQ(again.back(), "again");
  });
}

TEST_F(sockets, an_idle_connection_is_closed_where_that_is_asked_for) {
  const fields given = {{"listen", std::string("tcp://127.0.0.1:0")}, {"idle_timeout", 20ms}};
  with(given, [&](source& from) -> task<> {
    client sender(at(from));
    sender.send("half");
    const texts half = co_await read(from, 1);
    EXPECT_EQ(half, texts{"half"});
    char byte = 0;
    EXPECT_EQ(::recv(sender.fd(), &byte, 1, 0), 0);
  });
  EXPECT_TRUE(logged("idle for longer than its idle_timeout"));
}

TEST_F(sockets, nothing_is_read_on_while_nobody_takes_it) {
  with(listening("unix://in.sock"), [&](source& from) -> task<> {
    client sender(at(from));
    const std::string line = std::string(999, 'x') + "\n";
    ::fcntl(sender.fd(), F_SETFL, O_NONBLOCK);
    std::size_t sent = 0;
    // Ends only because the other side has stopped reading.
    for (int idle = 0; idle < 1000;) {
      const ssize_t took = ::send(sender.fd(), line.data(), line.size(), MSG_NOSIGNAL);
      if (took > 0) sent += static_cast<std::size_t>(took);
      idle = took > 0 ? 0 : idle + 1;
      co_await yield();
    }
    EXPECT_LT(sent, std::size_t{4} << 20);
    EXPECT_GT(sent, std::size_t{1} << 10);
    const texts all = co_await read(from, sent / line.size());
    EXPECT_EQ(all.back().size(), line.size() - 1);
  });
}

// It reads no more than it is asked for, but what comes together is read together.
TEST_F(sockets, a_stop_without_a_journal_says_what_it_loses) {
  with(listening("unix://in.sock"), [&](source& from) -> task<> {
    client sender(at(from));
    sender.send("0\n1\n2\n3\n4\n");
    const texts first = co_await read(from, 1);
    EXPECT_EQ(first, texts{"0"});
  });
  EXPECT_TRUE(
      logged("4 items were received and are lost: they were not yet taken, and there is no "
             "journal"));
}

fields journaled(const std::string& at) {
  return {{"listen", at}, {"journal", std::string("in.db")}};
}

TEST_F(sockets, with_a_journal_a_stop_keeps_what_the_kernel_had_already) {
  for (const char* const each : {"tcp://127.0.0.1:0", "udp://127.0.0.1:0", "unix://in.sock"}) {
    const temporary_folder own;
    folder_.write("marker", "");
    fields given = journaled(each);
    given[1].second = own / "in.db";
    log_.clear();
    with(given, [&](source& from) -> task<> {
      EXPECT_TRUE(from.replayable());
      client sender(at(from));
      sender.send("one\n");
      sender.send("two\n");
      co_return;  // nothing of it was ever asked for
    });
    EXPECT_TRUE(logged("2 items stay in the journal, for the next run")) << each;
    with(given, [&](source& from) -> task<> {
      const texts items = co_await read(from, 2);
      EXPECT_EQ(items, (texts{"one", "two"})) << each;
    });
  }
}

TEST_F(sockets, an_item_of_the_journal_has_the_same_name_in_every_run) {
  std::string name;
  with(journaled("udp://127.0.0.1:0"), [&](source& from) -> task<> {
    client sender(at(from));
    sender.send("one");
    const texts items = co_await read(from, 1);
    name = from.partitions().front();
  });
  EXPECT_EQ(name.substr(0, 5), "main:");
  const auto from = make(journaled("udp://127.0.0.1:0"));
  const auto second = [&]() -> task<> {
    mark done;
    done.low = 2;
    std::vector<partition_mark> resume(1);
    resume.front().partition = name;
    resume.front().at = done;
    auto opening = from->open(std::move(resume), std::string());
    co_await std::move(opening);
    EXPECT_EQ(from->partitions().front(), name);
    client sender(at(*from));
    sender.send("two");
    const std::vector<source_item> items = co_await from->read(10);
    EXPECT_EQ(items.size(), 1U) << "the first is finished";
    EXPECT_EQ(items.front().begin, 2U);
    auto closing = from->close();
    co_await std::move(closing);
  };
  run(second());
}

TEST_F(sockets, without_a_journal_partitions_of_earlier_runs_are_over) {
  const auto from = make(listening("udp://127.0.0.1:0"));
  EXPECT_FALSE(from->replayable());
  const auto body = [&]() -> task<> {
    std::vector<partition_mark> resume(1);
    resume.front().partition = "main:old";
    auto opening = from->open(std::move(resume), std::string());
    co_await std::move(opening);
    EXPECT_EQ(from->partitions().size(), 2U);
    EXPECT_EQ(from->take_forgotten(), std::vector<std::uint32_t>{1});
    EXPECT_EQ(from->take_forgotten(), std::vector<std::uint32_t>{});
    auto closing = from->close();
    co_await std::move(closing);
  };
  run(body());
}

// The kernel's own count of this socket, as /proc has it.
std::uint64_t dropped_in_proc(std::uint16_t port) {
  std::ifstream table("/proc/net/udp");
  std::string line;
  char wanted[8];
  std::snprintf(wanted, sizeof wanted, ":%04X", port);
  while (std::getline(table, line)) {
    std::istringstream words(line);
    texts all;
    for (std::string word; words >> word;) all.push_back(word);
    if (all.size() > 2 && all[1].ends_with(wanted)) return std::stoull(all.back());
  }
  return 0;
}

TEST_F(sockets, what_the_kernel_dropped_is_counted) {
  listen_options options;
  options.at = parse_socket_address("udp://127.0.0.1:0", ".");
  options.receive_buffer = 8192;
  const listening_socket socket(options);
  client sender(socket.at());
  for (int n = 0; n < 500; ++n) sender.send(std::string(500, 'x'));
  const std::uint64_t dropped = dropped_datagrams(socket.fd());
  EXPECT_EQ(dropped, dropped_in_proc(socket.at().port));
  std::uint64_t received = 0;
  char byte = 0;
  while (::recv(socket.fd(), &byte, 1, MSG_DONTWAIT) > 0) ++received;
  EXPECT_EQ(received + dropped, 500U);
  EXPECT_GT(dropped, 0U);
}

TEST_F(sockets, a_stale_socket_is_replaced_and_one_in_use_is_not) {
  for (const char* const each : {"unix://in.sock", "unixgram://in.sock"}) {
    listen_options options;
    options.at = parse_socket_address(each, folder_.path());
    options.permissions = 0660;
    struct stat status{};
    {
      const listening_socket first(options);
      ASSERT_EQ(::stat((folder_ / "in.sock").c_str(), &status), 0);
      EXPECT_EQ(status.st_mode & 0777U, 0660U);
      EXPECT_THROW(listening_socket{options}, std::runtime_error);
    }
    // One that a program left behind, and then one that somebody else listens on.
    const int type = options.at.is_stream() ? SOCK_STREAM : SOCK_DGRAM;
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::strcpy(name.sun_path, options.at.path.c_str());
    for (const bool stays : {false, true}) {
      const int other = ::socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
      ASSERT_EQ(::bind(other, reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
      if (options.at.is_stream()) ::listen(other, 1);
      if (!stays) {
        ::close(other);
        EXPECT_NO_THROW(listening_socket{options});
        continue;
      }
      try {
        const listening_socket refused(options);
        ADD_FAILURE() << "took over a socket in use";
      } catch (const std::runtime_error& error) {
        EXPECT_EQ(std::string(error.what()),
                  "cannot listen on " + options.at.text() + ": another program does");
      }
      ::close(other);
      ::unlink(options.at.path.c_str());
    }
  }
  folder_.write("in.sock", "precious");
  listen_options options;
  options.at = parse_socket_address("unix://in.sock", folder_.path());
  EXPECT_THROW(listening_socket{options}, std::runtime_error);
  EXPECT_EQ(folder_.read("in.sock"), "precious");
}

TEST_F(sockets, says_what_is_wrong_with_its_fields) {
  const auto at = [&](const std::string& text) { return wrong(listening(text)); };
  EXPECT_EQ(at("http://x"),
            "listen: 'http://x' is no address to listen on; write "
            "tcp://127.0.0.1:5140, udp://127.0.0.1:5140, unix:///run/in.sock or "
            "unixgram:///run/in.sock");
  EXPECT_EQ(at("tcp://127.0.0.1"),
            "listen: 'tcp://127.0.0.1' has no port; write it as tcp://127.0.0.1:5140");
  EXPECT_EQ(at("tcp://::1:514"),
            "listen: 'tcp://::1:514' has an IPv6 address without brackets; "
            "write it as tcp://[::1]:5140");
  EXPECT_NE(at("tcp://:514").find("127.0.0.1 is this machine alone"), std::string::npos);
  EXPECT_NE(at("udp://127.0.0.1:65536").find("has no port from 0 to 65535"), std::string::npos);
  EXPECT_NE(at("unix://").find("has no path"), std::string::npos);
  EXPECT_NE(at("unix://" + std::string(120, 'x')).find("107 bytes"), std::string::npos);
  const std::string tcp = "tcp://127.0.0.1:0";
  const std::string udp = "udp://127.0.0.1:0";
  const auto with_field = [&](const std::string& to, const std::string& name, field_value value) {
    return wrong({{"listen", to}, {name, std::move(value)}});
  };
  EXPECT_EQ(with_field(tcp, "framing", std::string("datagram")).substr(0, 36),
            "framing: a stream has no datagrams; ");
  EXPECT_EQ(with_field(udp, "framing", std::string("length")).substr(0, 38),
            "framing: a datagram has its length alr");
  EXPECT_EQ(with_field(tcp, "permissions", std::string("0600")),
            "permissions: only the file of a Unix socket has any");
  EXPECT_EQ(with_field("unix://x", "permissions", std::string("rw")).substr(0, 17),
            "permissions: 'rw'");
  EXPECT_EQ(with_field(udp, "idle_timeout", 1s), "idle_timeout: datagrams have no connections");
  EXPECT_EQ(with_field(tcp, "idle_timeout", 0s),
            "idle_timeout: must be longer than nothing; leave it out for never");
  EXPECT_EQ(with_field(tcp, "max_line", std::int64_t{0}), "max_line: must be at least 1");
  EXPECT_EQ(with_field(tcp, "journal_max", std::int64_t{5}),
            "journal_max: there is no journal: name its file with 'journal'");
  EXPECT_EQ(
      wrong({{"listen", tcp}, {"journal", std::string("in.db")}, {"journal_max", std::int64_t{5}}}),
      "journal_max: is less than one item may have (max_line)");
}

}  // namespace
}  // namespace brigade
