#include "connect/socket_source.hpp"

#include "connect/intake_opening.hpp"

#include <brigade/async/thread.hpp>
#include <brigade/pipeline/log.hpp>

#include <array>
#include <charconv>
#include <exception>
#include <random>
#include <stdexcept>
#include <utility>

namespace brigade {
namespace {

std::unique_ptr<listening_socket> listen_on(const listen_options& options) {
  return std::make_unique<listening_socket>(options);
}

std::string draw_token() {
  std::random_device draw;
  std::array<char, 8> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), draw(), 16).ptr;
  return {digits.data(), end};
}

std::string_view name_of(socket_format format) {
  constexpr std::array<std::string_view, 4> names = {"lines", "ndjson", "syslog", "bytes"};
  return names[static_cast<std::size_t>(format)];
}

}  // namespace

socket_source::socket_source(socket_options options)
    : options_(std::move(options)), written_(options_.listen.at.text()) {}
socket_source::~socket_source() = default;

task<> socket_source::open(std::vector<partition_mark> resume, std::string) {
  // The sockets first: whoever listens there already has the journal, too.
  auto listening = to_thread(&listen_on, options_.listen);
  std::unique_ptr<listening_socket> socket = co_await std::move(listening);
  options_.listen.at = socket->at();
  if (options_.journal) {
    auto opening = open_intake(*options_.journal, options_.name,
                               "nothing is read until there is room", std::move(resume));
    opened_intake opened = co_await std::move(opening);
    inbox_ = make_journal_inbox(std::move(opened.journal));
    partitions_.push_back(std::move(opened.partition));
    done_ = std::move(opened.done);
  } else {
    inbox_ = make_memory_inbox();
    forget_earlier_runs(resume);
  }
  const std::uint64_t given = socket->receive_buffer();
  const auto serve = options_.listen.at.is_stream() ? &serve_streams : &serve_datagrams;
  server_ = serve(options_, std::move(socket), inbox_, options_.journal.has_value(),
                  [this](const std::string& why) { failed(why); });
  std::string text = "source '" + options_.name + "' listens on " + options_.listen.at.text();
  if (options_.listen.receive_buffer && given < *options_.listen.receive_buffer) {
    text += " with a receive buffer of " + std::to_string(given) +
            " bytes: the kernel allows no more (net.core.rmem_max)";
  }
  log_line(text);
}

// What they gave cannot come again, under no name.
void socket_source::forget_earlier_runs(const std::vector<partition_mark>& resume) {
  partitions_.push_back(options_.name + ":" + draw_token());
  for (const partition_mark& each : resume) {
    forgotten_.push_back(static_cast<std::uint32_t>(partitions_.size()));
    partitions_.push_back(each.partition);
  }
}

std::vector<std::uint32_t> socket_source::take_forgotten() {
  for (const std::uint32_t index : forgotten_) partitions_[index].clear();
  return std::exchange(forgotten_, {});
}

task<std::vector<source_item>> socket_source::read(std::size_t items_max) {
  std::vector<intake_item> taken;
  std::exception_ptr stopped;
  {
    cancel_scope scope;
    struct reads {
      cancel_scope*& at;
      ~reads() { at = nullptr; }
    } const at_end{reading_};
    reading_ = &scope;
    try {
      if (!failed_.empty()) throw std::runtime_error(failed_);
      auto taking = inbox_->take(items_max);
      taken = co_await std::move(taking);
    } catch (const cancelled&) {
      if (scope.caused_cancellation()) scope.cancellation_ended();
      stopped = std::current_exception();
    }
  }
  if (!failed_.empty()) throw std::runtime_error(failed_);
  if (stopped) {
    // What was read from the sockets and cannot be kept is given now, however much it is: the
    // engine takes it one by one.
    server_->stop();
    taken = inbox_->take_rest();
    if (taken.empty()) std::rethrow_exception(stopped);
  }
  co_return items_of(std::move(taken));
}

std::vector<source_item> socket_source::items_of(std::vector<intake_item> taken) const {
  std::vector<source_item> items;
  items.reserve(taken.size());
  for (const intake_item& each : taken) {
    socket_item made = unpack_frame(options_.format, each.payload, options_.line_bytes_max);
    items.emplace_back(payload(std::move(made.value)), 0, each.position, each.position + 1);
    items.back().undecodable = std::move(made.undecodable);
  }
  return items;
}

std::optional<std::string> socket_source::decode(payload& value) const {
  socket_item made = decode_again(options_.format, value.get<record>(), options_.line_bytes_max);
  value = payload(std::move(made.value));
  return std::move(made.undecodable);
}

void socket_source::acknowledge(std::uint32_t partition, const watermark& at) {
  if (partition != 0 || inbox_ == nullptr) return;
  if (options_.journal) done_ = at.at();
  inbox_->trim(at.low());
}

task<> socket_source::close() {
  if (server_ != nullptr) {
    server_->stop();
    auto finishing = server_->finish();
    co_await std::move(finishing);
  }
  if (inbox_ != nullptr) {
    auto closing = inbox_->close();
    co_await std::move(closing);
  }
  std::string text = server_ == nullptr ? "" : server_->account();
  if (inbox_ != nullptr && inbox_->lost() != 0) {
    text += (text.empty() ? "" : "; ") + std::to_string(inbox_->lost()) +
            " items were received and are lost: they were not yet " +
            (options_.journal ? "in the journal" : "taken, and there is no journal");
  }
  const std::string left = left_in_intake(inbox_ == nullptr ? 0 : inbox_->unfinished(done_));
  if (!left.empty()) text += (text.empty() ? "" : "; ") + left;
  if (!text.empty()) log_line("source '" + options_.name + "': " + text);
  server_.reset();
  inbox_.reset();
}

std::string socket_source::fingerprint() const {
  const std::string what = options_.journal ? options_.journal->file.string() : written_;
  return "socket " + what + " " + std::string(name_of(options_.format));
}

void socket_source::failed(const std::string& why) {
  failed_ = why;
  if (reading_ != nullptr) reading_->cancel(why);
}

}  // namespace brigade
