#include "sim/fork_stage.hpp"

#include <brigade/async/timeout.hpp>

#include <utility>

namespace brigade::sim {

namespace {

class fork_stage final : public stage_body {
 public:
  fork_stage(const stage_model& model, std::size_t ways, const fork_faults& faults,
             std::uint64_t seed)
      : model_(model), ways_(ways), faults_(faults), random_(seed) {}

  [[nodiscard]] bool immediate() const override { return model_.what != stage_model::kind::work; }

  attempt_result run_now(payload& item, const attempt_info&) override {
    const auto& text = item.get<std::string>();
    if (chance(faults_.fails_one_in)) throw std::runtime_error("not now");
    switch (model_.what) {
      case stage_model::kind::route: {
        const std::size_t way = way_of(model_, text);
        return way < ways_ ? attempt_result::routed(way) : attempt_result::filtered();
      }
      case stage_model::kind::tee:
        return as_items(std::vector<std::string>(ways_, text));
      case stage_model::kind::batch:
        return attempt_result::unchanged();
      case stage_model::kind::apart:
        return as_items(members_of(text));
      case stage_model::kind::work:
        break;
    }
    if (chance(faults_.refuses_one_in)) throw permanent_error("refused today");
    if (chance(faults_.fatal_one_in)) throw fatal_error("the licence has expired");
    if (is_refused(model_, text)) throw permanent_error("refused");
    std::vector<std::string> parts = parts_of(model_, text);
    if (parts.size() == 1) return attempt_result::unchanged();
    return as_items(std::move(parts));
  }

  task<attempt_result> run(payload& item, const attempt_info& info) override {
    const auto most = static_cast<std::uint64_t>(faults_.delay_max.count());
    const milliseconds delay(random_.below(most + 1));
    if (delay.count() > 0) co_await sleep_for(delay);
    co_return run_now(item, info);
  }

  payload join(std::span<const payload* const> items) override {
    std::string all = "[";
    for (const payload* each : items) {
      if (all.size() > 1) all += ';';
      all += each->get<std::string>();
    }
    return payload(all + "]");
  }

 private:
  static attempt_result as_items(std::vector<std::string> texts) {
    std::vector<payload> values;
    for (std::string& each : texts) values.emplace_back(std::move(each));
    return attempt_result::split(std::move(values));
  }
  [[nodiscard]] bool chance(std::uint64_t one_in) { return one_in != 0 && random_.one_in(one_in); }

  const stage_model& model_;
  std::size_t ways_;
  fork_faults faults_;
  testing::random_source random_;
};

}  // namespace

std::uint64_t nature_of(const stage_model& model, std::string_view text, std::uint64_t salt) {
  std::uint64_t hash = model.seed + salt;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  return testing::random_source(hash).next();
}

bool is_refused(const stage_model& model, std::string_view text) {
  return model.refuses_one_in != 0 && nature_of(model, text, 1) % model.refuses_one_in == 0;
}

std::vector<std::string> parts_of(const stage_model& model, const std::string& text) {
  const bool splits =
      model.splits_one_in != 0 && nature_of(model, text, 2) % model.splits_one_in == 0;
  if (!splits) return {text};
  std::vector<std::string> parts;
  for (std::uint64_t n = 0; n < 2 + nature_of(model, text, 3) % 2; ++n) {
    parts.push_back(text + "/" + std::to_string(n));
  }
  return parts;
}

std::size_t way_of(const stage_model& model, std::string_view text) {
  return static_cast<std::size_t>(nature_of(model, text, 4) % model.ways);
}

std::vector<std::string> members_of(std::string_view text) {
  std::vector<std::string> members;
  std::string member;
  for (const char c : text) {
    const bool ends = c == '[' || c == ']' || c == ';';
    if (!ends) member += c;
    if (ends && !member.empty()) members.push_back(std::exchange(member, {}));
  }
  if (!member.empty()) members.push_back(member);
  return members;
}

std::unique_ptr<stage_body> make_fork_stage(const stage_model& model, std::size_t ways,
                                            const fork_faults& faults, std::uint64_t seed) {
  return std::make_unique<fork_stage>(model, ways, faults, seed);
}

}  // namespace brigade::sim
