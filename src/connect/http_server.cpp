#include "connect/http_server.hpp"

#include "connect/http_reply.hpp"

#include <brigade/async/asio.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <list>
#include <stdexcept>
#include <utility>
#include <vector>

namespace brigade {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using boost::system::error_code;
using namespace std::chrono_literals;

constexpr std::size_t read_bytes = std::size_t{8} << 10;
constexpr std::size_t body_read_bytes = std::size_t{64} << 10;
// Of all bodies that are being received; smaller ones are always let through.
constexpr std::size_t bodies_bytes_max = std::size_t{64} << 20;
constexpr std::size_t small_body_bytes = std::size_t{64} << 10;
// Who was refused may be sending still, and sees the answer only when all of that was taken.
constexpr std::size_t farewell_bytes_max = std::size_t{64} << 20;
constexpr std::size_t farewell_read_bytes = std::size_t{16} << 10;
constexpr auto farewell_silence_max = 1s;
constexpr auto last_answers_within = 2s;
constexpr auto accept_again_after = 100ms;
constexpr int waiting_connections_max = 4096;
constexpr rlim_t own_descriptors = 256;  ///< of everything but connections

// Child processes have no business with it.
void keep_to_ourselves(int descriptor) { ::fcntl(descriptor, F_SETFD, FD_CLOEXEC); }

/// So that connections leave descriptors for files.
void allow_descriptors(std::size_t connections) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = std::min<rlim_t>(connections + own_descriptors, limit.rlim_max);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::string shown(const tcp::endpoint& where) {
  const std::string ip = where.address().to_string();
  return (where.address().is_v6() ? "[" + ip + "]" : ip) + ":" + std::to_string(where.port());
}

/// Bytes that were read and not used yet.
class read_ahead {
 public:
  [[nodiscard]] std::string_view view() const { return {bytes_.data() + from_, to_ - from_}; }
  void use(std::size_t count) {
    from_ += count;
    if (from_ == to_) from_ = to_ = 0;
  }
  /// Where to read on, at least `wanted` bytes of room.
  [[nodiscard]] asio::mutable_buffer room(std::size_t wanted) {
    if (from_ != 0) {
      std::copy(bytes_.begin() + static_cast<std::ptrdiff_t>(from_),
                bytes_.begin() + static_cast<std::ptrdiff_t>(to_), bytes_.begin());
      to_ -= from_;
      from_ = 0;
    }
    if (bytes_.size() - to_ < wanted) bytes_.resize(to_ + wanted);
    return {bytes_.data() + to_, bytes_.size() - to_};
  }
  void add(std::size_t count) { to_ += count; }
  /// After a large body.
  void shrink() {
    if (to_ == 0 && bytes_.size() > read_bytes) std::vector<char>().swap(bytes_);
  }

 private:
  std::vector<char> bytes_;
  std::size_t from_ = 0;
  std::size_t to_ = 0;
};

}  // namespace

class http_server::implementation : public std::enable_shared_from_this<implementation> {
 public:
  implementation(http_server_options options, std::shared_ptr<http_taker> taker)
      : options_(std::move(options)), taker_(std::move(taker)) {
    if (options_.tls) {
      try {
        tls_ = tls::server_context(*options_.tls);
      } catch (const std::runtime_error& failed) {
        throw std::runtime_error("source '" + options_.name + "': " + failed.what());
      }
    }
    allow_descriptors(options_.connections_max);
  }

  void begin() {
    auto main = spawn(&implementation::run, shared_from_this(), listen());
    main.set_name("HTTP server of '" + options_.name + "'");
    main_.emplace(std::move(main));
  }
  [[nodiscard]] const std::string& address() const { return address_; }
  [[nodiscard]] std::size_t connections() const { return seats_; }

  void abandon() {
    if (loop::current_if_any() == nullptr || !main_ || main_->done()) return;
    main_->cancel("the source is gone");
  }

  task<> close() {
    closing_ = true;
    hang_up();
    auto waiting = all_answered();
    try {
      auto limited = timeout(last_answers_within, std::move(waiting));
      co_await std::move(limited);
    } catch (const timed_out&) {
      group_.cancel("somebody does not read his answer");
    }
    group_.cancel("the source is closed");
    if (main_) co_await *main_;
  }

 private:
  /// A connection, for those who look at all of them.
  class seat {
   public:
    seat(implementation& own, tcp::socket& socket) : own_(own), socket_(socket) {
      ++own_.seats_;
      wait();
    }
    ~seat() {
      if (is_busy_) --own_.busy_;
      if (place_ != own_.waiting_.end()) own_.waiting_.erase(place_);
      --own_.seats_;
      own_.changed_.set();
    }
    seat(const seat&) = delete;
    seat& operator=(const seat&) = delete;

    /// From now on it is the client who is waited for.
    void wait() {
      if (std::exchange(is_busy_, false)) {
        --own_.busy_;
        own_.changed_.set();
      }
      place_ = own_.waiting_.insert(own_.waiting_.end(), this);
    }
    /// It is the client who waits.
    void work() {
      if (place_ != own_.waiting_.end()) own_.waiting_.erase(place_);
      place_ = own_.waiting_.end();
      is_busy_ = true;
      ++own_.busy_;
    }
    void hang_up() {
      own_.waiting_.erase(place_);
      place_ = own_.waiting_.end();
      error_code ignored;
      socket_.close(ignored);
    }

   private:
    implementation& own_;
    tcp::socket& socket_;
    std::list<seat*>::iterator place_;
    bool is_busy_ = false;
  };

  /// A body's share of what all of them may take.
  class share {
   public:
    explicit share(std::size_t& all) : all_(all) {}
    ~share() { all_ -= own_; }
    share(const share&) = delete;
    share& operator=(const share&) = delete;
    void set(std::size_t bytes) {
      all_ += bytes - own_;
      own_ = bytes;
    }
    [[nodiscard]] bool is_too_much() const {
      return own_ > small_body_bytes && all_ > bodies_bytes_max && own_ < all_;
    }

   private:
    std::size_t& all_;
    std::size_t own_ = 0;
  };

  tcp::acceptor listen() {
    const tcp::endpoint wanted(asio::ip::make_address(options_.ip), options_.port);
    try {
      tcp::acceptor acceptor(asio_context());
      acceptor.open(wanted.protocol());
      keep_to_ourselves(acceptor.native_handle());
      acceptor.set_option(tcp::acceptor::reuse_address(true));
      acceptor.bind(wanted);
      acceptor.listen(waiting_connections_max);
      address_ = shown(acceptor.local_endpoint());
      return acceptor;
    } catch (const boost::system::system_error& failed) {
      const bool used = failed.code() == asio::error::address_in_use;
      throw std::runtime_error("source '" + options_.name + "': cannot listen on " + shown(wanted) +
                               ": " +
                               (used ? "something else does; stop that, or take another port"
                                     : failed.code().message()));
    }
  }

  /// Sockets live in frames, so that they do not outlive the loop.
  static task<> run(std::shared_ptr<implementation> own, tcp::acceptor acceptor) {
    own->acceptor_ = &acceptor;
    // with_group keeps it in its own frame while it runs.
    // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines)
    auto body = [&](task_group& group) -> task<> {
      auto accepting = own->accept(group, acceptor);
      co_await std::move(accepting);
    };
    auto running = own->group_.run(body);
    co_await std::move(running);
    own->acceptor_ = nullptr;
  }

  task<> accept(task_group& group, tcp::acceptor& acceptor) {
    while (!closing_) {
      while (seats_ >= options_.connections_max) {
        if (!waiting_.empty()) waiting_.front()->hang_up();
        changed_.clear();
        co_await changed_.wait();
      }
      bool failed = false;
      try {
        tcp::socket socket = co_await acceptor.async_accept(use_await("a connection"));
        keep_to_ourselves(socket.native_handle());
        group.spawn(&implementation::serve, this, std::move(socket));
      } catch (const boost::system::system_error&) {
        failed = true;
      }
      if (!failed || closing_) continue;
      // Out of descriptors, as a rule.
      if (!waiting_.empty()) waiting_.front()->hang_up();
      co_await sleep_for(accept_again_after);
    }
  }

  task<> serve(tcp::socket socket) {
    seat place(*this, socket);
    try {
      error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      if (tls_) {
        asio::ssl::stream<tcp::socket&> stream(socket, *tls_);
        auto greeting = shake_hands(stream);
        auto limited = timeout(options_.request_timeout, std::move(greeting));
        co_await std::move(limited);
        auto talk = converse(stream, place);
        co_await std::move(talk);
      } else {
        auto talk = converse(socket, place);
        co_await std::move(talk);
      }
    } catch (const std::exception&) {
      // Of one connection, which ends by it: it has gone, or was too slow.
      co_return;
    }
  }

  static task<> shake_hands(asio::ssl::stream<tcp::socket&>& stream) {
    co_await stream.async_handshake(asio::ssl::stream_base::server, use_await("a handshake"));
  }

  template <class Stream>
  task<> converse(Stream& stream, seat& place) {
    http_request_reader reader(options_.rules);
    read_ahead bytes;
    bool more = true;
    while (more && !closing_) {
      if (bytes.view().empty()) {
        auto reading = read_some(stream, bytes, read_bytes);
        auto limited = timeout(options_.idle_timeout, std::move(reading));
        co_await std::move(limited);
      }
      std::optional<http_answer> problem;
      if (!parse(reader, bytes)) {
        auto reading = rest_of_request(stream, reader, bytes);
        problem = co_await std::move(reading);
      }
      place.work();
      auto answering = answer(stream, reader, std::move(problem));
      more = co_await std::move(answering);
      place.wait();
      reader.next();
      bytes.shrink();
    }
    auto parting = part(stream);
    auto limited = timeout(options_.request_timeout, std::move(parting));
    co_await std::move(limited);
  }

  template <class Stream>
  static task<> read_some(Stream& stream, read_ahead& bytes, std::size_t wanted) {
    const asio::mutable_buffer room = bytes.room(wanted);
    const std::size_t count = co_await stream.async_read_some(room, use_await("a request"));
    bytes.add(count);
  }

  /// True: the request is there, or refused.
  static bool parse(http_request_reader& reader, read_ahead& bytes) {
    bytes.use(reader.feed(bytes.view()));
    return reader.at() == http_request_reader::state::complete ||
           reader.at() == http_request_reader::state::refused;
  }

  /// Gives the answer to one that does not come to its end.
  template <class Stream>
  task<std::optional<http_answer>> rest_of_request(Stream& stream, http_request_reader& reader,
                                                   read_ahead& bytes) {
    std::optional<http_answer> problem;
    share body(bodies_bytes_);
    try {
      auto reading = read_rest(stream, reader, bytes, body);
      auto limited = timeout(options_.request_timeout, std::move(reading));
      const bool is_read = co_await std::move(limited);
      if (!is_read) problem = http_error(429, "too many large bodies are being received", true);
    } catch (const timed_out&) {
      problem = http_error(408, "the request did not come to its end in time");
    }
    co_return problem;
  }

  /// False: there is no room for its body.
  template <class Stream>
  task<bool> read_rest(Stream& stream, http_request_reader& reader, read_ahead& bytes,
                       share& body) {
    for (;;) {
      if (reader.take_wants_continue()) {
        static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
        co_await asio::async_write(stream, asio::buffer(go_on), use_await("100 Continue"));
      }
      const bool in_body = reader.at() == http_request_reader::state::body;
      auto reading = read_some(stream, bytes, in_body ? body_read_bytes : read_bytes);
      co_await std::move(reading);
      if (parse(reader, bytes)) co_return true;
      body.set(reader.body_bytes());
      if (body.is_too_much()) co_return false;
    }
  }

  /// True: another request may follow.
  template <class Stream>
  task<bool> answer(Stream& stream, http_request_reader& reader,
                    std::optional<http_answer> problem) {
    http_manners how;
    how.head_only = reader.is_head();
    http_answer said;
    std::string headers;
    if (problem) {
      said = std::move(*problem);
    } else if (reader.at() == http_request_reader::state::refused) {
      said = http_error(reader.refusal().status, reader.refusal().error);
      headers = reader.refusal().headers;
    } else {
      http_request request = reader.take_request();
      how.keep_alive = request.keep_alive;
      how.is_http_10 = request.is_http_10;
      auto posting = taker_->post(std::move(request));
      said = co_await std::move(posting);
      how.keep_alive = how.keep_alive && !closing_ && !taker_->is_stopping();
    }
    const std::string text = http_reply(said, headers, how);
    auto writing = write(stream, text);
    auto limited = timeout(options_.request_timeout, std::move(writing));
    co_await std::move(limited);
    co_return how.keep_alive;
  }

  template <class Stream>
  static task<> write(Stream& stream, const std::string& text) {
    co_await asio::async_write(stream, asio::buffer(text), use_await("an answer"));
  }

  /// Closed at once, with something unread, the other side might never see the answer.
  static task<> part(tcp::socket& socket) {
    error_code failed;
    socket.shutdown(tcp::socket::shutdown_send, failed);
    std::vector<char> waste(farewell_read_bytes);
    for (std::size_t seen = 0; !failed && seen < farewell_bytes_max;) {
      auto reading = read_waste(socket, waste);
      auto limited = timeout(farewell_silence_max, std::move(reading));
      const std::size_t count = co_await std::move(limited);
      seen += count;
    }
  }
  static task<> part(asio::ssl::stream<tcp::socket&>& stream) {
    bool said_goodbye = true;
    try {
      auto parting = say_goodbye(stream);
      auto limited = timeout(farewell_silence_max, std::move(parting));
      co_await std::move(limited);
    } catch (const boost::system::system_error&) {
      said_goodbye = false;  // something else came instead of the other's
    }
    if (said_goodbye) co_return;
    auto rest = part(stream.next_layer());
    co_await std::move(rest);
  }
  static task<std::size_t> read_waste(tcp::socket& socket, std::vector<char>& to) {
    const std::size_t count =
        co_await socket.async_read_some(asio::buffer(to), use_await("a farewell"));
    co_return count;
  }
  static task<> say_goodbye(asio::ssl::stream<tcp::socket&>& stream) {
    co_await stream.async_shutdown(use_await("a farewell"));
  }

  /// On those whose request is not here yet.
  void hang_up() {
    error_code ignored;
    if (acceptor_ != nullptr) acceptor_->close(ignored);
    while (!waiting_.empty()) waiting_.front()->hang_up();
  }
  task<> all_answered() {
    while (busy_ != 0) {
      changed_.clear();
      co_await changed_.wait();
    }
  }

  http_server_options options_;
  std::shared_ptr<http_taker> taker_;
  std::shared_ptr<asio::ssl::context> tls_;
  tcp::acceptor* acceptor_ = nullptr;  ///< while it listens
  std::string address_;
  task_group group_{"HTTP connections"};
  std::optional<task_handle<>> main_;
  std::list<seat*> waiting_;  ///< who is silent longest is the first
  event changed_{"a connection that ends"};
  std::size_t seats_ = 0;
  std::size_t busy_ = 0;
  std::size_t bodies_bytes_ = 0;
  bool closing_ = false;
};

http_server::http_server(http_server_options options, std::shared_ptr<http_taker> taker)
    : impl_(std::make_shared<implementation>(std::move(options), std::move(taker))) {
  impl_->begin();
}
http_server::~http_server() { impl_->abandon(); }
std::string http_server::address() const { return impl_->address(); }
std::size_t http_server::connections() const { return impl_->connections(); }
task<> http_server::close() { return impl_->close(); }

}  // namespace brigade
