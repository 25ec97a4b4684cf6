/// The typed builder: your functions, your types, one account.
///
///   report r = pipeline("orders").from(orders).stage("charge", charge, {.workers = 4})
///                                .to("receipts", store).run();
///
/// A stage is a plain function, a callable or a coroutine that takes what the stage before it
/// gives, by const reference or by value. It gives the next stage's input; `void` passes the item
/// on as it is, an empty `std::optional` filters it. It throws to fail: `permanent_error` and
/// `fatal_error` say more, anything else is tried again by the stage's retry policy and then
/// dead-lettered; the other items go on. The sink is called once an item, in order of arrival.
///
/// Rules of a stage stand in its `stage_policy`: workers (`{.workers = 2, .workers_max = 16}`: as
/// many as bring something), retries, rate, error budget, queue, hung items. For a queue by
/// priority a callable stands behind it: `stage("charge", charge, {}, urgency)`. And
/// `from(orders).order_by(customer)` keeps the items of a customer in order through all stages.
///
/// `split` makes several items of one and `batch` one of several; `route` and `tee` send items to
/// several sinks (fork.hpp).
///
/// Thread safety: the loop's thread. Lifetime: callables are copied in; what they refer to must
/// outlive the run.
#pragma once
#include <brigade/async/channel.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/task.hpp>
#include <brigade/pipeline/blocking_stage.hpp>
#include <brigade/pipeline/engine.hpp>
#include <brigade/pipeline/fork.hpp>
#include <brigade/pipeline/memory_source.hpp>
#include <brigade/pipeline/pipeline_run.hpp>
#include <brigade/pipeline/policy.hpp>
#include <brigade/pipeline/report.hpp>

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace brigade {

static_assert(std::is_trivially_destructible_v<stage_policy>, "g++ 12 and braced temporaries");
static_assert(std::is_trivially_destructible_v<sink_policy>, "g++ 12 and braced temporaries");

namespace detail {

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

struct no_priority {};

template <class T>
attempt_result as_result(T&& value) {
  if constexpr (is_optional<std::remove_cvref_t<T>>) {
    if (!value) return attempt_result::filtered();
    return attempt_result::passed(payload(std::move(*value)));
  } else {
    return attempt_result::passed(payload(std::forward<T>(value)));
  }
}

/// A user's function as a stage.
template <class In, class F>
class function_stage final : public stage_body {
 public:
  using given = std::invoke_result_t<F&, const In&>;
  explicit function_stage(F work) : work_(std::move(work)) {}
  [[nodiscard]] bool immediate() const override { return !is_task<given>; }
  [[nodiscard]] bool wants_names() const override { return false; }

  attempt_result run_now(payload& item, const attempt_info&) override {
    if constexpr (is_task<given>) {
      return attempt_result::unchanged();
    } else if constexpr (std::is_void_v<given>) {
      std::invoke(work_, std::as_const(item.get<In>()));
      return attempt_result::unchanged();
    } else {
      return as_result(std::invoke(work_, std::as_const(item.get<In>())));
    }
  }
  task<attempt_result> run(payload& item, const attempt_info& info) override {
    if constexpr (!is_task<given>) {
      co_return run_now(item, info);
    } else if constexpr (std::same_as<given, task<void>>) {
      co_await std::invoke(work_, std::as_const(item.get<In>()));
      co_return attempt_result::unchanged();
    } else {
      auto value = co_await std::invoke(work_, std::as_const(item.get<In>()));
      co_return as_result(std::move(value));
    }
  }

 private:
  F work_;
};

/// A user's function that computes long or blocks; see blocking_stage.hpp.
template <class In, class F>
class blocking_function final : public blocking_stage {
  static decltype(auto) invoke(const F& work, const std::stop_token& stop, const In& value) {
    if constexpr (std::invocable<const F&, std::stop_token, const In&>) {
      return std::invoke(work, stop, value);
    } else {
      return std::invoke(work, value);
    }
  }

 public:
  using given = decltype(invoke(std::declval<const F&>(), std::declval<const std::stop_token&>(),
                                std::declval<const In&>()));
  explicit blocking_function(F work) : work_(std::make_shared<const F>(std::move(work))) {}

 private:
  call call_for(const payload& item) override {
    return [work = work_, value = item.get<In>()](const std::stop_token& stop) {
      if constexpr (std::is_void_v<given>) {
        invoke(*work, stop, value);
        return attempt_result::unchanged();
      } else {
        return as_result(invoke(*work, stop, value));
      }
    };
  }
  std::shared_ptr<const F> work_;
};

/// A user's predicate as a stage.
template <class In, class F>
class filter_stage final : public stage_body {
 public:
  explicit filter_stage(F keep) : keep_(std::move(keep)) {}
  [[nodiscard]] bool immediate() const override { return true; }
  [[nodiscard]] bool wants_names() const override { return false; }
  attempt_result run_now(payload& item, const attempt_info&) override {
    const bool kept = std::invoke(keep_, std::as_const(item.get<In>()));
    return kept ? attempt_result::unchanged() : attempt_result::filtered();
  }

 private:
  F keep_;
};

/// A user's function as a sink, called for each item.
template <class In, class F>
class function_sink final : public sink {
 public:
  explicit function_sink(F deliver) : deliver_(std::move(deliver)) {}
  [[nodiscard]] bool wants_names() const override { return false; }
  task<std::vector<partition_mark>> open(const sink_resume&) override {
    co_return std::vector<partition_mark>{};
  }
  task<write_result> write(std::span<const sink_item> batch,
                           std::span<const partition_mark>) override {
    write_result result;
    result.failures.resize(batch.size());
    for (std::size_t i = 0; i < batch.size(); ++i) {
      try {
        if constexpr (is_task<std::invoke_result_t<F&, const In&>>) {
          co_await std::invoke(deliver_, batch[i].value->get<In>());
        } else {
          std::invoke(deliver_, batch[i].value->get<In>());
        }
      } catch (const permanent_error& why) {
        result.failures[i].emplace(verdict::permanent, why.what());
      } catch (const cancelled& by) {
        if (loop::current().running()->interrupted()) throw;
        result.failures[i].emplace(verdict::retryable, "cancelled from inside: " + by.reason());
      } catch (const std::exception& why) {
        result.failures[i].emplace(verdict::retryable, why.what());
      }
    }
    co_return result;
  }

 private:
  F deliver_;
};

}  // namespace detail

/// A pipeline ready to run, once.
class ready_pipeline {
 public:
  explicit ready_pipeline(pipeline_plan plan) : plan_(std::move(plan)) {}

  ready_pipeline& rules(const run_policy& policy) {
    plan_.rules = policy;
    if (plan_.order_key) plan_.rules.order = item_order::by_key;
    return *this;
  }
  ready_pipeline& observe(run_observer observer) {
    plan_.observer = std::move(observer);
    return *this;
  }
  /// Keeps the account in this SQLite file; without it the account is the report alone.
  ready_pipeline& ledger(std::string path) {
    ledger_path_ = std::move(path);
    return *this;
  }
  /// SIGINT and SIGTERM drain the run, a second SIGINT ends the drain, a third the process.
  ready_pipeline& stop_on_signals() {
    signals_ = true;
    return *this;
  }

  /// Runs on a loop of its own in this thread. Throws ledger_error, `deadlock`, and
  /// std::invalid_argument for a stage without workers or a window without room. Once.
  report run();
  /// Runs as a task of `group` on the loop that is there. Throws ledger_error when the ledger
  /// cannot be opened, and std::invalid_argument as `run` does. Once.
  pipeline_run start(task_group& group);
  /// The plan, for an engine of one's own.
  [[nodiscard]] pipeline_plan take_plan() { return std::move(plan_); }

 private:
  pipeline_plan plan_;
  std::string ledger_path_;
  bool signals_ = false;
};

/// A pipeline, or a branch of one, whose last stage gives `T`.
template <class T, class Plan = pipeline_plan>
class pipeline_builder {
 public:
  explicit pipeline_builder(Plan plan) : plan_(std::move(plan)) {}

  /// The item's own id, beside its position: it stands in outcomes, dead letters and the ledger.
  /// Directly behind `from` (asserted).
  template <class F>
  pipeline_builder id(F name) && {
    static_assert(is_whole, "id stands directly behind from, not in a branch");
    static_assert(std::invocable<F&, const T&>, "an id is taken from what the source gives");
    BRIGADE_ASSERT(plan_.stages.empty(), "id stands directly behind from");
    plan_.business_id = [name = std::move(name)](const payload& item) mutable {
      return detail::payload_text(std::invoke(name, item.get<T>()));
    };
    return std::move(*this);
  }
  /// Items for which `key` gives the same go through the stages and into the sink in the order of
  /// the source, one behind the other. Directly behind `from` (asserted): it is the source's items
  /// that have a key. A key without text is none.
  template <class F>
  pipeline_builder order_by(F key) && {
    static_assert(is_whole, "order_by stands directly behind from, not in a branch");
    static_assert(std::invocable<F&, const T&>, "a key is taken from what the source gives");
    BRIGADE_ASSERT(plan_.stages.empty(), "order_by stands directly behind from");
    plan_.order_key = [key = std::move(key)](const payload& item) mutable {
      return detail::payload_text(std::invoke(key, item.get<T>()));
    };
    plan_.rules.order = item_order::by_key;
    return std::move(*this);
  }

  template <class F>
  auto stage(std::string name, F work, const stage_policy& policy = {}) && {
    return std::move(*this).stage(std::move(name), std::move(work), policy, detail::no_priority{});
  }
  /// With a queue by priority: `priority` takes what the stage takes and gives a number; the items
  /// for which it is greatest are taken first (see `queue_kind`).
  template <class F, class Priority>
  auto stage(std::string name, F work, const stage_policy& policy, Priority priority) && {
    static_assert(std::invocable<F&, const T&>,
                  "this stage's function does not take what the stage before it gives");
    using given = std::invoke_result_t<F&, const T&>;
    using plain = typename detail::plain_result<given>::type;
    add(std::move(name), std::make_unique<detail::function_stage<T, F>>(std::move(work)), policy);
    if constexpr (!std::same_as<Priority, detail::no_priority>) {
      static_assert(std::is_invocable_r_v<double, Priority&, const T&>,
                    "a priority takes what its stage takes and gives a number");
      plan_.stages.back().priority = [priority = std::move(priority)](const payload& item) mutable {
        return static_cast<double>(std::invoke(priority, item.get<T>()));
      };
    }
    using next = std::conditional_t<std::is_void_v<plain>, T, plain>;
    return pipeline_builder<next, Plan>(std::move(plan_));
  }
  /// A plain function that computes long or blocks: it runs on threads of the stage's own, one a
  /// worker, while the loop goes on. It gets a copy of the item, is called by several threads at
  /// once, and may take a `std::stop_token` first, which says that nobody waits for it any more: an
  /// attempt that ran into its timeout, or a stop, goes on unseen until it returns.
  template <class F>
  auto blocking(std::string name, F work, const stage_policy& policy = {}) && {
    constexpr bool fits =
        std::invocable<const F&, const T&> || std::invocable<const F&, std::stop_token, const T&>;
    static_assert(fits,
                  "a blocking stage's function takes what the stage before it gives, a "
                  "std::stop_token before it if it likes, and can be called when const");
    static_assert(std::copy_constructible<T>, "a blocking stage works on a copy of the item");
    using body = detail::blocking_function<T, F>;
    static_assert(!is_task<typename body::given>, "a coroutine does not block: give it to `stage`");
    add(std::move(name), std::make_unique<body>(std::move(work)), policy);
    using plain = typename detail::plain_result<typename body::given>::type;
    using next = std::conditional_t<std::is_void_v<plain>, T, plain>;
    return pipeline_builder<next, Plan>(std::move(plan_));
  }
  template <class F>
  pipeline_builder filter(std::string name, F keep, const stage_policy& policy = {}) && {
    static_assert(std::predicate<F&, const T&>,
                  "a filter takes what the stage before it gives and answers true or false");
    add(std::move(name), std::make_unique<detail::filter_stage<T, F>>(std::move(keep)), policy);
    return std::move(*this);
  }
  template <class F>
  auto to(std::string name, F deliver, const sink_policy& policy = {}) && {
    static_assert(std::invocable<F&, const T&>,
                  "this sink's function does not take what the last stage gives");
    plan_.sink_name = std::move(name);
    plan_.to = std::make_unique<detail::function_sink<T, F>>(std::move(deliver));
    plan_.sink_rules = policy;
    return std::move(*this).finished();
  }

  /// `parts` gives a `std::vector`: each element is an item, none at all filters.
  template <class F>
  auto split(std::string name, F parts, const stage_policy& policy = {}) && {
    static_assert(std::invocable<F&, const T&>,
                  "this split's function does not take what the stage before it gives");
    using given = typename detail::plain_result<std::invoke_result_t<F&, const T&>>::type;
    static_assert(detail::is_vector<given>, "a split's function gives a std::vector of items");
    add(std::move(name), std::make_unique<detail::split_stage<T, F>>(std::move(parts)), policy);
    return pipeline_builder<typename given::value_type, Plan>(std::move(plan_));
  }
  /// Collects items into one `std::vector<T>`, of copies. All of them have the outcome of that.
  auto batch(std::string name, const batch_policy& rules) && {
    static_assert(std::copy_constructible<T>, "a batch holds copies of its items");
    add(std::move(name), std::make_unique<detail::batch_stage<T>>(), {});
    plan_.stages.back().batch = rules;
    return pipeline_builder<std::vector<T>, Plan>(std::move(plan_));
  }
  /// Takes `branch(predicate, build)` and, last, `otherwise(build)`. A `build` takes a builder and
  /// gives back what it made of it. The pipeline is whole when all branches have a sink; else it
  /// goes on behind the route.
  template <class... Branches>
  auto route(std::string name, Branches... branches) && {
    static_assert(sizeof...(Branches) > 0 && (detail::is_route_branch<Branches> && ...),
                  "a route takes branch(predicate, build) and, last, otherwise(build)");
    static_assert((std::predicate<decltype(Branches::when)&, const T&> && ...),
                  "a branch's predicate takes what the stage before the route gives");
    using rest = typename detail::first_rest<rest_of<Branches>...>::type;
    static_assert(
        ((std::is_void_v<rest_of<Branches>> || std::same_as<rest_of<Branches>, rest>) && ...),
        "branches that go on behind a route give the same type there");
    std::vector<std::function<bool(const T&)>> ways;
    (ways.emplace_back(std::move(branches.when)), ...);
    add(std::move(name), std::make_unique<detail::route_stage<T>>(std::move(ways)), {});
    auto fork = std::make_unique<fork_plan>();
    (fork->branches.push_back({chain_of(branches.build), true}), ...);
    plan_.stages.back().fork = std::move(fork);
    if constexpr (std::is_void_v<rest>) {
      return std::move(*this).finished();
    } else {
      return pipeline_builder<rest, Plan>(std::move(plan_));
    }
  }
  /// Takes `branch(build)` and `optional_branch(build)`, which end with `to`, and goes on itself.
  template <class... Branches>
  pipeline_builder tee(std::string name, Branches... branches) && {
    static_assert(sizeof...(Branches) > 0 && (detail::is_tee_branch<Branches> && ...),
                  "a tee takes branch(build) and optional_branch(build)");
    static_assert(std::copy_constructible<T>, "a tee makes copies of its items");
    static_assert((std::is_void_v<rest_of<Branches>> && ...), "the branches of a tee end with to");
    add(std::move(name), std::make_unique<tee_stage<T>>(sizeof...(Branches) + 1), {});
    auto fork = std::make_unique<fork_plan>();
    fork->what = fork_plan::kind::tee;
    (fork->branches.push_back({chain_of(branches.build), branches.required}), ...);
    plan_.stages.back().fork = std::move(fork);
    return std::move(*this);
  }

 private:
  template <class OtherT, class OtherPlan>
  friend class pipeline_builder;
  static constexpr bool is_whole = std::same_as<Plan, pipeline_plan>;
  using way = pipeline_builder<T, chain_plan>;

  template <class Branch>
  struct rest_behind {
    using build = decltype(Branch::build);
    static_assert(std::invocable<build&, way>,
                  "a branch is built by a function that takes a builder, such as [](auto way)");
    using rest = detail::rest_of_branch<std::invoke_result_t<build&, way>>;
    static_assert(rest::is_branch, "a branch is what its builder's functions give back");
    using type = typename rest::type;
  };
  template <class Branch>
  using rest_of = typename rest_behind<Branch>::type;

  template <class Build>
  static chain_plan chain_of(Build& build) {
    auto made = std::invoke(build, way(chain_plan{}));
    if constexpr (std::same_as<decltype(made), finished_branch>) {
      return std::move(made.chain);
    } else {
      return std::move(made.plan_);
    }
  }
  auto finished() && {
    if constexpr (is_whole) {
      return ready_pipeline(std::move(plan_));
    } else {
      return finished_branch{std::move(plan_)};
    }
  }
  void add(std::string name, std::unique_ptr<stage_body> body, const stage_policy& policy) {
    plan_.stages.push_back(stage_plan{std::move(name), std::move(body), policy});
  }
  Plan plan_;
};

/// Where a pipeline begins.
class pipeline {
 public:
  explicit pipeline(std::string name) { plan_.name = std::move(name); }

  /// The elements of a range, which is moved or copied in; each is copied out of it.
  template <std::ranges::input_range Range>
  auto from(Range items) && {
    return begin_with("items", std::move(items));
  }
  /// A function, or coroutine, that gives `std::optional<T>`: nothing ends the stream.
  template <class F>
    requires std::invocable<F&>
  auto from(F generate) && {
    return begin_with("items", std::move(generate));
  }
  /// What any number of senders put into a channel; the stream ends when the last sender is gone.
  template <class T>
  auto from(receiver<T> items) && {
    return begin_with("items", std::move(items));
  }
  /// Several producers of one type side by side, each a range or a function: none waits for
  /// another, and each has its own line in the report.
  template <class First, class... Rest>
  auto from(producer<First> first, producer<Rest>... rest) && {
    using value = typename detail::source_of<First>::value;
    static_assert((std::same_as<value, typename detail::source_of<Rest>::value> && ...),
                  "the producers of a pipeline give items of one type");
    auto all = std::make_unique<detail::merged_source>();
    add_producer(*all, std::move(first));
    (add_producer(*all, std::move(rest)), ...);
    plan_.from = std::move(all);
    return pipeline_builder<value>(std::move(plan_));
  }

 private:
  template <class Items>
  auto begin_with(const std::string& name, Items items) {
    using made = detail::source_of<Items>;
    plan_.from = std::make_unique<made>(name, std::move(items));
    return pipeline_builder<typename made::value>(std::move(plan_));
  }
  template <class Items>
  static void add_producer(detail::merged_source& all, producer<Items> one) {
    using made = detail::source_of<Items>;
    static_assert(!detail::is_receiver<Items>,
                  "a channel has any number of senders by itself: give its receiver alone");
    BRIGADE_ASSERT(one.name.find(':') == std::string::npos, "a producer's name has no colon");
    all.add(std::make_unique<made>(one.name, std::move(one.items)));
  }
  pipeline_plan plan_;
};

}  // namespace brigade
