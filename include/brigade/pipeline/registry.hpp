/// The components a program knows, by name: what `check`, `list` and `run` look up.
#pragma once
#include <brigade/pipeline/config_spec.hpp>
#include <brigade/pipeline/sink.hpp>
#include <brigade/pipeline/source.hpp>
#include <brigade/pipeline/stage.hpp>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

enum class component_kind : std::uint8_t { source, stage, sink };

/// Where a component stands.
struct component_context {
  std::string pipeline;          ///< the pipeline's name
  std::string name;              ///< the component's name in it
  std::filesystem::path folder;  ///< relative paths are relative to it: the pipeline file's
  std::chrono::milliseconds attempt_timeout{0};       ///< the stage's `timeout`
  std::size_t line_bytes_max = std::size_t{1} << 20;  ///< the source's `max_line`
  /// Of a source: the pipeline's ledger, where it keeps a row for each item; else empty. It is
  /// there once the source is open.
  std::filesystem::path ledger = {};
  /// Of a source: where the pipeline keeps what has to outlive a run. It is there once the source
  /// is opened.
  std::filesystem::path state = {};
  /// Of a source: what the pipeline's `id` gives of an item, empty where it gives nothing; unset
  /// without an `id`.
  std::function<std::string(const payload&)> item_id = {};
  /// How long the far side may be away; 0: for ever. Nothing, of a source: the file does not say,
  /// so 5 minutes where it is finite, else for ever.
  std::optional<std::chrono::milliseconds> give_up_after = std::nullopt;
};

struct component {
  component_kind kind = component_kind::stage;
  std::string name;  ///< the key in the pipeline file
  std::string doc;
  std::vector<field_spec> fields;
  std::string shorthand = {};  ///< the field a value standing alone means, where none is required
  std::vector<std::string> refuses = {};  ///< reserved keys that make no sense here (`timeout`)
  std::chrono::milliseconds timeout_default{0};
  /// Exactly one of the three is set. They open nothing; they throw `config_error`.
  std::function<std::unique_ptr<source>(const settings&, const component_context&)> make_source;
  std::function<std::unique_ptr<stage_body>(const settings&, const component_context&)> make_stage;
  std::function<std::unique_ptr<sink>(const settings&, const component_context&)> make_sink;
};

class registry {
 public:
  /// A second component of one kind and name is a misuse (asserted).
  void add(component entry);
  [[nodiscard]] const component* find(component_kind kind, std::string_view name) const;
  [[nodiscard]] const std::vector<component>& all() const { return entries_; }

 private:
  std::vector<component> entries_;
};

}  // namespace brigade
