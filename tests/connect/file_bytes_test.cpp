#include "connect/file_bytes.hpp"

#include "connect/temporary_folder.hpp"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <random>
#include <stdexcept>
#include <string>

namespace brigade {
namespace {

using test::temporary_folder;

std::string gzipped(const std::string& text) {
  z_stream stream{};
  EXPECT_EQ(::deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(::deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(::deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

std::string zstd_of(const std::string& text) {
  std::string out(::ZSTD_compressBound(text.size()), '\0');
  out.resize(::ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

using compressor = std::string (*)(const std::string&);
const std::vector<compressor> compressors = {&gzipped, &zstd_of};

std::string numbers(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += std::to_string(i * 7919) + "\n";
  return text;
}

class opened : public file_bytes {
 public:
  explicit opened(const std::string& bytes)
      : file_bytes([&] {
          folder().write("file", bytes);
          return std::make_shared<const file_handle>(file_handle::open_to_read(folder() / "file"));
        }()) {}

 private:
  static const temporary_folder& folder() {
    static const temporary_folder one;
    return one;
  }
};

struct contents {
  std::string text;
  std::string error;
};
contents read_all(file_bytes& file, std::size_t chunk_bytes) {
  contents found;
  try {
    for (;;) {
      const std::string chunk = file.read_at(found.text.size(), chunk_bytes);
      if (chunk.empty()) break;
      found.text += chunk;
    }
  } catch (const std::runtime_error& error) {
    found.error = error.what();
  }
  return found;
}

TEST(file_bytes, a_plain_file_is_as_it_is) {
  opened file("one\ntwo\n");
  EXPECT_FALSE(file.compressed());
  EXPECT_EQ(file.read_at(4, 3), "two");
  EXPECT_EQ(file.read_at(8, 3), "");
}

TEST(file_bytes, gzip_and_zstd_are_known_by_their_first_bytes) {
  EXPECT_EQ(compression_of(gzipped("x")), compression::gzip);
  EXPECT_EQ(compression_of(zstd_of("x")), compression::zstd);
  EXPECT_EQ(compression_of("\x52\x2A\x4D\x18"), compression::zstd);
  EXPECT_EQ(compression_of("P*M"), compression::none);
  EXPECT_EQ(compression_of("PK\x03\x04"), compression::none);
  EXPECT_EQ(compression_of("\x1F"), compression::none);
  EXPECT_EQ(compression_of(""), compression::none);
}

TEST(file_bytes, members_behind_each_other_are_one_stream) {
  const std::string text = numbers(100'000);
  for (const compressor compress : compressors) {
    opened file(compress(text.substr(0, 1000)) + compress("") + compress(text.substr(1000)));
    EXPECT_TRUE(file.compressed());
    for (const std::size_t chunk : {1000, 64 << 10, 1 << 20}) {
      const contents found = read_all(file, chunk);
      EXPECT_EQ(found.text, text);
      EXPECT_EQ(found.error, "");
    }
  }
}

TEST(file_bytes, an_offset_is_one_of_what_comes_out) {
  const std::string text = numbers(100'000);
  std::mt19937 random(1);
  for (const compressor compress : compressors) {
    opened file(compress(text));
    for (int i = 0; i < 50; ++i) {  // forwards and backwards
      const std::size_t at = random() % text.size();
      const std::string chunk = file.read_at(at, 1 + random() % 5000);
      ASSERT_FALSE(chunk.empty());
      ASSERT_EQ(text.compare(at, chunk.size(), chunk), 0) << at;
    }
    EXPECT_EQ(file.read_at(text.size(), 10), "");
    EXPECT_THROW(static_cast<void>(file.read_at(text.size() + 1, 10)), std::runtime_error);
  }
}

TEST(file_bytes, what_stands_before_the_damage_comes_out) {
  const std::string text = numbers(100'000);
  for (const compressor compress : compressors) {
    const std::string whole = compress(text);
    opened cut(whole.substr(0, whole.size() - 10));
    contents found = read_all(cut, 1000);
    EXPECT_GT(found.text.size(), text.size() / 2);
    EXPECT_TRUE(text.starts_with(found.text));
    EXPECT_NE(found.error.find("it is cut off"), std::string::npos) << found.error;

    std::string flipped = whole;
    for (std::size_t i = whole.size() / 2; i < whole.size() / 2 + 8; ++i) flipped[i] ^= 0x55;
    opened damaged(flipped);
    found = read_all(damaged, 1000);
    EXPECT_NE(found.error.find(" data is damaged behind "), std::string::npos) << found.error;

    opened rubbish(whole + "rubbish");
    EXPECT_NE(read_all(rubbish, 1000).error, "");
  }
}

TEST(file_bytes, a_checksum_that_is_wrong_is_found) {
  std::string whole = gzipped("one\n");
  whole[whole.size() - 5] ^= 1;
  opened file(whole);
  const contents found = read_all(file, 100);
  EXPECT_EQ(found.text, "one\n");
  EXPECT_NE(found.error.find("incorrect"), std::string::npos) << found.error;
}

TEST(file_bytes, zeros_at_the_end_are_no_damage) {
  opened file(gzipped("one\n") + std::string(1000, '\0'));
  EXPECT_EQ(read_all(file, 100).text, "one\n");
  EXPECT_EQ(read_all(file, 100).error, "");
  opened more(gzipped("one\n") + std::string(10, '\0') + gzipped("two\n"));
  EXPECT_NE(read_all(more, 100).error, "");
}

TEST(file_bytes, what_is_small_may_hold_much) {
  const std::string much(std::size_t{64} << 20, 'x');
  for (const compressor compress : compressors) {
    opened file(compress(much));
    EXPECT_EQ(file.read_at(much.size() - 5, 100), "xxxxx");
  }
}

TEST(file_bytes, a_call_that_was_given_up_loses_nothing) {
  const std::string text = numbers(100'000);
  for (const compressor compress : compressors) {
    opened file(compress(text));
    std::stop_source stopped;
    stopped.request_stop();
    EXPECT_EQ(file.read_at(500'000, 100, stopped.get_token()), "");
    EXPECT_EQ(read_all(file, 5000).text, text);
  }
}

}  // namespace
}  // namespace brigade
