/// A stage `exec` with small handlers in sh, for tests.
#pragma once
#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/connect/exec.hpp>
#include <brigade/connect/record.hpp>
#include <brigade/pipeline/registry.hpp>

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace brigade::exec {

using texts = std::vector<std::string>;

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
inline bool starts_with(const std::string& text, const std::string& front) {
  return text.starts_with(front);
}

/// Reads requests in sh: `id` is the request's id, `line` the whole of it.
inline std::string sh_handler(const std::string& body) {
  return "while read -r line; do id=${line#*: }; id=${id%%,*}; " + body + "; done";
}
/// Answers a request with what the shell word `value` gives.
inline std::string sh_answer(const std::string& value) {
  return R"(echo "{\"id\": $id, \"ok\": )" + value + R"(}")";
}

struct stage_settings {
  explicit stage_settings(const std::string& script) : command{"sh", "-c", script} {}
  texts command;
  std::string protocol = "ndjson";
  std::int64_t in_flight = 1;
  std::map<std::string, std::string> env;
  std::string cwd;
  std::filesystem::path folder = ".";
  std::chrono::milliseconds timeout{60'000};
  int workers = 1;
};

inline std::unique_ptr<stage_body> make_stage(const stage_settings& wanted) {
  registry components;
  register_exec(components);
  settings values;
  values.set("command", wanted.command);
  values.set("protocol", wanted.protocol);
  values.set("in_flight", wanted.in_flight);
  if (!wanted.env.empty()) values.set("env", wanted.env);
  if (!wanted.cwd.empty()) values.set("cwd", wanted.cwd);
  component_context context;
  context.pipeline = "orders";
  context.name = "charge";
  context.folder = wanted.folder;
  context.attempt_timeout = wanted.timeout;
  return components.find(component_kind::stage, "exec")->make_stage(values, context);
}

/// What came of an attempt, as one text: "ok VALUE", "permanent ERROR", "retryable kill ERROR"...
inline std::string text_of_result(attempt_result& result) {
  if (result.what() == attempt_result::kind::passed) {
    const record& value = result.value().get<record>();
    return (value.what() == record::shape::json ? "ok " : "ok line ") + std::string(value.raw());
  }
  if (result.what() != attempt_result::kind::failed) return "neither passed nor failed";
  const failure& why = result.why();
  const std::string kind = why.kind == verdict::retryable   ? "retryable "
                           : why.kind == verdict::permanent ? "permanent "
                                                            : "fatal ";
  return kind + (why.killed_handler ? "kill " : "") + why.error;
}

inline task<std::string> attempt(stage_body& stage, std::string item, int worker = 0) {
  payload value(record::json(std::move(item)));
  attempt_info info;
  info.id = "main:8f3a:40960";
  info.key = "orders:main:8f3a:40960";
  info.worker = worker;
  attempt_result result = co_await stage.run(value, info);
  co_return text_of_result(result);
}

/// The results of these items, one after the other.
inline texts one_by_one(const stage_settings& wanted, const texts& items) {
  auto main = [&]() -> task<texts> {
    const auto stage = make_stage(wanted);
    co_await stage->open(wanted.workers);
    texts results;
    for (const std::string& item : items) {
      std::string result = co_await attempt(*stage, item);
      results.push_back(std::move(result));
    }
    co_await stage->close();
    co_return results;
  };
  return run(main());
}

/// The results of these items, all begun at once.
inline texts together(const stage_settings& wanted, const texts& items) {
  auto main = [&]() -> task<texts> {
    const auto stage = make_stage(wanted);
    co_await stage->open(wanted.workers);
    texts results(items.size());
    auto one = [&](std::size_t index) -> task<> {
      results[index] = co_await attempt(*stage, items[index]);
    };
    co_await with_group([&](task_group& group) {
      for (std::size_t index = 0; index < items.size(); ++index) group.spawn(std::ref(one), index);
    });
    co_await stage->close();
    co_return results;
  };
  return run(main());
}

/// The children of this process, dead ones that nobody has reaped included.
inline std::string children() {
  std::ostringstream result;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    result << std::ifstream(thread.path() / "children").rdbuf();
    result.clear();
  }
  return result.str();
}

/// What the kernel does in its own time is looked for again and again, up to a limit.
inline task<bool> eventually(std::function<bool()> condition) {
  for (int tries = 0; tries < 5000; ++tries) {
    if (condition()) co_return true;
    co_await sleep_for(std::chrono::milliseconds(2));
  }
  co_return condition();
}

}  // namespace brigade::exec
