#include <brigade/async/channel.hpp>

namespace brigade {

channel_broken::channel_broken(std::string_view channel_name, std::uint64_t items_destroyed)
    : std::runtime_error("channel '" + std::string(channel_name) + "' has no receiver any more" +
                         (items_destroyed == 0 ? std::string()
                                               : "; items destroyed that nobody had received: " +
                                                     std::to_string(items_destroyed))) {}

}  // namespace brigade
