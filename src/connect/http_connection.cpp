#include "connect/http_connection.hpp"

#include "connect/tls_context.hpp"

#include <brigade/async/asio.hpp>
#include <brigade/async/staggered.hpp>
#include <brigade/async/thread.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace brigade::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace ssl = asio::ssl;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using parser_of_answer = beast::http::response_parser<beast::http::string_body>;
using namespace std::chrono_literals;

constexpr auto next_address_after = 250ms;
constexpr std::size_t header_bytes_max = std::size_t{64} << 10;
constexpr std::size_t together_bytes_max = std::size_t{16} << 10;

/// Awaited so, an operation gives its error instead of throwing it.
constexpr auto with_error = asio::as_tuple(use_await);

std::vector<tcp::endpoint> addresses_of(const std::string& host, std::uint16_t port, bool numeric) {
  addrinfo wanted{};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = numeric ? AI_NUMERICHOST : 0;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), nullptr, &wanted, &found);
  if (failed == EAI_NONAME && numeric) return {};
  if (failed != 0) {
    throw unreachable("the name '" + host + "' cannot be resolved: " + ::gai_strerror(failed));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  std::vector<tcp::endpoint> result;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    tcp::endpoint& at = result.emplace_back();
    at.resize(each->ai_addrlen);
    std::copy_n(reinterpret_cast<const char*>(each->ai_addr), each->ai_addrlen,
                reinterpret_cast<char*>(at.data()));
    at.port(port);
  }
  return result;
}

std::vector<tcp::endpoint> resolved(const std::string& host, std::uint16_t port) {
  return addresses_of(host, port, false);
}

task<std::vector<tcp::endpoint>> resolve(const address& to) {
  std::vector<tcp::endpoint> numeric = addresses_of(to.host, to.port, true);
  if (!numeric.empty()) co_return numeric;
  auto call = to_thread(&resolved, to.host, to.port);
  co_return co_await std::move(call);
}

task<tcp::socket> connect_to(tcp::endpoint where) {
  tcp::socket socket(asio_context());
  socket.open(where.protocol());
  ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);  // not for child processes
  co_await socket.async_connect(where, use_await("an HTTP connection"));
  socket.set_option(tcp::no_delay(true));
  co_return socket;
}

std::string text_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const boost::system::system_error& failed) {
    return failed.code().message();
  } catch (const std::exception& failed) {
    return failed.what();
  } catch (...) {
    return "cancelled";
  }
}

task<tcp::socket> connect(const address& to) {
  std::vector<tcp::endpoint> places = co_await resolve(to);
  std::vector<std::function<task<tcp::socket>()>> attempts;
  attempts.reserve(places.size());
  for (const tcp::endpoint& place : places) {
    attempts.emplace_back([place] { return connect_to(place); });
  }
  auto race = staggered_race(std::move(attempts), next_address_after);
  auto result = co_await std::move(race);
  if (result.winner) co_return std::move(*result.value);
  std::string why = "the name has no address";
  if (!result.errors.empty()) why = text_of(result.errors.back());
  throw unreachable("cannot connect to " + to.shown() + ": " + why);
}

/// The socket under whatever is on it.
tcp::socket& socket_of(tcp::socket& stream) { return stream; }
tcp::socket& socket_of(ssl::stream<tcp::socket>& stream) { return stream.next_layer(); }

template <class Stream>
class connection_on final : public connection {
 public:
  connection_on(Stream stream, std::string who)
      : stream_(std::move(stream)), who_(std::move(who)) {}

  task<answer> ask(const request& what, std::size_t body_bytes_max) override;
  [[nodiscard]] bool goes_on() const override { return goes_on_; }
  [[nodiscard]] bool is_quiet() override {
    char byte = 0;
    const int descriptor = socket_of(stream_).native_handle();
    const auto got = ::recv(descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }

 private:
  task<error_code> send(const request& what);
  [[nodiscard]] broken failed(const parser_of_answer& parser, error_code why) const;
  [[nodiscard]] answer answer_of(parser_of_answer& parser, bool is_cut);

  Stream stream_;
  std::string who_;
  beast::flat_buffer received_;
  bool goes_on_ = false;
};

template <class Stream>
task<error_code> connection_on<Stream>::send(const request& what) {
  // One packet, and one record of TLS, where it is short.
  if (what.body.size() <= together_bytes_max) {
    std::string all = what.head;
    all += what.body;
    auto [why, sent] = co_await asio::async_write(stream_, asio::buffer(all), with_error);
    co_return why;
  }
  const std::array<asio::const_buffer, 2> parts = {asio::buffer(what.head),
                                                   asio::buffer(what.body)};
  auto [why, sent] = co_await asio::async_write(stream_, parts, with_error);
  co_return why;
}

template <class Stream>
broken connection_on<Stream>::failed(const parser_of_answer& parser, error_code why) const {
  const bool began = parser.got_some() || received_.size() != 0;
  if (why == beast::http::error::end_of_stream || why == asio::error::eof ||
      why == ssl::error::stream_truncated || why == beast::http::error::partial_message) {
    return {who_ + " closed the connection " + (began ? "in the middle of" : "instead of") +
                " an answer",
            began};
  }
  if (why.category() == make_error_code(beast::http::error::bad_version).category()) {
    return {who_ + " answered what is no HTTP/1.1: " + why.message(), true};
  }
  return {"the connection to " + who_ + " broke: " + why.message(), began};
}

template <class Stream>
task<answer> connection_on<Stream>::ask(const request& what, std::size_t body_bytes_max) {
  goes_on_ = false;
  // Who will not have the whole of a request may answer it all the same, and close.
  const error_code not_sent = co_await send(what);
  std::optional<parser_of_answer> parser;
  for (;;) {
    parser.emplace();
    parser->header_limit(header_bytes_max);
    parser->body_limit(body_bytes_max);
    auto [why, bytes] = co_await beast::http::async_read(stream_, received_, *parser, with_error);
    const bool is_cut = why == beast::http::error::body_limit;
    if (why && !(is_cut && parser->is_header_done())) {
      throw failed(*parser, not_sent && !parser->got_some() ? not_sent : why);
    }
    const int status = static_cast<int>(parser->get().result_int());
    if (status / 100 == 1 && status != 101) continue;  // the answer itself comes behind it
    goes_on_ =
        !is_cut && !not_sent && status != 101 && parser->keep_alive() && received_.size() == 0;
    co_return answer_of(*parser, is_cut);
  }
}

template <class Stream>
answer connection_on<Stream>::answer_of(parser_of_answer& parser, bool is_cut) {
  auto& got = parser.get();
  const auto text = [](beast::string_view from) { return std::string(from.data(), from.size()); };
  answer result;
  result.status = static_cast<int>(got.result_int());
  result.reason = text(got.reason());
  result.is_cut = is_cut;
  if (!is_cut) result.body = std::move(got.body());
  result.location = text(got[beast::http::field::location]);
  const std::string later = text(got[beast::http::field::retry_after]);
  if (!later.empty()) {
    result.retry_after = retry_after_of(later, text(got[beast::http::field::date]),
                                        std::chrono::system_clock::now());
  }
  return result;
}

task<std::unique_ptr<connection>> with_tls(tcp::socket socket, const address& to,
                                           ssl::context& tls) {
  ssl::stream<tcp::socket> stream(std::move(socket), tls);
  tls::expect_host(*stream.native_handle(), to.host);
  auto [why] = co_await stream.async_handshake(ssl::stream_base::client, with_error);
  if (why) {
    throw unreachable(to.shown() + ": " +
                      tls::handshake_problem(*stream.native_handle(), why.message()));
  }
  using tls_connection = connection_on<ssl::stream<tcp::socket>>;
  co_return std::make_unique<tls_connection>(std::move(stream), to.shown());
}

}  // namespace

task<std::unique_ptr<connection>> connection::open(address to, std::shared_ptr<ssl::context> tls) {
  tcp::socket socket = co_await connect(to);
  if (to.tls) co_return co_await with_tls(std::move(socket), to, *tls);
  co_return std::make_unique<connection_on<tcp::socket>>(std::move(socket), to.shown());
}

}  // namespace brigade::http
