// The flow stands in one column, top to bottom, branches further in; a dashed line beside it leads
// to the dead letters.
#include "cli/picture.hpp"

#include <brigade/connect/record.hpp>

#include <fmt/format.h>

#include <algorithm>

namespace brigade::cli {
namespace {

constexpr int margin = 20;
constexpr int padding = 12;
constexpr int line_height = 18;
constexpr int gap = 34;
constexpr int step = 32;              // to the right, with each branch
constexpr int rail_gap = 10;          // left of a box, for what comes to it from further up
constexpr int lane = 36;              // between the flow and the dead letters, for the dashed line
constexpr double letter_width = 7.3;  // of the 12 px monospace font

struct rectangle {
  int x = 0;
  int y = 0;
  int width = 0;
  int height = 0;
  [[nodiscard]] int right() const { return x + width; }
  [[nodiscard]] int bottom() const { return y + height; }
  [[nodiscard]] int middle_x() const { return x + width / 2; }
  [[nodiscard]] int middle_y() const { return y + height / 2; }
};

std::string xml_text(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::string_view valid = text.substr(0, valid_utf8_prefix(text));
    for (const char c : valid) {
      const bool control = static_cast<unsigned char>(c) < ' ' || c == '\x7f';
      if (c == '&') {
        result += "&amp;";
      } else if (c == '<') {
        result += "&lt;";
      } else if (c == '>') {
        result += "&gt;";
      } else {
        result += control ? ' ' : c;
      }
    }
    text.remove_prefix(valid.size());
    if (text.empty()) break;
    result += '?';
    text.remove_prefix(1);
  }
  return result;
}

std::size_t letters_in(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

int width_of(const picture_box& box) {
  std::size_t letters = letters_in(box.title) + 1;  // it is bold
  for (const std::string& line : box.lines) letters = std::max(letters, letters_in(line));
  return static_cast<int>(static_cast<double>(letters) * letter_width) + 2 * padding;
}

int height_of(const picture_box& box) {
  return static_cast<int>(box.lines.size() + 1) * line_height + padding;
}

class drawing {
 public:
  explicit drawing(const pipeline_picture& picture) : picture_(picture) {}

  std::string svg() {
    lay_out_flow();
    lay_out_aside();
    connect();
    const int width = std::max(letters_at_.right(), right_) + margin;
    const int height = bottom_ + margin;
    return fmt::format(
               R"(<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{1}" )"
               R"(viewBox="0 0 {0} {1}" font-family="ui-monospace, Menlo, Consolas, monospace" )"
               R"(font-size="12">)"
               "\n<title>{2}</title>\n"
               R"(<rect width="{0}" height="{1}" fill="#ffffff"/>)"
               "\n",
               width, height, xml_text(picture_.name)) +
           body_ + "</svg>\n";
  }

 private:
  void lay_out_flow() {
    int right = 0;
    for (const picture_box& box : picture_.flow) {
      right = std::max(right, left_of(box) + width_of(box));
      if (!box.label.empty()) right = std::max(right, left_of(box) + label_width(box));
    }
    int y = margin;
    for (const picture_box& box : picture_.flow) {
      if (!box.label.empty()) y += line_height;
      const rectangle at{left_of(box), y, right - left_of(box), height_of(box)};
      draw(box, at, "#eef4ff", "#3b6fb6");
      flow_.push_back(at);
      y = at.bottom() + gap;
    }
    bottom_ = flow_.back().bottom();
    right_ = right;
  }

  /// Right of the flow, beside the sink as far down as they fit.
  void lay_out_aside() {
    int height = height_of(picture_.letters);
    for (const picture_box& box : picture_.aside) height += height_of(box) + gap / 2;
    int y = std::max(margin, bottom_ - height);
    const int x = right_ + lane;
    int width = width_of(picture_.letters);
    for (const picture_box& box : picture_.aside) width = std::max(width, width_of(box));
    letters_at_ = rectangle{x, y, width, height_of(picture_.letters)};
    draw(picture_.letters, letters_at_, "#fff1ee", "#b6483b");
    y = letters_at_.bottom() + gap / 2;
    for (const picture_box& box : picture_.aside) {
      const rectangle at{x, y, width, height_of(box)};
      draw(box, at, "#f4f4f4", "#777777");
      y = at.bottom() + gap / 2;
    }
    bottom_ = std::max(bottom_, y - gap / 2);
  }

  void connect() {
    for (std::size_t i = 0; i < flow_.size(); ++i) {
      for (const std::size_t next : picture_.flow[i].next) connect_boxes(i, next);
    }
    const int rail = right_ + lane / 2;
    const int target = letters_at_.middle_y();
    int top = target;
    int low = target;
    for (std::size_t i = 0; i < flow_.size(); ++i) {
      if (!picture_.flow[i].makes_letters) continue;
      const int y = flow_[i].middle_y();
      top = std::min(top, y);
      low = std::max(low, y);
      line(right_, y, rail, y, dashed);
    }
    line(rail, top, rail, low, dashed);
    line(rail, target, letters_at_.x - 8, target, dashed);
    body_ += fmt::format(R"(<path d="M{} {} l-9 -5 v10 z" fill="#b6483b"/>)"
                         "\n",
                         letters_at_.x, target);
  }

  /// Down the middle to the next box; else down the left side and into the box from there.
  void connect_boxes(std::size_t from, std::size_t to) {
    const picture_box& box = picture_.flow[to];
    const rectangle& end = flow_[to];
    if (to == from + 1 && box.label.empty()) {
      line(end.middle_x(), flow_[from].bottom(), end.middle_x(), end.y - 8, "");
      body_ += fmt::format(R"(<path d="M{} {} l-5 -9 h10 z" fill="#3b6fb6"/>)"
                           "\n",
                           end.middle_x(), end.y);
      return;
    }
    const bool is_deeper = box.depth > picture_.flow[from].depth;
    const int side = is_deeper ? flow_[from].x + step / 2 : end.x - rail_gap;
    const int start = is_deeper ? flow_[from].bottom() : flow_[from].middle_y();
    if (!is_deeper) line(flow_[from].x, start, side, start, "");
    line(side, start, side, end.middle_y(), "");
    line(side, end.middle_y(), end.x - 8, end.middle_y(), "");
    body_ += fmt::format(R"(<path d="M{} {} l-9 -5 v10 z" fill="#3b6fb6"/>)"
                         "\n",
                         end.x, end.middle_y());
  }

  /// The further in, the more branches a box stands in.
  static int left_of(const picture_box& box) { return margin + static_cast<int>(box.depth) * step; }
  static int label_width(const picture_box& box) {
    return static_cast<int>(static_cast<double>(letters_in(box.label)) * letter_width);
  }

  void line(int x1, int y1, int x2, int y2, std::string_view more) {
    body_ += fmt::format(R"(<path d="M{} {} L{} {}" fill="none" stroke="{}"{}/>)"
                         "\n",
                         x1, y1, x2, y2, more.empty() ? "#3b6fb6" : "#b6483b", more);
  }

  void draw(const picture_box& box, const rectangle& at, std::string_view fill,
            std::string_view stroke) {
    body_ +=
        fmt::format(R"(<rect x="{}" y="{}" width="{}" height="{}" rx="6" fill="{}" stroke="{}"/>)"
                    "\n",
                    at.x, at.y, at.width, at.height, fill, stroke);
    int y = at.y + line_height;
    if (!box.label.empty()) text(box.label, at.x, at.y - 6, R"( font-style="italic")");
    text(box.title, at.x + padding, y, R"( font-weight="bold")");
    for (const std::string& each : box.lines) text(each, at.x + padding, y += line_height, "");
  }

  void text(std::string_view what, int x, int y, std::string_view more) {
    body_ += fmt::format(R"(<text x="{}" y="{}"{} xml:space="preserve">{}</text>)"
                         "\n",
                         x, y, more, xml_text(what));
  }

  static constexpr std::string_view dashed = R"( stroke-dasharray="4 3")";
  const pipeline_picture& picture_;
  std::string body_;
  std::vector<rectangle> flow_;
  rectangle letters_at_;
  int right_ = 0;
  int bottom_ = 0;
};

}  // namespace

std::string svg_picture(const pipeline_picture& picture) { return drawing(picture).svg(); }

}  // namespace brigade::cli
