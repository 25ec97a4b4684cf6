// A sink with one flaw, which the connector suite has to find.
#pragma once
#include <brigade/async/timeout.hpp>
#include <brigade/testing/connector_suite.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace brigade::testing {

/// A file of texts, each behind its length, and beside it one with the mark: one after the other,
/// so that it is transactional but for a kill between them, which the suite does not time.
class flawed_far_sink final : public sink_far_side {
 public:
  using texts = std::vector<std::string>;
  explicit flawed_far_sink(std::string flaw_) : flaw(std::move(flaw_)) {
    std::string pattern = (std::filesystem::temp_directory_path() / "brigade-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    folder = pattern;
  }
  ~flawed_far_sink() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  std::unique_ptr<sink> make_sink() override;
  texts stored() override {
    texts all;
    std::ifstream file(folder / "rows", std::ios::binary);
    std::size_t size = 0;
    char colon = 0;
    while (file >> size && file.get(colon)) {
      std::string text(size, '\0');
      file.read(text.data(), static_cast<std::streamsize>(size));
      all.push_back(std::move(text));
    }
    return all;
  }
  void go_down() override { is_down = true; }
  void come_back() override { is_down = false; }

  const std::string flaw;
  std::filesystem::path folder;
  bool is_down = false;
};

class flawed_sink final : public sink {
 public:
  explicit flawed_sink(flawed_far_sink& far) : far_(far) {}
  ~flawed_sink() override {
    if (has("must be closed") && is_open_) std::abort();
  }
  task<std::vector<partition_mark>> open(const sink_resume& resume) override {
    if (far_.is_down && !has("blames items") && !has("drops while down")) {
      throw std::runtime_error("the far side is down");
    }
    is_open_ = true;
    std::vector<partition_mark> marks;
    std::ifstream file(far_.folder / mark_file(resume.epoch));
    partition_mark one;
    std::string above;
    if (file >> one.at.low >> one.partition >> above) {
      one.at = mark::decode(one.at.low, above);
      marks.push_back(std::move(one));
    }
    epoch_ = resume.epoch;
    if (has("writes a header")) put({"header"});
    if (has("forgets its marks")) marks.clear();
    co_return marks;
  }
  task<write_result> write(std::span<const sink_item> batch,
                           std::span<const partition_mark> marks) override {
    write_result result;
    result.failures.resize(batch.size());
    if (far_.is_down && fails_while_down(result)) co_return result;
    if (has("has a limit") && batch.size() > 1000) throw std::runtime_error("too many");
    texts rows;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const auto& text = batch[i].value->get<std::string>();
      if (text == "bad") result.failures[i].emplace(verdict::permanent, "it is bad");
      rows.push_back(shaped(text));
    }
    if (refuse(result)) co_return result;
    const bool is_cut_late = has("writes by halves, and begins late");
    if (is_cut_late) co_await sleep_for(std::chrono::milliseconds(1));
    if (has("writes by halves") || is_cut_late) {
      put({rows.front()});
      rows.erase(rows.begin());
      co_await sleep_for(std::chrono::milliseconds(1));
    }
    if (has("reverses")) std::ranges::reverse(rows);
    if (has("loses one") && rows.size() > 2) rows.pop_back();
    if (has("is late")) std::swap(rows, late_);
    if (has("writes when it closes")) {
      late_.insert(late_.end(), rows.begin(), rows.end());
      rows.clear();
    }
    put(rows);
    if (!has("has its marks too late")) keep(marks);
    co_return result;
  }
  task<> commit_marks(std::span<const partition_mark> marks) override {
    if (!has("keeps no marks alone")) keep(marks);
    co_return;
  }
  task<> close() override {
    if (has("closes once") && std::exchange(was_closed_, true)) throw std::runtime_error("again");
    put(std::exchange(late_, {}));
    is_open_ = false;
    co_return;
  }
  [[nodiscard]] bool transactional() const override { return true; }

 private:
  using texts = flawed_far_sink::texts;
  [[nodiscard]] bool has(std::string_view flaw) const { return far_.flaw == flaw; }
  [[nodiscard]] std::string mark_file(std::uint64_t epoch) const {
    return "marks" + (has("has one epoch") ? std::string() : std::to_string(epoch));
  }
  bool fails_while_down(write_result& result) const {
    if (has("drops while down")) return true;
    if (!has("blames items")) throw sink_down("the far side is down");
    for (auto& each : result.failures) each.emplace(verdict::retryable, "the far side is down");
    return true;
  }
  // True: an item of the batch is bad, and nothing is written.
  bool refuse(write_result& result) const {
    const auto bad = std::ranges::find_if(result.failures, [](auto& each) { return !!each; });
    if (bad == result.failures.end()) return false;
    if (has("breaks on bad")) throw std::runtime_error("bad");
    if (has("takes bad")) *bad = std::nullopt;
    if (has("refuses the batch")) {
      for (auto& each : result.failures) each.emplace(verdict::permanent, "one of us is bad");
    }
    return !has("takes bad");
  }
  [[nodiscard]] std::string shaped(std::string text) const {
    if (has("cuts at 64 KiB")) text.resize(std::min<std::size_t>(text.size(), 65536));
    if (has("cuts at zero")) text.resize(std::min(text.size(), text.find('\0')));
    if (has("is ASCII")) std::erase_if(text, [](char c) { return c < 0; });
    if (has("has no empty text") && text.empty()) text = "null";
    return text;
  }
  void put(const texts& rows) const {
    std::ofstream file(far_.folder / "rows", std::ios::binary | std::ios::app);
    for (const std::string& row : rows) file << row.size() << ":" << row;
  }
  void keep(std::span<const partition_mark> marks) const {
    for (const partition_mark& each : marks) {
      std::ofstream file(far_.folder / mark_file(epoch_));
      file << each.at.low << " " << each.partition << " " << each.at.encode_above() << "\n";
    }
  }

  flawed_far_sink& far_;
  std::uint64_t epoch_ = 0;
  texts late_;
  bool is_open_ = false;
  bool was_closed_ = false;
};

inline std::unique_ptr<sink> flawed_far_sink::make_sink() {
  return std::make_unique<flawed_sink>(*this);
}

inline sink_description sink_with(std::string flaw) {
  sink_description what;
  what.name = "flawed";
  what.make = [flaw = std::move(flaw)] { return std::make_unique<flawed_far_sink>(flaw); };
  what.texts.bad = "bad";
  what.goes_down = true;
  what.exactly_once = true;
  what.keeps_marks = true;
  return what;
}

}  // namespace brigade::testing
