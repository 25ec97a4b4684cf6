#include "cli/all_components.hpp"
#include "cli/fake_components.hpp"
#include "cli/verbs.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace brigade::cli {
namespace {

class check : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "brigade-check-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
    return (folder_ / name).string();
  }

  int run(const std::string& file, bool offline = false) {
    check_options options;
    options.file = file;
    options.offline = offline;
    out_.str("");
    err_.str("");
    return check_verb(options, known_, out_, err_);
  }

  registry known_ = fake_registry();
  std::filesystem::path folder_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(check, says_what_is_right_tier_by_tier) {
  static_cast<void>(write("in.ndjson", "{}\n"));
  const std::string file = write("orders.yaml",
                                 "source: { file: in.ndjson }\n"
                                 "stages: [ { name: charge, jq: ., workers: 4 }, { jq: . } ]\n"
                                 "sink: { null: {} }\n");
  EXPECT_EQ(run(file), 0);
  EXPECT_EQ(out_.str(), file + ": fields ok\n" + file +
                            ": topology ok: file -> charge (4 workers) -> jq -> null\n" + file +
                            ": environment ok\n");
  EXPECT_EQ(err_.str(), "");
}

TEST_F(check, warns_where_items_may_be_filtered_dropped_or_written_twice) {
  known_ = all_components();
  static_cast<void>(write("in.ndjson", "{}\n"));
  const std::string file = write("f.yaml",
                                 "source: { file: in.ndjson }\n"
                                 "stages:\n"
                                 "  - tee: [ { file: copy, required: false } ]\n"
                                 "  - batch: 5\n"
                                 "  - split: .\n"
                                 "  - route: [ { when: .a, to: { \"null\": {} } } ]\n");
  EXPECT_EQ(run(file), 0) << err_.str();
  const std::string told = out_.str();
  for (const char* part :
       {"topology ok: file -> tee [file] -> batch -> split -> route [null]\n",
        ":3:12: warning: this branch of stage 'tee' is not required",
        ":5:5: warning: behind a batch, 'split' gives items no account of their own",
        ":6:5: warning: an item that no branch of stage 'route' wants is filtered there"}) {
    EXPECT_NE(told.find(part), std::string::npos) << part << " is not in\n" << told;
  }
}

TEST_F(check, names_a_source_file_that_is_not_there_unless_offline) {
  const std::string file = write(
      "orders.yaml", "source: { file: { path: [in.ndjson, '*.log'] } }\nsink: { null: {} }\n");
  EXPECT_EQ(run(file), 78);
  EXPECT_EQ(err_.str(),
            file + ":1:25: there is no file " + (folder_ / "in.ndjson").string() + "\n");
  EXPECT_EQ(run(file, true), 0);
  EXPECT_EQ(err_.str(), "");
}

TEST_F(check, names_a_folder_for_dead_letters_that_is_not_there_and_a_key_that_is_missing) {
  static_cast<void>(write("in.ndjson", "{}\n"));
  const std::string ends = "source: { file: in.ndjson }\nsink: { null: {} }\n";
  const std::string file = write("a.yaml", ends + "dead_letters: { file: nowhere/dead.ndjson }\n");
  EXPECT_EQ(run(file), 78);
  EXPECT_EQ(err_.str(), file + ":3:23: there is no folder " + (folder_ / "nowhere").string() +
                            " for the dead letters: make it\n");
  EXPECT_EQ(run(file, true), 0);
  EXPECT_EQ(run(write("b.yaml", ends + "dead_letters: { file: dead.ndjson, max: 1GiB }\n")), 0);
  const std::string without = write("c.yaml", ends + "dead_letters: { max: 1GiB }\n");
  EXPECT_THROW(run(without), invalid_pipeline);
}

TEST_F(check, keeps_dead_letters_out_of_the_files_of_others) {
  static_cast<void>(write("in.ndjson", "{}\n"));
  std::filesystem::create_symlink("in.ndjson", folder_ / "link");
  std::filesystem::create_directory(folder_ / "folder");
  const auto refusal = [&](const std::string& source, const std::string& letters) -> std::string {
    const std::string file =
        write("orders.yaml", "source: { file: " + source +
                                 " }\nsink: { sqlite: { file: out.db, table: t } }\n"
                                 "dead_letters: { file: " +
                                 letters + " }\n");
    try {
      run(file);
      return err_.str();
    } catch (const invalid_pipeline& refused) {
      return refused.what();
    }
  };
  const auto has = [](const std::string& text, std::string_view part) {
    return text.find(part) != text.npos;
  };
  const std::string source = "orders.yaml:3:23: 'file' of 'dead_letters' is a file of the source";
  EXPECT_PRED2(has, refusal("in.ndjson", "folder/../in.ndjson"), source);
  EXPECT_PRED2(has, refusal("in.ndjson", "link"), source);
  EXPECT_PRED2(has, refusal("'*.ndjson'", "dead.ndjson"), source);
  EXPECT_PRED2(has, refusal("in.ndjson", "out.db"), "is the file of a sink, too");
  EXPECT_PRED2(has, refusal("in.ndjson", "orders.ledger.db"), "is the ledger's, too");
  EXPECT_PRED2(has, refusal("in.ndjson", "folder"), "is no regular file");
  EXPECT_EQ(refusal("'in*.ndjson'", "dead.ndjson"), "");
}

TEST_F(check, warns_of_what_posting_again_does_not_make_good) {
  known_ = all_components();
  const auto of = [&](const std::string& source, const std::string& rest) {
    EXPECT_EQ(run(write("orders.yaml", "source: { http: " + source + " }\n" + rest + "\n")), 0);
    return out_.str();
  };
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  const std::string keyed = "sink: { sqlite: { file: a.db, table: t, dedupe: true } }";
  EXPECT_FALSE(has(of("127.0.0.1:8080", keyed), "warning"));
  const std::string open = of("{ listen: '0.0.0.0:8080' }", keyed);
  EXPECT_TRUE(has(open, ":1:27: warning: anybody who reaches 0.0.0.0:8080 can post")) << open;
  EXPECT_TRUE(has(open, ":1:27: warning: what is posted to source 'http', and its token")) << open;
  const std::string safe = "{ listen: '0.0.0.0:8080', token: t, tls_certificate: server.pem }";
  EXPECT_FALSE(has(of(safe, keyed), "warning"));
  EXPECT_TRUE(has(of("127.0.0.1:8080", keyed + "\nledger: failures"), "under its Idempotency-Key"));
  EXPECT_TRUE(has(of("127.0.0.1:8080", "sink: { sqlite: { file: a.db, table: t } }"),
                  "needs an Idempotency-Key, and here a 'key' or 'dedupe: true'"));
  const std::string accepted = of("{ listen: '127.0.0.1:8080', reply: accepted }",
                                  "sink: { sqlite: { file: a.db, table: t } }\nledger: failures");
  EXPECT_FALSE(has(accepted, "Idempotency-Key")) << accepted;
  EXPECT_FALSE(has(accepted, "asked for again")) << accepted;
}

TEST_F(check, refuses_what_does_not_go_with_the_way_a_post_is_answered) {
  known_ = all_components();
  const auto wrong = [&](const std::string& fields) -> std::string {
    try {
      static_cast<void>(run(write("orders.yaml", "source:\n  http: { listen: '127.0.0.1:8080', " +
                                                     fields + " }\nsink: { \"null\": {} }\n")));
    } catch (const invalid_pipeline& problems) {
      const std::string text = problems.what();
      return text.substr(text.find("orders.yaml") + 11);
    }
    return "none";
  };
  const auto begins = [](const std::string& text, const char* how) {
    return text.starts_with(how);
  };
  EXPECT_PRED2(begins, wrong("journal: a.db"), ":2:46: 'journal' is of 'reply: accepted'; ");
  EXPECT_PRED2(begins, wrong("journal_max: 1GiB"), ":2:50: 'journal_max' is of 'reply: accepted'");
  EXPECT_PRED2(begins, wrong("reply: outcome, journal: a.db"), ":2:62: 'journal' is of");
  EXPECT_PRED2(begins, wrong("reply: accepted, backlog: 5"),
               ":2:63: with 'reply: accepted' what is posted waits in the journal: say with "
               "'journal_max' how much may");
  EXPECT_PRED2(begins, wrong("reply: accepted, journal: ''"), ":2:63: the path is empty");
  EXPECT_PRED2(begins, wrong("reply: accepted, journal_max: 1MiB"),
               ":2:67: 'journal_max' is less than one request may have (max_body)");
  EXPECT_PRED2(begins, wrong("reply: soon"), ":2:44: 'reply' must be outcome or accepted");
  EXPECT_EQ(wrong("reply: accepted, journal: a.db, journal_max: 8MiB"), "none");
}

TEST_F(check, warns_where_a_promise_is_weaker_than_it_looks) {
  const std::string file = write("orders.yaml",
                                 "source: { stdin: {} }\n"
                                 "stages: [ { exec: [sh] } ]\n"
                                 "sink: { sqlite: { file: a.db, table: t } }\n");
  EXPECT_EQ(run(file), 0);
  EXPECT_NE(out_.str().find(file + ":1:11: warning: what source 'stdin' gave cannot be asked for "
                                   "again"),
            std::string::npos);
  EXPECT_NE(out_.str().find(file + ":2:13: warning: the handler of stage 'exec' may be given an "
                                   "item again"),
            std::string::npos);
  EXPECT_NE(out_.str().find(file + ":3:9: warning: sink 'sqlite' has no 'key'"), std::string::npos);
  const std::string keyed = write("orders.yaml",
                                  "source: { file: orders.yaml }\n"
                                  "sink: { sqlite: { file: a.db, table: t, key: id } }\n");
  EXPECT_EQ(run(keyed), 0);
  EXPECT_EQ(out_.str().find("warning"), std::string::npos);
}

TEST_F(check, warns_that_a_server_may_be_asked_twice) {
  known_ = all_components();
  const std::string file = write("orders.yaml",
                                 "source: { file: orders.yaml }\n"
                                 "stages: [ { http: 'https://a.example/' } ]\n"
                                 "sink: { http: 'https://b.example/' }\n");
  EXPECT_EQ(run(file), 0);
  EXPECT_NE(out_.str().find(file + ":2:13: warning: the server that stage 'http' asks may be asked "
                                   "again"),
            std::string::npos)
      << out_.str();
  EXPECT_NE(out_.str().find(file + ":3:9: warning: sink 'http' sends each item at least once"),
            std::string::npos);
}

TEST_F(check, names_programs_that_are_not_there_unless_offline) {
  const std::string file = write("orders.yaml",
                                 "source: { stdin: {} }\n"
                                 "stages: [ { exec: [./h] }, { exec: [no-such-program] } ]\n"
                                 "sink: { null: {} }\n"
                                 "then: { if: always, exec: [./orders.yaml] }\n");
  EXPECT_EQ(run(file), 78);
  EXPECT_EQ(err_.str(),
            file + ":2:19: there is no program " + (folder_ / "h").string() + "\n" + file +
                ":2:36: there is no program 'no-such-program' in PATH; for one "
                "beside the pipeline file write ./no-such-program\n" +
                file + ":4:27: " + file + " cannot be run: make it executable with chmod +x\n");
  EXPECT_EQ(run(file, true), 0);
}

TEST_F(check, an_invalid_file_is_refused_whole) {
  const std::string file = write("orders.yaml", "source: { file: a }\nsinc: { null: {} }\n");
  EXPECT_THROW(run(file), invalid_pipeline);
  EXPECT_EQ(out_.str(), "");
}

}  // namespace
}  // namespace brigade::cli
