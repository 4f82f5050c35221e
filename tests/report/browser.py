"""Opens a report in headless Chromium and uses it like a person: by keyboard, by pointer, in light and dark, on a phone.

    python browser.py MASKS REPORT [FOLDER FOR SCREENSHOTS]

Numbers are compared with the Arrow files of the masks. Nothing may reach the console or the network, all text must have a
contrast of at least 4.5 (WCAG 2.2, 1.4.3), and everything must fit the window (`layout.py`). Uses WebDriver with
chromedriver through the standard library alone; pyarrow reads the masks.
"""

import base64
import json
import math
import pathlib
import re
import struct
import sys
import tempfile

import pyarrow as pa
from driver import Browser
from layout import check_layout

masks, report = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
pictures = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else None

# The colours of all visible text, with those behind it; a canvas converts any CSS notation to bytes.
CONTRAST = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const bytes = (...layers) => {
  canvas.clearRect(0, 0, 1, 1);
  for (const layer of layers) { canvas.fillStyle = layer; canvas.fillRect(0, 0, 1, 1); }
  return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
};
const light = (colour) => {
  const [r, g, b] = colour.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const found = new Map();
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode, element = node.parentElement;
  if (!node.textContent.trim() || element.closest("script, style, option, .skip")) continue;
  if (!element.checkVisibility() || !element.getClientRects().length) continue;
  const grounds = [];
  for (let at = element; at; at = at.parentElement) grounds.unshift(getComputedStyle(at).backgroundColor);
  const style = getComputedStyle(element);
  const colour = element.closest("svg") ? style.fill : style.color;
  const ground = bytes("white", ...grounds), ink = bytes("white", ...grounds, colour);
  const [a, b] = [light(ground), light(ink)].sort((a, b) => b - a);
  const ratio = (a + 0.05) / (b + 0.05);
  const key = `${ink} on ${ground}`;
  if (!found.has(key)) found.set(key, [ratio, key, element.className.baseVal ?? element.className, node.textContent.slice(0, 30)]);
}
return [...found.values()];
"""


def rows_of(masks):
    """The rows of the masks by shard and row."""
    rows = {}
    files = [masks] if masks.is_file() else sorted(masks.rglob("*.arrow"))
    for path in files:
        with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as stream:
            rows |= {(row["shard"], row["row"]): row for row in stream.read_all().to_pylist()}
    return rows


def computed(data, name, row):
    """A column of scores: as stored, or as pages compute it from stored ones."""
    if name in row:
        return row[name]
    # For token dynamics: the score by which a checkpoint selects. One column per time; the times come first.
    if name in data["scores"] and "excess" in data:
        own = row[data["excess"][data["scores"].index(name)]]
        base = row.get("reference_loss") or [0.0] * len(own)
        return [None if a is None or b is None else a - b for a, b in zip(own, base)]
    pairs = zip(row["base_loss"], row["loss"])
    return [None if base is None or loss is None else base - loss for base, loss in pairs]


def selected(data, name, row):
    """A mask: as stored, or for token dynamics the scores that reach a checkpoint's threshold."""
    if name in row:
        return row[name]
    place = data["masks"].index(name)
    summary = json.loads((masks / "summary.json").read_text())
    columns = [checkpoint["column"] for checkpoint in summary["checkpoints"]]
    lowest = summary["selection"]["lowest_excess"][columns.index(data["excess"][place])]
    # Computed in float32, like the program; a difference of two needs no NumPy.
    scores = computed(data, data["scores"][place], row)
    return [score is not None and float32(score) >= lowest for score in scores]


def float32(number):
    return struct.unpack("<f", struct.pack("<f", number))[0]


def row_of(entry, rows):
    """The row of a document. Ids and shards are shown with hidden characters made visible, so they are not compared."""
    length = len(entry["ids"])
    same = [row for row in rows if row["row"] == entry["row"] and row["input_ids"][:length] == entry["ids"]]
    assert same, f"no row for {entry['id']}"
    return max(same, key=lambda row: (row["id"] == entry["id"], f"{row['shard']}, row" in entry["from"]))


def near(got, expected):
    if expected is None or got is None:
        return got is expected
    return float(got) == expected or abs(float(got) - expected) <= 0.5001e-4 or math.isnan(expected)


def told(browser):
    """The text of the tooltip: its title, and its rows by name."""
    return browser.run(
        """const tooltip = document.getElementById("tooltip");
        if (tooltip.hidden) return null;
        const rows = [...tooltip.querySelectorAll("tr")].map((row) => [...row.children].map((cell) => cell.textContent));
        return [tooltip.querySelector(".piece").textContent, Object.fromEntries(rows)];"""
    )


def check_tooltip(browser, data, row, i):
    title, rows = told(browser) or (None, {})
    what = f"token {i} of {row['id']}: {title} {rows}"
    position, count, token = re.fullmatch(r"(\d+) of ([\d,]+), id (\d+)", rows["token"]).groups()
    assert (int(position), int(token)) == (i, row["input_ids"][i]), what
    assert int(count.replace(",", "")) == len(row["input_ids"]), what
    assert title == data["pieces"].get(str(row["input_ids"][i]), f"<{token}>"), what
    scored = [row[name][i] is not None for name in data["scores"] if name in row]
    for name in data["scores"]:
        got, _, unit = rows[name].partition(" ")
        if rows[name] != "not scored":
            assert unit == data.get("units", {}).get(name, "nats"), what
        got = None if rows[name] == "not scored" else got
        assert near(got and got.replace("Infinity", "inf"), computed(data, name, row)[i]), what
    for name in data["masks"]:
        kept = selected(data, name, row)[i]
        words = "kept" if kept else "dropped" if any(scored) or not scored else "not scored"
        assert rows[name] == words, what
    if "classes" in data:
        code = row["category"][i]
        assert rows["category"] == ("not scored" if code is None else data["classes"][code]), what
    for name in data["weights"]:
        assert near(rows[name], row[name][i]), what
    assert browser.run("return document.activeElement.getAttribute('aria-describedby')") == "tooltip" or title, what


def quiet(browser, when):
    said = [entry for entry in browser.logs("browser")]
    assert not said, f"{when}: the console says {said}"
    for entry in browser.logs("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            assert url == report.as_uri() or url.startswith("data:"), f"{when}: asks for {url}"


def contrast(browser, when):
    found = browser.run(CONTRAST)
    assert len(found) > 3, found
    low = [entry for entry in found if entry[0] < 4.5]
    assert not low, f"{when}: {low}"
    return min(found)


def fits(browser, when):
    wide, window = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window, f"{when}: the page is {wide} wide in a window of {window}"


def focus_is_token(browser):
    return browser.run("return document.activeElement.dataset?.i ?? null")


def documents(browser):
    """The documents: by keyboard, by pointer, and all their numbers."""
    data = json.loads(browser.run("return document.getElementById('documents-data').textContent"))
    rows = list(rows_of(masks).values())
    for number, entry in enumerate(data["documents"]):
        row = row_of(entry, rows)
        length = len(entry["ids"])
        assert entry["tokens"] == len(row["input_ids"]) and entry["ids"] == row["input_ids"][:length]
        for name, column in zip(data["scores"], entry["scores"]):
            expected = computed(data, name, row)
            assert all(near(str(a).replace("Infinity", "inf") if a is not None else a, b) for a, b in zip(column, expected)), name
        for name, column in zip(data["masks"], entry["masks"]):
            assert [bit == "1" for bit in column] == selected(data, name, row)[:length], name
        # The next document through the chooser, by its arrow keys.
        if number > 0:
            before = browser.run("return document.getElementById('tokens').textContent")
            browser.run("document.getElementById('document').focus()")
            browser.press("ArrowDown")
            chosen, after = browser.run(
                "return [document.getElementById('document').value, document.getElementById('tokens').textContent]"
            )
            assert chosen == str(number), f"the chooser is at {chosen}, not at {number}"
            assert after != before or entry["text"] == data["documents"][number - 1]["text"]
        drawn = browser.run("return [...document.querySelectorAll('#tokens > [data-i]')].map((token) => token.textContent)")
        assert len(drawn) == length
        for text, shown in zip(entry["text"], drawn):
            assert shown == (text.replace("\n", "⏎\n") if text else "·"), (text, shown)
        if length == 0:
            continue
        browser.run("document.querySelector('#tokens [tabindex=\"0\"]').focus()")
        check_tooltip(browser, data, row, 0)
        for i in range(1, min(length, 6)):
            browser.press("ArrowRight")
            check_tooltip(browser, data, row, i)
        browser.press("End")
        check_tooltip(browser, data, row, length - 1)
        browser.press("Home")
        check_tooltip(browser, data, row, 0)
    if all(not entry["ids"] for entry in data["documents"]):
        return len(data["documents"])
    number, entry = next((n, entry) for n, entry in enumerate(data["documents"]) if entry["ids"])
    browser.run("const chooser = document.getElementById('document'); chooser.value = arguments[0]; chooser.dispatchEvent(new Event('change'))", number)
    # From the chooser to the tokens with the Tab key alone.
    browser.run("document.getElementById('document').focus()")
    for _ in range(20):
        browser.press("Tab")
        if focus_is_token(browser) is not None:
            break
    assert focus_is_token(browser) == "0", "the tabulator does not reach the tokens"
    # Escape closes the tooltip, a movement opens it again; arrows move between lines.
    browser.press("Escape")
    assert told(browser) is None, "Escape leaves the tooltip open"
    browser.press("ArrowDown")
    assert told(browser) is not None, "a movement does not open the tooltip"
    line, top, lines = browser.run(
        """const tokens = [...document.querySelectorAll("#tokens > [data-i]")].map((token) => token.getClientRects()[0].top);
        return [document.activeElement.getClientRects()[0].top, tokens[0], new Set(tokens).size];"""
    )
    assert line > top or lines == 1, "the arrow does not lead to the next line"
    browser.press("ArrowUp")
    # By pointer, on a token near the beginning.
    browser.press("Escape")
    tokens = browser.ask("POST", "/elements", {"using": "css selector", "value": "#tokens > [data-i]"})
    row = row_of(entry, rows)
    place = next((i for i in range(2, len(tokens)) if entry["text"][i].strip()), 0)
    browser.run("document.getElementById('tokens').scrollIntoView()")
    browser.point(tokens[place])
    check_tooltip(browser, data, row, place)
    # Colourings: masks show kept tokens, levels have five classes.
    for number, colouring in enumerate(data["colourings"]):
        browser.run("document.querySelectorAll('#colourings input')[arguments[0]].click()", number)
        classes = browser.run("return [...document.querySelectorAll('#tokens > [data-i]')].map((token) => [token.className, token.getAttribute('aria-selected')])")
        for i, (name, marked) in enumerate(classes):
            if colouring["kind"] == "mask":
                bit = entry["masks"][colouring["index"]][i] == "1"
                assert ("kept" in name) == bit and marked == str(bit).lower(), (i, name, marked)
            elif colouring["kind"] == "classes":
                code = row["category"][i]
                assert ("unscored" if code is None else f"class-{code}") in name and marked is None, (i, name)
            else:
                score = entry["scores"][colouring["index"]][i]
                assert ("unscored" in name) == (score is None) and marked is None, (i, name)
                if score is not None:
                    above = sum(float(score) > bound for bound in colouring["bounds"])
                    level = above + 1 if colouring["high"] else 5 - above
                    assert f"level-{level}" in name, (i, name, score)
        fits(browser, colouring["name"])
        for theme in ("light", "dark"):
            browser.run("document.documentElement.dataset.theme = arguments[0]", theme)
            contrast(browser, f"{theme}, {colouring['name']}")
            browser.picture(f"documents-{theme}-{number}")
        browser.run("delete document.documentElement.dataset.theme")
    browser.run("document.querySelectorAll('#colourings input')[0].click()")
    return len(data["documents"])


def tables(browser):
    """The numbers behind each chart, by its title: a list of rows, each a list of cells."""
    return dict(
        browser.run(
            """return [...document.querySelectorAll("figure")].map((figure) => [figure.querySelector("h3").textContent,
              [...figure.querySelectorAll("tr")].map((row) => [...row.children].map((cell) => cell.textContent))])"""
        )
    )


def source_of(row):
    """The name of a row's source: of the column, or the shard's."""
    return row["source"] or "(no source)" if "source" in row else row["shard"]


def whole(text):
    return int(text.replace(",", ""))


def percent(part, of):
    return f"{part / of * 100:.1f} %"


def numbers(browser):
    """The charts' numbers, recounted from the rows, token by token."""
    rows = list(rows_of(masks).values())
    data = json.loads(browser.run("return document.getElementById('documents-data').textContent"))
    if "excess" in data:
        return dynamics(browser, rows)
    if not data["masks"] or not data["scores"] or data["scores"][:2] != ["loss", "entropy"]:
        return 0
    mask = data["colourings"][0]["name"]
    # Position, loss, entropy, kept, and source; only scored tokens.
    tokens = [
        (i, loss, entropy, kept, source_of(row))
        for row in rows
        for i, (loss, entropy, kept) in enumerate(zip(row["loss"], row["entropy"], row[mask]))
        if loss is not None and entropy is not None
    ]
    if any(row["loss"][i] is None or row["entropy"][i] is None for row in rows for i in range(1, len(row["loss"]))):
        return 0
    found, checked = tables(browser), 0
    if not tokens:
        return 0
    for title, at in [("Loss", 1), ("Entropy", 2)]:
        for interval, count, share, kept in found[title][1:]:
            if " to " not in interval:
                continue
            low, high = (float(end) for end in interval.split(" to "))
            inside = [token for token in tokens if low <= token[at] < high]
            what = f"{title}, {interval}"
            assert whole(count) == len(inside), (what, count, len(inside))
            assert share == percent(len(inside), len(tokens)), (what, share)
            assert kept == percent(sum(token[3] for token in inside), len(inside)), (what, kept)
            checked += 1
    assert found["Keep rate by position"][0][1] == mask
    for place, share, *_ in found["Keep rate by position"][1:]:
        low, high, scored = re.fullmatch(r"([\d,]+)(?: to ([\d,]+))? \(([\d,]+) scored\)", place).groups()
        inside = [token for token in tokens if whole(low) <= token[0] <= whole(high or low)]
        assert whole(scored) == len(inside) and share == percent(sum(t[3] for t in inside), len(inside)), (place, share)
        checked += 1
    sources = found["Keep rate by source"][1:]
    for name, share, count, scored, *_ in sources:
        inside = [token for token in tokens if token[4] == name]
        assert whole(scored) == len(inside), (name, scored, len(inside))
        assert share == (percent(sum(t[3] for t in inside), len(inside)) if inside else "–"), (name, share)
        assert whole(count) == sum(source_of(row) == name for row in rows), name
        checked += 1
    assert len(sources) == len({source_of(row) for row in rows})
    return checked


def dynamics(browser, rows):
    """For token dynamics: the categories, recounted, and the list of tokens that fluctuate."""
    names = ["H->L", "L->L", "H->H", "L->H"]
    codes = [code for row in rows for code in row["category"] if code is not None]
    found, checked = tables(browser), 0
    for code, (name, share, count, paper) in enumerate(found["Shares"][1:]):
        assert name.startswith(names[code]) and whole(count) == codes.count(code), (name, count)
        assert share == percent(codes.count(code), len(codes)) and paper == ["26.0 %", "51.0 %", "11.0 %", "12.0 %"][code]
        checked += 1
    last = [column for column in rows[0] if column.startswith("loss_")][-1]
    for code, (_, *curve) in enumerate(zip(*found["Mean loss by category"][1:])):
        own = [loss for row in rows for c, loss in zip(row["category"], row[last]) if c == code - 1 and code]
        if own:
            assert abs(float(found["Mean loss by category"][-1][code]) - sum(own) / len(own)) <= 0.5001e-3, code
            checked += 1
    listed = browser.run(
        """return [...document.querySelectorAll("table.contexts tbody tr")].map((row) => [...row.children].map((cell) => cell.textContent))"""
    )
    # By token: the variances of the tokens that fluctuate most, each token of the vocabulary once.
    tokens = [(v, i) for row in rows for v, i in zip(row["variance"], row["input_ids"]) if v is not None]
    tokens = sorted(tokens, key=lambda token: -token[0])[: sum(int(row[2]) for row in listed)]
    highest = {}
    for variance, token in tokens:
        highest.setdefault(token, []).append(variance)
    assert len(highest) == len(listed), (highest, listed)
    for variances, (_, token, times, told, category, _, _, context) in zip(highest.values(), listed):
        assert abs(float(told) - variances[0]) <= 0.6e-3 and category in names and context and token, (variances, told)
        assert int(times) == len(variances), (token, times)
        checked += 1
    times = browser.run("return [...document.querySelectorAll('.times')].map((d) => d.querySelectorAll('.time .token').length)")
    assert times and all(count > 4 for count in times), times
    return checked


def main():
    profile = tempfile.TemporaryDirectory(prefix="report-", ignore_cleanup_errors=True)
    browser = Browser(profile.name, pictures)
    try:
        # The browser's own first page makes requests of its own.
        browser.ask("POST", "/url", {"url": "about:blank"})
        browser.logs("browser")
        browser.logs("performance")
        browser.ask("POST", "/url", {"url": report.as_uri()})
        quiet(browser, "opened")
        size = browser.tools("Page.getLayoutMetrics")["cssContentSize"]
        # Light and dark by the system's preference, and by the button.
        seen = []
        for theme in ("light", "dark"):
            browser.tools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
            browser.size(1280, math.ceil(size["height"]))
            browser.picture(f"page-{theme}")
            browser.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
            lowest = contrast(browser, theme)
            print(f"{theme}: lowest contrast {lowest[0]:.2f} ({lowest[3]!r})")
            browser.run("document.querySelectorAll('details').forEach((details) => { details.open = false; })")
            seen.append(browser.run("return getComputedStyle(document.body).backgroundColor"))
        browser.run("document.getElementById('theme').click()")
        seen.append(browser.run("return getComputedStyle(document.body).backgroundColor"))
        browser.run("document.getElementById('theme').click()")
        assert seen[0] == seen[2] != seen[1], f"light, dark, light again: {seen}"
        browser.run("delete document.documentElement.dataset.theme")
        browser.tools("Emulation.setEmulatedMedia", features=[])
        # Every chart has a text alternative, and its numbers.
        charts = browser.run(
            """return [...document.querySelectorAll("figure")].map((figure) => [
              figure.querySelector("[role=img]").getAttribute("aria-label").length,
              figure.querySelectorAll("details tbody tr").length,
              [...figure.querySelectorAll(".chart svg")].map((svg) => svg.getBoundingClientRect().width).filter((width) => width > 0)])"""
        )
        unscored = browser.run("return document.body.textContent.includes('No token has a score')")
        assert (charts or unscored) and all(label > 20 and rows > 0 and len(widths) == 1 and widths[0] > 300 for label, rows, widths in charts), charts
        if pictures:
            for lack in ("deuteranopia", "achromatopsia"):
                browser.tools("Emulation.setEmulatedVisionDeficiency", type=lack)
                browser.picture(f"page-{lack}")
            browser.tools("Emulation.setEmulatedVisionDeficiency", type="none")
        browser.size(1280, 1000)
        shown = counted = 0
        if browser.run("return document.getElementById('documents-data') !== null"):
            counted = numbers(browser)
            shown = documents(browser)
        check_layout(browser)
        browser.size(360, 740)
        fits(browser, "on a phone")
        browser.run("scrollTo(0, 0)")
        browser.picture("phone-top")
        if shown:
            browser.run("document.getElementById('documents').scrollIntoView(); document.querySelector('#tokens [tabindex=\"0\"]')?.focus()")
            inside = browser.run("const { left, right } = document.getElementById('tooltip').getBoundingClientRect(); return left >= 0 && right <= innerWidth")
            assert inside, "the tooltip leaves the window"
            browser.picture("phone-documents")
        printed = base64.b64decode(browser.tools("Page.printToPDF", printBackground=False)["data"])
        assert printed.startswith(b"%PDF"), printed[:20]
        if pictures:
            (pictures / "print.pdf").write_bytes(printed)
        quiet(browser, "used")
        print(f"{len(charts)} charts, {counted} numbers counted again, {shown} documents")
    finally:
        browser.end()
        profile.cleanup()


main()
