/// The ledger when it is refused, killed, or let down by its disk.
#include "pipeline/failing_vfs.hpp"
#include "pipeline/ledger_fixture.hpp"

#include <brigade/pipeline/ledger.hpp>

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <random>
#include <sstream>

namespace brigade {
namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class ledger_failure : public ledger_test {};

TEST_F(ledger_failure, makes_its_folder_and_a_file_for_its_owner_alone) {
  const mode_t before = umask(0);
  (void)ledger::open(options());
  umask(before);
  struct stat status{};
  ASSERT_EQ(stat(file_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

// Reliability row 23: the lock is the kernel's, so there is nothing a kill could leave behind.
TEST_F(ledger_failure, refuses_a_second_program_by_the_id_of_the_first) {
  auto first = ledger::open(options());
  EXPECT_EQ(refusal(options()), file_.string() + ": in use by process " + std::to_string(getpid()) +
                                    "; wait for it or stop it");
  first.reset();
  EXPECT_EQ(refusal(options()), "(not refused)");
}

TEST_F(ledger_failure, a_child_process_does_not_inherit_the_lock) {
  auto first = ledger::open(options());
  pid_t child = 0;
  const char* command[] = {"sleep", "1000", nullptr};
  ASSERT_EQ(posix_spawnp(&child, "sleep", nullptr, nullptr, const_cast<char**>(command), environ),
            0);
  first.reset();
  EXPECT_EQ(refusal(options()), "(not refused)");
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

TEST_F(ledger_failure, refuses_another_version_and_says_what_to_do) {
  run_through(options());
  (void)query("UPDATE meta SET value = '99' WHERE key = 'schema'");
  EXPECT_EQ(refusal(options()),
            file_.string() +
                ": is a ledger of version 99, and this brigade reads version 1; use the brigade "
                "that wrote it, or move the file away to begin a new ledger");
}

TEST_F(ledger_failure, refuses_another_pipelines_ledger) {
  run_through(options());
  ledger_options with = options();
  with.pipeline = "invoices";
  EXPECT_TRUE(contains(refusal(with), "is the ledger of pipeline 'orders', not of 'invoices'"));
}

TEST_F(ledger_failure, refuses_a_changed_source_or_id_naming_fresh) {
  run_through(options());
  ledger_options with = options();
  with.source_fingerprint = "file others.ndjson";
  EXPECT_EQ(refusal(with),
            file_.string() +
                ": the source of pipeline 'orders' is 'file others.ndjson' now and was 'file "
                "orders.ndjson' in the last run, so its marks mean nothing; run with --fresh to "
                "begin again, or change it back");
  with = options();
  with.id_expression = ".id";
  EXPECT_TRUE(contains(refusal(with), "the id expression of pipeline 'orders' is '.id' now"));
  EXPECT_TRUE(contains(refusal(with), "--fresh"));
  with.source_fingerprint.clear();  // a replay does not read the source
  EXPECT_EQ(refusal(with), "(not refused)");
  EXPECT_EQ(refusal(options()), "(not refused)");
}

TEST_F(ledger_failure, refuses_a_file_that_is_no_ledger) {
  std::filesystem::create_directories(file_.parent_path());
  std::ofstream(file_) << std::string(5000, 'x');
  EXPECT_TRUE(contains(refusal(options()), "is damaged, or no ledger at all; move it away"));
  std::filesystem::remove(file_);
  (void)query("CREATE TABLE people (name)");
  EXPECT_TRUE(contains(refusal(options()), "is a SQLite database but not a ledger of brigade"));
  std::filesystem::remove(file_);
  std::filesystem::create_directory(file_);
  EXPECT_TRUE(contains(refusal(options()), "is not a file"));
}

TEST_F(ledger_failure, takes_an_empty_file_for_a_new_ledger) {
  std::filesystem::create_directories(file_.parent_path());
  std::ofstream(file_).flush();
  EXPECT_EQ(refusal(options()), "(not refused)");
}

TEST_F(ledger_failure, refuses_a_read_only_file_and_a_read_only_folder) {
  run_through(options());
  chmod(file_.c_str(), 0444);
  EXPECT_EQ(refusal(options()),
            file_.string() + ": is read-only; make it writable, or name another ledger");
  chmod(file_.c_str(), 0600);
  chmod(file_.parent_path().c_str(), 0555);
  EXPECT_EQ(refusal(options()), file_.parent_path().string() +
                                    ": is read-only; the ledger needs a folder it can write to");
  chmod(file_.parent_path().c_str(), 0755);
  EXPECT_EQ(refusal(options()), "(not refused)");
}

TEST_F(ledger_failure, refuses_a_mark_that_is_damaged) {
  run_through(options(), batch(settled(0)));
  (void)query("UPDATE marks SET above = '[[5,3]]'");
  EXPECT_TRUE(contains(refusal(options()), "the mark of 'main:8f3a' is damaged"));
}

TEST_F(ledger_failure, waits_while_the_disk_is_full) {
  ledger_options with = options();
  with.bytes_max = 200'000;
  const auto account = ledger::open(with);
  heard from(*account);
  account->begin_run();
  const std::string large(400'000, 'x');
  account->record(batch(settled(0)), one_file, {});
  from.wait_durable(1);
  account->record(batch(dead(10, "no", large)), one_file, {});
  from.wait_full(1);
  EXPECT_EQ(from.durable(), 1U);
  account->close();
  EXPECT_EQ(from.durable(), 1U);
  EXPECT_TRUE(from.failures().size() == 1) << "told that nothing more becomes durable";
  EXPECT_EQ(query("SELECT low FROM marks"), "10\n");
}

TEST_F(ledger_failure, goes_on_when_there_is_room_again) {
  run_through(options(), batch(dead(0, "no", std::string(300'000, 'x'))));
  ledger_options with = options();
  with.bytes_max = 1;  // no larger than it is
  const auto account = ledger::open(with);
  heard from(*account);
  account->begin_run();
  account->record(batch(dead(10, "no", std::string(100'000, 'y')), settled(20)), one_file, {});
  from.wait_full(1);
  (void)query("DELETE FROM dead_letters WHERE run = 1");
  from.wait_durable(1);
  EXPECT_EQ(from.full(),
            (std::vector<std::string>{with.path.string() + ": the ledger's disk is full", ""}));
  account->end_run(report{});
  account->close();
  EXPECT_EQ(query("SELECT id FROM dead_letters"), "main:8f3a:10\n");
  EXPECT_EQ(query("SELECT id FROM items WHERE run = 2"), "main:8f3a:10\nmain:8f3a:20\n");
  EXPECT_EQ(query("SELECT low FROM marks"), "30\n");
  EXPECT_EQ(query("SELECT dead_lettered, delivered FROM runs WHERE run = 2"), "1|1\n");
}

TEST_F(ledger_failure, writes_nothing_more_after_a_failed_fsync) {
  const failing_vfs disk;
  const auto account = ledger::open(options());
  heard from(*account);
  account->begin_run();
  account->record(batch(settled(0)), one_file, {});
  from.wait_durable(1);
  failing_vfs::fail_syncs();
  account->record(batch(settled(10)), one_file, {});
  from.wait_failed();
  account->record(batch(settled(20)), one_file, {});
  EXPECT_THROW(account->end_run(report{}), ledger_error);
  account->close();
  EXPECT_EQ(failing_vfs::touched_after_failure(), 0);
  EXPECT_EQ(from.durable(), 1U);
  ASSERT_EQ(from.failures().size(), 1U);
  EXPECT_TRUE(contains(from.failures()[0], "the disk reports an error")) << from.failures()[0];
}

TEST_F(ledger_failure, refuses_a_second_outcome_of_an_item) {
  const auto account = ledger::open(options());
  heard from(*account);
  account->begin_run();
  account->record(batch(settled(0)), one_file, {});
  from.wait_durable(1);
  account->record(batch(settled(10), settled(0, outcome::filtered)), one_file, {});
  from.wait_failed();
  account->close();
  EXPECT_EQ(query("SELECT id, outcome FROM items"), "main:8f3a:0|delivered\n");
}

/// Records without end, in batches of any size and order, and writes down each that is durable.
[[noreturn]] void record_until_killed(const ledger_options& with, std::uint64_t seed, int tell) {
  std::mt19937_64 random(seed);
  const auto account = ledger::open(with);
  account->on_durable = [&](std::uint64_t number) {
    if (write(tell, &number, sizeof number) != sizeof number) _exit(1);
  };
  const mark resume =
      account->resume().finished.empty() ? mark{} : account->resume().finished[0].at;
  account->begin_run();
  std::uint64_t next = 0;
  for (std::uint64_t number = 1;; ++number) {
    std::vector<settlement> items;
    for (std::uint64_t count = 1 + random() % 40; count > 0; --count) {
      while (resume.finished(next)) next += 10;
      items.push_back(settled(next, random() % 9 == 0 ? outcome::returned : outcome::delivered));
      next += 10;
    }
    std::shuffle(items.begin(), items.end(), random);
    account->record(std::move(items), one_file, {{"out", std::to_string(number)}});
    if (random() % 3 == 0) usleep(200);  // lets the ledger catch up, so that batches vary
  }
}

/// Runs until some batches are durable, kills, and gives the number of the last that was.
std::uint64_t kill_while_recording(const ledger_options& with, std::uint64_t seed) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    record_until_killed(with, seed, ends[1]);
  }
  close(ends[1]);
  std::uint64_t durable = 0;
  std::uint64_t number = 0;
  std::mt19937_64 random(seed);
  const std::uint64_t enough = 2 + random() % 30;
  while (durable < enough && read(ends[0], &number, sizeof number) == sizeof number) {
    durable = number;
  }
  EXPECT_GT(durable, 0U) << "the child ended by itself";
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  while (read(ends[0], &number, sizeof number) == sizeof number) durable = number;
  close(ends[0]);
  return durable;
}

// Reliability rows 22 and 23. Whatever was called durable is there, and marks and rows agree.
TEST_F(ledger_failure, a_kill_loses_nothing_that_was_durable) {
  mark so_far;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const std::uint64_t durable = kill_while_recording(options(), seed);
    const auto account = ledger::open(options());
    const resume_point start = account->resume();
    account->close();
    ASSERT_FALSE(start.finished.empty());
    EXPECT_GE(std::stoull(start.token_of("out", false)), durable);
    EXPECT_EQ(query("SELECT ended FROM runs WHERE run = " + std::to_string(seed)), "killed\n");

    // The mark as the rows have it.
    mark_builder of_rows;
    std::istringstream rows(
        query("SELECT position FROM items WHERE outcome <> 'returned' ORDER BY position"));
    for (std::uint64_t begin = 0; rows >> begin;) of_rows.finish(begin, begin + 10);
    EXPECT_EQ(start.finished[0].at, of_rows.at());
    EXPECT_EQ(mark::merge(so_far, of_rows.at()), of_rows.at()) << "something was forgotten";
    so_far = of_rows.at();
    EXPECT_EQ(query("SELECT sum(delivered + returned) FROM runs"),
              query("SELECT count(*) FROM items"));
    if (HasFailure()) return;
  }
  EXPECT_EQ(query("SELECT count(*) FROM items WHERE outcome = 'delivered' "
                  "GROUP BY id HAVING count(*) > 1"),
            "");
}

}  // namespace
}  // namespace brigade
