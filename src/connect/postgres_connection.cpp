#include "connect/postgres_link.hpp"

#include <brigade/async/assert.hpp>

#include <charconv>
#include <map>
#include <system_error>

namespace brigade::postgres {
namespace {

constexpr std::size_t prepared_max = 200;  // the server keeps each as long as the connection lives
constexpr std::size_t copy_piece = std::size_t{64} << 10;

struct clears {
  void operator()(PGresult* result) const { PQclear(result); }
};

bool is_success(const PGresult* result) {
  switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
      return true;
    default:
      return false;
  }
}

bool is_copy(const PGresult* result) {
  const ExecStatusType status = PQresultStatus(result);
  return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

/// Parameters as libpq takes them.
class parameter_arrays {
 public:
  explicit parameter_arrays(const std::vector<parameter>& from) {
    for (const parameter& each : from) {
      types_.push_back(each.type());
      values_.push_back(each.value() ? each.value()->c_str() : nullptr);
      lengths_.push_back(each.value() ? static_cast<int>(each.value()->size()) : 0);
      formats_.push_back(each.is_binary() ? 1 : 0);
    }
  }
  [[nodiscard]] int count() const { return static_cast<int>(values_.size()); }
  [[nodiscard]] const Oid* types() const { return types_.data(); }
  [[nodiscard]] const char* const* values() const { return values_.data(); }
  [[nodiscard]] const int* lengths() const { return lengths_.data(); }
  [[nodiscard]] const int* formats() const { return formats_.data(); }

 private:
  std::vector<Oid> types_;
  std::vector<const char*> values_;
  std::vector<int> lengths_;
  std::vector<int> formats_;
};

/// What a statement is prepared for.
std::string key_of(const statement& what) {
  std::string key = what.sql;
  for (const parameter& each : what.parameters) key += "|" + std::to_string(each.type());
  return key;
}

using raw_results = std::vector<std::shared_ptr<PGresult>>;

}  // namespace

// --- results ---

std::size_t result::rows() const { return static_cast<std::size_t>(PQntuples(held_.get())); }
std::size_t result::columns() const { return static_cast<std::size_t>(PQnfields(held_.get())); }
std::string_view result::name(std::size_t column) const {
  return PQfname(held_.get(), static_cast<int>(column));
}
unsigned result::type(std::size_t column) const {
  return PQftype(held_.get(), static_cast<int>(column));
}
bool result::is_null(std::size_t row, std::size_t column) const {
  return PQgetisnull(held_.get(), static_cast<int>(row), static_cast<int>(column)) != 0;
}
std::string_view result::text(std::size_t row, std::size_t column) const {
  const int r = static_cast<int>(row);
  const int c = static_cast<int>(column);
  return {PQgetvalue(held_.get(), r, c), static_cast<std::size_t>(PQgetlength(held_.get(), r, c))};
}
std::int64_t result::integer(std::size_t row, std::size_t column) const {
  const std::string_view digits = text(row, column);
  std::int64_t value = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  BRIGADE_ASSERT(read.ec == std::errc{} && read.ptr == digits.data() + digits.size(),
                 "a value of a result is not an integer");
  return value;
}
std::uint64_t result::affected() const {
  const std::string_view digits = PQcmdTuples(held_.get());
  std::uint64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}
std::string_view result::command() const { return PQcmdStatus(held_.get()); }

// --- waits ---

task<> connection::implementation::flush() {
  for (;;) {
    const int left = PQflush(pq.get());
    if (left <= 0) co_return;  // a connection that is lost says why with the next result
    co_await socket->wait_either();
    if (PQconsumeInput(pq.get()) == 0) co_return;
  }
}

task<std::shared_ptr<PGresult>> connection::implementation::next() {
  while (PQisBusy(pq.get()) != 0) {
    co_await socket->wait_readable();
    if (PQconsumeInput(pq.get()) == 0) break;
  }
  co_return std::shared_ptr<PGresult>(PQgetResult(pq.get()), clears{});
}

void connection::implementation::drop() noexcept {
  socket.reset();
  pq.reset();
}

exchange::exchange(connection::implementation& with) : with_(with) {
  BRIGADE_ASSERT(!with.busy, "a connection was asked while it answers another question");
  if (with.pq == nullptr) throw error(error_kind::lost, {}, "the connection was closed");
  with.busy = true;
}

exchange::~exchange() {
  with_.busy = false;
  if (!done_) with_.drop();
}

void exchange::check(int worked) const {
  if (worked == 1) return;
  const bool is_lost = PQstatus(with_.pq.get()) == CONNECTION_BAD;
  throw error(is_lost ? error_kind::lost : error_kind::other, {},
              one_line(PQerrorMessage(with_.pq.get())));
}

void exchange::note(const PGresult* result, std::size_t statement) {
  if (failed_) return;
  failed_ = error_of(result, PQstatus(with_.pq.get()) == CONNECTION_BAD, statement);
}

void exchange::finish() {
  if (PQstatus(with_.pq.get()) == CONNECTION_BAD) {
    if (failed_) throw error(error_kind::lost, failed_->sqlstate(), failed_->what());
    throw error(error_kind::lost, {}, one_line(PQerrorMessage(with_.pq.get())));
  }
  done_ = true;
  if (failed_) throw error(*failed_);
}

namespace {

/// Takes what comes until the question is answered; `results` gets what succeeded.
task<> collect(connection::implementation& from, exchange& talk, raw_results& results) {
  for (;;) {
    const auto result = co_await from.next();
    if (result == nullptr) co_return;
    if (is_success(result.get())) {
      results.push_back(result);
    } else if (is_copy(result.get())) {
      throw error(error_kind::other, {}, "COPY where no COPY was asked for");
    } else {
      talk.note(result.get(), results.size());
    }
  }
}

/// What one statement of a pipeline gave; null: it failed, or one before it.
task<std::shared_ptr<PGresult>> answer(connection::implementation& from, exchange& talk,
                                       std::size_t statement) {
  std::shared_ptr<PGresult> given;
  for (;;) {
    auto result = co_await from.next();
    if (result == nullptr) co_return given;
    if (is_success(result.get())) {
      given = std::move(result);
    } else if (PQresultStatus(result.get()) != PGRES_PIPELINE_ABORTED) {
      talk.note(result.get(), statement);
    }
    if (PQstatus(from.pq.get()) == CONNECTION_BAD) co_return given;
  }
}

/// Sends the input of a COPY; `piece` is its beginning, and `goes_on` what came with it.
task<> send_rows(connection::implementation& to, const exchange& talk, std::string& piece,
                 bool goes_on, const std::function<bool(std::string&)>& more, bool* all_sent) {
  while (goes_on && !piece.empty()) {
    talk.check(PQputCopyData(to.pq.get(), piece.data(), static_cast<int>(piece.size())));
    co_await to.flush();
    piece.clear();
    goes_on = more(piece);
  }
  if (goes_on && all_sent != nullptr) *all_sent = true;
  talk.check(PQputCopyEnd(to.pq.get(), goes_on ? nullptr : "given up"));
  co_await to.flush();
}

struct frees {
  void operator()(char* memory) const { PQfreemem(memory); }
};

/// Takes the rows of a COPY as they come; false: `take` wants no more.
task<bool> receive_rows(connection::implementation& from, const exchange& talk,
                        const std::function<bool(std::string_view)>& take) {
  for (;;) {
    char* bytes = nullptr;
    const int size = PQgetCopyData(from.pq.get(), &bytes, 1);
    const std::unique_ptr<char, frees> held(bytes);
    if (size > 0) {
      std::string_view row(bytes, static_cast<std::size_t>(size));
      if (row.ends_with('\n')) row.remove_suffix(1);
      if (!take(row)) co_return false;
    } else if (size == 0) {
      co_await from.socket->wait_readable();
      talk.check(PQconsumeInput(from.pq.get()));
    } else {
      talk.check(size == -1 ? 1 : 0);
      co_return true;
    }
  }
}

}  // namespace

// --- questions ---

connection::connection(std::unique_ptr<implementation> impl) : impl_(std::move(impl)) {}
connection::connection(connection&& other) noexcept = default;
connection& connection::operator=(connection&& other) noexcept {
  if (this != &other) {
    if (impl_ != nullptr) close();
    impl_ = std::move(other.impl_);
  }
  return *this;
}
connection::~connection() = default;

bool connection::is_open() const {
  return impl_ != nullptr && impl_->pq != nullptr && PQstatus(impl_->pq.get()) == CONNECTION_OK;
}

void connection::close() noexcept {
  BRIGADE_ASSERT(!impl_->busy, "a connection was closed while it is asked");
  impl_->drop();
}

task<result> connection::query(std::string sql, std::vector<parameter> parameters) {
  implementation& at = *impl_;
  exchange talk(at);
  const parameter_arrays given(parameters);
  talk.check(PQsendQueryParams(at.pq.get(), sql.c_str(), given.count(), given.types(),
                               given.values(), given.lengths(), given.formats(), 0));
  co_await at.flush();
  raw_results raw;
  co_await collect(at, talk, raw);
  talk.finish();
  co_return result(raw.back());
}

task<std::vector<result>> connection::script(std::string sql) {
  implementation& at = *impl_;
  exchange talk(at);
  talk.check(PQsendQuery(at.pq.get(), sql.c_str()));
  co_await at.flush();
  raw_results raw;
  co_await collect(at, talk, raw);
  talk.finish();
  std::vector<result> all;
  for (auto& each : raw) all.push_back(result(std::move(each)));
  co_return all;
}

task<std::vector<result>> connection::copy_in(std::string sql, std::string_view rows) {
  std::function<bool(std::string&)> pieces = [&rows](std::string& piece) {
    piece = rows.substr(0, copy_piece);
    rows.remove_prefix(piece.size());
    return true;
  };
  auto whole = copy_in(std::move(sql), std::move(pieces));
  co_return co_await std::move(whole);
}

task<std::vector<result>> connection::copy_in(std::string sql,
                                              std::function<bool(std::string&)> more,
                                              bool* all_sent) {
  implementation& at = *impl_;
  exchange talk(at);
  talk.check(PQsendQuery(at.pq.get(), sql.c_str()));
  co_await at.flush();
  raw_results raw;
  std::string piece;
  const bool goes_on = more(piece);
  for (;;) {
    auto result = co_await at.next();
    if (result == nullptr) break;  // it failed before the COPY, or there was none
    if (PQresultStatus(result.get()) == PGRES_COPY_IN) {
      co_await send_rows(at, talk, piece, goes_on, more, all_sent);
    } else if (is_success(result.get())) {
      raw.push_back(std::move(result));
    } else {
      talk.note(result.get(), raw.size());
    }
  }
  talk.finish();
  std::vector<result> all;
  for (auto& each : raw) all.push_back(result(std::move(each)));
  co_return all;
}

// Not as a script is sent, so that it is one statement whatever somebody has put into it.
task<bool> connection::copy_out(std::string sql, std::function<bool(std::string_view)> take) {
  implementation& at = *impl_;
  exchange talk(at);
  talk.check(PQsendQueryParams(at.pq.get(), sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0));
  co_await at.flush();
  for (;;) {
    const auto result = co_await at.next();
    if (result == nullptr) break;
    if (PQresultStatus(result.get()) == PGRES_COPY_OUT) {
      const bool is_whole = co_await receive_rows(at, talk, take);
      if (!is_whole) co_return false;
    } else if (!is_success(result.get())) {
      talk.note(result.get(), 0);
    }
  }
  talk.finish();
  co_return true;
}

task<std::vector<result>> connection::pipeline(std::span<const statement> statements) {
  implementation& at = *impl_;
  exchange talk(at);
  talk.check(PQenterPipelineMode(at.pq.get()));
  std::map<std::string, std::string> fresh;  // to be remembered once they were prepared
  std::vector<std::string> answers;          // in order: what is prepared, or nothing
  for (const statement& each : statements) {
    const parameter_arrays given(each.parameters);
    const std::string key = key_of(each);
    const auto known = at.prepared.find(key);
    if (known == at.prepared.end() && at.prepared.size() + fresh.size() >= prepared_max) {
      talk.check(PQsendQueryParams(at.pq.get(), each.sql.c_str(), given.count(), given.types(),
                                   given.values(), given.lengths(), given.formats(), 0));
      answers.emplace_back();
      continue;
    }
    std::string name = known != at.prepared.end() ? known->second : fresh[key];
    if (name.empty()) {
      name = "b" + std::to_string(at.prepared.size() + fresh.size());
      fresh[key] = name;
      talk.check(
          PQsendPrepare(at.pq.get(), name.c_str(), each.sql.c_str(), given.count(), given.types()));
      answers.push_back(key);
    }
    talk.check(PQsendQueryPrepared(at.pq.get(), name.c_str(), given.count(), given.values(),
                                   given.lengths(), given.formats(), 0));
    answers.emplace_back();
  }
  talk.check(PQpipelineSync(at.pq.get()));
  co_await at.flush();
  std::vector<result> all;
  for (const std::string& key : answers) {
    const auto raw = co_await answer(at, talk, all.size());
    if (raw == nullptr) continue;
    if (key.empty()) {
      all.push_back(result(raw));
    } else {
      at.prepared.emplace(key, fresh[key]);
    }
  }
  const auto end = co_await at.next();  // of the pipeline
  if (end != nullptr) talk.check(PQexitPipelineMode(at.pq.get()));
  talk.finish();
  co_return all;
}

task<> connection::listen(const std::string& channel) {
  std::string sql = "LISTEN " + quoted_name(channel);
  co_await query(std::move(sql));
}

std::optional<notification> connection::take_notification() {
  if (impl_->pq == nullptr) return std::nullopt;
  PGnotify* const raw = PQnotifies(impl_->pq.get());
  if (raw == nullptr) return std::nullopt;
  notification heard(raw->relname, raw->extra);
  PQfreemem(raw);
  return heard;
}

task<notification> connection::next_notification() {
  implementation& at = *impl_;
  for (;;) {
    if (at.pq == nullptr) throw error(error_kind::lost, {}, "the connection was closed");
    if (auto heard = take_notification()) co_return *std::move(heard);
    co_await at.socket->wait_readable();
    BRIGADE_ASSERT(!at.busy, "a connection was asked while notifications are waited for");
    if (PQconsumeInput(at.pq.get()) == 1) continue;
    const error lost(error_kind::lost, {}, one_line(PQerrorMessage(at.pq.get())));
    at.drop();
    throw error(lost);
  }
}

bool connection::in_transaction() const {
  if (!is_open()) return false;
  const PGTransactionStatusType status = PQtransactionStatus(impl_->pq.get());
  return status == PQTRANS_INTRANS || status == PQTRANS_INERROR || status == PQTRANS_ACTIVE;
}
int connection::backend_pid() const { return PQbackendPID(impl_->pq.get()); }
int connection::server_version() const { return PQserverVersion(impl_->pq.get()); }

}  // namespace brigade::postgres
