// How many items a second the intake journal acknowledges, each durable on the disk before.
//
//   64 clients, one item of 200 bytes each under way ──> journal ──> a reader that trims
//
//   intake_journal_bench [CLIENTS] [ITEMS] [FILE]     [64] [200000] [a new one in this folder]
//   folder]
#include "connect/intake_journal.hpp"

#include <brigade/async.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>

namespace {

using brigade::intake_entry;
using brigade::intake_item;
using brigade::intake_journal;
using brigade::task;
using brigade::task_group;

task<> client(intake_journal& journal, std::uint64_t items) {
  for (std::uint64_t n = 0; n < items; ++n) {
    std::vector<intake_entry> one(1);
    one.front().payload.assign(200, 'x');
    auto done = journal.append(std::move(one));
    co_await std::move(done);
  }
}

task<> reader(intake_journal& journal, std::uint64_t items) {
  std::uint64_t seen = 0;
  while (seen < items) {
    const std::vector<intake_item> some = co_await journal.read(512);
    seen += some.size();
    journal.trim(some.back().position + 1);
  }
}

task<> run_all(std::filesystem::path file, std::uint64_t clients, std::uint64_t items) {
  brigade::intake_options options;
  options.file = std::move(file);
  auto opening = intake_journal::open(options);
  const auto journal = co_await std::move(opening);
  journal->start(brigade::mark{});
  const auto begin = std::chrono::steady_clock::now();
  auto body = [&](task_group& group) {
    for (std::uint64_t n = 0; n < clients; ++n) {
      group.spawn(client, std::ref(*journal), items / clients);
    }
    group.spawn(reader, std::ref(*journal), items / clients * clients);
  };
  co_await brigade::with_group(std::ref(body));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  auto closing = journal->close();
  co_await std::move(closing);
  std::printf("%llu clients: %.0f acknowledged items/s\n", static_cast<unsigned long long>(clients),
              static_cast<double>(items) / took.count());
}

}  // namespace

int main(int count, char** values) {
  const std::uint64_t clients = count > 1 ? std::strtoull(values[1], nullptr, 10) : 64;
  const std::uint64_t items = count > 2 ? std::strtoull(values[2], nullptr, 10) : 200000;
  const std::string file = count > 3 ? values[3] : "intake_journal_bench.db";
  brigade::run(run_all(file, clients, items));
  for (const char* const end : {"", "-wal", "-shm", ".lock"}) std::filesystem::remove(file + end);
}
