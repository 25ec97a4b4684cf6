/// The connector suite: what every source and sink must keep, tried on yours.
///
/// A connector is described: how it is made, how a test reaches its far side without it, and what
/// it can do. The suite then runs its cases against it, each with a far side of its own, through
/// the real engine with a real ledger: everything comes once, it is cancelled, stopped, killed at
/// each step, refused, fed slowly, given what it cannot take. A case that does not apply is listed
/// with the reason.
///
///     sink_description mine;
///     mine.name = "pigeon";
///     mine.make = [] { return std::make_unique<pigeon_loft>(); };   // a sink_far_side
///     return run_suite(mine, std::cout).failed == 0 ? 0 : 1;
///
/// Each case runs in a process of its own, so that a crash or a hang is a failure like others; with
/// BRIGADE_SUITE_HERE in the environment it runs in this one, for a debugger. The far side is made
/// there: what it starts (threads, servers) need not outlive a `fork`. A run that is to be killed
/// is a process of its own again, made from that one: it has the far side as it is in memory, but
/// none of its threads and sockets; so what makes a connector must not wait for them.
///
/// A run of a case may take 20 s, or as many as BRIGADE_SUITE_PATIENCE says.
///
/// docs/write-a-connector.md goes through an example. For GoogleTest: connector_suite_gtest.hpp.
/// Thread safety: one thread at a time; `run_case` is called while no other thread of the process
/// uses brigade. Descriptions are copied, and their functions called in child processes.
#pragma once
#include <brigade/pipeline/payload.hpp>
#include <brigade/pipeline/sink.hpp>
#include <brigade/pipeline/source.hpp>
#include <brigade/testing/fault_proxy.hpp>

#include <cstddef>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace brigade::testing {

/// What is on the other side of a connector, as the suite reaches it. One case has one: it begins
/// empty, and outlives the connectors that are made for it, which come one after the other, as in
/// programs that are restarted.
class far_side {
 public:
  virtual ~far_side() = default;
  /// Nobody can use it any more, until `come_back`. By default the wire refuses.
  virtual void go_down();
  virtual void come_back();
  /// What stands between it and the connector, where that is a TCP connection.
  [[nodiscard]] virtual fault_proxy* wire() { return nullptr; }
};

class source_far_side : public far_side {
 public:
  /// As a program makes it when it starts; its name in the pipeline is `main`.
  [[nodiscard]] virtual std::unique_ptr<source> make_source() = 0;
  /// Puts items there, behind those that are there. Does not wait for a source. Called while one is
  /// open only where the description says `fed_while_open`.
  virtual void feed(const std::vector<std::string>& texts) = 0;
  /// Nothing more will be fed. For what does not end before that (a pipe).
  virtual void end() {}
  /// Where the ledger of the runs is, for a source that looks into it; told once, before the rest.
  virtual void keeps_ledger_at(const std::filesystem::path&) {}
  /// The text that was fed, of the item that came of it.
  [[nodiscard]] virtual std::string text_of(const payload& item) const { return item.text(); }
  /// How many items the far side was told are done with; for `hears_acknowledgements`.
  [[nodiscard]] virtual std::size_t acknowledged() { return 0; }
};

class sink_far_side : public far_side {
 public:
  /// As a program makes it when it starts; its name in the pipeline is `out`.
  [[nodiscard]] virtual std::unique_ptr<sink> make_sink() = 0;
  /// An item of that text.
  [[nodiscard]] virtual payload item_of(const std::string& text) const { return payload(text); }
  /// The texts that are there, in the order in which they came; read without the sink. Also while
  /// it is open, and while it writes.
  [[nodiscard]] virtual std::vector<std::string> stored() = 0;
};

/// What items of this connector look like. Where there is no text, the case does not apply.
struct suite_texts {
  /// Of the nth item; of each another one. None: "item 1", "item 2", ...
  std::function<std::string(std::size_t number)> sample{};
  std::optional<std::string> empty = "";
  std::optional<std::string> large = std::string(300'000, 'x');
  std::optional<std::string> unicode =
      "na\u00efve \u65e5\u672c\u8a9e \U0001F642 \"quoted\" \\ 'x' \t|";
  /// Bytes that are no text.
  std::optional<std::string> bytes = std::string("\x01\xff\xfe zero:\0:zero \x80", 17);
  /// Of a source: what it can make no item of, as it is fed. Of a sink: an item it, or its far
  /// side, has to refuse. Whatever is beside it must not suffer.
  std::optional<std::string> bad = std::nullopt;

  [[nodiscard]] std::string of(std::size_t number) const;
};

/// What the suite is told of every connector.
struct connector_description {
  std::string name;
  suite_texts texts;
  bool goes_down = false;     ///< `go_down` and `come_back` work
  bool on_a_network = false;  ///< the far side has a `wire`
  /// What the far sides of a case have in common, where it takes long to make (a server); made
  /// before the first one, in the case's process, and gone before that ends. May be null.
  std::function<std::shared_ptr<void>()> surroundings{};
  /// Cases that do not apply, and why. A case that there is not is an error.
  std::map<std::string, std::string> excused;
};

struct source_description : connector_description {
  std::function<std::unique_ptr<source_far_side>()> make;
  bool gives_again = true;  ///< after a crash or a stop, what was not finished comes again,
  bool same_ids = true;     ///< under the same ids
  bool fed_while_open = false;
  bool hears_acknowledgements = false;  ///< the far side can say what it was told
  /// It takes a read that is cancelled for its stop: what is left comes in the next run.
  bool stops_when_cancelled = false;
};

struct sink_description : connector_description {
  std::function<std::unique_ptr<sink_far_side>()> make;
  bool exactly_once = false;    ///< also after a crash, once the next run has come to its end
  bool survives_a_kill = true;  ///< what is stored outlives the process (else: memory)
  bool keeps = true;            ///< false: `stored` has nothing to say
  bool keeps_order = true;
  bool keeps_marks = false;  ///< it is transactional
};

/// What a case throws when the connector did not keep what it must.
class suite_failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

template <class Description>
struct suite_case {
  std::string name;
  /// Why it does not apply; empty: it does.
  std::function<std::string(const Description&)> unfit;
  /// Throws what went wrong.
  std::function<void(const Description&)> run;
};
using source_case = suite_case<source_description>;
using sink_case = suite_case<sink_description>;

[[nodiscard]] const std::vector<source_case>& source_cases();
[[nodiscard]] const std::vector<sink_case>& sink_cases();

/// Why the case does not apply to this connector; empty: it does.
[[nodiscard]] std::string why_unfit(const source_description& what, const source_case& which);
[[nodiscard]] std::string why_unfit(const sink_description& what, const sink_case& which);
/// Runs one that applies. Gives what went wrong; empty: nothing.
[[nodiscard]] std::string run_case(const source_description& what, const source_case& which);
[[nodiscard]] std::string run_case(const sink_description& what, const sink_case& which);

struct suite_result {
  int executed = 0;
  int failed = 0;  ///< of those
  int unfit = 0;   ///< do not apply
};
/// Runs all of them, and prints those that failed, those that do not apply with the reason, and the
/// numbers: `source file: 21 of 31 cases executed, 0 failed, 10 do not apply`.
/// Throws std::invalid_argument when `excused` names a case that there is not.
suite_result run_suite(const source_description& what, std::ostream& to);
suite_result run_suite(const sink_description& what, std::ostream& to);

/// Those that do not apply with the reason, and how many do; runs none.
[[nodiscard]] std::string list_cases(const source_description& what);
[[nodiscard]] std::string list_cases(const sink_description& what);

}  // namespace brigade::testing
