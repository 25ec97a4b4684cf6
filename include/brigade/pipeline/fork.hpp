/// Where the ways of a typed pipeline part and meet: route, tee, split and batch.
///
///   pipeline("orders").from(orders)
///       .route("by size",
///              branch([](const order& o) { return o.total > 100; },
///                     [](auto way) { return std::move(way).stage("charge", charge).to("big", big);
///                     }),
///              otherwise([](auto way) { return std::move(way).to("small", small); }))
///       .run();
///
/// A route sends an item down the first branch whose predicate holds; without one, and without
/// `otherwise`, it is filtered there. A branch ends with `to`, or gives its builder back and so
/// goes on behind the route; those that do give one type there. A tee copies each item into its
/// branches, which all end with `to`, and goes on itself. What becomes of an item is the worst of
/// what becomes of its copies; the copies of an `optional_branch` do not count, and what fails
/// there is dropped (see `fork_plan`).
///
/// Thread safety, lifetime: as pipeline.hpp.
#pragma once
#include <brigade/async/task.hpp>
#include <brigade/pipeline/engine.hpp>
#include <brigade/pipeline/stage.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace brigade {

template <class T, class Plan>
class pipeline_builder;

/// A branch that has got its sink.
struct finished_branch {
  chain_plan chain;
};

/// What a tee does with an item of type T: a copy for each way.
template <class T>
class tee_stage final : public stage_body {
 public:
  explicit tee_stage(std::size_t ways) : ways_(ways) {}
  [[nodiscard]] bool immediate() const override { return true; }
  [[nodiscard]] bool wants_names() const override { return false; }
  attempt_result run_now(payload& item, const attempt_info&) override {
    std::vector<payload> copies;
    copies.reserve(ways_);
    for (std::size_t n = 0; n < ways_; ++n) copies.emplace_back(T(item.get<T>()));
    return attempt_result::split(std::move(copies));
  }

 private:
  std::size_t ways_;
};

namespace detail {

struct always {
  template <class T>
  bool operator()(const T&) const {
    return true;
  }
};

template <class Predicate, class Build>
struct route_branch {
  Predicate when;
  Build build;
};
template <class Build>
struct tee_branch {
  Build build;
  bool required;
};

template <class T>
inline constexpr bool is_route_branch = false;
template <class Predicate, class Build>
inline constexpr bool is_route_branch<route_branch<Predicate, Build>> = true;
template <class T>
inline constexpr bool is_tee_branch = false;
template <class Build>
inline constexpr bool is_tee_branch<tee_branch<Build>> = true;

template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;

/// What a branch gives behind the fork: nothing when it has a sink.
template <class T>
struct rest_of_branch {
  static constexpr bool is_branch = false;
  using type = void;
};
template <>
struct rest_of_branch<finished_branch> {
  static constexpr bool is_branch = true;
  using type = void;
};
template <class T>
struct rest_of_branch<pipeline_builder<T, chain_plan>> {
  static constexpr bool is_branch = true;
  using type = T;
};

/// The first type that is not void.
template <class... T>
struct first_rest {
  using type = void;
};
template <class T, class... More>
struct first_rest<T, More...> {
  using type = std::conditional_t<std::is_void_v<T>, typename first_rest<More...>::type, T>;
};

/// Sends an item the way of the first predicate that holds.
template <class T>
class route_stage final : public stage_body {
 public:
  explicit route_stage(std::vector<std::function<bool(const T&)>> ways) : ways_(std::move(ways)) {}
  [[nodiscard]] bool immediate() const override { return true; }
  [[nodiscard]] bool wants_names() const override { return false; }
  attempt_result run_now(payload& item, const attempt_info&) override {
    for (std::size_t n = 0; n < ways_.size(); ++n) {
      if (ways_[n](item.get<T>())) return attempt_result::routed(n);
    }
    return attempt_result::filtered();
  }

 private:
  std::vector<std::function<bool(const T&)>> ways_;
};

template <class U>
attempt_result split_result(std::vector<U> parts) {
  if (parts.empty()) return attempt_result::filtered();
  std::vector<payload> values;
  values.reserve(parts.size());
  for (auto&& part : parts) values.emplace_back(U(std::move(part)));
  return attempt_result::split(std::move(values));
}

/// Each element of what a user's function gives is an item.
template <class In, class F>
class split_stage final : public stage_body {
 public:
  using given = std::invoke_result_t<F&, const In&>;
  explicit split_stage(F parts) : parts_(std::move(parts)) {}
  [[nodiscard]] bool immediate() const override { return !is_task<given>; }
  [[nodiscard]] bool wants_names() const override { return false; }
  attempt_result run_now(payload& item, const attempt_info&) override {
    if constexpr (is_task<given>) {
      return attempt_result::unchanged();
    } else {
      return split_result(std::invoke(parts_, std::as_const(item.get<In>())));
    }
  }
  task<attempt_result> run(payload& item, const attempt_info& info) override {
    if constexpr (!is_task<given>) {
      co_return run_now(item, info);
    } else {
      auto parts = co_await std::invoke(parts_, std::as_const(item.get<In>()));
      co_return split_result(std::move(parts));
    }
  }

 private:
  F parts_;
};

/// Several items as one.
template <class T>
class batch_stage final : public stage_body {
 public:
  [[nodiscard]] bool immediate() const override { return true; }
  [[nodiscard]] bool wants_names() const override { return false; }
  attempt_result run_now(payload&, const attempt_info&) override {
    return attempt_result::unchanged();
  }
  payload join(std::span<const payload* const> items) override {
    std::vector<T> all;
    all.reserve(items.size());
    for (const payload* each : items) all.push_back(each->get<T>());
    return payload(std::move(all));
  }
};

}  // namespace detail

/// Of a route: the items for which `when` holds, and which none before it took.
template <class Predicate, class Build>
auto branch(Predicate when, Build build) {
  return detail::route_branch<Predicate, Build>{std::move(when), std::move(build)};
}
/// Of a route, its last: all that is left.
template <class Build>
auto otherwise(Build build) {
  return detail::route_branch<detail::always, Build>{{}, std::move(build)};
}
/// Of a tee: a copy of each item, which counts for what becomes of it.
template <class Build>
auto branch(Build build) {
  return detail::tee_branch<Build>{std::move(build), true};
}
/// Of a tee: a copy of each item that is dropped where it would hold up the others.
template <class Build>
auto optional_branch(Build build) {
  return detail::tee_branch<Build>{std::move(build), false};
}

}  // namespace brigade
