#include "connect/file_identity.hpp"

#include "connect/file_handle.hpp"
#include "connect/file_tail_paths.hpp"
#include "connect/temporary_folder.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace brigade {
namespace {

using test::temporary_folder;

class file_identity_test : public ::testing::Test {
 protected:
  /// What is kept of a file that was read to its end.
  [[nodiscard]] file_identity read_to_its_end(const std::string& name) const {
    const file_handle file = file_handle::open_to_read(folder / name);
    file_identity known = identify(file.fd());
    file_trail trail;
    trail.read(folder.read(name));
    trail.put_into(known);
    return known;
  }
  [[nodiscard]] bool is_still(const file_identity& before, const std::string& name) const {
    const file_handle file = file_handle::open_to_read(folder / name);
    return same_file(before, identify(file.fd()), file.fd());
  }
  [[nodiscard]] bool says_the_same(const file_identity& before, const std::string& name) const {
    const file_handle file = file_handle::open_to_read(folder / name);
    return same_content(before, identify(file.fd()), file.fd());
  }
  const temporary_folder folder;
};

TEST_F(file_identity_test, a_file_that_grows_stays_itself) {
  folder.write("a", "one\n");
  const file_identity before = read_to_its_end("a");
  folder.append("a", std::string(10'000, 'x'));
  EXPECT_TRUE(is_still(before, "a"));
}

TEST_F(file_identity_test, a_copy_says_the_same_and_is_another_file) {
  const std::string much(9000, 'a');
  folder.write("a", much + "end");
  folder.write("b", folder.read("a"));
  const file_identity before = read_to_its_end("a");
  EXPECT_FALSE(is_still(before, "b"));
  EXPECT_TRUE(says_the_same(before, "b"));
}

// Guard: the head.
TEST_F(file_identity_test, another_beginning_makes_another_file) {
  folder.write("a", "one\ntwo\n");
  const file_identity before = read_to_its_end("a");
  folder.write("a", "uno\ntwo\n");
  EXPECT_FALSE(is_still(before, "a"));
}

// Guard: the tail.
TEST_F(file_identity_test, another_end_behind_an_equal_beginning_makes_another_file) {
  const std::string head(50'000, 'h');
  folder.write("a", head + "one\n");
  const file_identity before = read_to_its_end("a");
  folder.write("a", head + "uno\nand more\n");
  EXPECT_FALSE(is_still(before, "a"));
}

TEST_F(file_identity_test, what_is_kept_reads_back) {
  folder.write("a \"quoted\"\n", std::string(100'000, 'x'));
  file_identity known = read_to_its_end("a \"quoted\"\n");
  known.token = "8f3a12cd";
  known.path = folder / "a \"quoted\"\n";
  known.ends = 17;
  known.copy_of = "77aa";
  known.gone = true;
  const std::string text = encode_identities({known, known});
  const std::vector<file_identity> again = decode_identities(text);
  ASSERT_EQ(again.size(), 2U);
  EXPECT_EQ(again[1].path, known.path);
  EXPECT_EQ(again[1].heads, known.heads);
  EXPECT_EQ(again[1].tails, known.tails);
  EXPECT_TRUE(again[1].gone);
  EXPECT_EQ(encode_identities(again), text);
}

TEST_F(file_identity_test, what_an_earlier_version_kept_is_read) {
  const auto known = decode_identities(R"({"files":[{"token":"1","path":"a","device":1,"inode":2,)"
                                       R"("born_ns":0,"size":3,"heads":{}}]})");
  ASSERT_EQ(known.size(), 1U);
  EXPECT_TRUE(known[0].tails.empty());
}

TEST(file_trail, keeps_few_tails_and_always_one_before_what_is_not_acknowledged) {
  file_trail trail;
  file_identity known;
  for (int i = 0; i < 1000; ++i) trail.read(std::string(10'000, static_cast<char>('a' + i % 26)));
  trail.put_into(known);
  EXPECT_LE(known.tails.size(), 8U);
  EXPECT_EQ(known.tails.rbegin()->first, 10'000'000U);
  trail.acknowledged(10'000'000);
  trail.put_into(known);
  EXPECT_EQ(known.tails.size(), 1U);
}

TEST(file_trail, how_it_was_read_makes_no_difference_to_its_end) {
  const std::string text(20'000, 'x');
  file_trail whole;
  whole.read(text);
  file_trail pieces;
  for (const char c : text) pieces.read(std::string_view(&c, 1));
  file_identity one;
  file_identity other;
  whole.put_into(one);
  pieces.put_into(other);
  EXPECT_EQ(one.heads, other.heads);
  EXPECT_EQ(one.tails.at(20'000), other.tails.at(20'000));
}

TEST(file_tail_paths, knows_what_a_rotated_file_was_called) {
  const auto is_one_of = [](const std::string& name, const std::string& base) {
    const std::vector<std::string> bases = rotated_from(name);
    return std::find(bases.begin(), bases.end(), base) != bases.end();
  };
  for (const char* const name :
       {"app.log.1", "app.log-20260101", "app.log.2026-01-01T10:00:00Z", "app.log_3", "app.log.old",
        "app.log.old.2", "app.1.log", "app-2026-01-01.log"}) {
    EXPECT_TRUE(is_one_of(name, "app.log")) << name;
  }
  for (const char* const name : {"app.log", "app.log.tmp", "app.log.swp", "app.log1", "my-app.log",
                                 "app.log.golden", ".log", ""}) {
    EXPECT_FALSE(is_one_of(name, "app.log")) << name;
  }
}

}  // namespace
}  // namespace brigade
