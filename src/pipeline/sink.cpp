#include <brigade/pipeline/sink.hpp>

namespace brigade {

task<> sink::close() { co_return; }

task<> sink::commit_marks(std::span<const partition_mark>) { co_return; }

}  // namespace brigade
