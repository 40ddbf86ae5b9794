"""One word for one thing, spelled right, and links that can be followed: in notebooks, slides,
texts and code.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = (
    ".",
    "data",
    "data/make",
    "slides",
    "slides/figures",
    "notebooks",
    "notebooks/source",
    "helpers",
    "helpers/*",
    "tests",
)
TEXTS = sorted(
    path
    for folder in FOLDERS
    for pattern in ("*.md", "*.py", "*.cff")
    for path in ROOT.glob(f"{folder}/{pattern}")
)
PROSE = [path for path in TEXTS if path.suffix == ".md" or path.parent.name == "source"]
# Strays: what the course calls otherwise.
STRAYS = {
    r"\bbackbones?\b": "encoder",
    r"\bprojector\b": "projection head",
    r"\bInfoNCE\b": "NT-Xent",
    r"\bNT-?XENT\b|\bNT ?Xent\b|\bntxent\b": "NT-Xent",
    r"\bpre-train": "pretrain",
    r"\bfine ?tun": "fine-tun",
    r"\bself supervised\b": "self-supervised",
    r"\b[Bb]atch[- ][Nn]orm|\bBatchnorm\b": "BatchNorm",
    r"\bdownstream\b": "target task",
    r"\bdatasets?\b": "data set",
    r"\bhidden representation": "representation",
    r"\bfeature extractor\b": "encoder",
    r"\bgray\b": "grey",
    r"\bsim-?clr\b|\bSimCLr\b": "SimCLR",
}


def prose(path):
    """Return a text without code: of a notebook's source its Markdown cells, and nothing between
    backticks.
    """
    text = path.read_text("utf-8")
    if path.suffix == ".py":
        cells = [
            cell
            for cell in re.split(r"^# %%", text, flags=re.MULTILINE)
            if cell.startswith(" [markdown]")
        ]
        text = re.sub(r"^# ?", "", "\n".join(cells), flags=re.MULTILINE)
    return re.sub(
        r"```.*?```|`[^`]*`|\]\([^)]*\)|https?://\S+|<!-- (?:claim|fact):.*?-->",
        " ",
        text,
        flags=re.DOTALL,
    )


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_things_have_one_name(path):
    text = prose(path)
    found = {stray: f"write {right}" for stray, right in STRAYS.items() if re.search(stray, text)}
    assert not found


def test_strays_are_found():
    for stray in (
        "the backbone",
        "a projector",
        "NTXent",
        "pre-training",
        "finetuned",
        "a dataset",
        "Batch Norm",
    ):
        assert any(re.search(pattern, stray) for pattern in STRAYS), stray


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    """Inside the course: to a file and a heading that exist. Outside: an https address without
    blanks.
    """
    for target in re.findall(r"(?<!\\)\]\(([^)]+)\)", path.read_text("utf-8")):
        if "://" in target:
            assert re.fullmatch(r"https://[\w.-]+\.\w+(/[\w./#?=&%~+-]*)?", target), target
            continue
        name, _, heading = target.partition("#")
        file = (path.parent / name) if name else path
        if file.suffix in (".html", ".pdf"):  # a lecture as it is built
            file = file.with_suffix(".md")
        assert file.exists(), target
        if heading:
            slugs = [
                re.sub(r"[^\w -]", "", line.lower()).strip().replace(" ", "-")
                for line in re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
            ]
            assert heading in slugs, target


def glossary(part):
    """Return the rows of a table of the glossary, each a list of cells."""
    text = (
        (ROOT / "notebooks" / "glossary.md")
        .read_text("utf-8")
        .partition(f"## {part}")[2]
        .partition("\n## ")[0]
    )
    rows = [row for row in re.findall(r"^\| (.*) \|$", text, re.MULTILINE)[1:] if "---" not in row]
    return [[cell.strip() for cell in row.split(" | ")] for row in rows]


def test_the_glossary_is_in_order_and_every_word_is_used_in_its_notebook():
    words = glossary("Words")
    assert [row[0].lower() for row in words] == sorted(row[0].lower() for row in words)
    for entry, _, notebook in words:
        (source,) = (ROOT / "notebooks" / "source").glob(f"{notebook}_*.py")
        text = source.read_text("utf-8").lower()
        assert any(word.strip().lower() in text for word in re.split(",", entry)), (entry, notebook)


def test_the_glossarys_code_names_exist():
    code = "".join(path.read_text("utf-8") for path in TEXTS if path.parent.name == "helpers")
    for _, _, names in glossary("Symbols"):
        for name in re.findall(r"`(\w+)`", names):
            assert re.search(rf"\b{name}\b", code), name


def test_symbols_of_formulas_are_those_of_the_glossary():
    """Every letter between dollar signs is in the glossary, or counts something."""
    known = set("xfhgzNs") | set("ijkabceDmpt")
    for path in PROSE:
        for formula in re.findall(r"\$\$?([^$\n]+)\$\$?", path.read_text("utf-8")):
            plain = re.sub(r"\\[A-Za-z]+(\{[a-z]+\})?", " ", formula)
            assert set(re.findall(r"(?<![A-Za-z])([A-Za-z])(?![A-Za-z])", plain)) <= known, (
                path.name,
                formula,
            )
