"""Files shipped, downloaded or written: mirrors, SHA-256, resumed downloads, safetensors, nothing
half-written.
"""

import hashlib
import http.client
import json
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor
from tqdm import tqdm

PROJECT = Path(__file__).resolve().parent.parent
# in an installed package; pyproject.toml puts data/ there
PACKAGED = Path(__file__).resolve().parent / "_shipped"
SHIPPED = PACKAGED if PACKAGED.is_dir() else PROJECT / "data"
CHECKPOINTS = SHIPPED / "checkpoints"
RESULTS = SHIPPED / "results"


def shipped_encoders() -> dict[str, str]:
    """Return the names of the encoders that ship with the course, with the SHA-256 of each file."""
    index = CHECKPOINTS / "index.json"
    return json.loads(index.read_text("utf-8")) if index.exists() else {}


def shipped_file(name: str) -> Path:
    """Return the file of a shipped encoder.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is not what was shipped.
    """
    path = CHECKPOINTS / f"{name}.safetensors"
    way_out = f"restore it, for example with: git checkout -- data/checkpoints/{path.name}"
    if SHIPPED == PACKAGED:
        way_out = "install the course again: pip install --force-reinstall simclr-course"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; {way_out}")
    if sha256(path) != shipped_encoders().get(name):
        raise ValueError(
            f"{path} is not the file that ships with the course (its SHA-256 differs); {way_out}"
        )
    return path


def cache_dir() -> Path:
    """Return the folder for downloads and decoded images: $COURSE_DATA, else data/downloads, else
    the user's cache.
    """
    if os.environ.get("COURSE_DATA"):
        return Path(os.environ["COURSE_DATA"]).expanduser()
    if SHIPPED != PACKAGED and os.access(SHIPPED, os.W_OK):
        return SHIPPED / "downloads"
    return Path.home() / ".cache" / "simclr-course"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(*tensors: Tensor) -> str:
    """Return the SHA-256 of the tensors' bytes, one after another."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def download(
    urls: tuple[str, ...], digest: str, target: Path, tries: int = 3, seconds: float = 30
) -> Path:
    """Download a file from the first mirror that gives it, and return `target`.

    A broken transfer leaves `target` with ".part" behind, from which the next try, also on another
    mirror or another day, goes on. The file takes its name only when its SHA-256 is right.

    Args:
        urls: Addresses of the same bytes.
        digest: The SHA-256 that the bytes must have.
        target: Where the file goes.
        tries: How often each mirror is asked.
        seconds: How long a silent mirror is waited for.

    Raises:
        ConnectionError: If no mirror gave the right bytes; the message says what each of them did.
    """
    if target.exists() and sha256(target) == digest:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    problems = []
    for url in urls:
        for attempt in range(tries):
            try:
                _fetch(url, part, seconds)
            except (OSError, http.client.HTTPException) as error:
                problem = f"{url.split('/')[2]}: {getattr(error, 'reason', None) or error}"
                if (
                    isinstance(error, urllib.error.HTTPError) and error.code < 500
                ) or attempt == tries - 1:
                    break  # asking again would not help
                continue
            if sha256(part) == digest:
                part.replace(target)
                return target
            part.unlink()
            problem = f"{url.split('/')[2]}: the file is not the expected one (wrong SHA-256)"
            break
        problems.append(problem)
    kept = (
        f"; {part.stat().st_size / 1e6:.0f} MB are kept and the next try goes on from there"
        if part.exists()
        else ""
    )
    raise ConnectionError(
        f"could not download {target.name} ({'; '.join(problems)}){kept}. Without network, use "
        "'shapes' (needs no download) or a folder or zip of your own images"
    )


def _fetch(url: str, part: Path, seconds: float) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "simclr-course"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=seconds)
    except urllib.error.HTTPError as error:
        # there is nothing after what we have: it is whole, or wrong, which its SHA-256 tells
        if error.code == 416:
            return
        raise
    with answer:
        resumed = answer.status == 206
        total = int(answer.headers.get("Content-Length") or 0) + (have if resumed else 0)
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(
                desc=part.name.removesuffix(".part"),
                total=total or None,
                initial=have if resumed else 0,
                unit="B",
                unit_scale=True,
                leave=False,
            ) as bar,
        ):
            while block := answer.read(1 << 18):
                file.write(block)
                bar.update(len(block))
        if total and part.stat().st_size < total:
            raise ConnectionError("the connection broke off")


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; it takes the name when the block ends well and is
    removed when it does not.

    Raises:
        OSError: If the folder cannot be written or the disk is full, in one line that says so.
    """
    path, aside = Path(path), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        aside = Path(name)
        yield aside
        aside.chmod(0o644)
        aside.replace(path)
    except OSError as error:
        raise OSError(
            f"cannot write {path}: {error.strerror or error}; free some space, close it where it "
            "is open, or choose another folder (--out FOLDER)"
        ) from error
    finally:
        if aside is not None:
            aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all, in UTF-8; see `write_aside`."""
    with write_aside(path) as aside:
        aside.write_text(text, "utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; see `write_aside`."""
    with write_aside(path) as aside:
        aside.write_bytes(content)


def with_block(text: str, name: str, body: str) -> str:
    """Return a README with `body` between its marks <!-- name --> and <!-- /name -->, in the place
    of what stood there.

    Raises:
        ValueError: If it does not have these marks once.
    """
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    if text.count(start) != 1 or text.count(end) != 1:
        raise ValueError(
            f"README.md has lost its marks {start.strip()} and {end}; restore it from the "
            "repository"
        )
    return f"{text.partition(start)[0]}{start}{body}\n{end}{text.partition(end)[2]}"


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors and text to a safetensors file, which can hold no code."""
    content = safetensors.torch.save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, metadata
    )
    write_bytes(path, content)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the text of a safetensors file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a safetensors file, or a broken one.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{path} is not a safetensors file, or is cut short ({error}); this course loads "
            "weights from .safetensors files only"
        ) from error
