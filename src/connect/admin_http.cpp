#include "connect/admin_http.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <fcntl.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <list>
#include <optional>
#include <stdexcept>
#include <thread>

namespace brigade::admin {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;
using boost::system::error_code;
using namespace std::chrono_literals;

// From one request to the end of the next; a client that sends a byte now and then has no more.
constexpr auto request_within = 30s;
constexpr auto response_within = 10s;
constexpr auto farewell_within = 1s;
constexpr std::size_t farewell_bytes_max = std::size_t{64} << 10;
constexpr auto accept_again_after = 100ms;

class session;
using sessions = std::list<session*>;

// Child processes have no business with it.
void keep_to_ourselves(int descriptor) { ::fcntl(descriptor, F_SETFD, FD_CLOEXEC); }

/// As those who ask call it: [::] listens for IPv4 as well.
std::string shown(const asio::ip::address& address) {
  if (!address.is_v6() || !address.to_v6().is_v4_mapped()) return address.to_string();
  return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
}

/// One connection. It lives as long as something is under way on it.
class session : public std::enable_shared_from_this<session> {
 public:
  session(tcp::socket socket, sessions& all, const http_handler& answer)
      : stream_(std::move(socket)), all_(all), answer_(answer) {
    error_code ignored;
    request_.local_address = shown(stream_.socket().local_endpoint(ignored).address());
    place_ = all_.insert(all_.end(), this);
  }
  ~session() { leave(); }
  session(const session&) = delete;
  session& operator=(const session&) = delete;

  void read() {
    parser_.emplace();
    parser_->header_limit(http_server::header_bytes_max);
    parser_->body_limit(http_server::body_bytes_max);
    stream_.expires_after(request_within);
    http::async_read(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](error_code failed, std::size_t) { self->has_read(failed); });
  }
  /// Makes room for somebody else.
  void give_way() {
    leave();
    stream_.close();
  }

 private:
  void leave() {
    if (place_ == all_.end()) return;
    all_.erase(place_);
    place_ = all_.end();
  }
  void has_read(error_code failed) {
    if (!failed) {
      answer();
    } else if (auto complaint = complaint_of(failed)) {
      respond(*complaint, false, false);
    }  // else it has gone, or was too slow
  }
  static std::optional<http_response> complaint_of(error_code failed) {
    http_response complaint;
    if (failed == http::error::header_limit || failed == http::error::buffer_overflow) {
      complaint.status = 431;
      complaint.body = "the header of the request is too large\n";
    } else if (failed == http::error::body_limit) {
      complaint.status = 413;
      complaint.body = "the body of the request is too large: none is needed\n";
    } else if (failed == http::error::end_of_stream || failed == http::error::partial_message ||
               failed.category() != make_error_code(http::error::bad_method).category()) {
      return std::nullopt;
    } else {
      complaint.status = 400;
      complaint.body = "this is no HTTP request: " + failed.message() + "\n";
    }
    return complaint;
  }
  void answer() {
    const auto& given = parser_->get();
    const auto text = [](beast::string_view from) { return std::string(from.data(), from.size()); };
    request_.method = text(given.method_string());
    request_.path = text(given.target());
    request_.path.resize(std::min(request_.path.find('?'), request_.path.size()));
    request_.host = text(given[http::field::host]);
    request_.authorization = text(given[http::field::authorization]);
    http_response response;
    try {
      response = answer_(request_);
    } catch (const std::exception& failed) {
      response.status = 500;
      response.body = std::string(failed.what()) + "\n";
    }
    respond(response, given.keep_alive(), request_.method == "HEAD");
  }
  void respond(http_response& what, bool keep, bool head_only) {
    const unsigned version = keep ? parser_->get().version() : 11;
    response_ = {};
    response_.version(version);
    response_.result(what.status);
    response_.set(http::field::server, "brigade");
    response_.set(http::field::content_type, what.type);
    response_.set(http::field::cache_control, "no-store");
    response_.set("X-Content-Type-Options", "nosniff");
    for (const auto& [name, value] : what.headers) response_.set(name, value);
    response_.keep_alive(keep);
    response_.content_length(what.body.size());
    if (!head_only) response_.body() = std::move(what.body);
    stream_.expires_after(response_within);
    http::async_write(stream_, response_,
                      [self = shared_from_this(), keep](error_code failed, std::size_t) {
                        if (!failed) self->has_written(keep);
                      });
  }
  void has_written(bool keep) {
    if (!keep) return part();
    if (place_ != all_.end()) all_.splice(all_.end(), all_, place_);
    read();
  }
  /// Closed at once, with something unread, the other side might never see the answer.
  void part() {
    error_code failed;
    stream_.socket().shutdown(tcp::socket::shutdown_send, failed);
    if (failed) return;
    stream_.expires_after(farewell_within);
    discard();
  }
  void discard() {
    stream_.async_read_some(asio::buffer(waste_),
                            [self = shared_from_this()](error_code failed, std::size_t bytes) {
                              self->discarded_ += bytes;
                              const bool enough = self->discarded_ > farewell_bytes_max;
                              if (!failed && !enough) self->discard();
                            });
  }

  beast::tcp_stream stream_;
  sessions& all_;
  sessions::iterator place_;
  const http_handler& answer_;
  beast::flat_buffer buffer_{http_server::header_bytes_max + http_server::body_bytes_max};
  std::optional<http::request_parser<http::string_body>> parser_;
  http_request request_;
  http::response<http::string_body> response_;
  std::array<char, 4096> waste_{};
  std::size_t discarded_ = 0;
};

/// No signal is handled on a thread that is started in its scope.
class no_signals {
 public:
  no_signals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~no_signals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  no_signals(const no_signals&) = delete;
  no_signals& operator=(const no_signals&) = delete;

 private:
  sigset_t before_{};
};

std::string shown(const tcp::endpoint& where) {
  const std::string ip = where.address().to_string();
  const std::string host = where.address().is_v6() ? "[" + ip + "]" : ip;
  return host + ":" + std::to_string(where.port());
}

}  // namespace

class http_server::implementation {
 public:
  implementation(const listen_address& where, http_handler answer)
      : answer_(std::move(answer)), acceptor_(context_), pause_(context_) {
    const tcp::endpoint wanted(asio::ip::make_address(where.ip), where.port);
    try {
      acceptor_.open(wanted.protocol());
      keep_to_ourselves(acceptor_.native_handle());
      acceptor_.set_option(tcp::acceptor::reuse_address(true));
      acceptor_.bind(wanted);
      acceptor_.listen();
      address_ = shown(acceptor_.local_endpoint());
    } catch (const boost::system::system_error& failed) {
      const bool used = failed.code() == asio::error::address_in_use;
      throw std::runtime_error("admin: cannot listen on " + shown(wanted) + ": " +
                               (used ? "something else does; stop that, or take another port"
                                     : failed.code().message()));
    }
    accept();
    const no_signals quiet;
    thread_ = std::thread([this] { run(); });
  }
  ~implementation() {
    context_.stop();
    thread_.join();
  }
  implementation(const implementation&) = delete;
  implementation& operator=(const implementation&) = delete;

  [[nodiscard]] const std::string& address() const { return address_; }

 private:
  void run() noexcept {
    for (;;) {
      try {
        context_.run();
        return;
      } catch (const std::exception&) {
        // Of one connection, which has ended by it; the others go on.
        continue;
      }
    }
  }
  void accept() {
    acceptor_.async_accept([this](error_code failed, tcp::socket socket) {
      if (failed) return accept_later();
      accept();
      if (sessions_.size() >= connections_max) sessions_.front()->give_way();
      keep_to_ourselves(socket.native_handle());
      std::make_shared<session>(std::move(socket), sessions_, answer_)->read();
    });
  }
  /// Out of descriptors, as a rule.
  void accept_later() {
    if (!sessions_.empty()) sessions_.front()->give_way();
    pause_.expires_after(accept_again_after);
    pause_.async_wait([this](error_code failed) {
      if (!failed) accept();
    });
  }

  http_handler answer_;
  sessions sessions_;  ///< who has been idle longest is the first; outlives the connections
  asio::io_context context_{1};
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  std::string address_;
  std::thread thread_;
};

http_server::http_server(const listen_address& where, http_handler answer)
    : impl_(std::make_unique<implementation>(where, std::move(answer))) {}
http_server::~http_server() = default;
std::string http_server::address() const { return impl_->address(); }

}  // namespace brigade::admin
