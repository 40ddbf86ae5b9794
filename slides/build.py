"""Build the lectures: draw their figures, fill in their numbers, and let Marp make an HTML file and
a PDF of each.

    python slides/build.py                 all of them
    python slides/build.py 02 --no-figures the second one, with the figures as they are

It needs Node.js and Chromium or Chrome.
"""

import argparse
import base64
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

# run by its path, only its own folder is there
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers.artifacts import PROJECT, with_block, write_bytes, write_text
from helpers.widgets.questions import QUESTIONS
from slides.figures import FIGURES, draw
from slides.figures.lecture3 import NUMBERS as FINDINGS

SLIDES = PROJECT / "slides"
MARP = "@marp-team/marp-cli@4.5.1"
PLACE = re.compile(r"\{\{(\w+)\}\}")
PICTURE = re.compile(r"figures/([\w-]+)\.png")

# What a paper found, or a table of data/results holds, as it is printed on a slide.
NUMBERS: dict[str, Callable[[], str]] = {
    "bert_masked": lambda: "15%",  # Devlin et al. 2018
    "mae_masked": lambda: "75%",  # He et al. 2021
    "simclr_1x": lambda: "69.3",  # Chen et al. 2020, Table 6
    "simclr_4x": lambda: "76.5",  # Chen et al. 2020, Table 6
} | FINDINGS


def decks() -> list[Path]:
    """Return the sources of the lectures, in their order."""
    return sorted(SLIDES.glob("[0-9][0-9]_*.md"))


def fill(text: str) -> str:
    """Return a lecture's source with its numbers in place of {{name}}.

    Raises:
        ValueError: If a name is not one of NUMBERS.
    """
    unknown = [name for name in PLACE.findall(text) if name not in NUMBERS]
    if unknown:
        raise ValueError(
            f"there is no number {unknown[0]!r} for the slides; helpers/slides.py holds them"
        )
    return PLACE.sub(lambda found: NUMBERS[found[1]](), text)


def with_quiz(guide: str) -> str:
    """Return the teacher's guide with the notebooks' questions and answers between its marks, the
    right one ticked.
    """
    lines = []
    for notebook, questions in QUESTIONS.items():
        lines += [f"**Notebook {notebook}**", ""]
        for k, each in enumerate(questions, 1):
            lines.append(f"{k}. {each.text}")
            lines += [
                f"   - {answer}{' ✓' * reply.startswith('✓')}" for answer, reply in each.shown()
            ]
        lines.append("")
    return with_block(guide, "quiz", "\n".join(lines))


def write_quiz() -> None:
    """Bring the quiz in the teacher's guide up to date."""
    guide = SLIDES / "README.md"
    text = with_quiz(guide.read_text("utf-8"))
    write_text(guide, text)


def draw_figures() -> None:
    """Draw all figures into slides/figures."""
    for name in FIGURES:
        picture = draw(name)
        write_bytes(SLIDES / "figures" / f"{name}.png", picture)


def build(deck: Path) -> None:
    """Write a lecture's HTML, with its pictures inside, and its PDF with the notes beside its
    source.

    Raises:
        ValueError: If node or a browser is missing, or Marp finds fault with the source.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / deck.name
        shutil.copytree(SLIDES / "figures", Path(folder) / "figures")
        source.write_text(fill(deck.read_text("utf-8")), "utf-8")
        options = [
            "--theme-set",
            str(SLIDES / "theme.css"),
            "--allow-local-files",
            "--html",
            "false",
        ]
        _marp([str(source), "-o", str(source.with_suffix(".html")), *options])
        _marp(
            [str(source), "-o", str(source.with_suffix(".pdf")), "--pdf", "--pdf-notes", *options]
        )
        page = PICTURE.sub(
            lambda found: _data(Path(folder) / found[0]),
            source.with_suffix(".html").read_text("utf-8"),
        )
        pdf = source.with_suffix(".pdf").read_bytes()
        write_text(deck.with_suffix(".html"), page)
        write_bytes(deck.with_suffix(".pdf"), pdf)


def _data(picture: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()


def _marp(arguments: list[str]) -> None:
    browser = os.environ.get("CHROME_PATH") or next(
        filter(
            None,
            map(
                shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
            ),
        ),
        None,
    )
    if browser is None:
        raise ValueError(
            "the PDF needs Chromium or Chrome: install one, or set CHROME_PATH to its program"
        )
    marp = shutil.which("marp")
    npx = shutil.which("npx")
    if marp is None and npx is None:
        raise ValueError(
            "Marp needs Node.js, which is not here: install it from nodejs.org, then run this again"
        )
    command = [marp] if marp else [npx, "--yes", MARP]
    done = subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"CHROME_PATH": browser, "CHROME_NO_SANDBOX": "1"},
        check=False,
    )
    if done.returncode:
        last = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()][-1:]
        raise ValueError(f"Marp could not build the slides: {' '.join(last)}")


def main(arguments: list[str] | None = None) -> None:
    """Build what the command line asks for."""
    parser = argparse.ArgumentParser(
        description="Draw the figures of the lectures and build them with Marp."
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="beginnings of names, such as 02 (default: all)"
    )
    parser.add_argument("--no-figures", action="store_true", help="take the figures as they are")
    options = parser.parse_args(arguments)
    chosen = [
        deck for deck in decks() if not options.names or deck.stem.startswith(tuple(options.names))
    ]
    if not chosen:
        parser.error(
            f"no lecture begins with {' or '.join(options.names)}; there are "
            f"{', '.join(deck.stem for deck in decks())}"
        )
    write_quiz()
    if not options.no_figures:
        draw_figures()
    for deck in chosen:
        try:
            build(deck)
        except ValueError as error:
            sys.exit(str(error))
        print(f"built {deck.stem}.html and {deck.stem}.pdf", flush=True)


if __name__ == "__main__":
    main()
