// The connector suite over the source `socket`: streams and datagrams, with a journal and without.
#include "connect/quiet_port.hpp"
#include "connect/socket_sender.hpp"
#include "connect/suite_kit.hpp"
#include "connect/temporary_folder.hpp"

#include <brigade/connect/socket.hpp>
#include <brigade/testing/connector_suite_gtest.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace brigade {
namespace {

using texts = std::vector<std::string>;

/// What listens is at a port of loopback, or a file. With a journal TCP goes through a wire;
/// without one, what a wire has taken and does not pass on would be lost.
class sender final : public testing::source_far_side {
 public:
  explicit sender(std::string scheme, bool has_journal)
      : scheme_(std::move(scheme)), has_journal_(has_journal) {
    test::sender_options options;
    options.is_stream = scheme_ == "tcp" || scheme_ == "unix";
    if (scheme_ == "tcp" && has_journal_) wire_.emplace(port_);
    if (scheme_ == "tcp" || scheme_ == "udp") options.port = wire_ ? wire_->port() : port_;
    options.unix_path = folder_ / "in.sock";
    if (has_journal_) options.journal = folder_ / "intake.db";
    sends_.emplace(std::move(options));
  }
  std::unique_ptr<source> make_source() override {
    const bool is_file = scheme_.starts_with("unix");
    const std::string at = is_file ? "in.sock" : "127.0.0.1:" + std::to_string(port_);
    test::fields given = {{"listen", scheme_ + "://" + at}};
    if (has_journal_) given.emplace_back("journal", std::string("intake.db"));
    return test::source_of(register_socket, "socket", given, test::context_in(folder_.path()));
  }
  void feed(const texts& items) override { sends_->send(items); }
  std::string text_of(const payload& item) const override {
    return std::string(item.get<record>().raw());
  }
  testing::fault_proxy* wire() override { return wire_ ? &*wire_ : nullptr; }

 private:
  std::string scheme_;
  bool has_journal_;
  test::temporary_folder folder_;
  std::uint16_t port_ = test::quiet_port();
  std::optional<testing::fault_proxy> wire_;
  std::optional<test::socket_sender> sends_;
};

testing::source_description listens(const std::string& scheme, bool has_journal) {
  testing::source_description what;
  what.name = "socket_" + scheme + (has_journal ? "_journal" : "");
  what.make = [scheme, has_journal] { return std::make_unique<sender>(scheme, has_journal); };
  what.fed_while_open = true;
  what.stops_when_cancelled = true;
  what.gives_again = has_journal;
  what.same_ids = has_journal;
  if (scheme == "tcp" || scheme == "unix") {
    what.texts.bad = std::string(std::size_t{1100} << 10, 'y');  // longer than max_line
  } else {
    what.texts.large = std::string(60'000, 'x');
  }
  // Where what was not kept can be sent again; in a local socket nothing can come between.
  what.on_a_network = what.goes_down = scheme == "tcp" && has_journal;
  if (!has_journal) {
    what.excused["loses_nothing_when_a_read_is_cancelled"] =
        "without a journal, what the kernel has at a stop is lost";
  }
  return what;
}

const bool listed =
    testing::add_to_gtest(listens("tcp", false)) && testing::add_to_gtest(listens("tcp", true)) &&
    testing::add_to_gtest(listens("unix", false)) && testing::add_to_gtest(listens("unix", true)) &&
    testing::add_to_gtest(listens("udp", false)) && testing::add_to_gtest(listens("udp", true)) &&
    testing::add_to_gtest(listens("unixgram", true));

}  // namespace
}  // namespace brigade
