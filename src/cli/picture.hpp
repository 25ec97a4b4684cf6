/// A pipeline as a picture: what is drawn, as text or as SVG.
#pragma once
#include "cli/pipeline_config.hpp"

#include <string>
#include <vector>

namespace brigade::cli {

/// One box: what it is, and a line for each thing worth knowing.
struct picture_box {
  std::string title;
  std::vector<std::string> lines;
  bool makes_letters = false;          ///< items may become dead letters here
  std::string label = {};              ///< which items come here, in the first box of a branch
  std::size_t depth = 0;               ///< in how many branches it stands
  std::vector<std::size_t> next = {};  ///< in the flow: where items go from here
};

struct pipeline_picture {
  std::string name;
  std::vector<picture_box> flow;  ///< source, stages, sinks; branches directly behind their fork
  picture_box letters;
  std::vector<picture_box> aside;  ///< the ledger, and the last step
};

[[nodiscard]] pipeline_picture picture_of(const pipeline_config& config);

/// With newlines.
[[nodiscard]] std::string text_picture(const pipeline_picture& picture);
/// A whole SVG file that refers to nothing else. What is no UTF-8 has question marks.
[[nodiscard]] std::string svg_picture(const pipeline_picture& picture);

}  // namespace brigade::cli
