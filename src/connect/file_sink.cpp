#include "connect/file_sink.hpp"

#include <brigade/async/thread.hpp>

#include <filesystem>

namespace brigade {
namespace {

std::shared_ptr<guarded<file_output>> open_file(const file_output_options& options,
                                                const std::string& token) {
  return std::make_shared<guarded<file_output>>(options, token);
}

void append(file_output& file, const std::string& text) { file.append(text, true); }

}  // namespace

task<std::vector<partition_mark>> file_sink::open(const sink_resume& resume) {
  const std::filesystem::path folder(without_meaning_to_strftime(options_.folder));
  file_output_options output;
  output.pattern = (folder / fill_in_name(options_.path, options_.pipeline)).lexically_normal();
  output.owner = resume.pipeline;
  output.bytes_max = options_.rotate_bytes;
  output.every = options_.rotate_every;
  output.now = options_.now;
  auto call = to_thread(&open_file, std::move(output), resume.token);
  file_ = co_await std::move(call);
  co_return std::vector<partition_mark>{};
}

task<write_result> file_sink::write(std::span<const sink_item> batch,
                                    std::span<const partition_mark>) {
  rows made = make_rows(options_.format, batch);
  if (options_.fsync) {
    auto call = call_guarded(file_, &append, std::move(made.text));
    co_await std::move(call);
  } else {
    file_->object.append(made.text, false);
  }
  write_result result;
  result.failures = std::move(made.failures);
  result.token = file_->object.token();
  co_return result;
}

task<> file_sink::close() {
  file_.reset();
  co_return;
}

std::string file_sink::first_token() const { return file_ ? file_->object.token() : std::string{}; }

}  // namespace brigade
