// What must be true where ways part: at each step, after each run, and in the end.
#include "sim/fork_scenario.hpp"
#include "sim/fork_stage.hpp"

#include <algorithm>

namespace brigade::sim {

using testing::fake_sink_kind;
using kind = stage_model::kind;

void fork_scenario::learn_rows() {
  const auto& rows = journal_.rows();
  for (; rows_known_ < rows.size(); ++rows_known_) {
    const row& next = rows[rows_known_];
    const bool again = final_.contains(next.what.id);
    require(!again, "item " + next.what.id + " was settled again" + history(next.what.id));
    if (again || next.what.result == outcome::returned) continue;
    final_.emplace(next.what.id, &next);
    if (next.what.result == outcome::dropped) ++dropped_;
    if (next.what.dead == nullptr) continue;
    given_up_.insert(next.what.dead->payload);
    if (next.what.error.starts_with("in a batch")) ++joined_letters_;
    const auto index = static_cast<std::size_t>(next.what.dead->stage_index);
    require(index < names_.size() && names_[index] == next.what.stage,
            "the letter of " + next.what.id + " knows its stage by another number");
    const std::string root = next.partition + ":" + std::to_string(next.what.begin);
    require(next.what.dead->source_payload == root, "a letter lost what it was at first");
    require(next.what.dead->payload.find('[') == std::string::npos || !next.what.part.empty() ||
                next.what.dead->payload != root,
            "a letter holds a batch");
  }
}

void fork_scenario::check_report(const report& account) {
  learn_rows();
  require(account.adds_up(), "the report does not add up: " + account.line());
  require(account.in_flight == 0, "the run ended with items in flight");
  for (const stage_report& each : account.stages) {
    require(each.in_flight == 0, "the run ended with items in stage " + each.name);
  }
  std::array<std::uint64_t, outcome_count> recorded{};
  for (const row& each : journal_.rows()) {
    if (each.run != journal_.run() || !each.what.part.empty()) continue;
    ++recorded[static_cast<std::size_t>(each.what.result)];
  }
  for (const outcome each : all_outcomes) {
    const auto at = static_cast<std::size_t>(each);
    const bool holds = each == outcome::returned ? recorded[at] <= account.count(each)
                                                 : recorded[at] == account.count(each);
    require(holds, "journal and report differ: " + account.line());
  }
  complete_ = account.exit_code == 0 || account.exit_code == 3;
  require(!complete_ || account.count(outcome::returned) == 0, "done, and items were returned");
  taken_ = account.taken;
}

// --- in the end ---

void fork_scenario::follow(const fork_model& chain, std::size_t stage, const std::string& text,
                           bool required, std::vector<leaf>& leaves,
                           std::vector<std::string>& on) const {
  if (stage == chain.stages.size()) {
    if (chain.sink >= 0) {
      leaves.push_back({chain.sink, text, required});
    } else {
      on.push_back(text);
    }
    return;
  }
  const stage_model& model = chain.stages[stage];
  std::vector<std::string> behind;
  switch (model.what) {
    case kind::batch:
    case kind::apart:
      behind.push_back(text);
      break;
    case kind::work:
      if (!is_refused(model, text)) behind = parts_of(model, text);
      break;
    case kind::route: {
      const std::size_t way = way_of(model, text);
      if (way < model.branches.size()) {
        follow(model.branches[way], 0, text, required, leaves, behind);
      }
      break;
    }
    case kind::tee:
      for (const fork_model& branch : model.branches) {
        follow(branch, 0, text, required && branch.required, leaves, behind);
      }
      behind.push_back(text);
      break;
  }
  for (const std::string& each : behind) follow(chain, stage + 1, each, required, leaves, on);
}

void fork_scenario::check_account() {
  for (const auto& partition : store_.partitions()) {
    for (const auto& entry : partition.entries) check_item(entry.text);
  }
  check_tables();
}

// It or what it was made of is a dead letter.
bool fork_scenario::is_given_up(const std::string& text) const {
  for (std::size_t at = text.size(); at != std::string::npos; at = text.rfind('/', at - 1)) {
    if (given_up_.contains(text.substr(0, at))) return true;
  }
  return false;
}

void fork_scenario::check_item(const std::string& id) {
  const auto found = final_.find(id);
  if (found == final_.end()) return problem("item " + id + " has no outcome" + history(id));
  const outcome result = found->second->what.result;
  require(result != outcome::dropped,
          "item " + id + " was dropped, and nobody said that it may be");
  std::vector<leaf> leaves;
  std::vector<std::string> on;
  follow(model_, 0, id, true, leaves, on);
  for (const leaf& each : leaves) {
    end& to = *ends_[static_cast<std::size_t>(each.sink)];
    to.wanted.insert(each.text);
    if (result != outcome::delivered || !each.required || is_given_up(each.text)) continue;
    const bool there = std::ranges::any_of(to.table.rows, [&](const auto& got) {
      const auto members = members_of(got.text);
      return std::ranges::find(members, each.text) != members.end();
    });
    require(there, "item " + id + " is delivered, and sink" + std::to_string(each.sink) +
                       " does not have " + each.text + history(id));
  }
  const bool expects = std::ranges::any_of(
      leaves, [&](const leaf& each) { return each.required && !is_given_up(each.text); });
  require(result != outcome::filtered || !expects,
          "item " + id + " was filtered on its way to a sink" + history(id));
}

void fork_scenario::check_tables() {
  for (std::size_t n = 0; n < ends_.size(); ++n) {
    const end& to = *ends_[n];
    std::map<std::string, int> count;
    for (const auto& got : to.table.rows) {
      for (const std::string& text : members_of(got.text)) {
        const std::string where = " in sink" + std::to_string(n) + history(text);
        require(to.wanted.contains(text), text + " has no business" + where);
        const bool twice = ++count[text] > 1 && to.exact && to.kind != fake_sink_kind::plain;
        require(!twice, text + " is twice" + where);
      }
    }
  }
}

/// `work route [sink0 | sink1] batch sink2`
std::string fork_scenario::drawing_of(const fork_model& chain) {
  constexpr std::array<std::string_view, 5> names = {"work", "route", "tee", "batch", "apart"};
  std::string text = chain.required ? "" : "optional ";
  for (const stage_model& stage : chain.stages) {
    text += names[static_cast<std::size_t>(stage.what)];
    std::string ways;
    for (const fork_model& each : stage.branches)
      ways += (ways.empty() ? "" : " | ") + drawing_of(each);
    text += (stage.branches.empty() ? " " : " [" + ways + "] ");
  }
  return text + (chain.sink < 0 ? "on" : "sink" + std::to_string(chain.sink));
}

std::string fork_scenario::history(const std::string& id) const {
  const std::string root = id.substr(0, id.find('/'));
  std::string text = "\n  " + drawing_of(model_) + "\n  history of " + root;
  for (const row& each : journal_.rows()) {
    if (each.what.id != root && !each.what.id.starts_with(root + "/")) continue;
    text += "\n    run " + std::to_string(each.run) + ": " + each.what.id + " " +
            std::string(to_string(each.what.result)) + " at " + each.what.stage + " " +
            each.what.error;
  }
  for (std::size_t n = 0; n < ends_.size(); ++n) {
    for (const auto& each : ends_[n]->table.rows) {
      if (each.text.find(root) == std::string::npos) continue;
      text += "\n    in sink" + std::to_string(n) + " (kind " +
              std::to_string(static_cast<int>(ends_[n]->kind)) + "): " + each.id + " " + each.text;
    }
  }
  return text;
}

}  // namespace brigade::sim
