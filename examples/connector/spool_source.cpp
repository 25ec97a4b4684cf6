#include "spool_source.hpp"

#include <brigade/async/thread.hpp>
#include <brigade/async/timeout.hpp>

#include <chrono>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace {

std::string content_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + file.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

// The ledger knew the outcome, and the process was killed before the file was removed.
brigade::task<> spool_source::open(std::vector<brigade::partition_mark> resume, std::string) {
  if (!std::filesystem::is_directory(folder_)) {
    throw std::runtime_error(folder_.string() + " is no folder; make it, or name another");
  }
  for (brigade::partition_mark& known : resume) {
    if (known.partition == partitions_[0]) done_ = std::move(known.at);
  }
  names left = look(folder_, 0);
  remove_finished(left, done_);
  co_return;
}

// Nothing is taken before the last wait, so a read that is cancelled has lost nothing.
brigade::task<std::vector<brigade::source_item>> spool_source::read(std::size_t items_max) {
  for (;;) {
    auto call = brigade::to_thread(&look, folder_, next_);
    const names found = co_await std::move(call);
    std::vector<brigade::source_item> items;
    for (const auto& [number, file] : found) {
      if (items.size() == items_max) break;
      next_ = number + 1;
      if (done_.finished(number)) continue;
      items.emplace_back(brigade::payload(content_of(file)), 0, number, number + 1);
      given_.emplace(number, file);
    }
    if (!items.empty()) co_return items;
    co_await brigade::sleep_for(std::chrono::milliseconds(20));
  }
}

void spool_source::acknowledge(std::uint32_t, const brigade::watermark& at) {
  remove_finished(given_, at.at());
}

spool_source::names spool_source::look(const std::filesystem::path& folder, std::uint64_t from) {
  names found;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".item") continue;
    const std::uint64_t number = std::stoull(entry.path().stem().string());
    if (number >= from) found.emplace(number, entry.path());
  }
  return found;
}

void spool_source::remove_finished(names& of, const brigade::mark& done) {
  std::erase_if(of, [&](const auto& entry) {
    std::error_code ignored;  // it is removed next time
    return done.finished(entry.first) && std::filesystem::remove(entry.second, ignored);
  });
}
