"""Line charts in panels, and grouped bars, as SVG."""
import dataclasses
import math

from .svg import Drawing, Palette

LEFT, RIGHT, GAP, TOP, BOTTOM = 62, 118, 30, 62, 52  # margins, and the room between panels
LABEL = 13  # least distance of two labels


@dataclasses.dataclass
class Axis:
    """`log` or `linear`; `low` and `high` hold whatever the values are."""
    title: str
    scale: str = "linear"
    low: float | None = None
    high: float | None = None


@dataclasses.dataclass
class Panel:
    """`series`: target to [(x, y)]; lines are drawn in that order and labelled at their ends."""
    title: str
    series: dict
    x: Axis
    y: Axis


def compact(value):
    """12000 as 12k, 0.5 as 0.5: for ticks."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


class Scale:
    """Values to places, and the ticks between."""

    def __init__(self, axis, values, start, end):
        self.log, self.start, self.end = axis.scale == "log", start, end
        values = [value for value in values if value > 0 or not self.log] or [1]
        low, high = axis.low if axis.low is not None else min(values), axis.high if axis.high is not None else max(values)
        self.ticks, self.labelled = self.decades(low, high) if self.log else self.steps(low, high)
        self.low, self.high = (min(self.ticks[0], low), max(self.ticks[-1], high))

    @staticmethod
    def decades(low, high):
        """1, 2, 5 of each decade, from the last one below to the first one above; all labelled where that is few."""
        low, high = max(low, 1e-9), max(high, low * 1.01)
        every = [factor * 10.0 ** power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1) for factor in (1, 2, 5)]
        first = max((index for index, tick in enumerate(every) if tick <= low * 1.0001), default=0)
        last = min((index for index, tick in enumerate(every) if tick >= high * 0.9999), default=len(every) - 1)
        ticks = every[first:last + 1]
        few = len(ticks) <= 8
        return ticks, {tick for tick in ticks if few or math.log10(tick).is_integer()}

    @staticmethod
    def steps(low, high):
        low = min(low, 0) if low >= 0 and low < 0.5 * high else low
        rough = max(high - low, 1e-9) / 6
        size = 10 ** math.floor(math.log10(rough))
        step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
        ticks = [step * index for index in range(math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9) + 1)]
        return ticks, set(ticks)

    def place(self, value):
        if self.log:
            part = (math.log(max(value, self.low)) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)


def spread_out(wanted, low, high):
    """Places of labels near those wanted, not nearer to each other than LABEL."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    placed = [wanted[index] for index in order]
    for _ in range(60):
        for index in range(len(placed) - 1):
            short = LABEL - (placed[index + 1] - placed[index])
            if short > 0:
                placed[index], placed[index + 1] = placed[index] - short / 2, placed[index + 1] + short / 2
        placed = [min(max(place, low), high) for place in placed]
    for index in range(1, len(placed)):
        placed[index] = max(placed[index], placed[index - 1] + LABEL)
    found = [0.0] * len(wanted)
    for index, place in zip(order, placed):
        found[index] = place
    return found


def axes(drawing, panel, x, y):
    drawing.text(x.start, TOP - 9, panel.title, "ink bold", size=12.5)
    for tick in y.ticks:
        drawing.line(x.start, y.place(tick), x.end, y.place(tick), "grid")
        if tick in y.labelled:
            drawing.text(x.start - 6, y.place(tick) + 4, compact(tick), "faint", "end", 11)
    for tick in x.ticks:
        drawing.line(x.place(tick), y.start, x.place(tick), y.end, "grid")
        if tick in x.labelled:
            drawing.text(x.place(tick), y.start + 16, compact(tick), "faint", "middle", 11)
    drawing.line(x.start, y.start, x.end, y.start, "axis")
    drawing.text((x.start + x.end) / 2, y.start + 36, panel.x.title, "faint", "middle")
    middle = (y.start + y.end) / 2
    drawing.text(x.start - 46, middle, panel.y.title, "faint", "middle", extra=f' transform="rotate(-90 {x.start - 46:.1f} {middle:.1f})"')


def curves(drawing, panel, x, y):
    ends = {}
    for target, points in panel.series.items():
        kind = drawing.palette.of(target)
        drawn = [(x.place(point[0]), y.place(point[1])) for point in points]
        drawing.path(drawn, kind + (" strong" if target == "ours" else ""))
        for (left, top), point in zip(drawn, points):
            drawing.dot(left, top, kind, f"{target}: {point[1]:,.4g} at {point[0]:,.6g}")
        ends[target] = drawn[-1]
    places = spread_out([end[1] for end in ends.values()], y.end + 4, y.start - 2)
    for (target, end), place in zip(ends.items(), places):
        kind = drawing.palette.of(target)
        drawing.path([(end[0] + 4, end[1]), (x.end + 8, place)], f"{kind} thin")
        drawing.text(x.end + 11, place + 4, target, kind + (" bold" if target == "ours" else ""), size=11.5)


def lines(title, panels, note="", width=960, height=400):
    """Panels side by side, under one title."""
    panels = [Panel(one.title, {target: points for target, points in one.series.items() if points}, one.x, one.y) for one in panels]
    drawing = Drawing(width, height, title, Palette(target for panel in panels for target in panel.series))
    drawing.text(16, 24, title, "ink bold", size=15)
    drawing.text(16, height - 8, note, "faint", size=10.5)
    each = (width - GAP * (len(panels) - 1)) / len(panels)
    for index, panel in enumerate(panels):
        left = index * (each + GAP)
        points = [point for found in panel.series.values() for point in found]
        if not points:
            continue
        x = Scale(panel.x, [point[0] for point in points], left + LEFT, left + each - RIGHT)
        y = Scale(panel.y, [point[1] for point in points], height - BOTTOM - 14, TOP)
        axes(drawing, panel, x, y)
        curves(drawing, panel, x, y)
    return drawing.whole()


def bars(title, groups, unit, note="", width=960):
    """Horizontal bars. `groups`: [(label, {target: (value, low, high)})]; each group has a scale of its own, from 0 to its largest value."""
    targets = list(dict.fromkeys(target for _, values in groups for target in values))
    bar, between, left, right = 13, 16, 250, 150
    height = 58 + sum(len(values) * bar + between for _, values in groups) + 26
    drawing = Drawing(width, height, title, Palette(targets))
    drawing.text(16, 24, title, "ink bold", size=15)
    place = 16
    for target in targets:
        drawing.box(place, 36, 10, 10, drawing.palette.of(target))
        drawing.text(place + 14, 45, target, "ink", size=11.5)
        place += 30 + 6.6 * len(target)
    top = 62
    for label, values in groups:
        most = max(high for _, _, high in values.values()) or 1
        drawing.text(left - 12, top + len(values) * bar / 2 + 4, label, "ink", "end")
        for target, (value, low, high) in values.items():
            long = value / most * (width - left - right)
            drawing.box(left, top, long, bar - 3, drawing.palette.of(target), f"{target}: {value:.4g} {unit}, {low:.4g} to {high:.4g}")
            start, end = (left + bound / most * (width - left - right) for bound in (low, high))
            drawing.line(start, top + (bar - 3) / 2, end, top + (bar - 3) / 2, "axis")
            base = values.get("ours")
            ratio = f" ({value / base[0]:.2f} ×)" if base and target != "ours" else ""
            drawing.text(max(left + long, end) + 6, top + bar - 4, f"{value:,.3g} {unit}{ratio}" if value < 1000 else f"{value:,.0f} {unit}{ratio}",
                         "ink bold" if target == "ours" else "faint", size=11)
            top += bar
        top += between
    drawing.text(16, height - 8, note, "faint", size=10.5)
    return drawing.whole()
