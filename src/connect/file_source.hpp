/// The source `file`: reads files to their ends, in order.
#pragma once
#include "connect/file_bytes.hpp"
#include "connect/file_identity.hpp"
#include "connect/file_text.hpp"

#include <brigade/pipeline/source.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace brigade {

struct file_source_options {
  std::string name;                ///< of the source: the front of its partitions
  std::string folder;              ///< relative paths are relative to it
  std::vector<std::string> paths;  ///< paths and globs, as written
  text_format format;
};

class file_source final : public source {
 public:
  explicit file_source(file_source_options options) : options_(std::move(options)) {}

  task<> open(std::vector<partition_mark> resume, std::string state) override;
  [[nodiscard]] std::string state() const override;
  [[nodiscard]] std::optional<std::string> changed_state(state_kept when) override;
  task<std::vector<source_item>> read(std::size_t items_max) override;
  task<> close() override;
  [[nodiscard]] std::optional<std::string> decode(payload& value) const override;
  [[nodiscard]] const std::vector<std::string>& partitions() const override { return partitions_; }
  [[nodiscard]] bool finite() const override { return true; }
  [[nodiscard]] std::optional<std::uint64_t> size_total() const override { return size_total_; }
  [[nodiscard]] std::string fingerprint() const override;

  /// One file that is being read, or waits for it.
  struct input {
    std::string path;
    std::shared_ptr<file_bytes> file;
    file_identity identity;
    file_trail trail;
    mark done;
  };
  /// All that `open` finds out on a thread.
  struct findings {
    std::vector<input> inputs;
    std::vector<file_identity> known;
    std::vector<file_identity> unread;  ///< what `tail` knows only so as not to read it
    bool followed = false;              ///< in an earlier run, by `tail`
    std::vector<std::string> notices;   ///< lines for the log
  };

 private:
  void begin_file();
  void note_read(input& from, std::uint64_t offset);
  void take_lines(std::vector<source_item>& items, std::size_t items_max);
  void add_item(std::vector<source_item>& items, const text_line& line);

  file_source_options options_;
  std::vector<input> inputs_;
  std::vector<file_identity> known_;
  std::vector<file_identity> unread_;
  bool followed_ = false;
  bool known_changed_ = false;
  std::vector<std::string> partitions_;
  std::optional<std::uint64_t> size_total_;  ///< nobody knows what will come out of gzip
  std::size_t current_ = 0;                  ///< index into inputs_
  std::string chunk_;
  std::optional<text_splitter> splitter_;  ///< of the current file, once it has begun
};

}  // namespace brigade
