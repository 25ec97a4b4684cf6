/// One value of any type on its way through a pipeline.
///
/// Move-only. The type is known where it is put in and where it is taken out; in between only its
/// text (for dead letters) and its approximate size (for windows in bytes) are asked for.
/// A type says how it reads by a free function `std::string text_of(const T&)` found by ADL; else
/// strings are themselves, numbers their digits, and any other type its name in angle brackets.
///
/// Thread safety: none of its own. Throws: what T's move constructor throws (nothing, please).
#pragma once
#include <brigade/async/assert.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace brigade {

namespace detail {
std::string readable_type_name(const std::type_info& type);

template <class T>
concept has_text_of = requires(const T& value) {
  { text_of(value) } -> std::convertible_to<std::string>;
};
template <class T>
concept has_size_in_bytes = requires(const T& value) {
  { size_in_bytes(value) } -> std::convertible_to<std::size_t>;
};

template <class T>
std::string payload_text(const T& value) {
  if constexpr (has_text_of<T>) {
    return text_of(value);
  } else if constexpr (std::convertible_to<const T&, std::string>) {
    return value;
  } else if constexpr (std::is_arithmetic_v<T>) {
    return std::to_string(value);
  } else {
    return "<" + readable_type_name(typeid(T)) + ">";
  }
}
template <class T>
std::size_t payload_bytes(const T& value) {
  if constexpr (has_size_in_bytes<T>) {
    return size_in_bytes(value);
  } else if constexpr (requires { value.size(); }) {
    return sizeof(T) + value.size();
  } else {
    return sizeof(T);
  }
}
}  // namespace detail

class payload {
 public:
  payload() = default;
  template <class T>
    requires(!std::same_as<std::remove_cvref_t<T>, payload>)
  explicit payload(T&& value) {
    using stored = std::remove_cvref_t<T>;
    operations_ = &operations_for<stored>;
    if constexpr (fits<stored>) {
      ::new (static_cast<void*>(inline_)) stored(std::forward<T>(value));
    } else {
      heap_ = new stored(std::forward<T>(value));
    }
  }
  payload(payload&& other) noexcept { take(other); }
  payload& operator=(payload&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  ~payload() { reset(); }

  [[nodiscard]] bool empty() const { return operations_ == nullptr; }
  template <class T>
  [[nodiscard]] bool holds() const {
    return operations_ == &operations_for<T>;
  }
  /// The value. Asking for another type than the one put in is a misuse (asserted).
  template <class T>
  [[nodiscard]] T& get() {
    BRIGADE_ASSERT(holds<T>(), "payload::get asked for a type that is not inside");
    return *static_cast<T*>(address<T>());
  }
  template <class T>
  [[nodiscard]] const T& get() const {
    return const_cast<payload*>(this)->get<T>();
  }
  [[nodiscard]] std::string text() const {
    return operations_ == nullptr ? std::string{} : operations_->text(*this);
  }
  [[nodiscard]] std::size_t bytes() const {
    return operations_ == nullptr ? 0 : operations_->bytes(*this);
  }
  void reset() {
    if (operations_ != nullptr) std::exchange(operations_, nullptr)->destroy(*this);
  }

 private:
  struct operations {
    void (*destroy)(payload&);
    void (*move)(payload& to, payload& from);
    std::string (*text)(const payload&);
    std::size_t (*bytes)(const payload&);
  };
  static constexpr std::size_t inline_bytes = 40;
  template <class T>
  static constexpr bool fits = sizeof(T) <= inline_bytes && alignof(T) <= alignof(void*) &&
                               std::is_nothrow_move_constructible_v<T>;
  template <class T>
  void* address() {
    if constexpr (fits<T>) {
      return static_cast<void*>(inline_);
    } else {
      return heap_;
    }
  }
  template <class T>
  static const T& read(const payload& self) {
    return *static_cast<const T*>(const_cast<payload&>(self).address<T>());
  }
  template <class T>
  static void destroy_as(payload& self) {
    if constexpr (fits<T>) {
      static_cast<T*>(self.address<T>())->~T();
    } else {
      delete static_cast<T*>(self.heap_);
    }
  }
  template <class T>
  static void move_as(payload& to, payload& from) {
    if constexpr (fits<T>) {
      ::new (static_cast<void*>(to.inline_)) T(std::move(*static_cast<T*>(from.address<T>())));
      destroy_as<T>(from);
    } else {
      to.heap_ = std::exchange(from.heap_, nullptr);
    }
  }
  template <class T>
  static constexpr operations operations_for = {
      &destroy_as<T>, &move_as<T>,
      [](const payload& self) { return detail::payload_text(read<T>(self)); },
      [](const payload& self) { return detail::payload_bytes(read<T>(self)); }};

  void take(payload& other) noexcept {
    operations_ = std::exchange(other.operations_, nullptr);
    if (operations_ != nullptr) operations_->move(*this, other);
  }

  const operations* operations_ = nullptr;
  union {
    alignas(void*) std::byte inline_[inline_bytes];
    void* heap_;
  };
};

}  // namespace brigade
