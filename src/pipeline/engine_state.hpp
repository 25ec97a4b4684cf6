// The engine of one run: its state, and its parts, each in a file of its own.
#pragma once
#include "pipeline/outcome_board.hpp"
#include "pipeline/stage_run.hpp"

#include <brigade/pipeline/engine.hpp>
#include <brigade/pipeline/status.hpp>
#include <brigade/pipeline/watermark.hpp>

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace brigade {

class engine::implementation {
 public:
  using item = detail::item;
  using stage_run = detail::stage_run;
  using fork_run = detail::fork_run;

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
  // layout.cpp: the plan's stages, and who sends items to whom
  using open_ends = std::vector<stage_run**>;
  void lay_out();
  void lay_out_chain(chain_plan& chain, bool required, open_ends& ends);
  void lay_out_fork(stage_run& stage, fork_plan& plan, bool required, open_ends& ends);
  stage_run& lay_down(std::unique_ptr<stage_run> made, open_ends& ends);
  void connect();

  // engine.cpp: the course of a run
  void listen_to_journal();
  void leave_nothing_behind();
  task<> open_all();
  task<> open_unless_stopped();
  task<> work();
  void spawn_work(task_group& group);
  task<> close_stages();
  task<> close_all();
  task<> close_one(task<> closing, bool required);
  void close_failed(const std::string& why, bool required);
  task<> close_sink(stage_run& stage, bool sound);
  task<> commit_last_marks(stage_run& stage);
  [[nodiscard]] int exit_code() const;
  [[nodiscard]] double seconds_since_start() const;
  task<> report_progress();
  void notice(std::string_view line) const;

  // intake.cpp: from the source into the first queue
  task<> intake();
  task<bool> take_some();
  task<> take_in_hand();
  [[nodiscard]] item* receive(source_item taken);
  /// What is wrong with it, if anything.
  [[nodiscard]] std::optional<std::string> name_item(item& made);
  [[nodiscard]] std::optional<std::string> order_item(item& made);
  void bury_at_source(item& made, const std::string& error);
  void learn_partitions();
  void learn_partition(std::size_t index, const std::string& name);
  /// What the source wants kept goes with the next batch; true: that is its state.
  bool note_source(source::state_kept when);
  void forget_partition(std::uint32_t index);
  task<> keep_state_before_items();
  [[nodiscard]] std::size_t source_of(const std::string& partition);
  [[nodiscard]] bool window_open() const;

  // worker_pool.cpp: attempts, and what their results mean
  template <bool ruled, bool measured>
  task<> worker(stage_run& stage, std::size_t slot);
  [[nodiscard]] task<> worker_for(stage_run& stage, std::size_t slot);
  enum class onward : std::uint8_t { passes, splits, ends };
  onward judge(stage_run& stage, detail::work_slot& own, item& work, int worker_id,
               attempt_result& result);
  [[nodiscard]] static attempt_info info_of(const stage_run& stage, const item& work,
                                            int worker_id);
  task<> requeue_due(stage_run& stage);
  task<attempt_result> attempt(stage_run& stage, item& work, int worker_id);
  attempt_result attempt_now(stage_run& stage, item& work, int worker_id);
  task<attempt_result> bounded_attempt(stage_run& stage, item& work, const attempt_info& info);
  void accept(item& work, payload value);
  void attempt_failed(stage_run& stage, item& work, int worker_id, const failure& why);
  void retry_or_bury(stage_run& stage, item& work, const failure& why);
  void bury(stage_run& stage, item& work, const std::string& error);
  [[nodiscard]] static std::unique_ptr<letter> letter_of(const stage_run& stage, const item& work);
  void upstream_ended(stage_run& stage);
  void close_if_drained(stage_run& stage);

  // worker_of_several.cpp: workers that take several items at once
  task<> worker_of_several(stage_run& stage, std::size_t slot);
  task<> take_several(stage_run& stage, detail::work_slot& own);
  task<std::vector<attempt_result>> attempt_all(stage_run& stage, detail::work_slot& own,
                                                int worker_id);

  // passing.cpp: on to the next stage, alone or as children
  [[nodiscard]] static stage_run* way_of(stage_run& stage, const attempt_result& result) {
    if (result.what() == attempt_result::kind::routed) [[unlikely]] {
      return stage.fork->branches[result.branch()].to;
    }
    return stage.next;
  }
  void pass(stage_run& from, stage_run& to, item& work);
  task<> pass_children(stage_run& stage, detail::work_slot& own, std::vector<payload> values);
  void make_children(stage_run& stage, detail::work_slot& own, std::vector<payload> values);
  [[nodiscard]] item* make_child(stage_run& stage, item& parent, std::size_t n, payload value);
  static void share_weight(stage_run& stage, const item& parent, std::vector<item*>& children);
  [[nodiscard]] bool has_room_to_spare(stage_run& to, const item& work) const;
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
  [[nodiscard]] bool sink_keeps_order(const stage_run& stage) const;
  [[nodiscard]] detail::order_key& key_named(const std::string& name);
  void learn_order(item& work);
  void forget_order(item& work);
  [[nodiscard]] bool key_has_room(const item& work) const;
  task<> enter(stage_run* from, stage_run& to, item*& held);
  void move_on(stage_run* from, stage_run& to, item& work);
  static void arrive(stage_run& to, item& work) {
    work.stage = to.index;
    to.in += work.weight;
    to.inside += work.weight;
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

  // company.cpp: whether to wait for more items, and the stages that collect them
  [[nodiscard]] bool company_may_come(const stage_run& stage) const;
  task<item*> wait_for_company(stage_run& stage, detail::time_point until);
  static void wait_for_no_company(stage_run& stage);
  task<> collect(stage_run& stage);
  task<> gather_members(stage_run& stage, std::vector<item*>& members);
  void let_in(stage_run& stage, std::vector<item*>& members, item& work);
  [[nodiscard]] item& join(stage_run& stage, std::vector<item*>& members);

  // delivery.cpp: batches into a sink
  task<> deliver(stage_run& stage);
  task<> gather_batch(stage_run& stage, std::vector<item*>& batch);
  task<> write_batch(stage_run& stage, std::vector<item*>& batch);
  task<std::optional<write_result>> write_once(stage_run& stage, std::vector<item*>& batch);
  task<> wait_out_outage(stage_run& stage, std::vector<item*>& batch, const std::string& error);
  void drop_batch(stage_run& stage, std::vector<item*>& batch, const std::string& error);
  void sort_out(stage_run& stage, std::vector<item*>& batch, write_result result);
  void sort_out_in_order(stage_run& stage, std::vector<item*>& batch, const write_result& result);
  void add_to_batch(stage_run& stage, std::vector<item*>& batch, item& work);
  [[nodiscard]] std::vector<partition_mark> marks_with(const stage_run& stage,
                                                       const std::vector<item*>& batch) const;

  // settlement.cpp: one outcome an item, recorded, then acknowledged
  void settle(item& work, outcome result, std::string_view stage, std::string error,
              std::unique_ptr<letter> dead = nullptr);
  void settle_parent(item& parent);
  void put_down(item& work, outcome result, std::string_view stage, std::string error,
                std::unique_ptr<letter> dead, int in_sink);
  void part_with(item& work, outcome result, int in_sink);
  void settle_members(detail::joined_items& joined, outcome result, int in_sink);
  void count_outcome(const item& work, outcome result);
  void write_down(item& work, outcome result, std::string_view stage, std::string error,
                  std::unique_ptr<letter> dead, int in_sink);
  [[nodiscard]] bool is_plain(const item& work, outcome result) const;
  [[nodiscard]] settlement settlement_of(item& work, outcome result, std::string_view stage,
                                         std::string error, std::unique_ptr<letter> dead);
  [[nodiscard]] wall_time wall_now();
  void count_at_stage(item& work, outcome result);
  [[nodiscard]] bool outcomes_are_read() const;
  [[nodiscard]] bool tells(const item& work) const;
  [[nodiscard]] bool may_be_in_a_sink(const detail::item& work) const;
  [[nodiscard]] std::unique_ptr<detail::journaled::told_item> what_to_tell(
      const item& work, outcome result, std::string_view stage, const std::string& error) const;
  void tell(std::uint32_t partition, detail::journaled::told_item& told);
  void release(item& work);
  void flush(sink_token token);
  void record_outbox();
  task<> keep_state();
  task<> keep_last_state();
  task<> keep_books();
  void durable_up_to(std::uint64_t number);
  void acknowledge(std::uint32_t partition);
  void journal_failed(const std::string& error);
  task<> all_durable();
  void move_deadline(std::chrono::nanoseconds from_now);
  void return_the_unrecorded();
  void return_the_rest();
  [[nodiscard]] bool a_sink_keeps_marks() const;
  [[nodiscard]] bool a_sink_is_in_doubt() const;

  // engine_status.cpp: how it goes, for a status board
  void show_on_board();
  void leave_board() noexcept;
  task<> keep_board();
  void look_for_progress();
  static void measure_batch(const stage_run& stage, const std::vector<item*>& batch);
  void measure_delivered(const stage_run& stage, const std::vector<item*>& batch,
                         const write_result& result);
  [[nodiscard]] bool is_pending() const;
  [[nodiscard]] status_phase phase_now() const;
  [[nodiscard]] stage_status status_of(const stage_run& stage) const;
  void add_workers(const stage_run& stage, stage_status& line) const;
  void add_write(const stage_run& stage, stage_status& line) const;
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
  std::vector<std::unique_ptr<stage_run>> stages_;  ///< in the order of the plan
  std::uint64_t optional_open_max_ = 0;             ///< of a branch that is not required
  detail::link_list live_;
  std::unordered_map<std::string, std::unique_ptr<detail::order_key>> order_keys_;
  std::unique_ptr<detail::order_key> source_order_;  ///< of all items, with `order: source`
  detail::taken_items in_hand_;                      ///< read, not yet received
  item* arriving_ = nullptr;                         ///< received, on its way into the first queue

  std::vector<std::string> partitions_;
  std::deque<detail::item_names> names_;  ///< of each
  std::vector<watermark> watermarks_;
  std::vector<std::optional<mark>> finished_before_;  ///< when that is more than is accounted for
  engine_resume resume_;
  std::size_t window_items_ = 0;
  std::size_t window_bytes_ = 0;
  event window_moved_{"room in the window"};

  settled_batch outbox_;
  std::vector<sink_token> tokens_;  ///< to be recorded with it
  std::vector<detail::journaled::entry> outbox_entries_;
  std::deque<detail::journaled> in_journal_;
  event outbox_filled_{"something to record"};
  event journal_idle_{"outcomes durable"};
  bool journal_keeps_delivered_ = true;
  bool source_wants_outcomes_ = false;
  bool journal_broken_ = false;
  bool in_doubt_ = false;  ///< a sink may have what is returned now
  bool waits_for_journal_ = false;

  std::uint64_t taken_ = 0;
  std::uint64_t units_taken_ = 0;
  std::uint64_t units_before_ = 0;  // finished when the source was opened
  std::array<std::uint64_t, outcome_count> settled_{};
  std::vector<source_report> sources_;         ///< `settled_` and `taken_` by source
  std::vector<std::size_t> partition_source_;  ///< where a partition's items are counted
  std::vector<dead_letter_report> dead_letters_;
  detail::time_point started_;
  detail::time_point wall_read_at_{};
  wall_time wall_{};
  std::optional<detail::time_point> stop_deadline_;  ///< once a drain has begun
  std::string journal_full_;                         ///< what is; empty: it has room
  detail::time_point journal_full_since_;
  bool source_ended_ = false;
  int stop_code_ = 0;
  std::string stop_reason_;
  std::uint64_t random_state_;

  task_group* helpers_ = nullptr;
  task_group* work_group_ = nullptr;
  cancel_scope* open_scope_ = nullptr;
  cancel_scope* intake_scope_ = nullptr;
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
