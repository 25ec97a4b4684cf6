#include <brigade/pipeline/source.hpp>

namespace brigade {

void source::acknowledge(std::uint32_t, const watermark&) {}

task<> source::close() { co_return; }

}  // namespace brigade
