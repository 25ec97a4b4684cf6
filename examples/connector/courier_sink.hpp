/// Sends items to a courier over TCP, and waits for its receipt of each: at least once.
///
/// An item is its length, a newline and its bytes. The courier answers each, in order, by a line:
/// `ok`, or `no` and why it will never take it. It may take 5 s for a batch; after that, and
/// whenever the connection breaks, the batch is sent again over a new one.
///
/// Thread safety: the loop's thread.
#pragma once
#include <brigade/async/descriptor.hpp>
#include <brigade/pipeline/sink.hpp>

#include <cstdint>
#include <optional>

class courier_sink final : public brigade::sink {
 public:
  explicit courier_sink(std::uint16_t port) : port_(port) {}

  brigade::task<std::vector<brigade::partition_mark>> open(
      const brigade::sink_resume& resume) override;
  brigade::task<brigade::write_result> write(
      std::span<const brigade::sink_item> batch,
      std::span<const brigade::partition_mark> marks) override;
  brigade::task<> close() override;
  bool wants_names() const override { return false; }

 private:
  brigade::task<> connect();
  brigade::task<> send(std::string_view bytes);
  brigade::task<std::string> answer();
  brigade::task<brigade::write_result> exchange(std::span<const brigade::sink_item> batch);

  std::uint16_t port_;
  std::optional<brigade::descriptor> wire_;
  std::string received_;  ///< behind the last whole answer
};
