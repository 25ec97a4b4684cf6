/// The bridge to Boost.Asio: `co_await` any of its operations, on the loop's own io_context.
///
///     tcp::socket socket(brigade::asio_context());
///     co_await socket.async_connect(till, brigade::use_await);
///     const std::size_t count = co_await socket.async_read_some(buffer, brigade::use_await);
///
/// Completes:  when the operation has. An `error_code` that comes first is thrown when it is set,
///             as boost::system::system_error, an exception_ptr likewise; what is left comes out:
///             nothing, a value, or a tuple. With `as_tuple(use_await)` the tuple has the error.
/// Cancelled:  asks the operation to end (terminal) and waits until it has, since until then it may
///             write into the caller's buffers; then throws `cancelled`. An operation that
///             completed all the same gives its result; the cancellation strikes at the next wait.
/// Resumes:    through the loop, never inside Asio.
/// Counts as a wait for the outside, so it is no deadlock.
///
/// Lifetime: a frame that is destroyed in the middle of an operation ends it first, so its buffers
/// and its sockets, which are destroyed next, are no longer in use. The one exception is an
/// operation that cannot be cancelled (a resolver's): it is left behind, its handler touches
/// nothing of the frame; what it was itself given must then be kept alive elsewhere. I/O objects
/// are made from `asio_context()` inside the task that uses them: they must not outlive the loop.
/// A loop that ends cancels what is under way, as every other wait.
///
/// Thread safety: the loop's thread. Operations with handlers of another kind (callbacks) run as
/// well, but do not keep the loop from ending or from being found deadlocked. Never run or stop the
/// context. A loop with virtual time has none (asserted).
///
/// The only header of brigade that includes Boost.Asio (7 s to compile, so not in async.hpp). Its
/// user needs Boost 1.81, and includes the Asio headers of the objects it uses.
#pragma once
#include <brigade/async/detail/frame_pool.hpp>
#include <brigade/async/detail/waiter.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/system_error.hpp>

#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace brigade {

/// The io_context that the current loop polls: what I/O objects are made from.
[[nodiscard]] boost::asio::io_context& asio_context();

/// The completion token. `use_await("reply of the till")` gives the wait a name and a source line
/// for the reports of deadlocks and dumps; the name is a literal.
class use_await_t {
 public:
  constexpr use_await_t() = default;
  [[nodiscard]] constexpr use_await_t operator()(
      const char* name, std::source_location where = std::source_location::current()) const {
    return {name, where};
  }
  [[nodiscard]] constexpr const char* name() const { return name_; }
  [[nodiscard]] constexpr const std::source_location& where() const { return where_; }

 private:
  constexpr use_await_t(const char* name, std::source_location where)
      : name_(name), where_(where) {}
  const char* name_ = nullptr;
  std::source_location where_{};
};
inline constexpr use_await_t use_await{};

namespace detail {

class asio_wait;
class reactor;

/// What a waiting frame shares with the handler of its operation, since either may go first.
class asio_link final : public pooled {
 public:
  asio_link(asio_wait& waiting, reactor& world);
  asio_link(const asio_link&) = delete;
  asio_link& operator=(const asio_link&) = delete;

  struct release {
    void operator()(asio_link* link) const noexcept {
      if (--link->owners_ == 0) delete link;
    }
  };
  struct release_by_handler {
    void operator()(asio_link* link) const noexcept { link->handler_gone(); }
  };
  using of_wait = std::unique_ptr<asio_link, release>;
  using of_handler = std::unique_ptr<asio_link, release_by_handler>;
  [[nodiscard]] of_handler for_handler() noexcept;

  asio_wait* waiting;  ///< null once its frame has gone
  boost::asio::cancellation_signal stop;
  reactor& world;

 private:
  friend class asio_wait;
  ~asio_link() = default;
  void handler_gone() noexcept;
  int owners_ = 1;
};

/// All of an operation's wait but its results.
class asio_wait : public waiter {
 public:
  static constexpr bool ends_in_its_own_time = true;
  explicit asio_wait(const use_await_t& token) : waiter(token.where()), name_(token.name()) {}
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  bool cancel() noexcept override;
  [[nodiscard]] std::string describe() const override;
  [[nodiscard]] bool outside() const override { return true; }
  /// The handler was called, or has gone without.
  void arrived() noexcept;

 protected:
  ~asio_wait() = default;
  /// Before the operation begins; false: it must not, the task is being cancelled.
  bool begin_operation(std::coroutine_handle<> handle);
  /// What the operation's handler holds.
  [[nodiscard]] asio_link::of_handler link_for_handler() { return link_->for_handler(); }
  /// For destructors of derived classes, before `leave`: ends what is under way.
  void abandon() noexcept;
  /// Nothing is under way after all: beginning it threw.
  void withdraw() noexcept;
  /// Throws `cancelled` when that is how the wait ended; `failed`: the operation's own verdict.
  void finish(bool failed);
  [[nodiscard]] static boost::asio::io_context& context_of(const asio_link& link) noexcept;

 private:
  friend class asio_link;
  template <class... Results>
  friend class asio_handler;
  void let_go() noexcept;
  const char* name_;
  asio_link::of_wait link_;
  bool cancel_asked_ = false;
  bool background_ = false;
};

/// Where an operation's results are put.
template <class... Results>
class asio_results : public asio_wait {
 public:
  using asio_wait::asio_wait;
  std::optional<std::tuple<Results...>> results;

 protected:
  ~asio_results() = default;
};

/// The completion handler: move-only, runs on the loop's thread.
template <class... Results>
class asio_handler {
 public:
  using executor_type = boost::asio::io_context::executor_type;
  using cancellation_slot_type = boost::asio::cancellation_slot;

  explicit asio_handler(asio_link::of_handler link) : link_(std::move(link)) {}
  [[nodiscard]] executor_type get_executor() const noexcept {
    return asio_wait::context_of(*link_).get_executor();
  }
  [[nodiscard]] cancellation_slot_type get_cancellation_slot() const noexcept {
    return link_->stop.slot();
  }
  void operator()(Results... results) {
    const asio_link::of_handler link = std::move(link_);
    if (link->waiting == nullptr) return;
    auto& wait = static_cast<asio_results<Results...>&>(*link->waiting);
    wait.results.emplace(std::move(results)...);
    wait.arrived();
  }

 private:
  asio_link::of_handler link_;
};

inline bool asio_failed(const boost::system::error_code& code) noexcept { return code.failed(); }
inline bool asio_failed(const std::exception_ptr& error) noexcept { return error != nullptr; }
template <class... Values>
bool asio_failed(const std::tuple<Values...>& results) noexcept {
  if constexpr (sizeof...(Values) == 0) {
    return false;
  } else if constexpr (requires { asio_failed(std::get<0>(results)); }) {
    return asio_failed(std::get<0>(results));
  } else {
    return false;
  }
}

inline void asio_throw(const boost::system::error_code& code) {
  if (code.failed()) throw boost::system::system_error(code);
}
inline void asio_throw(const std::exception_ptr& error) {
  if (error) std::rethrow_exception(error);
}

/// Takes the error off the front and throws it; gives what is left.
template <class First, class... Rest>
auto asio_unwrap(std::tuple<First, Rest...>&& results) {
  if constexpr (requires { asio_throw(std::get<0>(results)); }) {
    asio_throw(std::get<0>(results));
    return std::apply([](auto&, auto&... rest) { return std::tuple<Rest...>(std::move(rest)...); },
                      results);
  } else {
    return std::move(results);
  }
}
inline std::tuple<> asio_unwrap(std::tuple<>&& results) { return results; }

/// The awaiter that `operation(arguments..., use_await)` gives; the operation begins in `co_await`.
template <class Initiation, class Arguments, class... Results>
class [[nodiscard("an operation begins when it is awaited")]] asio_operation final
    : public asio_results<Results...> {
 public:
  template <class Begin, class... Given>
  asio_operation(const use_await_t& token, Begin&& begin, Given&&... given)
      : asio_results<Results...>(token),
        begin_(std::forward<Begin>(begin)),
        arguments_(std::forward<Given>(given)...) {}
  ~asio_operation() {
    this->abandon();
    this->leave();
  }

  void await_suspend(std::coroutine_handle<> handle) {
    if (!this->begin_operation(handle)) return;
    try {
      asio_handler<Results...> handler(this->link_for_handler());
      std::apply(
          [&](auto&... arguments) {
            std::move(begin_)(std::move(handler), std::move(arguments)...);
          },
          arguments_);
    } catch (...) {
      this->withdraw();
      this->leave();
      throw;
    }
  }

  auto await_resume() {
    this->finish(!this->results || asio_failed(*this->results));
    if (!this->results) throw boost::system::system_error(boost::asio::error::operation_aborted);
    auto values = asio_unwrap(std::move(*this->results));
    constexpr std::size_t count = std::tuple_size_v<decltype(values)>;
    if constexpr (count == 1) {
      return std::get<0>(std::move(values));
    } else if constexpr (count > 1) {
      return values;
    }
  }

 private:
  Initiation begin_;
  Arguments arguments_;
};

}  // namespace detail
}  // namespace brigade

template <class... Results>
class boost::asio::async_result<brigade::use_await_t, void(Results...)> {
 public:
  template <class Initiation, class... Arguments>
  static auto initiate(Initiation&& initiation, const brigade::use_await_t& token,
                       Arguments&&... arguments) {
    return brigade::detail::asio_operation<
        std::decay_t<Initiation>, std::tuple<std::decay_t<Arguments>...>, std::decay_t<Results>...>(
        token, std::forward<Initiation>(initiation), std::forward<Arguments>(arguments)...);
  }
};
