#include <brigade/pipeline/source.hpp>

namespace brigade {

std::optional<std::string> source::decode(payload&) const { return std::nullopt; }

std::optional<std::string> source::changed_state(state_kept) { return std::nullopt; }

std::vector<std::uint32_t> source::take_forgotten() { return {}; }

void source::stopping() {}

void source::settled(const settled_item&) {}

void source::acknowledge(std::uint32_t, const watermark&) {}

task<> source::close() { co_return; }

}  // namespace brigade
