"""The two pictures of README, each of a real failing run: `python -m tests.meta.pictures`.

StarCoder2's digits, which transformers really cuts wrong, stop being a known failure in a copy of
the project; the suite then says what it would have said on the day they broke.
"""

import io
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from rich.console import Console
from rich.text import Text

from .conftest import PROJECT, Run, copy_project, run_pytest

FOLDER = PROJECT / ".github" / "pictures"
TERMINAL, PAGE = FOLDER / "failure.svg", FOLDER / "report.png"
KNOWN = "fixtures/upstream_issues.toml"
BROKEN = "test_ids_are_the_files[starcoder2-digits."
NODE = f"tests/conformance/test_tokens.py::{BROKEN}four_spaces_before_digit]"
RUN = (
    *("tests/conformance", "--models", "llama3_1_instruct,phi3,qwen2,starcoder2"),
    *("--report-dir", "report"),
)
COLUMNS = 120  # so that the command to rerun is one line
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SIZE = (1280, 1480)  # pixels
COLOURS = 128
# Rich's own frame fetches a font; what a reader has does as well, as every run of text is fitted.
FRAME = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px ui-monospace, Menlo, Consolas, monospace; }}
{styles}
</style>
<defs>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""


def unknown_failure(folder: Path) -> Path:
    """A copy of the project in which the digits are no longer known to fail."""
    project = copy_project(folder / "project")
    data = project / KNOWN
    lines = data.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if BROKEN not in line]
    if kept == lines:
        raise SystemExit(f"{KNOWN} does not name {BROKEN}: show another failure")
    data.write_text("".join(kept), encoding="utf-8")
    return project


def failing(project: Path, *arguments: str) -> Run:
    """A run that must fail by its tests; SystemExit with its end if it does not."""
    run = run_pytest(*arguments, cwd=project, COLUMNS=str(COLUMNS))
    if run.code != 1:
        raise SystemExit(f"expected failures, got exit code {run.code}:\n{run.out[-3000:]}")
    return run


def untraced(text: str, project: Path) -> str:
    """The text, in which this machine and this day must not show; SystemExit if they do."""
    for trace in (str(project), str(PROJECT), str(Path.home()), platform.platform()):
        if len(trace) > 1 and trace in text:
            raise SystemExit(f"{trace!r} would be in a picture")
    if found := re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d|\d\.\d+ ?s\b", text):
        raise SystemExit(f"the time {found[0]!r} would be in a picture")
    return text


def terminal_text(project: Path) -> str:
    """What a terminal shows of the one failing test, in colour; without the time it took."""
    out = failing(project, "-q", "--color=yes", NODE).out
    text = f"\x1b[1m$ pytest -q '{NODE}'\x1b[0m\n" + re.sub(r" in [0-9.]+s\b", "", out)
    return untraced(text, project)


def terminal_svg(text: str) -> str:
    """A terminal's text with its colours as SVG that loads nothing."""
    console = Console(
        record=True, width=COLUMNS, file=io.StringIO(), no_color=False, highlight=False
    )
    console.print(Text.from_ansi(text.rstrip()))
    return console.export_svg(title="", code_format=FRAME, unique_id="terminal")


def report_html(project: Path) -> str:
    """The page of a run of four models, without what is this machine's and this day's."""
    failing(project, *RUN)
    html = (project / "report" / "report.html").read_text(encoding="utf-8")
    masked = re.sub(r"<dt>(date|system|processor|cores)</dt><dd>.*?</dd>", "", html)
    return untraced(masked.replace(" -p no:cacheprovider", ""), project)


def photograph(html: str, folder: Path) -> Image.Image:
    """A page as a browser shows it, its first screens."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit(f"no browser ({', '.join(BROWSERS)}) on PATH: apt-get install chromium")
    page, shot = folder / "page.html", folder / "page.png"
    page.write_text(html, encoding="utf-8")
    options = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *(f"--user-data-dir={folder / 'profile'}", f"--screenshot={shot}"),
        "--window-size={},{}".format(*SIZE),
    ]
    command = [browser, *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not shot.is_file():
        raise SystemExit(f"{browser} made no picture: {done.stderr[-1000:]}")
    return Image.open(shot).convert("RGB").quantize(COLOURS)


def main() -> int:
    """Make both pictures anew."""
    if sys.argv[1:]:
        print(__doc__)
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as name:
        project = unknown_failure(Path(name))
        TERMINAL.write_text(terminal_svg(terminal_text(project)), encoding="utf-8")
        photograph(report_html(project), Path(name)).save(PAGE, optimize=True)
    for path in (TERMINAL, PAGE):
        print(f"{path.relative_to(PROJECT)}: {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
