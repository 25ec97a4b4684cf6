/// The workers of one `for_each` or `map`, and what they share: where items come from, what is done
/// with each, how it ends.
#pragma once
#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/gathered.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/task.hpp>
#include <brigade/async/timeout.hpp>

#include <coroutine>
#include <cstddef>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace brigade::detail {

class crew_base {
 public:
  crew_base(const crew_base&) = delete;
  crew_base& operator=(const crew_base&) = delete;

 protected:
  crew_base(std::size_t workers_max, std::string name);
  ~crew_base() = default;
  [[nodiscard]] bool may_grow() const;
  /// Rethrows what ends the worker; returns when it was the end of an item only: whether that was
  /// by a cancellation, of something it awaited.
  bool end_of_item(const std::exception_ptr& error, bool item_taken, bool collects);
  /// When the group has ended well: throws what it does not know of.
  void rethrow();

  task_group group_;
  std::size_t workers_ = 0;
  std::size_t workers_max_;
  std::size_t items_ = 0;                   ///< taken
  std::vector<std::exception_ptr> errors_;  ///< collected

 private:
  std::exception_ptr given_up_;  ///< a `cancelled` that came from inside
};

template <class Source>
concept has_next = requires(Source& source) { source.next(); };
template <class Source>
concept has_take = requires(Source& source) { source.take(); };
template <class Source>
concept has_receive = requires(Source& source) { source.receive(); };
template <class Source>
concept stream = has_next<Source> || has_take<Source> || has_receive<Source>;

/// Items of something that is waited for.
template <class Stream>
class stream_items {
 public:
  static constexpr bool prefers_move = has_receive<Stream>;  // nobody can want it back
  static constexpr bool may_move = true;
  explicit stream_items(Stream& stream) : stream_(stream) {}
  auto next() {
    if constexpr (has_next<Stream>) {
      return stream_.next();
    } else if constexpr (has_take<Stream>) {
      return stream_.take();
    } else {
      return stream_.receive();
    }
  }

 private:
  Stream& stream_;
};

/// An item of a range: where it is, or, when it is nowhere else, itself.
template <class Reference>
class range_item {
 public:
  static constexpr bool stays = std::is_lvalue_reference_v<Reference>;
  using value = std::remove_cvref_t<Reference>;
  range_item() = default;
  explicit range_item(Reference&& item) {
    if constexpr (stays) {
      item_ = std::addressof(item);
    } else {
      item_.emplace(std::forward<Reference>(item));
    }
  }
  explicit operator bool() const { return static_cast<bool>(item_); }
  auto& operator*() { return *item_; }

 private:
  std::conditional_t<stays, std::add_pointer_t<Reference>, std::optional<value>> item_{};
};

template <class Range, bool owned>
class range_items {
 public:
  using iterator = std::ranges::iterator_t<Range>;
  // What an iterator of one pass refers to is gone when it moves on.
  static constexpr bool many_passes = std::forward_iterator<iterator>;
  using reference =
      std::conditional_t<many_passes, std::iter_reference_t<iterator>, std::iter_value_t<iterator>>;
  using item = range_item<reference>;
  static constexpr bool prefers_move = owned || !item::stays;
  static constexpr bool may_move = prefers_move;

  explicit range_items(Range& range)
      : at_(std::ranges::begin(range)), end_(std::ranges::end(range)) {}

  class given {
   public:
    explicit given(range_items& from) : from_(from) {}
    [[nodiscard]] bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    item await_resume() {
      if (from_.at_ == from_.end_) return item();
      item result(static_cast<reference>(*from_.at_));
      ++from_.at_;
      return result;
    }

   private:
    range_items& from_;
  };
  auto next() { return given(*this); }

 private:
  iterator at_;
  std::ranges::sentinel_t<Range> end_;
};

template <class Items>
auto items_of(std::remove_reference_t<Items>& items) {
  using plain = std::remove_reference_t<Items>;
  if constexpr (stream<plain>) {
    return stream_items<plain>(items);
  } else {
    static_assert(std::ranges::input_range<plain>,
                  "for_each and map take a range, or what has next(), take() or receive()");
    constexpr bool owned = !std::is_lvalue_reference_v<Items> && !std::ranges::view<plain>;
    return range_items<plain, owned>(items);
  }
}

/// Calls `function` with an item: moved, when it is nobody else's; where neither a reference nor
/// the moved item is taken, with the ticket that holds it.
template <class Source, class F, class Held>
auto begin_with(F& function, Held& held) {
  using value = std::remove_reference_t<decltype(*held)>;
  constexpr bool takes_moved = Source::may_move && std::invocable<F&, value&&>;
  if constexpr (Source::prefers_move && takes_moved) {
    return std::invoke(function, std::move(*held));
  } else if constexpr (std::invocable<F&, value&>) {
    return std::invoke(function, *held);
  } else if constexpr (takes_moved) {
    return std::invoke(function, std::move(*held));
  } else {
    return std::invoke(function, held);
  }
}

template <class Awaited>
decltype(auto) awaiter_of(Awaited&& awaited) {
  if constexpr (requires { std::forward<Awaited>(awaited).operator co_await(); }) {
    return std::forward<Awaited>(awaited).operator co_await();
  } else {
    return std::forward<Awaited>(awaited);
  }
}

template <bool gives, bool collects, class Items, class F>
class crew : private crew_base {
  using source = decltype(items_of<Items>(std::declval<std::remove_reference_t<Items>&>()));
  using next = decltype(std::declval<source&>().next());
  using held = std::remove_cvref_t<decltype(awaiter_of(std::declval<next>()).await_resume())>;
  using body = decltype(begin_with<source>(std::declval<F&>(), std::declval<held&>()));
  static_assert(is_task<body>,
                "for_each and map take a coroutine: a callable that returns task<T>");
  using value = typename body::value_type;
  static_assert(!gives || !std::is_void_v<value>, "map takes what gives a value; see for_each");
  using filled = std::conditional_t<collects, gathered<value>, value>;
  using slot = std::conditional_t<gives, filled, std::monostate>;

 public:
  using result = std::conditional_t<gives, std::vector<slot>, void>;

  crew(std::remove_reference_t<Items>& items, std::size_t workers_max, F& function)
      : crew_base(workers_max, gives ? "map" : "for_each"),
        source_(items_of<Items>(items)),
        function_(function) {}

  [[nodiscard]] auto run() {
    return group_.run([this](task_group&) { hire(); });
  }
  result finish() {
    rethrow();
    if constexpr (gives) {
      result all;
      all.reserve(slots_.size());
      for (std::optional<slot>& one : slots_) all.push_back(std::move(*one));
      return all;
    }
  }

 private:
  void hire() {
    ++workers_;
    group_.spawn([this] { return work(); });
  }

  task<> work() {
    bool more = true;
    while (more) {
      if (!loop::current().spend()) co_await yield();
      std::exception_ptr error;
      bool taken = false;
      std::size_t number = 0;
      try {
        auto item = co_await source_.next();
        taken = static_cast<bool>(item);
        more = taken;
        if (taken) {
          number = begin_item();
          auto doing = begin_with<source>(function_, item);
          if constexpr (gives) {
            auto given = co_await std::move(doing);
            keep(number, slot(std::move(given)));
          } else {
            co_await std::move(doing);
          }
        }
      } catch (...) {
        error = std::current_exception();  // the item's ticket has seen it, too
      }
      if (error) failed(number, error, taken);
    }
  }

  std::size_t begin_item() {
    if constexpr (gives) slots_.emplace_back();
    if (may_grow()) hire();
    return items_++;
  }
  void keep(std::size_t number, slot&& one) {
    if constexpr (gives) slots_[number].emplace(std::move(one));
  }
  void failed(std::size_t number, const std::exception_ptr& error, bool taken) {
    const bool by_cancel = end_of_item(error, taken, collects);
    if constexpr (gives && collects) {
      keep(number, slot(error, by_cancel));
    } else {
      errors_.push_back(error);
    }
  }

  source source_;
  F& function_;
  std::conditional_t<gives, std::vector<std::optional<slot>>, std::monostate> slots_;
};

template <bool gives, bool collects, class Items, class F>
task<typename crew<gives, collects, Items, F>::result> run_crew(Items items,
                                                                std::size_t workers_max,
                                                                F function) {
  crew<gives, collects, Items, F> own(items, workers_max, function);
  co_await own.run();
  co_return own.finish();
}

}  // namespace brigade::detail
