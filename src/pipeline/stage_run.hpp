// What the parts of the engine share: items on their way, and stages at work.
//
// An item is at one place at a time: in the hands of the intake, in a stage's queue, in a worker's
// slot, waiting for a retry, due for one, or in the batch of a sink or of a stage that collects.
// Each place can be walked; that is how what is in flight is counted. What was joined is where the
// item is that holds it, and counts there.
//
// The stages make a tree, or, where branches of a route join again, something close to one. They
// stand in the order of the plan, so whoever feeds a stage stands before it.
#pragma once
#include "pipeline/outcome_board.hpp"
#include "pipeline/stage_queue.hpp"
#include "pipeline/worker_scaler.hpp"

#include <brigade/async/cancel.hpp>
#include <brigade/async/detail/frame_pool.hpp>
#include <brigade/async/detail/timer.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/limiter.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/mutex.hpp>
#include <brigade/pipeline/engine.hpp>
#include <brigade/pipeline/status.hpp>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brigade::detail {

struct item;
struct order_key;
struct stage_run;

/// What was read at once, and is given away one by one.
class taken_items {
 public:
  taken_items() = default;
  explicit taken_items(std::vector<source_item> all) : all_(std::move(all)) {}
  [[nodiscard]] bool empty() const { return next_ == all_.size(); }
  source_item take() { return std::move(all_[next_++]); }

 private:
  std::vector<source_item> all_;
  std::size_t next_ = 0;
};

/// What an item is made of that a stage has collected.
struct joined_items {
  std::vector<item*> members;
  std::string error;  ///< of the worst that befell it or its children
  outcome worst = outcome::filtered;
};

/// What the names of a partition's items begin with.
struct item_names {
  item_names(const std::string& pipeline, const std::string& partition)
      : front(pipeline + ":" + partition + ":"), pipeline_bytes(pipeline.size() + 1) {}
  std::string front;
  std::size_t pipeline_bytes;  ///< of it; behind them is the id
};

struct item final : pooled, private timer {
  struct hook : link {
    explicit hook(item& self_) : self(&self_) {}
    item* self;
  };
  explicit item(payload value_) : value(std::move(value_)) {}

  payload value;
  payload origin;                     ///< as it was at the source, once a stage has changed it
  const item_names* names = nullptr;  ///< of its partition
  std::uint32_t partition = 0;
  std::string business_id;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t slot = 0;  ///< in its partition's watermark
  std::size_t bytes = 0;   ///< what it takes of the window
  wall_time taken_at;
  time_point taken;  ///< the loop's clock; for ages
  time_point begun;  ///< the first attempt at this stage; its deadline counts from here; until
                     ///< then, where times are measured, when it came here (0: when it was taken)
  int stage = -1;
  int attempts = 0;  ///< completed, at this stage
  int tries = 0;     ///< begun, at this stage, whatever they were charged
  int kills = 0;
  double urgency = 0;          ///< in a queue by priority
  order_key* order = nullptr;  ///< whom it stays behind; null: nobody
  const replay_entry* replay = nullptr;
  std::vector<attempt_record> failed_attempts;

  item* parent = nullptr;
  std::string part;  ///< its path, for a child
  std::uint32_t children_open = 0;
  outcome worst_child = outcome::filtered;
  bool has_lane = false;     ///< of its stage: those of its key behind it are parked
  bool lenient = false;      ///< in a branch that is not required: what fails there is dropped
  bool of_joined = false;    ///< a child of joined items: it has no account of its own
  bool is_member = false;    ///< it is joined with others
  std::uint32_t weight = 1;  ///< how many items it counts for
  stage_run* way = nullptr;  ///< for a child not yet passed on: where it goes
  std::uint64_t* optional_open = nullptr;  ///< its parent does not mind its failure; counted here
  std::unique_ptr<joined_items> joined;    ///< of several items, that have its outcome
  retry_reason why_again = retry_reason::error;  ///< of its last failed attempt

  hook live{*this};   ///< in the list of all unsettled items
  hook place{*this};  ///< in its stage's list of retries, armed or due, or of those parked

  /// The pipeline's name, a colon and the id. Made when somebody asks: most items come and go
  /// without a name.
  [[nodiscard]] const std::string& key() const {
    if (key_.empty()) make_key();
    return key_;
  }
  void set_key(std::string key) { key_ = std::move(key); }
  [[nodiscard]] std::string_view id() const {
    return std::string_view(key()).substr(names->pipeline_bytes);
  }
  [[nodiscard]] bool is_child() const { return parent != nullptr; }
  /// False: others have an account in its place.
  [[nodiscard]] bool is_accounted() const { return !of_joined && joined == nullptr; }
  /// Before its first attempt at this stage, and where times are measured.
  [[nodiscard]] time_point came_here() const { return begun == time_point{} ? taken : begun; }

  /// Its stage puts it among the due ones when the time has come.
  void arm_retry(stage_run& where, time_point due);
  void disarm_retry();
  [[nodiscard]] bool retry_armed() const { return armed(); }
  [[nodiscard]] time_point retry_due() const { return due_; }

 private:
  void fire() noexcept override;
  void make_key() const;
  mutable std::string key_;
  stage_run* retry_at_ = nullptr;
  time_point due_;
};

/// One worker's hands; a worker with several items in work has as many.
struct work_slot {
  static constexpr time_point never = time_point::max();

  item* current = nullptr;
  std::optional<task_handle<>> worker;  ///< whose hands they are
  std::vector<item*> more;              ///< in work together with it, the next one last
  std::vector<item*> children;          ///< of a split, not yet passed on
  time_point since = never;             ///< the attempt under way began
  bool probing = false;                 ///< the one a paused stage has let through
  bool heed = false;                    ///< after this item: it leaves, or was hung
  bool leaves = false;
  bool hung = false;  ///< it has been told of, and maybe another works in its place
};

enum class presence : std::uint8_t {
  away,     ///< nobody: never was, or has gone
  here,     ///< at work, or hung
  leaving,  ///< goes when it has nothing in hand
};

/// What a stage with a rate or an error budget asks before it starts an item.
struct stage_guard {
  mutex turn{"a stage's turn"};  ///< who has it is the next to start an item
  std::optional<limiter> rate{};
  std::deque<std::uint64_t> failures{};  ///< of the budget: which results they were
  std::uint64_t forgiven = 0;            ///< results up to this one count no more
  bool paused = false;
  time_point paused_since{};
  std::string paused_by{};
  time_point next_probe{};
  event goes_on{"the stage goes on"};
};

/// Items of one key, or of the whole source, that stay in order. In each stage one of them is in
/// work, in the queue or waiting for a retry; those behind it are parked.
struct order_key {
  struct lane {
    bool taken = false;
    ring<item*> parked;
    std::optional<outcome> cut{};  ///< what becomes of those that come from now on
    std::string why{};
    const held_key* letter = nullptr;  ///< of a run before, that cut it: for those behind it only
  };
  order_key(std::string name_, std::size_t stages) : name(std::move(name_)), lanes(stages) {}
  std::string name;
  std::vector<lane> lanes;
  std::size_t items = 0;  ///< unsettled, of this run
  bool cut = false;       ///< in some lane: it is not forgotten before the run ends
};

/// What a sink needs beside what a stage has.
struct sink_end {
  sink_end(sink& to_, const sink_policy& rules_) : to(&to_), rules(rules_) {}
  sink* to;
  sink_policy rules;
  std::optional<limiter> rate{};
  std::optional<time_point> outage_since{};
  std::optional<time_point> pauses_until{};
  std::vector<item*>* held_back = nullptr;  ///< where what failed stays in line
  bool writing = false;  ///< stays true when a write was destroyed: it may still succeed
  time_point write_begun{};
  std::string outage{};  ///< what it said when it was down
  bool required = true;
  std::vector<std::string> forgotten{};  ///< partitions whose marks a transactional one still has
};

/// Where the ways part behind a stage.
struct fork_run {
  struct branch {
    stage_run* to = nullptr;
    bool required = true;
    std::uint64_t open = 0;  ///< children in it, when it is not required
  };
  fork_plan::kind what = fork_plan::kind::route;
  std::vector<branch> branches;
};

/// What is measured of a stage for a status board.
struct stage_meter {
  time_histogram work;
  time_histogram queue_wait;
  std::chrono::nanoseconds blocked{};

  /// Whether the next attempt is measured: a look at the clock costs 34 ns, and so the first few of
  /// each millisecond are, and of the others one in 64.
  [[nodiscard]] bool is_due(time_point now) {
    if (now >= tick_ + std::chrono::milliseconds(1)) {
      tick_ = now;
      left_ = 8;
    }
    return left_ > 0 ? left_-- > 0 : ++skipped_ % 64 == 0;
  }

 private:
  time_point tick_{};
  int left_ = 0;
  unsigned skipped_ = 0;
};

struct stage_run {
  stage_run(int index_, stage_plan& plan);
  stage_run(int index_, chain_plan& plan, bool required);

  int index;
  std::string name;
  std::unique_ptr<stage_body> body;  ///< none: a sink
  std::unique_ptr<sink_end> end;     ///< of a sink
  std::unique_ptr<fork_run> fork;
  std::optional<batch_policy> collects;
  stage_run* next = nullptr;         ///< null: behind a sink, and behind a fork where nothing is
  std::vector<stage_run*> feeds{};   ///< each once
  std::vector<stage_run*> before{};  ///< all that items may come from, not directly only
  std::size_t feeders_open = 0;      ///< stages, or the intake, that may still send something
  bool weighs = false;               ///< items here may count for several
  cancel_scope* company = nullptr;   ///< a batch here waits for more items
  stage_policy policy;
  bool immediate = false;
  bool wants_names = true;  ///< its body, or its sink
  int per_worker = 1;
  stage_queue input;
  std::function<double(const payload&)> priority;
  bool selective = false;               ///< an item does not just go into its queue
  bool has_lanes = false;               ///< it has one item of a key at a time
  std::unique_ptr<stage_guard> guard;   ///< null: a worker takes whatever comes
  std::deque<work_slot> slots;          ///< `per_worker` of each worker; they stay where they are
  std::vector<worker_report> workers;   ///< all that ever were; a number is given again
  std::vector<presence> staff;          ///< of each of them
  int wanted = 1;                       ///< workers, not counting those that are hung and replaced
  std::optional<worker_scaler> scaler;  ///< with a range
  time_point hung_look{};               ///< when there may be one that is hung, at the earliest
  link_list retrying;                   ///< timers armed
  link_list due;                        ///< waiting for room in the queue
  link_list parked;                     ///< behind others of their key
  item* requeued = nullptr;
  event due_arrived{"retry due"};
  std::uint64_t inside = 0;  ///< decides when the queue closes; the account walks instead

  std::uint64_t in = 0;
  std::uint64_t born = 0;
  std::uint64_t passed = 0;
  std::array<std::uint64_t, outcome_count> settled{};
  std::uint64_t retries = 0;
  std::array<std::uint64_t, retry_reason_count> retries_by_reason{};
  std::unique_ptr<stage_meter> meter;  ///< null: nobody wants to know

  [[nodiscard]] bool is_sink() const { return end != nullptr; }
  [[nodiscard]] bool upstream_done() const { return feeders_open == 0; }
  /// It has workers, not just one who collects or delivers.
  [[nodiscard]] bool has_crew() const { return body != nullptr && !collects; }
  [[gnu::cold, gnu::noinline]] void count_retry(const item& work) {
    retries += work.weight;
    retries_by_reason[static_cast<std::size_t>(work.why_again)] += work.weight;
  }
  [[nodiscard]] std::size_t number() const { return static_cast<std::size_t>(index); }
  [[nodiscard]] std::uint64_t walk() const;
  [[nodiscard]] std::uint64_t walk_retries() const;
  /// Items that this stage's work has come to an end for, well or not.
  [[nodiscard]] std::uint64_t results() const;
  void add_worker();
  /// `most` above `least`: between the two.
  void set_workers(int least, int most);
};

enum class run_phase : std::uint8_t {
  running,   ///< items come in
  draining,  ///< intake has ended by a stop; the rest is finished until the deadline
  stopping,  ///< the work is cancelled; the rest is returned
  closing,   ///< nothing works any more; outcomes become durable
};

/// Lets others cancel a scope while it is open, also when its frame is destroyed.
class lent_scope {
 public:
  lent_scope(cancel_scope*& place, cancel_scope& scope) : place_(place) { place_ = &scope; }
  ~lent_scope() { place_ = nullptr; }
  lent_scope(const lent_scope&) = delete;
  lent_scope& operator=(const lent_scope&) = delete;

 private:
  cancel_scope*& place_;
};

/// Nothing when there is no limit.
void set_rate(std::optional<limiter>& rate, const rate_limit& how, const std::string& of);

/// What the journal has and has not yet called durable.
struct journaled {
  /// For who wants to know: the source, and who reads the outcomes.
  struct told_item {
    std::uint64_t begin = 0;
    item_outcome what;
    bool in_doubt = false;
  };
  std::uint64_t number = 0;
  struct entry {
    std::uint32_t partition;
    int in_sink;  ///< in which one its own row is; of a parent only its children's are
    std::uint64_t slot;
    std::size_t bytes;
    outcome result;
    std::unique_ptr<std::string> part;  ///< of a child
    std::unique_ptr<told_item> told;    ///< null: nobody wants to know
    [[nodiscard]] bool child() const { return part != nullptr; }
  };
  std::vector<entry> entries;
};

}  // namespace brigade::detail
