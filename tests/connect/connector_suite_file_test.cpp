// The connector suite over the sources that read files and streams, and the one that makes items
// up.
#include "connect/components.hpp"
#include "connect/file_stdin.hpp"
#include "connect/generate_source.hpp"
#include "connect/temporary_folder.hpp"

#include <brigade/async/thread_pool.hpp>
#include <brigade/connect/file.hpp>
#include <brigade/testing/connector_suite_gtest.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using texts = std::vector<std::string>;
using fields = std::vector<std::pair<std::string, field_value>>;

std::string raw_text(const payload& item) { return std::string(item.get<record>().raw()); }

class lines_in_a_file final : public testing::source_far_side {
 public:
  explicit lines_in_a_file(fields more) : more_(std::move(more)) { folder_.write(name_, {}); }
  std::unique_ptr<source> make_source() override {
    registry known;
    register_file(known);
    const component& entry = *known.find(component_kind::source, "file");
    fields given = {{"path", texts{name_}}};
    given.insert(given.end(), more_.begin(), more_.end());
    return entry.make_source(test::settings_for(entry, given), test::context_in(folder_.path()));
  }
  void feed(const texts& items) override {
    std::string bytes;
    for (const std::string& text : items) bytes += text + "\n";
    folder_.append(name_, bytes);
  }
  std::string text_of(const payload& item) const override { return raw_text(item); }
  void go_down() override { std::filesystem::rename(folder_ / name_, folder_ / "away"); }
  void come_back() override { std::filesystem::rename(folder_ / "away", folder_ / name_); }

 private:
  test::temporary_folder folder_;
  fields more_;
  std::string name_ = "in.txt";
};

testing::source_description file(std::string name, const fields& more) {
  testing::source_description what;
  what.name = std::move(name);
  what.make = [more] { return std::make_unique<lines_in_a_file>(more); };
  what.goes_down = true;
  what.texts.bad = std::string(std::size_t{1100} << 10, 'y');  // longer than max_line
  return what;
}

testing::source_description file_of_json() {
  testing::source_description what = file("file_ndjson", {{"format", std::string("ndjson")}});
  what.texts.sample = [](std::size_t number) { return "{\"n\":" + std::to_string(number) + "}"; };
  what.texts.empty.reset();  // a blank line is no item
  what.texts.large = "\"" + *what.texts.large + "\"";
  what.texts.unicode = "\"na\u00efve \u65e5\u672c\u8a9e \U0001F642\"";
  what.texts.bytes.reset();
  what.texts.bad = "no JSON";
  return what;
}

testing::source_description tail() {
  testing::source_description what = file("file_tail", {{"mode", std::string("tail")}});
  what.fed_while_open = true;
  return what;
}

class pipe_of_lines final : public testing::source_far_side {
 public:
  pipe_of_lines() {
    if (::pipe2(ends_, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    ::fcntl(ends_[1], F_SETPIPE_SZ, 1 << 20);  // what is fed is not waited for
  }
  ~pipe_of_lines() override {
    end();
    while (abandoned_threads() != 0) std::this_thread::yield();  // one may read it yet
    ::close(ends_[0]);
  }
  std::unique_ptr<source> make_source() override {
    return std::make_unique<stdin_source>("main", text_format{}, ends_[0]);
  }
  void feed(const texts& items) override {
    std::string bytes;
    for (const std::string& text : items) bytes += text + "\n";
    if (::write(ends_[1], bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
      throw std::runtime_error("the pipe is full");
    }
  }
  void end() override {
    if (ends_[1] >= 0) ::close(std::exchange(ends_[1], -1));
  }
  std::string text_of(const payload& item) const override { return raw_text(item); }

 private:
  int ends_[2] = {-1, -1};
};

testing::source_description standard_input() {
  testing::source_description what;
  what.name = "stdin";
  what.make = [] { return std::make_unique<pipe_of_lines>(); };
  what.gives_again = false;
  what.same_ids = false;
  what.fed_while_open = true;
  return what;
}

class made_up final : public testing::source_far_side {
 public:
  std::unique_ptr<source> make_source() override {
    generate_options options;
    options.name = "main";
    options.pattern = "item {n}";
    options.count = count_;
    return std::make_unique<generate_source>(options);
  }
  void feed(const texts& items) override { count_ += items.size(); }
  std::string text_of(const payload& item) const override { return raw_text(item); }

 private:
  std::uint64_t count_ = 0;
};

testing::source_description generate() {
  testing::source_description what;
  what.name = "generate";
  what.make = [] { return std::make_unique<made_up>(); };
  what.texts.empty.reset();
  what.texts.large.reset();
  what.texts.unicode.reset();
  what.texts.bytes.reset();
  return what;
}

const bool listed = testing::add_to_gtest(file("file", {})) &&
                    testing::add_to_gtest(file_of_json()) && testing::add_to_gtest(tail()) &&
                    testing::add_to_gtest(standard_input()) && testing::add_to_gtest(generate());

}  // namespace
}  // namespace brigade
