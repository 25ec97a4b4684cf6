// What the parts of the engine share: items on their way, stages at work, the account so far.
//
// An item is at one place at a time: in the hands of the intake, in a stage's queue, in a worker's
// slot, waiting for a retry, due for one, or in the sink's batch. Each place can be walked; that is
// how what is in flight is counted.
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
#include <brigade/pipeline/watermark.hpp>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace brigade::detail {

struct order_key;
struct stage_run;

struct item final : pooled, private timer {
  struct hook : link {
    explicit hook(item& self_) : self(&self_) {}
    item* self;
  };
  explicit item(payload value_) : value(std::move(value_)) {}

  payload value;
  payload origin;  ///< as it was at the source, once a stage has changed it
  std::string key;
  std::uint16_t key_prefix = 0;  ///< the pipeline's name and a colon; behind it is the id
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
  bool has_lane = false;  ///< of its stage: those of its key behind it are parked
  retry_reason why_again = retry_reason::error;  ///< of its last failed attempt

  hook live{*this};   ///< in the list of all unsettled items
  hook place{*this};  ///< in its stage's list of retries, armed or due, or of those parked

  [[nodiscard]] std::string_view id() const { return std::string_view(key).substr(key_prefix); }
  [[nodiscard]] bool is_child() const { return parent != nullptr; }
  /// Before its first attempt at this stage, and where times are measured.
  [[nodiscard]] time_point came_here() const { return begun == time_point{} ? taken : begun; }

  /// Its stage puts it among the due ones when the time has come.
  void arm_retry(stage_run& where, time_point due);
  void disarm_retry();
  [[nodiscard]] bool retry_armed() const { return armed(); }
  [[nodiscard]] time_point retry_due() const { return due_; }

 private:
  void fire() noexcept override;
  stage_run* retry_at_ = nullptr;
  time_point due_;
};

/// One worker's hands; a worker with several items in work has as many.
struct work_slot {
  static constexpr time_point never = time_point::max();

  item* current = nullptr;
  std::optional<task_handle<>> worker;  ///< whose hands they are
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
  stage_run(int index_, stage_plan plan);

  int index;
  std::string name;
  std::unique_ptr<stage_body> body;  ///< none: the sink
  stage_policy policy;
  bool immediate = false;
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
  bool upstream_done = false;
  std::uint64_t inside = 0;  ///< decides when the queue closes; the account walks instead

  std::uint64_t in = 0;
  std::uint64_t born = 0;
  std::uint64_t passed = 0;
  std::array<std::uint64_t, outcome_count> settled{};
  std::uint64_t retries = 0;
  std::array<std::uint64_t, retry_reason_count> retries_by_reason{};
  std::unique_ptr<stage_meter> meter;  ///< null: nobody wants to know

  [[gnu::cold, gnu::noinline]] void count_retry(const item& work) {
    ++retries;
    ++retries_by_reason[static_cast<std::size_t>(work.why_again)];
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
  std::uint64_t number = 0;
  struct entry {
    std::uint32_t partition;
    std::uint64_t slot;
    std::size_t bytes;
    outcome result;
    bool child;
    std::string part;
    bool in_sink = false;                  ///< its own row is; of a parent only its children's are
    std::unique_ptr<item_outcome> told{};  ///< for who reads the outcomes
  };
  std::vector<entry> entries;
};

}  // namespace brigade::detail

namespace brigade {

class engine::implementation {
 public:
  using item = detail::item;
  using stage_run = detail::stage_run;

  implementation(pipeline_plan made, journal* account);
  ~implementation();

  task<report> execute(engine_resume resume);
  void drain();
  void deadline_now();
  void stop_now(int exit_code, std::string why);
  void scale(std::string_view stage, int workers, int workers_max);
  [[nodiscard]] report account() const;
  [[nodiscard]] progress look() const;
  [[nodiscard]] run_status status();

  pipeline_plan plan;

 private:
  // engine.cpp: the course of a run
  void listen_to_journal();
  void leave_nothing_behind();
  task<> open_all();
  task<> open_unless_stopped();
  task<> work();
  void spawn_work(task_group& group);
  task<> close_stages();
  task<> close_all();
  task<> close_one(task<> closing);
  [[nodiscard]] int exit_code() const;
  [[nodiscard]] double seconds_since_start() const;
  task<> report_progress();
  void notice(std::string_view line) const;

  // intake.cpp: from the source into the first queue
  task<> intake();
  task<bool> take_some();
  task<> take_in_hand();
  [[nodiscard]] item* receive(source_item taken);
  void learn_partitions();
  [[nodiscard]] std::size_t source_of(const std::string& partition);
  [[nodiscard]] bool window_open() const;

  // worker_pool.cpp: attempts, and what their results mean
  template <bool ruled, bool measured>
  task<> worker(stage_run& stage, std::size_t slot);
  [[nodiscard]] task<> worker_for(stage_run& stage, std::size_t slot);
  task<> requeue_due(stage_run& stage);
  task<attempt_result> attempt(stage_run& stage, item& work, int worker_id);
  attempt_result attempt_now(stage_run& stage, item& work, int worker_id);
  task<attempt_result> bounded_attempt(stage_run& stage, item& work, const attempt_info& info);
  void accept(item& work, payload value);
  void pass(stage_run& from, item& work);
  task<> pass_children(stage_run& stage, detail::work_slot& own, std::vector<payload> values);
  void attempt_failed(stage_run& stage, item& work, int worker_id, const failure& why);
  void retry_or_bury(stage_run& stage, item& work, const failure& why);
  void bury(stage_run& stage, item& work, const std::string& error);
  [[nodiscard]] static std::unique_ptr<letter> letter_of(const stage_run& stage, const item& work);
  void upstream_ended(stage_run& stage);
  void close_if_drained(stage_run& stage);

  // staffing.cpp: who works at a stage
  task<> keep_staffed();
  task<> look_at_workers();
  task<> wait_for_next_look();
  task<> staff(stage_run& stage);
  bool rescale(stage_run& stage);
  void bring_in(stage_run& stage, std::size_t id);
  [[nodiscard]] static std::size_t next_worker(stage_run& stage);
  [[nodiscard]] static std::vector<task_handle<>> send_off(stage_run& stage, std::size_t id);
  static void see_who_left(stage_run& stage);
  bool stays(stage_run& stage, detail::work_slot& own);
  bool look_for_hung(stage_run& stage);
  void tell_of_hung(const stage_run& stage, const detail::work_slot& own) const;
  [[nodiscard]] static int replacements(const stage_run& stage);

  // stage_entry.cpp: into a stage that has rules of its own for who comes in when
  void prepare_entries();
  [[nodiscard]] bool sink_keeps_order() const;
  [[nodiscard]] detail::order_key& key_named(const std::string& name);
  void learn_order(item& work);
  void forget_order(item& work);
  [[nodiscard]] bool key_has_room(const item& work) const;
  task<> enter(stage_run* from, stage_run& to, item*& held);
  void move_on(stage_run* from, stage_run& to, item& work);
  static void arrive(stage_run& to, item& work) {
    work.stage = to.index;
    ++to.in;
    ++to.inside;
  }
  [[nodiscard]] bool has_room(stage_run& to, item& work);
  void drop(stage_run& at, item& work);
  void leave_lane(item& work);
  void settled_in_order(item& work, outcome result);
  [[nodiscard]] bool is_cut(const detail::order_key::lane& lane, const detail::item& work) const;
  void settle_as_cut(stage_run& stage, item& work);
  [[nodiscard]] bool settled_by_cut(stage_run& stage, item& work);
  void abandon_lanes();

  // stage_guard.cpp: when a stage may start its next item
  static void set_guard(stage_run& stage);
  task<> take_guarded(stage_run& stage, detail::work_slot& own);
  task<> take_into(stage_run& stage, detail::work_slot& own);
  task<> wait_out_pause(stage_run& stage, detail::work_slot& own);
  void charge_budget(stage_run& stage, const std::string& why);
  void check_budget(stage_run& stage, const std::string& why);
  void budget_is_spent(stage_run& stage, const std::string& spent, const std::string& why);
  void reopen(stage_run& stage);

  // delivery.cpp: batches into the sink
  task<> deliver();
  [[nodiscard]] bool company_may_come() const;
  task<> gather_batch(std::vector<item*>& batch);
  task<bool> wait_for_company(std::vector<item*>& batch, std::chrono::nanoseconds within);
  void wait_for_no_company();
  task<> write_batch(std::vector<item*>& batch);
  task<std::optional<write_result>> write_once(const std::vector<item*>& batch);
  task<> wait_out_outage(const std::string& error);
  void sort_out(std::vector<item*>& batch, write_result result);
  void sort_out_in_order(std::vector<item*>& batch, const write_result& result);
  void add_to_batch(std::vector<item*>& batch, item& work);
  [[nodiscard]] std::vector<partition_mark> marks_with(const std::vector<item*>& batch) const;

  // settlement.cpp: one outcome an item, recorded, then acknowledged
  void settle(item& work, outcome result, std::string_view stage, std::string error,
              std::unique_ptr<letter> dead = nullptr);
  void settle_parent(item& parent);
  void count_outcome(const item& work, outcome result);
  void write_down(item& work, outcome result, std::string_view stage, std::string error,
                  std::unique_ptr<letter> dead);
  void count_at_stage(item& work, outcome result);
  [[nodiscard]] bool tells(const item& work) const;
  void release(item& work);
  void flush(std::string sink_token);
  task<> keep_books();
  void durable_up_to(std::uint64_t number);
  void acknowledge(std::uint32_t partition);
  void journal_failed(const std::string& error);
  task<> all_durable();
  void move_deadline(std::chrono::nanoseconds from_now);
  void return_the_unrecorded();
  void return_the_rest();

  // engine_status.cpp: how it goes, for a status board
  void show_on_board();
  void leave_board() noexcept;
  task<> keep_board();
  void look_for_progress();
  static void measure_batch(const stage_run& stage, const std::vector<item*>& batch);
  void measure_delivered(const std::vector<item*>& batch, const write_result& result);
  [[nodiscard]] bool is_pending() const;
  [[nodiscard]] status_phase phase_now() const;
  [[nodiscard]] stage_status status_of(const stage_run& stage) const;
  void add_workers(const stage_run& stage, stage_status& line) const;
  void add_write(stage_status& line) const;
  [[nodiscard]] std::string why_closed() const;
  [[nodiscard]] std::vector<connection_status> connections() const;
  [[nodiscard]] std::vector<pause_status> pauses() const;
  [[nodiscard]] std::string why_nothing_moves(const run_status& now) const;
  [[nodiscard]] double seconds_since(detail::time_point then) const;

  // drain.cpp: the stop protocol
  task<> watch_the_drain();
  task<> kill_the_stuck();
  void return_late_retries();
  void note_waiting_retries() const;
  [[nodiscard]] std::string drain_line() const;
  [[nodiscard]] std::string what_workers_wait_on() const;

  /// Null once this is gone: what other threads hold of it.
  std::shared_ptr<implementation*> self_ = std::make_shared<implementation*>(this);
  journal* journal_;
  loop* loop_ = nullptr;
  detail::run_phase phase_ = detail::run_phase::running;
  std::vector<std::unique_ptr<stage_run>> stages_;  ///< the sink is the last
  detail::link_list live_;
  std::unordered_map<std::string, std::unique_ptr<detail::order_key>> order_keys_;
  std::unique_ptr<detail::order_key> source_order_;  ///< of all items, with `order: source`
  std::vector<source_item> in_hand_;                 ///< read, not yet received; reversed
  item* arriving_ = nullptr;                         ///< received, on its way into the first queue

  std::vector<std::string> partitions_;
  std::vector<watermark> watermarks_;
  std::vector<std::optional<mark>> finished_before_;  ///< when that is more than is accounted for
  engine_resume resume_;
  std::size_t window_items_ = 0;
  std::size_t window_bytes_ = 0;
  event window_moved_{"room in the window"};

  std::vector<settlement> outbox_;
  std::vector<detail::journaled::entry> outbox_entries_;
  std::deque<detail::journaled> in_journal_;
  event outbox_filled_{"something to record"};
  event journal_idle_{"outcomes durable"};
  bool journal_broken_ = false;
  bool waits_for_journal_ = false;

  std::uint64_t taken_ = 0;
  std::uint64_t units_taken_ = 0;
  std::uint64_t units_before_ = 0;  // finished when the source was opened
  std::array<std::uint64_t, outcome_count> settled_{};
  std::vector<source_report> sources_;         ///< `settled_` and `taken_` by source
  std::vector<std::size_t> partition_source_;  ///< where a partition's items are counted
  std::vector<dead_letter_report> dead_letters_;
  detail::time_point started_;
  std::optional<detail::time_point> stop_deadline_;  ///< once a drain has begun
  std::optional<detail::time_point> outage_since_;
  std::string outage_;        ///< what the sink said
  std::string journal_full_;  ///< what is; empty: it has room
  detail::time_point journal_full_since_;
  bool source_ended_ = false;
  int stop_code_ = 0;
  std::string stop_reason_;
  std::uint64_t random_state_;

  task_group* helpers_ = nullptr;
  task_group* work_group_ = nullptr;
  cancel_scope* open_scope_ = nullptr;
  cancel_scope* intake_scope_ = nullptr;
  cancel_scope* company_scope_ = nullptr;  ///< a batch that waits for more items
  std::optional<limiter> sink_rate_;
  std::vector<item*>* held_back_ = nullptr;  ///< where what failed in the sink stays in line
  std::optional<detail::time_point> sink_pauses_until_;
  bool writing_ = false;  ///< stays true when a write was destroyed: it may still succeed
  detail::time_point write_begun_;
  std::array<std::uint64_t, outcome_count> settled_at_source_{};
  std::unique_ptr<time_histogram> end_to_end_;  ///< null: nobody wants to know
  std::uint64_t progress_seen_ = 0;
  std::optional<detail::time_point> progressed_at_;  ///< or found with nothing to do
  bool is_over_ = false;
  std::vector<task_handle<>> work_tasks_;
  event deadline_moved_{"deadline moved"};
  event staff_moved_{"a worker that comes or goes"};
  event looks_changed_{"the next look at the workers"};
};

}  // namespace brigade
