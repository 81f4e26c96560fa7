"""Static SVG, readable on light and dark pages: no script, no font of its own, colours that turn with the reader's scheme."""
from xml.sax.saxutils import escape

FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
# class: (light, dark)
INK = {"page": ("#ffffff", "#0d1117"), "ink": ("#1f2328", "#e6edf3"), "faint": ("#59636e", "#9198a1"),
       "grid": ("#d8dee4", "#2a313c"), "axis": ("#818b98", "#656c76")}
# target: (light, dark, dashes); other targets take SPARE in turn
TARGETS = {
    "ours": ("#0550ae", "#58a6ff", ""), "floor": ("#59636e", "#9198a1", "2 3"), "direct": ("#818b98", "#656c76", "1 3"),
    "nginx": ("#1a7f37", "#3fb950", ""), "haproxy": ("#bc4c00", "#f0883e", ""), "envoy": ("#8250df", "#bc8cff", ""),
    "envoy-zipkin1": ("#8250df", "#bc8cff", "6 3"), "envoy-zipkin100": ("#8250df", "#bc8cff", "2 2"), "envoy-otlp100": ("#8250df", "#bc8cff", "8 2 2 2"),
    "nghttpx": ("#0a7d91", "#39c5cf", ""), "h2o": ("#bf3989", "#f778ba", ""), "caddy": ("#9a6700", "#d29922", ""), "pingora": ("#cf222e", "#ff7b72", ""),
}
SPARE = [("#57606a", "#b1bac4", ""), ("#953800", "#ffa657", "4 2"), ("#116329", "#7ee787", "4 2"), ("#622cbc", "#d2a8ff", "4 2")]


class Palette:
    """Which class draws a target: t0, t1 ..."""

    def __init__(self, targets):
        self.names, spare = list(dict.fromkeys(targets)), 0
        self.colours = []
        for name in self.names:
            if name not in TARGETS:
                spare += 1
            self.colours.append(TARGETS.get(name) or SPARE[(spare - 1) % len(SPARE)])

    def of(self, target):
        return f"t{self.names.index(target)}"

    def rules(self, dark):
        for index, colours in enumerate(self.colours):
            dashes, paler = (f" stroke-dasharray: {colours[2]};", f" rect.t{index} {{ fill-opacity: 0.55; }}") if colours[2] else ("", "")
            yield f".t{index} {{ stroke: {colours[dark]}; fill: {colours[dark]}; }} .l.t{index} {{ fill: none;{dashes} }}"
            yield f"text.t{index}, rect.t{index} {{ stroke: none; }}{paler}"


class Drawing:
    """Collects elements; `text()` is the file."""

    def __init__(self, width, height, title, palette=None, style=""):
        self.width, self.height, self.title, self.palette, self.style = width, height, title, palette, style
        self.parts = []

    def add(self, element):
        self.parts.append(element)

    def text(self, x, y, content, kind="ink", anchor="start", size=12, extra=""):
        self.add(f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}" font-size="{size}"{extra}>{escape(str(content))}</text>')

    def line(self, x1, y1, x2, y2, kind):
        self.add(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>')

    def path(self, points, kind):
        self.add(f'<path d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in points)}" class="l {kind}"/>')

    def dot(self, x, y, kind, title):
        self.add(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" class="{kind}"><title>{escape(title)}</title></circle>')

    def box(self, x, y, width, height, kind, title=None):
        inside = f"><title>{escape(title)}</title></rect>" if title else "/>"
        self.add(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" class="{kind}"{inside}')

    def scheme(self, dark):
        for name, colours in INK.items():
            if name in ("grid", "axis"):
                yield f".{name} {{ stroke: {colours[dark]}; }}"
            else:
                yield f".{name} {{ fill: {colours[dark]}; }}"
        if self.palette:
            yield from self.palette.rules(dark)

    def whole(self):
        styles = [".l { stroke-width: 1.6; stroke-linejoin: round; }",
                  ".strong { stroke-width: 2.8; } .thin { stroke-width: 0.7; opacity: 0.45; } .bold { font-weight: 600; } .grid { stroke-width: 0.7; }",
                  *self.scheme(0), f"@media (prefers-color-scheme: dark) {{ {' '.join(self.scheme(1))} }}", self.style]
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height:.0f}" width="{self.width}" height="{self.height:.0f}" '
                f'font-family="{FONT}" role="img" aria-label="{escape(self.title)}">\n<title>{escape(self.title)}</title>\n'
                f'<style>{chr(10).join(filter(None, styles))}</style>\n'
                f'<rect width="100%" height="100%" class="page"/>\n' + "\n".join(self.parts) + "\n</svg>\n")
