#include <brigade/pipeline/source.hpp>

namespace brigade {

std::optional<std::string> source::decode(payload&) const { return std::nullopt; }

void source::acknowledge(std::uint32_t, const mark&) {}

task<> source::close() { co_return; }

}  // namespace brigade
