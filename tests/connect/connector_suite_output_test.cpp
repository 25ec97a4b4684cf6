// The connector suite over the sinks that write files and streams, and the one that writes nothing.
#include "connect/components.hpp"
#include "connect/file_sink.hpp"
#include "connect/temporary_folder.hpp"

#include <brigade/connect/file.hpp>
#include <brigade/testing/connector_suite_gtest.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using texts = std::vector<std::string>;
using fields = std::vector<std::pair<std::string, field_value>>;

// A line that is no item of this sink: an object without `.line`.
const std::string no_line = "an object";

payload line_of(const std::string& text) {
  return payload(text == no_line ? record::json(R"({"text":"no line"})") : record::line(text));
}

void add_lines(texts& to, const std::string& bytes) {
  std::istringstream text(bytes);
  for (std::string line; std::getline(text, line);) to.push_back(line);
}

class files final : public testing::sink_far_side {
 public:
  explicit files(fields more) : more_(std::move(more)) {}
  std::unique_ptr<sink> make_sink() override {
    registry known;
    register_file(known);
    const component& entry = *known.find(component_kind::sink, "file");
    fields given = {{"path", std::string("out.txt")}, {"format", std::string("lines")}};
    given.insert(given.end(), more_.begin(), more_.end());
    return entry.make_sink(test::settings_for(entry, given),
                           test::context_in(folder_.path(), "out"));
  }
  payload item_of(const std::string& text) const override { return line_of(text); }
  texts stored() override {
    texts all;
    add_lines(all, folder_.read("out.txt"));
    for (int number = 1;; ++number) {
      const std::string name = "out." + std::to_string(number) + ".txt";
      if (!std::filesystem::exists(folder_ / name)) return all;
      add_lines(all, folder_.read(name));
    }
  }

 private:
  test::temporary_folder folder_;
  fields more_;
};

testing::sink_description file(std::string name, const fields& more) {
  testing::sink_description what;
  what.name = std::move(name);
  what.make = [more] { return std::make_unique<files>(more); };
  what.texts.bad = no_line;
  what.exactly_once = true;
  return what;
}

testing::sink_description rotated() {
  return file("file_rotated", {{"rotate_size", std::int64_t{150}}});
}

class stream final : public testing::sink_far_side {
 public:
  stream() : fd_(::open((folder_ / "out").c_str(), O_CREAT | O_APPEND | O_WRONLY, 0600)) {
    if (fd_ < 0) throw std::runtime_error("no file");
  }
  ~stream() override { ::close(fd_); }
  std::unique_ptr<sink> make_sink() override {
    return std::make_unique<stdout_sink>(row_format::lines, fd_);
  }
  payload item_of(const std::string& text) const override { return line_of(text); }
  texts stored() override {
    texts all;
    add_lines(all, folder_.read("out"));
    return all;
  }

 private:
  test::temporary_folder folder_;
  int fd_;
};

testing::sink_description standard_output() {
  testing::sink_description what;
  what.name = "stdout";
  what.make = [] { return std::make_unique<stream>(); };
  what.texts.bad = no_line;
  return what;
}

class nowhere final : public testing::sink_far_side {
 public:
  std::unique_ptr<sink> make_sink() override { return std::make_unique<null_sink>(); }
  texts stored() override { return {}; }
};

testing::sink_description null() {
  testing::sink_description what;
  what.name = "null";
  what.make = [] { return std::make_unique<nowhere>(); };
  what.keeps = false;
  return what;
}

const bool listed = testing::add_to_gtest(file("file", {})) && testing::add_to_gtest(rotated()) &&
                    testing::add_to_gtest(standard_output()) && testing::add_to_gtest(null());

}  // namespace
}  // namespace brigade
