// What must be true of a simulated pipeline: at each step, after each run, and in the end.
#include "sim/pipeline_scenario.hpp"

#include <algorithm>

namespace brigade::sim {

using testing::fake_sink_kind;

namespace {

bool is_final(const settlement& what) { return what.result != outcome::returned; }

bool is_within(const std::string& id, const std::string& parent) {
  return id.size() > parent.size() && id.starts_with(parent) && id[parent.size()] == '/';
}

// Where an item stands among those of its partition: `p0:t:17/2/0` is { 17, 2, 0 }.
std::vector<std::uint64_t> place_of(const std::string& id) {
  std::vector<std::uint64_t> place;
  std::size_t at = id.rfind(':');
  while (at != std::string::npos) {
    place.push_back(std::stoull(id.substr(at + 1)));
    at = id.find('/', at + 1);
  }
  return place;
}

std::string partition_of(const std::string& id) { return id.substr(0, id.rfind(':')); }

}  // namespace

// What became durable since it was last looked at.
void pipeline_scenario::learn_rows() {
  const auto& rows = journal_.rows();
  for (; rows_known_ < rows.size(); ++rows_known_) {
    const row& next = rows[rows_known_];
    const auto known = final_.find(next.what.id);
    const bool again = known != final_.end();
    require(!again, "item " + next.what.id + " was settled again, as " +
                        std::string(to_string(next.what.result)) + ", after it was " +
                        (again ? std::string(to_string(known->second->what.result)) : ""));
    if (!again && is_final(next.what)) final_.emplace(next.what.id, &next);
  }
}

void pipeline_scenario::check_report(const report& account) {
  learn_rows();
  require(account.adds_up(), "the report does not add up: " + account.line());
  require(account.in_flight == 0, "the run ended with items in flight");
  std::array<std::uint64_t, outcome_count> recorded{};
  for (const row& each : journal_.rows()) {
    if (each.run != journal_.run() || !each.what.part.empty()) continue;
    ++recorded[static_cast<std::size_t>(each.what.result)];
  }
  for (const outcome each : all_outcomes) {
    const auto at = static_cast<std::size_t>(each);
    // What was returned may not have been written down any more: when the journal broke.
    if (each == outcome::returned ? recorded[at] > account.count(each)
                                  : recorded[at] != account.count(each)) {
      problem("the journal says that " + std::to_string(recorded[at]) + " were " +
              std::string(to_string(each)) + "; the report: " + account.line());
    }
  }
  const bool letters = account.count(outcome::dead_lettered) + account.count(outcome::dropped) != 0;
  const std::uint64_t returned = account.count(outcome::returned);
  switch (account.exit_code) {
    case 0:
    case 3:
      require((account.exit_code == 3) == letters, "the exit code is not true: " + account.line());
      require(returned == 0, "done, it says, and items were returned: " + account.line());
      complete_ = true;
      break;
    case 5:
      break;
    default:
      require(account.exit_code == 1 || account.exit_code == 4, "no such exit code");
      require(!account.error.empty(), "a run failed and did not say why");
  }
  taken_ = account.taken;
}

void pipeline_scenario::check_closed(engine& after) {
  const auto& from = static_cast<const testing::fake_source&>(*after.plan().from);
  const auto& to = static_cast<const testing::fake_sink&>(*after.plan().to);
  require(!from.is_open(), "the run ended and its source is open");
  require(!to.is_open(), "the run ended and its sink is open");
  require(stage_log_.open == 0, "the run ended and a stage is open");
}

// --- in the end ---

// For failure messages: all that is known of an item and its children.
std::string pipeline_scenario::history(const std::string& id) const {
  std::string text =
      "\n  sink " + std::to_string(static_cast<int>(sink_kind_)) + ", history of " + id;
  for (const row& each : journal_.rows()) {
    if (each.what.id != id && !is_within(each.what.id, id)) continue;
    text += "\n    run " + std::to_string(each.run) + ": " + each.what.id + " " +
            std::string(to_string(each.what.result)) + " at " + each.what.stage + " " +
            each.what.error;
  }
  for (const auto& each : table_.rows) {
    if (each.id == id || is_within(each.id, id)) text += "\n    in the sink: " + each.id;
  }
  return text;
}

void pipeline_scenario::check_account() {
  for (const auto& partition : store_.partitions()) {
    for (const auto& entry : partition.entries) check_item(entry.text, 0, true);
  }
  for (const auto& [id, known] : final_) {
    if (known->what.dead != nullptr) check_letter(*known);
  }
  check_table();
  if (order_ == item_order::none) return;
  check_order();
  if (holds_keys_) check_held();
}

// The item that came into this stage, and whatever became of it. `must`: it has an outcome.
void pipeline_scenario::check_item(const std::string& id, int from_stage, bool must) {
  const auto found = final_.find(id);
  const row* const final = found == final_.end() ? nullptr : found->second;
  if (final == nullptr && must) problem("item " + id + " has no outcome" + history(id));
  const bool delivered = final != nullptr && final->what.result == outcome::delivered;
  const auto splits = std::find_if(shapes_.begin() + from_stage, shapes_.end(),
                                   [&](const stage_shape& each) { return each.splits(id); });
  if (splits == shapes_.end()) {
    if (delivered) check_delivered(id);
    return;
  }
  // Delivered it was for all its children. With another outcome it may have failed in a later run,
  // before it was split again.
  for (std::size_t n = 0; n < splits->children_of(id); ++n) {
    const std::string child = id + "/" + std::to_string(n);
    check_item(child, splits->index + 1, delivered);
    const auto known = final_.find(child);
    const bool together = delivered && known != final_.end() && known->second->run == final->run;
    const bool lost = together && (known->second->what.result == outcome::dead_lettered ||
                                   known->second->what.result == outcome::dropped);
    require(!lost, "item " + id + " counts as delivered, and its child " + child + " does not");
  }
}

void pipeline_scenario::check_delivered(const std::string& id) {
  ++delivered_leaves_;
  const auto rows = std::ranges::count(table_.rows, id, &testing::fake_table::row::id);
  if (rows == 0) problem("the sink does not have " + id + ", which is delivered" + history(id));
  if (rows > 1 && sink_kind_ != fake_sink_kind::plain) {
    problem("item " + id + " was delivered twice" + history(id));
  }
}

void pipeline_scenario::check_letter(const row& dead) {
  const std::string& id = dead.what.id;
  const std::string root = dead.partition + ":" + std::to_string(dead.what.begin);
  require(root == id || is_within(id, root), "letter " + id + " is not of item " + root);
  require(id_in(dead.what.dead->payload) == id, "letter " + id + " holds another item");
  require(dead.what.dead->source_payload == root, "letter " + id + " lost what it was at first");
}

void pipeline_scenario::check_table() {
  int changes = 0;
  for (const stage_shape& each : shapes_) changes += each.transforms ? 1 : 0;
  for (const auto& each : table_.rows) {
    require(id_in(each.text) == each.id, "row " + each.id + " holds '" + each.text + "'");
    require(changes_in(each.text) == changes, "row " + each.id + " did not go through each stage");
    const auto known = final_.find(each.id);
    const bool told = known != final_.end() && known->second->what.result == outcome::delivered;
    // A sink that is not cut may have rows of a run that was killed before it could say so.
    require(told || sink_kind_ == fake_sink_kind::plain,
            "the sink has " + each.id + ", and the journal does not know of it");
  }
  const bool exact = sink_kind_ != fake_sink_kind::plain;
  require(!exact || table_.rows.size() == delivered_leaves_,
          "the sink has rows of items that nobody sent");
}

// A sink that is not cut may have a row twice, of a run that was killed: the first one counts.
void pipeline_scenario::check_order() {
  std::set<std::string> seen;
  std::map<std::string, std::string> last;  // by partition and key
  for (const auto& each : table_.rows) {
    const std::string key = key_of(each.id);
    if (key.empty() || was_given_up(each.id) || !seen.insert(each.id).second) continue;
    std::string& before = last[partition_of(each.id) + " " + key];
    if (!before.empty() && place_of(each.id) < place_of(before)) {
      problem("item " + each.id + " was delivered after " + before + ", of the same key" +
              history(before) + history(each.id));
    }
    before = each.id;
  }
}

bool pipeline_scenario::was_given_up(const std::string& id) const {
  for (std::size_t end = id.size(); end != std::string::npos; end = id.rfind('/', end - 1)) {
    if (given_up_.contains(id.substr(0, end))) return true;
  }
  return false;
}

// Behind a dead letter no item of its key was delivered in that run.
void pipeline_scenario::check_held() {
  for (const auto& [id, letter] : final_) {
    const std::string key = key_of(id);
    const bool holds = letter->what.dead != nullptr && letter->what.stage != "source";
    if (!holds || key.empty()) continue;
    for (const auto& [other, known] : final_) {
      const bool behind = known->run == letter->run && key_of(other) == key &&
                          partition_of(other) == partition_of(id) && place_of(other) > place_of(id);
      require(!behind || known->what.result != outcome::delivered,
              "item " + other + " was delivered behind the dead letter " + id + history(id) +
                  history(other));
    }
  }
}

}  // namespace brigade::sim
