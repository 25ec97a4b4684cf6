#include "connect/http_journal_desk.hpp"

#include "connect/http_body.hpp"

#include <brigade/async/timeout.hpp>

#include <exception>
#include <utility>

namespace brigade {
namespace {

// Of all that waits for a commit; one request always goes through.
constexpr std::size_t bytes_max = std::size_t{64} << 20;
constexpr std::size_t bodies_max = 10'000;
constexpr unsigned is_kept = 202;

}  // namespace

/// The items of one request, on their way into the journal.
struct http_journal_desk::posting {
  struct entry {
    std::string payload;
    std::string id;  ///< behind the source's name; empty: none
    std::uint64_t position = 0;
    std::optional<http_result> known;  ///< what became of it: it is over
  };
  std::vector<entry> entries;
  std::string key;
  std::size_t fingerprint = 0;    ///< of the body
  std::vector<named_body> noted;  ///< that were new
  std::size_t bytes = 0;
  bool is_batch = false;
  bool has_ids = false;
  bool may_be_kept = false;  ///< nobody knows
};

/// What a request takes of the memory of all.
class http_journal_desk::share {
 public:
  share(std::size_t& all, std::size_t own) : all_(all), own_(own) { all_ += own_; }
  ~share() { all_ -= own_; }
  share(const share&) = delete;
  share& operator=(const share&) = delete;

 private:
  std::size_t& all_;
  std::size_t own_;
};

http_journal_desk::http_journal_desk(http_journal_desk_options options,
                                     std::shared_ptr<intake_journal> journal)
    : options_(std::move(options)), journal_(std::move(journal)) {}

task<http_answer> http_journal_desk::post(http_request request) {
  if (stopping_) co_return http_error(503, http_is_stopping, true);
  posting made;
  if (auto refused = read_items(std::move(request), made)) co_return std::move(*refused);
  if (bytes_ != 0 && bytes_ + made.bytes > bytes_max) {
    co_return http_error(429, "too much waits for the journal; nothing was taken", true);
  }
  const share of_memory(bytes_, made.bytes);
  std::optional<http_answer> problem = note_bodies(made);
  if (!problem && made.has_ids && options_.memory) {
    auto remembering = remember(made);
    problem = co_await std::move(remembering);
  }
  if (!problem) {
    auto keeping = keep(made);
    problem = co_await std::move(keeping);
  }
  if (!problem) co_return answer_of(made);
  if (!made.may_be_kept) {
    for (const named_body& each : made.noted) forget(each);  // they are free again
  }
  co_return std::move(*problem);
}

/// An answer: they cannot be taken.
std::optional<http_answer> http_journal_desk::read_items(http_request request, posting& to) const {
  http_items given = items_of_body(request.kind, request.body, options_.items_max);
  if (given.status != 0) return http_error(given.status, given.error);
  to.key = std::move(request.key);
  to.fingerprint = std::hash<std::string>{}(request.body) ^ std::size_t{given.is_batch};
  to.is_batch = given.is_batch;
  to.entries.resize(given.items.size());
  const std::string of_key = to.key.empty() ? std::string() : http_id_of_key(to.key);
  for (std::size_t i = 0; i < given.items.size(); ++i) {
    posting::entry& each = to.entries[i];
    each.payload = given.items[i].raw();
    if (!of_key.empty()) {
      each.id = to.is_batch ? of_key + "#" + std::to_string(i + 1) : of_key;
    } else {
      each.id = own_id(std::move(given.items[i]));
    }
    to.has_ids = to.has_ids || !each.id.empty();
    to.bytes += sizeof(each) + each.payload.size() + each.id.size();
  }
  return std::nullopt;
}

std::string http_journal_desk::own_id(record item) const {
  if (!options_.item_id) return {};
  const std::string called = options_.item_id(payload(std::move(item)));
  return called.empty() ? std::string() : http_id_of_item(called);
}

/// False: this has come with another body.
bool http_journal_desk::note(const std::string& name, std::size_t fingerprint, posting& of) {
  const auto [known, is_new] = bodies_.try_emplace(name, body{fingerprint, next_body_});
  if (!is_new) return known->second.fingerprint == fingerprint;
  of.noted.emplace_back(name, next_body_);
  noted_.emplace_back(name, next_body_++);
  if (noted_.size() > bodies_max) {
    forget(noted_.front());
    noted_.pop_front();
  }
  return true;
}

void http_journal_desk::forget(const named_body& which) {
  const auto known = bodies_.find(which.first);
  if (known != bodies_.end() && known->second.number == which.second) bodies_.erase(known);
}

/// Of its key, or of each item that has an id of its own.
std::optional<http_answer> http_journal_desk::note_bodies(posting& what) {
  if (!what.key.empty()) {
    if (note(http_id_of_key(what.key), what.fingerprint, what)) return std::nullopt;
    return http_error(422, "this Idempotency-Key was given to another body");
  }
  for (const posting::entry& each : what.entries) {
    if (each.id.empty()) continue;
    if (note(each.id, std::hash<std::string>{}(each.payload), what)) continue;
    return http_error(
        422, "there was another item with the id of this one (" + each.id + "); nothing was taken");
  }
  return std::nullopt;
}

task<std::optional<http_answer>> http_journal_desk::remember(posting& what) {
  std::vector<std::string> ids;
  std::vector<std::size_t> of;
  for (std::size_t i = 0; i < what.entries.size(); ++i) {
    if (what.entries[i].id.empty()) continue;
    ids.push_back(options_.name + ":" + what.entries[i].id);
    of.push_back(i);
  }
  std::string failed;
  try {
    auto looking = options_.memory(std::move(ids));
    std::vector<std::optional<http_result>> results = co_await std::move(looking);
    for (std::size_t i = 0; i < results.size(); ++i) {
      // What was returned is in the journal still; what was dropped is not, and never comes again.
      if (results[i] && results[i]->what != outcome::returned) {
        what.entries[of[i]].known = results[i];
      }
    }
    co_return std::nullopt;
  } catch (const std::exception& error) {
    failed = error.what();
  }
  co_return http_error(503, failed, true);
}

/// Nothing: all of it is durable.
task<std::optional<http_answer>> http_journal_desk::keep(posting& what) {
  std::optional<http_answer> problem;
  try {
    auto appending = append(what);
    auto limited = timeout(options_.reply_timeout, std::move(appending));
    const bool is_kept_now = co_await std::move(limited);
    if (!is_kept_now) problem = refusal();
  } catch (const timed_out&) {
    what.may_be_kept = true;
    problem = http_error(504,
                         "it was not written in time, and may be written yet; with a key it "
                         "can be sent again");
  } catch (const std::exception&) {
    what.may_be_kept = true;
    // What the disk said is in the log: the run ends by it.
    problem = http_error(503, "the journal cannot be written; this may be kept, or not", true);
  }
  co_return problem;
}

/// False: there is no room.
task<bool> http_journal_desk::append(posting& what) {
  std::vector<intake_entry> entries;
  std::vector<std::size_t> of;
  for (std::size_t i = 0; i < what.entries.size(); ++i) {
    posting::entry& each = what.entries[i];
    if (each.known) continue;
    entries.push_back({std::move(each.payload), each.id});
    of.push_back(i);
  }
  if (entries.empty()) co_return true;
  auto appending = journal_->append(std::move(entries), intake_journal::when_full::tell);
  const std::optional<std::vector<intake_place>> places = co_await std::move(appending);
  if (!places) co_return false;
  for (std::size_t i = 0; i < of.size(); ++i) what.entries[of[i]].position = (*places)[i].position;
  co_return true;
}

http_answer http_journal_desk::refusal() const {
  if (journal_->disk_is_full()) {
    return http_error(503, "the disk of the journal is full; nothing was taken", true);
  }
  return http_error(429, "the journal is full; nothing was taken", true);
}

/// 207 where items have not all the same status.
http_answer http_journal_desk::answer_of(const posting& what) const {
  http_answer answer;
  answer.status = is_kept;
  if (what.is_batch) answer.body = "[";
  for (std::size_t i = 0; i < what.entries.size(); ++i) {
    const posting::entry& each = what.entries[i];
    const std::string id =
        options_.name + ":" +
        (each.id.empty() ? journal_->token() + ":" + std::to_string(each.position) : each.id);
    http_said said;
    said.id = id;
    said.status = each.known ? http_status_of(each.known->what) : is_kept;
    said.outcome = each.known ? to_string(each.known->what) : std::string_view("accepted");
    if (each.known) said.error = each.known->error;
    answer.status = i == 0 || answer.status == said.status ? said.status : 207;
    if (i != 0) answer.body += ",\n ";
    append_said(answer.body, said);
  }
  if (what.is_batch) answer.body += "]";
  return answer;
}

}  // namespace brigade
