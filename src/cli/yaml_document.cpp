// The tree is built from yaml-cpp's events, not from its nodes: nodes drop duplicate keys silently,
// follow alias cycles, and forget where a null stood.
#include "cli/yaml_document.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <utility>

namespace brigade::cli {
namespace {

// Aliases of aliases grow exponentially; no pipeline file comes near this.
constexpr std::size_t copied_nodes_max = 100'000;

position place_of(const YAML::Mark& mark) {
  return mark.is_null() ? position{} : position{mark.line + 1, mark.column + 1};
}

std::size_t nodes_in(const yaml_node& node) {
  std::size_t count = 1;
  for (const yaml_node& item : node.items) count += nodes_in(item);
  for (const yaml_entry& entry : node.entries) count += nodes_in(entry.value);
  return count;
}

class tree_builder : public YAML::EventHandler {
 public:
  explicit tree_builder(problem_list& problems) : problems_(problems) {}

  yaml_node take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ == 2 && mark.pos != document_at_) {
      problems_.add(place_of(mark), "a second document: a pipeline file holds one");
    } else if (documents_ == 2) {
      problems_.add(place_of(mark), "not valid YAML: nothing can begin with this");
    }
    document_at_ = mark.pos;
  }
  void OnDocumentEnd() override {}
  [[nodiscard]] int documents() const { return documents_; }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (expects_key()) {
      take_key("null", place_of(mark));  // `sink: { null: {} }` is a name, not nothing
      return;
    }
    yaml_node node;
    node.at = key_place(place_of(mark));
    finish(std::move(node), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const position at = place_of(mark);
    if (expects_key()) {
      refuse_key(at);
      return;
    }
    yaml_node node;
    node.at = at;
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      problems_.add(at, "this alias stands inside the value it refers to");
    } else if ((copied_nodes_ += found->second.nodes) > copied_nodes_max) {
      problems_.add(at, fmt::format("aliases here stand for more than {} values; write them out",
                                    copied_nodes_max));
    } else {
      node = found->second.node;
    }
    finish(std::move(node), 0);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_tag(mark, tag);
    if (expects_key()) {
      if (value == "<<" && tag == "?") {
        problems_.add(place_of(mark), "merge keys ('<<') are not supported: repeat the keys");
        take_no_key();
      } else {
        take_key(value, place_of(mark));
      }
      return;
    }
    yaml_node node;
    node.what = yaml_node::kind::scalar;
    node.at = place_of(mark);
    node.text = value;
    node.quoted = tag == "!";
    finish(std::move(node), anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(yaml_node::kind::list, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(yaml_node::kind::map, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  /// A list or a mapping that is not complete yet.
  struct frame {
    yaml_node node;
    YAML::anchor_t anchor = 0;
    bool is_key = false;  // read to be thrown away
    bool has_key = false;
    bool key_usable = false;
    std::string key;
    position key_at;
    std::map<std::string, position> seen;
  };
  struct anchored {
    yaml_node node;
    std::size_t nodes = 0;
  };

  [[nodiscard]] bool expects_key() const {
    return !open_.empty() && open_.back().node.what == yaml_node::kind::map &&
           !open_.back().has_key;
  }
  /// Where a null is said to be.
  [[nodiscard]] position key_place(position otherwise) const {
    return !open_.empty() && open_.back().has_key ? open_.back().key_at : otherwise;
  }

  void take_key(const std::string& key, position at) {
    frame& top = open_.back();
    top.has_key = true;
    top.key = key;
    top.key_at = at;
    const auto [first, is_new] = top.seen.emplace(key, at);
    top.key_usable = is_new;
    if (!is_new) {
      problems_.add(
          at, fmt::format("duplicate key '{}'; the first is in line {}", key, first->second.line));
    }
  }
  void take_no_key() {
    open_.back().has_key = true;
    open_.back().key_usable = false;
  }
  void refuse_key(position at) {
    problems_.add(at, "a key must be text");
    take_no_key();
  }
  void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    problems_.add(place_of(mark),
                  fmt::format("tags are not supported: write the value without '{}'", tag));
  }

  void open(yaml_node::kind what, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    refuse_tag(mark, tag);
    frame next;
    next.is_key = expects_key();
    if (next.is_key) problems_.add(place_of(mark), "a key must be text");
    next.node.what = what;
    next.node.at = place_of(mark);
    next.anchor = anchor;
    open_.push_back(std::move(next));
  }

  void close() {
    frame top = std::move(open_.back());
    open_.pop_back();
    if (top.is_key) {
      take_no_key();
      return;
    }
    finish(std::move(top.node), top.anchor);
  }

  void finish(yaml_node node, YAML::anchor_t anchor) {
    if (anchor != 0) anchors_.insert_or_assign(anchor, anchored{node, nodes_in(node)});
    if (open_.empty()) {
      if (documents_ <= 1) root_ = std::move(node);
      return;
    }
    frame& top = open_.back();
    if (top.node.what == yaml_node::kind::list) {
      top.node.items.push_back(std::move(node));
      return;
    }
    if (top.key_usable) {
      top.node.entries.push_back(yaml_entry{std::move(top.key), top.key_at, std::move(node)});
    }
    top.has_key = false;
    top.key_usable = false;
  }

  problem_list& problems_;
  yaml_node root_;
  int documents_ = 0;
  int document_at_ = -1;  ///< where the last one began
  std::size_t copied_nodes_ = 0;
  std::vector<frame> open_;
  std::map<YAML::anchor_t, anchored> anchors_;
};

std::string_view line_of(std::string_view text, int line) {
  for (; line > 1 && !text.empty(); --line) {
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  }
  return text.substr(0, text.find('\n'));
}

/// The one mistake whose message by yaml-cpp helps nobody.
std::string_view hint_for(std::string_view line, std::string_view message) {
  const bool in_flow = message.find("flow") != std::string_view::npos;
  if (!in_flow || line.find("${") == std::string_view::npos) return {};
  return "; inside { } and [ ], \"${VAR}\" must be in quotes";
}

}  // namespace

const yaml_entry* yaml_node::find(std::string_view key) const {
  for (const yaml_entry& entry : entries) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

yaml_entry* yaml_node::find(std::string_view key) {
  return const_cast<yaml_entry*>(std::as_const(*this).find(key));
}

std::optional<yaml_node> parse_yaml(const std::string& text, problem_list& problems) {
  tree_builder builder(problems);
  try {
    std::istringstream input(text);
    YAML::Parser parser(input);
    // yaml-cpp stays for ever before what no document can begin with (a comma); so two are enough.
    while (builder.documents() < 2 && parser.HandleNextDocument(builder)) continue;
  } catch (const YAML::Exception& error) {
    const position at = place_of(error.mark);
    problems.add(at, fmt::format("not valid YAML: {}{}", error.msg,
                                 hint_for(line_of(text, at.line), error.msg)));
    return std::nullopt;
  }
  return builder.take_root();
}

std::string describe(const yaml_node& node) {
  constexpr std::size_t shown_max = 40;
  switch (node.what) {
    case yaml_node::kind::null:
      return "nothing";
    case yaml_node::kind::list:
      return "a list";
    case yaml_node::kind::map:
      return "a mapping";
    case yaml_node::kind::scalar:
      break;
  }
  if (node.text.size() <= shown_max) return fmt::format("'{}'", node.text);
  return fmt::format("'{}...'", std::string_view(node.text).substr(0, shown_max));
}

}  // namespace brigade::cli
