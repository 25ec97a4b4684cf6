/// Batches written to a sink as the engine writes them.
#pragma once
#include <brigade/async/loop.hpp>
#include <brigade/connect/record.hpp>
#include <brigade/pipeline/sink.hpp>

#include <string>
#include <vector>

namespace brigade::test {

/// Writes `items` as one batch; item i has the id and key `prefix` and i.
inline write_result write_all(sink& to, const std::vector<record>& items,
                              const std::vector<partition_mark>& marks = {},
                              const std::string& prefix = "k") {
  std::vector<payload> values;
  std::vector<std::string> names;
  for (const record& item : items) {
    values.emplace_back(record(item));
    names.push_back(prefix + std::to_string(names.size()));
  }
  std::vector<sink_item> batch;
  for (std::size_t i = 0; i < items.size(); ++i) {
    batch.push_back(sink_item{names[i], names[i], &values[i]});
  }
  return run(to.write(batch, marks));
}

}  // namespace brigade::test
