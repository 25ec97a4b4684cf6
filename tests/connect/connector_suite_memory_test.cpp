// The connector suite over what a typed pipeline has at its ends.
#include <brigade/pipeline/memory_source.hpp>
#include <brigade/pipeline/pipeline.hpp>
#include <brigade/testing/connector_suite_gtest.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using texts = std::vector<std::string>;

class list_of_texts : public testing::source_far_side {
 public:
  void feed(const texts& more) override { items_.insert(items_.end(), more.begin(), more.end()); }

 protected:
  texts items_;
};

class range final : public list_of_texts {
 public:
  std::unique_ptr<source> make_source() override {
    return std::make_unique<detail::range_source<texts>>("main", items_);
  }
};

struct one_by_one {
  texts items;
  std::size_t at = 0;
  std::optional<std::string> operator()() {
    return at < items.size() ? std::optional(items[at++]) : std::nullopt;
  }
};

class generator final : public list_of_texts {
 public:
  std::unique_ptr<source> make_source() override {
    return std::make_unique<detail::generator_source<one_by_one>>("main", one_by_one{items_});
  }
};

class several final : public list_of_texts {
 public:
  std::unique_ptr<source> make_source() override {
    auto all = std::make_unique<detail::merged_source>();
    texts parts[2];
    for (std::size_t i = 0; i < items_.size(); ++i) parts[i % 2].push_back(items_[i]);
    all->add(std::make_unique<detail::range_source<texts>>("main", parts[0]));
    all->add(std::make_unique<detail::range_source<texts>>("main_too", parts[1]));
    return all;
  }
};

template <class FarSide>
testing::source_description of(std::string name) {
  testing::source_description what;
  what.name = std::move(name);
  what.make = [] { return std::make_unique<FarSide>(); };
  return what;
}

class memory final : public testing::sink_far_side {
 public:
  std::unique_ptr<sink> make_sink() override {
    auto keep = [this](const std::string& text) {
      if (text == "bad") throw permanent_error("a bad item");
      kept_.push_back(text);
    };
    return std::make_unique<detail::function_sink<std::string, decltype(keep)>>(keep);
  }
  texts stored() override { return kept_; }

 private:
  texts kept_;
};

testing::sink_description function() {
  testing::sink_description what;
  what.name = "function";
  what.make = [] { return std::make_unique<memory>(); };
  what.texts.bad = "bad";
  what.survives_a_kill = false;
  return what;
}

const bool listed = testing::add_to_gtest(of<range>("range")) &&
                    testing::add_to_gtest(of<generator>("generator")) &&
                    testing::add_to_gtest(of<several>("merged")) &&
                    testing::add_to_gtest(function());

}  // namespace
}  // namespace brigade
