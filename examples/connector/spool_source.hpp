/// A folder in which each file is an item: `17.item`, `18.item`, ... Whoever puts one there writes
/// it under another name and renames it. A file is removed once its item's outcome is durable. The
/// source has no end: it waits for more.
///
/// Position ids: `<source>:spool:<number>`. The far side is a disk, and does not mind how long an
/// item is held. Thread safety: the loop's thread.
#pragma once
#include <brigade/pipeline/source.hpp>

#include <filesystem>
#include <map>

class spool_source final : public brigade::source {
 public:
  spool_source(const std::string& name, std::filesystem::path folder)
      : folder_(std::move(folder)), partitions_{name + ":spool"} {}

  brigade::task<> open(std::vector<brigade::partition_mark> resume, std::string state) override;
  brigade::task<std::vector<brigade::source_item>> read(std::size_t items_max) override;
  void acknowledge(std::uint32_t partition, const brigade::watermark& at) override;
  const std::vector<std::string>& partitions() const override { return partitions_; }
  bool finite() const override { return false; }
  std::string fingerprint() const override { return "spool " + folder_.string(); }

 private:
  using names = std::map<std::uint64_t, std::filesystem::path>;  ///< by number
  static names look(const std::filesystem::path& folder, std::uint64_t from);
  static void remove_finished(names& of, const brigade::mark& done);

  std::filesystem::path folder_;
  std::vector<std::string> partitions_;
  brigade::mark done_;  ///< in runs before
  std::uint64_t next_ = 0;
  names given_;  ///< and not removed yet
};
