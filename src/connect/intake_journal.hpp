/// The intake journal: what came in by a way on which nothing can be asked for again (a socket, a
/// request that is answered at once) is on the disk before its sender, or anybody, is told so.
///
///   producers --append--> [queue] --one commit for all--> file --read--> the source --> engine
///                                                          ^                              |
///                                                          +------------ trim <-----------+
///
/// A thread of its own writes: while one commit is being synced the next ones' entries gather, so
/// many producers share a commit. An entry has a position (1, 2, 3, ...; see intake_store.hpp) by
/// which the engine knows it: the partition is `<source>:` and `token()`, the same in every run;
/// the mark of the engine says what was finished, and the rest is read again.
///
/// How to use it, as a source:
///   open    `journal_ = co_await intake_journal::open(options)`, then `start(mark)` with the mark
///           that `resume` has of the partition `name + ":" + journal_->token()`, or mark{}
///   read    `co_await journal_->read(items_max)`: item -> source_item(payload, 0, position,
///           position + 1)
///   acknowledge   `journal_->trim(at.low())`
///   close   once no producer is left: `co_await journal_->close()`
///
/// Ids: an entry whose id is there, unread, unfinished or finished not long ago (`ids_kept`), is
/// not added again; its place is that of the first one, and is told once that one is durable.
///
/// Full: when `bytes_max` is reached, or the disk has no room. Producers then wait, or are told so;
/// room comes back as items are trimmed, and a full disk is tried again each `full_retry_after`.
/// An entry that is larger than `bytes_max` goes in when nothing else is there.
///
/// Any other failure of the disk ends it: what was not told to be durable is not, and every wait,
/// now and later, throws std::runtime_error. Nothing is synced again after a sync that failed.
///
/// Killed at any instant: what `append` has returned of is there at the next start, and what it has
/// not may be.
///
/// Thread safety: the loop's thread, but for `offer`. Lifetime: inside its loop; destroying it
/// waits for the commit that is being made.
#pragma once
#include "connect/intake_store.hpp"

#include <brigade/async/task.hpp>
#include <brigade/pipeline/mark.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace brigade {

struct intake_options {
  std::filesystem::path file;
  std::uint64_t bytes_max = std::uint64_t{1} << 30;
  /// Of how many finished items, counted back from the newest, the ids are still known.
  std::uint64_t ids_kept = 1'000'000;
  std::chrono::milliseconds full_retry_after{1000};
  /// How much may be on its way to the disk before producers have to wait.
  std::size_t queue_bytes_max = std::size_t{16} << 20;
};

class intake_journal {
 public:
  enum class when_full : std::uint8_t { wait, tell };

  /// Throws std::runtime_error, for the user. Cancelled: the file is closed again, soon.
  static task<std::unique_ptr<intake_journal>> open(intake_options options);
  ~intake_journal();
  intake_journal(const intake_journal&) = delete;
  intake_journal& operator=(const intake_journal&) = delete;

  [[nodiscard]] const std::string& token() const;

  // --- producers ---
  /// Completes:  once all entries are durable, with the place of each; they are together and in
  ///             order, as one transaction. Nothing: the journal is full, and none was added (only
  ///             with when_full::tell).
  /// Cancelled:  throws `cancelled`; the entries may become durable all the same, and are then read
  ///             as if they had been told.
  /// Throws:     std::runtime_error when the journal has failed.
  task<std::optional<std::vector<intake_place>>> append(std::vector<intake_entry> entries,
                                                        when_full then = when_full::wait);
  /// The same from another thread, without waiting until they are durable: blocks while there is no
  /// room. False: they were not taken, since a stop was asked for, or the journal has failed or is
  /// closed. The loop holds an outside_hold as long as a thread may offer something.
  bool offer(std::vector<intake_entry> entries, const std::stop_token& stop);
  /// Completes when everything offered so far is durable. Throws as `append`.
  task<> flushed();
  /// How many entries were taken and are not durable (yet, or ever).
  [[nodiscard]] std::uint64_t unwritten() const;
  /// Why producers wait, for people; nothing while they need not.
  [[nodiscard]] std::optional<std::string> full() const;
  /// It is the disk that has no room.
  [[nodiscard]] bool disk_is_full() const;

  // --- the source ---
  /// Reads from there on, without what `done` calls finished. Once, before the first `read`.
  void start(const mark& done);
  /// Completes:  with the next durable items in order, at least one, at most `items_max`.
  /// Cancelled:  throws `cancelled`; nothing was taken.
  /// Throws:     std::runtime_error when the journal has failed.
  task<std::vector<intake_item>> read(std::size_t items_max);
  /// What is before `low` is finished, durably, and is removed once much has gathered, when room is
  /// short, and at the end. What is not removed when the program is killed is skipped at the next
  /// start, by the mark.
  void trim(std::uint64_t low);
  /// How many durable entries `done` does not call finished; also behind `close`.
  [[nodiscard]] std::uint64_t unfinished(const mark& done) const;

  /// Writes what was offered and what is to be trimmed, unless the disk is full, and closes the
  /// file. Appends that still wait fail.
  task<> close();

  /// Told when it becomes full, and with an empty text when it is not any more.
  std::function<void(const std::string& why)> on_full;

 private:
  class implementation;
  explicit intake_journal(std::unique_ptr<implementation> made);
  std::unique_ptr<implementation> impl_;
};

}  // namespace brigade
