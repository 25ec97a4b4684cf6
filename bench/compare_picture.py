"""The figures of compare.py as bars, one block a workload, on a logarithmic scale."""
import math
from html import escape

BAR, GAP, LABEL, WIDTH, COLUMN = 14, 26, 104, 250, 430
COLORS = {"brigade": "#c2410c", "bare loop": "#475569"}
PEER = "#94a3b8"


def block(row, x, y):
    """One workload: its title, and a bar a program, fastest first; its lines and height."""
    work = row.workload
    lines = [f'<text x="{x}" y="{y + 11}" class="title">{escape(work.title)}'
             f'<tspan class="what">  {escape(work.what)}</tspan></text>']
    low = math.log10(min(row.medians.values())) - 0.3
    span = max(math.log10(max(row.medians.values())) - low, 1)
    for number, (name, median) in enumerate(sorted(row.medians.items(), key=lambda one: one[1])):
        top = y + 18 + number * BAR
        length = (math.log10(median) - low) / span * WIDTH
        figure = f"{median:.1f}" if median < 100 else f"{median:,.0f}"
        lines += [f'<text x="{x + LABEL - 6}" y="{top + 10}" class="name">{escape(name)}</text>',
                  f'<rect x="{x + LABEL}" y="{top + 1}" width="{length:.1f}" height="{BAR - 3}" '
                  f'fill="{COLORS.get(name, PEER)}"/>',
                  f'<text x="{x + LABEL + length + 4:.1f}" y="{top + 10}">{figure}</text>']
    return lines, 18 + len(row.medians) * BAR + GAP


def picture(rows):
    lines, heights = [], [34, 34]
    for row in rows:
        if row.own is None:
            continue
        column = heights.index(min(heights))
        drawn, height = block(row, 10 + column * COLUMN, heights[column])
        lines += drawn
        heights[column] += height
    width, height = 10 + 2 * COLUMN, max(heights)
    style = ("text{font:11px sans-serif;fill:#0f172a}.title{font-weight:bold;font-size:12px}"
             ".what{font-weight:normal;fill:#475569}.name{text-anchor:end}")
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}">')
    title = ('<text x="10" y="18" class="title">CPU ns an item, one thread '
             '(2x: wall ns, two threads; W6m: bytes a task); '
             'shorter is better, the scale is logarithmic</text>')
    return "\n".join([head, f"<style>{style}</style>",
                      f'<rect width="{width}" height="{height}" fill="#fff"/>', title, *lines,
                      "</svg>\n"])
