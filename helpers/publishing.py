"""Stamp the repository's address into a copy of the course: set-up cells, README, citation."""

import json
import re
from pathlib import Path

from helpers.artifacts import PROJECT, with_block, write_aside

REPOSITORY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}")
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")
LINE = re.compile(r'^ADDRESS, TAG = "[^"]*", "[^"]*"', re.MULTILINE)


def publish(repository: str, tag: str, root: Path = PROJECT) -> list[Path]:
    """Write a GitHub repository's address and a tag into the course's files, and return those that changed.

    Nothing is written before all files could be read. It can be done again with another address.

    Args:
        repository: OWNER/NAME.
        tag: That notebooks fetch, when they are opened without the course beside them.
        root: Of the course.

    Raises:
        ValueError: If the repository or tag is not written so, or a file has lost the place for it.
    """
    if not REPOSITORY.fullmatch(repository):
        raise ValueError(f"the repository is written OWNER/NAME, not {repository!r}")
    if not TAG.fullmatch(tag) or ".." in tag:
        raise ValueError(f"{tag!r} is no name of a tag; take one such as v1.0")
    address = f"https://github.com/{repository}"
    notebooks = sorted(root.glob("notebooks/*.ipynb")) + sorted(root.glob("notebooks/solutions/*.ipynb"))
    texts = {path: _notebook(path, address, tag) for path in notebooks}
    for name, pattern, stamped in (
            ("pyproject.toml", re.compile(r'^address = ".*"\ntag = ".*"', re.MULTILINE),
             f'address = "{address}"\ntag = "{tag}"'),
            ("CITATION.cff", re.compile(r"^type: software\n(repository-code: .*\n)?", re.MULTILINE),
             f"type: software\nrepository-code: {address}\n"),
            ("CITATION.cff", re.compile("^version: .*", re.MULTILINE), f"version: {tag.removeprefix('v')}")):
        text = texts.get(root / name) or (root / name).read_text("utf-8")
        if len(pattern.findall(text)) != 1:
            raise ValueError(f"{name} has lost the place where the address goes; restore it from the repository")
        texts[root / name] = pattern.sub(lambda _, stamped=stamped: stamped, text)
    texts[root / "README.md"] = with_block((root / "README.md").read_text("utf-8"), "colab",
                                           _readme(repository, tag, root))
    changed = [path for path, text in texts.items() if path.read_text("utf-8") != text]
    for path in changed:
        with write_aside(path) as aside:
            aside.write_text(texts[path], "utf-8")
    return changed


def _notebook(path: Path, address: str, tag: str) -> str:
    notebook = json.loads(path.read_text("utf-8"))
    source = "".join(notebook["cells"][1]["source"])
    if len(LINE.findall(source)) != 1:
        raise ValueError(f"{path.name} has lost its set-up cell; run: python notebooks/build.py")
    stamped = LINE.sub(f'ADDRESS, TAG = "{address}", "{tag}"', source)
    notebook["cells"][1]["source"] = stamped.splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _readme(repository: str, tag: str, root: Path) -> str:
    link = f"https://colab.research.google.com/github/{repository}/blob/{tag}/notebooks"
    links = " · ".join(f"[{path.stem}]({link}/{path.name})" for path in sorted(root.glob("notebooks/[0-9]*.ipynb")))
    return (f"Open in Colab, where the first cell fetches what is missing: {links}.\n"
            f"Or, not tried yet, on Binder: [JupyterLab](https://mybinder.org/v2/gh/{repository}/{tag}?labpath=notebooks).")
