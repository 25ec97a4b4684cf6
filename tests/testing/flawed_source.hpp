// A source with one flaw, which the connector suite has to find.
#pragma once
#include <brigade/async/cancel.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/connector_suite.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace brigade::testing {

using texts = std::vector<std::string>;

/// Items in memory, with positions 0, 1, 2, ...; it waits for more.
class flawed_far_source final : public source_far_side {
 public:
  explicit flawed_far_source(std::string flaw_) : flaw(std::move(flaw_)) {}
  std::unique_ptr<source> make_source() override;
  void feed(const texts& more) override { items.insert(items.end(), more.begin(), more.end()); }
  void go_down() override { is_down = true; }
  void come_back() override { is_down = false; }
  std::size_t acknowledged() override { return told; }

  const std::string flaw;
  texts items;
  bool is_down = false;
  std::size_t told = 0;
  std::size_t kept_position = 0;
};

class flawed_source final : public source {
 public:
  explicit flawed_source(flawed_far_source& far) : far_(far) {
    partitions_ = {"main:" + (has("new token") ? std::to_string(std::random_device{}()) : "0")};
  }
  ~flawed_source() override {
    if (has("must be closed") && is_open_) std::abort();
  }
  task<> open(std::vector<partition_mark> resume, std::string) override {
    if (far_.is_down && !has("does not look")) {
      throw std::runtime_error(has("silent error") ? "" : "the far side is down");
    }
    is_open_ = true;
    for (partition_mark& each : resume) {
      if (each.partition == partitions_[0] && !has("forgets")) done_ = std::move(each.at);
    }
    if (has("reads ahead") || has("stops, and loses what it has")) at_ = far_.kept_position;
    co_return;
  }
  task<std::vector<source_item>> read(std::size_t items_max) override {
    std::vector<source_item> given;
    if (has("cannot be cancelled")) {
      auto wait = shielded(std::chrono::seconds(5), sleep_for_long());
      co_await std::move(wait);
    }
    for (;;) {
      take(given, has("gives too many") ? 100 : items_max);
      far_.kept_position = at_;
      if (has("loses what it has") || has("stops, and loses what it has"))
        co_await sleep_for(std::chrono::milliseconds(1));
      if (!given.empty() || (has("ends early") && at_ != 0)) break;
      co_await sleep_for(std::chrono::milliseconds(1));
    }
    if (has("tells too early")) far_.told = at_;
    co_return given;
  }
  void acknowledge(std::uint32_t, const watermark& at) override {
    if (!has("tells too early")) far_.told = at.at().low;
  }
  task<> close() override {
    if (has("closes once") && std::exchange(was_closed_, true)) throw std::runtime_error("again");
    is_open_ = false;
    co_return;
  }
  [[nodiscard]] const std::vector<std::string>& partitions() const override { return partitions_; }
  [[nodiscard]] bool finite() const override { return false; }
  [[nodiscard]] std::string fingerprint() const override { return "flawed"; }

 private:
  [[nodiscard]] bool has(std::string_view flaw) const { return far_.flaw == flaw; }
  static task<> sleep_for_long() { co_await sleep_for(std::chrono::seconds(3)); }

  void take(std::vector<source_item>& to, std::size_t items_max) {
    if (has("makes things up") && far_.items.empty()) far_.items.emplace_back("made up");
    for (; to.size() < items_max && at_ < far_.items.size(); ++at_) {
      if (done_.finished(at_)) continue;
      std::string text = far_.items[at_];
      if (!pass(text)) continue;
      const std::uint64_t begin = has("one position") ? 0 : at_;
      to.emplace_back(payload(text), 0, begin, begin + 1);
      if (text == "bad") to.back().undecodable = "it is bad";
      if (has("gives twice") && at_ == 3) {
        to.back().end = begin;
        to.emplace_back(payload(std::move(text)), 0, begin, begin + 1);
      }
    }
  }
  // False: it is lost on the way.
  bool pass(std::string& text) const {
    if (text == "bad" && has("breaks on bad")) throw std::runtime_error("cannot read it");
    if (has("skips one") && at_ == 7) return false;
    if (has("skips empty") && text.empty()) return false;
    if (has("cuts at 64 KiB")) text.resize(std::min<std::size_t>(text.size(), 65536));
    if (has("cuts at zero")) text.resize(std::min(text.size(), text.find('\0')));
    if (has("is ASCII")) std::erase_if(text, [](char c) { return c < 0; });
    return true;
  }

  flawed_far_source& far_;
  std::vector<std::string> partitions_;
  mark done_;
  std::size_t at_ = 0;
  bool is_open_ = false;
  bool was_closed_ = false;
};

inline std::unique_ptr<source> flawed_far_source::make_source() {
  return std::make_unique<flawed_source>(*this);
}

inline source_description source_with(std::string flaw) {
  source_description what;
  what.name = "flawed";
  const bool stops = flaw.starts_with("stops");
  what.make = [flaw = std::move(flaw)] { return std::make_unique<flawed_far_source>(flaw); };
  what.texts.bad = "bad";
  what.goes_down = true;
  what.fed_while_open = true;
  what.hears_acknowledgements = true;
  what.stops_when_cancelled = stops;
  return what;
}

}  // namespace brigade::testing
