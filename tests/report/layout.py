"""What of a page in a browser does not fit: for `browser.py`, in several widths and with several fonts.

Nothing may depend on the fonts at hand: a page is laid out with a wide family and with a narrow one. At no width may anything
be off the screen or only reached by scrolling sideways, may letters be smaller than 12 pixels, or may the labels of a chart
be cut off or touch each other.
"""

import base64
import shutil
import struct
import subprocess
import zlib

WIDTHS = [320, 360, 400, 800, 1280]
PAINTED = [400, 1280]
"""Those of which the margins are also looked at as painted, which takes longer."""
FAMILIES = ["DejaVu Sans", "Liberation Sans"]
"""A wide one, with which Chromium on a plain Debian draws a page, and a narrow one, with the widths of Arial."""

MISFITS = """
const found = [], shown = (element) => element.checkVisibility() && element.getClientRects().length > 0;
const named = (element) => `${element.localName}.${element.className.baseVal ?? element.className} ${element.textContent.slice(0, 40)}`;
const say = (what, element, ...more) => found.push([what, named(element), ...more].join(" "));
const all = [...document.body.querySelectorAll("*")].filter((e) => !e.closest(".skip, .patterns, script, style") && shown(e));
for (const element of all) {
  const box = element.getBoundingClientRect(), inChart = element.closest("svg");
  if (box.left < -0.5 || box.right > innerWidth + 0.5) say("off the screen:", element, box.left, box.right);
  if (!inChart && getComputedStyle(element).overflowX !== "visible" && element.scrollWidth > element.clientWidth + 1) {
    say("scrolls:", element, element.scrollWidth, element.clientWidth);
  }
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  const scale = inChart ? element.getScreenCTM().a : 1;
  const size = parseFloat(getComputedStyle(element).fontSize) * scale;
  if (own && size < 11.99) say("small:", element, size);
}
for (const chart of all.filter((element) => element.localName === "svg" && element.closest(".chart"))) {
  const frame = chart.getBoundingClientRect();
  const labels = [...chart.querySelectorAll("text")].map((label) => [label, label.getBoundingClientRect()]);
  for (const [i, [label, box]] of labels.entries()) {
    if (box.left < frame.left - 0.5 || box.right > frame.right + 0.5 || box.top < frame.top - 3 || box.bottom > frame.bottom + 3) {
      say("cut off:", label, box.left - frame.left, frame.right - box.right);
    }
    for (const [other, at] of labels.slice(i + 1)) {
      const across = Math.min(box.right, at.right) - Math.max(box.left, at.left);
      // Boxes are higher than the letters in them.
      const up = Math.min(box.bottom, at.bottom) - Math.max(box.top, at.top);
      if (across > 0.5 && up > 5) say("touches:", label, named(other));
    }
  }
}
return found;
"""

FONT = """
const sheet = new CSSStyleSheet();
sheet.replaceSync(arguments[0] === null ? "" : `* { font-family: "${arguments[0]}" !important; }`);
document.adoptedStyleSheets = [sheet];
"""


def families():
    """Those that are installed."""
    if shutil.which("fc-list") is None:
        return []
    known = subprocess.run(["fc-list", ":", "family"], capture_output=True, text=True, check=True).stdout
    known = {name.strip() for line in known.splitlines() for name in line.split(",")}
    return [name for name in FAMILIES if name in known]


def check_layout(browser):
    """All widths with all families, everything opened; then the same in light and dark, as painted."""
    there = families()
    for name in sorted(set(FAMILIES) - set(there)):
        print(f"SKIPPED: no page with {name}: the font is missing")
    browser.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    for family in there or [None]:
        browser.run(FONT, family)
        for width in WIDTHS:
            browser.size(width, 900)
            found = browser.run(MISFITS)
            assert not found, f"{width} wide with {family}: {len(found)}: {found[:12]}"
    for theme in ("light", "dark"):
        browser.tools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        for width in WIDTHS if browser.pictures else PAINTED:
            browser.size(width, 900)
            ground = browser.run("return getComputedStyle(document.body).backgroundColor")
            expected = bytes(int(part) for part in ground[4:-1].split(","))
            painted = margin(browser, width)
            assert set(painted) == {expected}, f"{width} wide, {theme}: painted in the margin: {set(painted)}"
            browser.picture(f"{width}-{theme}", whole=True)
    browser.tools("Emulation.setEmulatedMedia", features=[])
    browser.run(FONT, None)
    browser.run("document.querySelectorAll('details').forEach((details) => { details.open = false; })")


def margin(browser, width):
    """The colours of the outermost pixels of the page, from top to bottom: what is too wide is painted there."""
    height = browser.tools("Page.getLayoutMetrics")["cssContentSize"]["height"]
    # Higher pictures are scaled down.
    clip = {"x": width - 2, "y": 0, "width": 2, "height": min(height, 16_000), "scale": 1}
    picture = browser.tools("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
    return pixels(base64.b64decode(picture["data"]))


def pixels(png):
    """The pixels of a PNG with 8 bits per channel, without their opacity."""
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", png[16:29])
    assert (depth, interlaced) == (8, 0) and kind in (2, 6), "an unknown PNG"
    at, packed = 8, b""
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            packed += png[at + 8 : at + 8 + length]
        at += 12 + length
    raw, size = zlib.decompress(packed), 4 if kind == 6 else 3
    stride, above, found = width * size, bytes(width * size), []
    for row in range(height):
        line = bytearray(raw[row * (stride + 1) : (row + 1) * (stride + 1)])
        filtered, line = line[0], line[1:]
        for i in range(stride):
            left, up = line[i - size] if i >= size else 0, above[i]
            corner = above[i - size] if i >= size else 0
            near = min((left, up, corner), key=lambda value: abs(left + up - corner - value))
            line[i] = (line[i] + [0, left, up, (left + up) // 2, near][filtered]) % 256
        above = bytes(line)
        found += [above[i : i + 3] for i in range(0, stride, size)]
    return found
