/// What lets clang find tasks that dangle (docs/lifetimes.md); nothing unless asked for.
///
/// With -DBRIGADE_LIFETIME_CHECKS, clang 18 or newer takes a task for bound to the parameters of
/// its coroutine, and -Wdangling finds the task that is kept longer than a temporary it was given.
/// The price: a function that returns a task and is no coroutine is an error unless it is marked
/// BRIGADE_WRAPPER, be it a lambda, std::function<task<>()> or std::invoke. So it is for lints.
#pragma once

#if defined(BRIGADE_LIFETIME_CHECKS) && defined(__clang__)
#define BRIGADE_LIFETIMEBOUND [[clang::coro_return_type, clang::coro_lifetimebound]]
#define BRIGADE_WRAPPER [[clang::coro_wrapper]]
#else
#define BRIGADE_LIFETIMEBOUND
#define BRIGADE_WRAPPER
#endif
