/// The work of a source's own thread: fetching rows, writing outcomes, renewing the lease.
#pragma once
#include "connect/rows_desk.hpp"
#include "connect/rows_exchange.hpp"

#include <brigade/pipeline/mark.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace brigade::rows {

/// What is said of outages, and how long they are waited out.
class outage_book {
 public:
  /// `give_up_after` 0: for ever.
  explicit outage_book(exchange& to, std::string label, std::chrono::milliseconds give_up_after)
      : to_(to), label_(std::move(label)), give_up_after_(give_up_after) {}
  /// What is asked by tasks of its own: that one can do its part does not make up for another.
  enum part : std::uint8_t { fetching, writing, renewing, parts };
  /// Says so at the second failure in a row. Throws std::runtime_error when it has lasted too long.
  void failed(part of, const std::string& why);
  void worked(part of);

 private:
  exchange& to_;
  std::string label_;
  std::chrono::milliseconds give_up_after_;
  struct failures {
    std::optional<std::chrono::steady_clock::time_point> since;
    int count = 0;
  };
  std::array<failures, parts> failures_;
  bool said_ = false;
};

struct work_options {
  table_options table;
  mark done;           ///< of before
  std::string holder;  ///< of claims
};

/// Completes when it was asked to stop, or failed, and has said so. Throws nothing else.
task<> work_with_cursor(std::shared_ptr<exchange> between, work_options options,
                        std::unique_ptr<cursor_desk> desk);
task<> work_with_claims(std::shared_ptr<exchange> between, work_options options,
                        std::unique_ptr<claim_desk> desk);

}  // namespace brigade::rows
