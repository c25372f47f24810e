"""The page as a browser shows it: on a desk and on a telephone, by day and by night, on paper.

Measured in headless Chromium by a script that is added to a copy of the page, which has none of its own.
"""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import made_pages
import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-extensions")
MEASURE = """
<script>
const linear = v => v <= 10.3 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
const light = c => { const [r, g, b] = c.map(linear);
  return .2126 * r + .7152 * g + .0722 * b; };
const rgb = text => text.match(/[\\d.]+/g).map(Number);
const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
  if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + .05) / (y + .05); };
const found = {width: document.documentElement.scrollWidth, window: innerWidth,
  out: [], contrast: [], small: [], charts: [], overlaps: []};
for (const e of document.querySelectorAll("body *")) {
  if (e.closest("script")) continue;
  const box = e.getBoundingClientRect(), style = getComputedStyle(e);
  if (box.right > innerWidth + 1 && !e.closest(".scroll")) found.out.push(e.tagName + " " + e.textContent.slice(0, 40));
  if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || e.localName === "title") continue;
  const ink = e.namespaceURI.endsWith("svg") ? style.fill : style.color;
  found.contrast.push([ratio(rgb(ink).slice(0, 3), behind(e)), e.textContent.slice(0, 30)]);
  const svg = e.ownerSVGElement, scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
  found.small.push([parseFloat(style.fontSize) * scale, e.textContent.slice(0, 30)]);
}
for (const table of document.querySelectorAll(".scroll"))
  if (table.scrollWidth > table.clientWidth + 1) found.out.push("a table: " + table.textContent.trim().slice(0, 40));
for (const chart of document.querySelectorAll("svg.chart")) {
  const box = chart.getBoundingClientRect();
  found.charts.push([box.width, box.height]);
  const texts = [...chart.querySelectorAll("text")].map(t => [t.getBoundingClientRect(), t.textContent]);
  texts.forEach(([a, one], i) => texts.slice(i + 1).forEach(([b, two]) => {
    const across = a.left < b.right && b.left < a.right, down = a.top < b.bottom && b.top < a.bottom;
    if (across && down) found.overlaps.push(one + " / " + two);
  }));
}
parent.postMessage(JSON.stringify(found), "*");
</script>
"""

# A window is 500 wide at least, a frame as wide as a telephone.
FRAME = """<!doctype html><body style="margin:0">
<iframe src="{page}" style="border:0;width:{width}px;height:900px"></iframe>
<script>addEventListener("message", e => {{ const told = document.createElement("pre"); told.id = "measured";
  told.textContent = e.data; document.body.append(told); }});</script></body>"""

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> str:
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    pytest.fail(
        f"no browser: these tests need one of {', '.join(BROWSERS)}. Debian and Ubuntu: apt-get install chromium."
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    files = {}
    for name, text in made_pages.all_of_them(folder).items():
        files[name] = folder / f"{name}.html"
        files[name].write_text(text, encoding="utf-8")
    return files


def opened(browser: str, *asked: str) -> str:
    done = subprocess.run([browser, *FLAGS, *asked], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def measured(browser: str, file: Path, width: int, dark: bool) -> dict[str, Any]:
    copy = file.with_name(f"{file.stem}-{width}-{dark}.measured.html")
    copy.write_text(file.read_text(encoding="utf-8").replace("</body>", MEASURE + "</body>"), encoding="utf-8")
    frame = copy.with_suffix(".frame.html")
    frame.write_text(FRAME.format(page=copy.name, width=width), encoding="utf-8")
    asked = (
        "--window-size=1400,1000",
        "--virtual-time-budget=10000",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
    )
    told = re.search(
        r'<pre id="measured">(.*?)</pre>', opened(browser, *asked, "--dump-dom", frame.as_uri()), re.DOTALL
    )
    assert told is not None
    return dict(json.loads(html.unescape(told[1])))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["plan", "run", "private"])
def test_a_page_fits_and_can_be_read(browser: str, written: dict[str, Path], name: str, width: int, dark: bool) -> None:
    found = measured(browser, written[name], width, dark)
    assert found["window"] == width
    assert found["width"] <= width, found["out"]
    assert found["out"] == []
    assert min(found["contrast"])[0] >= 4.5, min(found["contrast"])
    assert min(found["small"])[0] >= 9.0, min(found["small"])
    assert len(found["charts"]) == 3
    assert all(across >= 250 and down >= 150 for across, down in found["charts"])
    assert found["overlaps"] == []


def test_colours_differ_by_day_and_by_night(browser: str, written: dict[str, Path], tmp_path: Path) -> None:
    pictures = []
    for scheme in (0, 1):
        file = tmp_path / f"{scheme}.png"
        opened(browser, "--window-size=390,600", f"--blink-settings=preferredColorScheme={scheme}",
               f"--screenshot={file}", written["plan"].as_uri())  # fmt: skip
        pictures.append(file.read_bytes())
    assert pictures[0] != pictures[1]
    assert all(picture.startswith(b"\x89PNG") and len(picture) > 10_000 for picture in pictures)


@pytest.mark.parametrize(("name", "most"), [("plan", 5), ("run", 7)])
def test_on_paper(browser: str, written: dict[str, Path], tmp_path: Path, name: str, most: int) -> None:
    file = tmp_path / "page.pdf"
    opened(browser, "--no-pdf-header-footer", f"--print-to-pdf={file}", written[name].as_uri())
    content = file.read_bytes()
    assert content.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= most
