/// All of the async layer but the Asio bridge.
#pragma once
#include <brigade/async/cancel.hpp>
#include <brigade/async/descriptor.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/async/runner.hpp>
#include <brigade/async/signal.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/task.hpp>
#include <brigade/async/task_local.hpp>
#include <brigade/async/thread.hpp>
#include <brigade/async/timeout.hpp>
