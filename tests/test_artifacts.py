"""Downloads from a local server that breaks off, lies or is not there; files that are whole or not
there at all.
"""

import hashlib
import http.server
import pickle
import tarfile
import threading

import numpy as np
import pytest
import torch
import torchvision

from helpers import data
from helpers.artifacts import download, load_tensors, save_tensors, write_aside

CONTENT = np.random.default_rng(0).bytes(300_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Mirror(http.server.BaseHTTPRequestHandler):
    """Paths: /whole, /breaks (ends after 100 kB of each answer), /wrong (other bytes), /plain
    (knows no ranges).
    """

    files: dict[str, bytes] = {}  # noqa: RUF012
    asked: list = []  # noqa: RUF012

    def do_GET(self):
        content = self.files.get(self.path, CONTENT)
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.asked.append((self.path, start))
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/wrong":
            content = b"0" * len(content)
        if self.path == "/plain":
            start = 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = start + 100_000 if self.path == "/breaks" else len(content)
        self.wfile.write(content[start:end])

    def log_message(self, *_):
        pass


@pytest.fixture
def mirror():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Mirror.asked.clear()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_download(mirror, tmp_path):
    target = download((mirror + "/whole",), DIGEST, tmp_path / "deep" / "file.bin")
    assert target.read_bytes() == CONTENT
    assert [p.name for p in target.parent.iterdir()] == ["file.bin"]
    download((mirror + "/whole",), DIGEST, target)
    assert len(Mirror.asked) == 1, "what is there is not fetched again"


def test_a_broken_transfer_goes_on_where_it_stopped(mirror, tmp_path):
    assert download((mirror + "/breaks",), DIGEST, tmp_path / "file.bin").read_bytes() == CONTENT
    assert Mirror.asked == [("/breaks", 0), ("/breaks", 100_000), ("/breaks", 200_000)]


def test_the_next_mirror_goes_on_where_the_first_one_broke(mirror, tmp_path):
    download((mirror + "/breaks", mirror + "/whole"), DIGEST, tmp_path / "file.bin", tries=1)
    assert Mirror.asked == [("/breaks", 0), ("/whole", 100_000)]


def test_wrong_bytes_never_take_the_name(mirror, tmp_path):
    with pytest.raises(ConnectionError, match="wrong SHA-256"):
        download((mirror + "/wrong", mirror + "/missing"), DIGEST, tmp_path / "file.bin")
    assert not list(tmp_path.iterdir())


def test_a_server_without_ranges_and_a_part_that_is_already_whole(mirror, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    assert download((mirror + "/plain",), DIGEST, tmp_path / "file.bin").read_bytes() == CONTENT
    (tmp_path / "other.bin.part").write_bytes(CONTENT)
    assert download((mirror + "/whole",), DIGEST, tmp_path / "other.bin").read_bytes() == CONTENT


def test_without_network_the_message_says_what_to_do(tmp_path):
    with pytest.raises(ConnectionError, match="Without network, use 'shapes'") as error:
        download(("http://127.0.0.1:9/file.bin",), DIGEST, tmp_path / "file.bin", seconds=1)
    assert "\n" not in str(error.value)


def test_cifar10_comes_through_torchvisions_own_class(mirror, tmp_path, monkeypatch):
    """A small archive in CIFAR-10's format, served here: fetched, checked, unpacked, split."""
    batches, entries = tmp_path / "cifar-10-batches-py", []
    batches.mkdir()
    images = np.random.default_rng(1).integers(0, 255, (6, 40, 3072), np.uint8)
    contents = {
        f"data_batch_{k + 1}" if k < 5 else "test_batch": {
            "data": images[k],
            "labels": [i % 10 for i in range(40)],
        }
        for k in range(6)
    }
    contents["batches.meta"] = {"label_names": [f"class{k}" for k in range(10)]}
    for name, content in contents.items():
        (batches / name).write_bytes(pickle.dumps(content))
        entries.append([name, hashlib.md5((batches / name).read_bytes()).hexdigest()])
    archive = tmp_path / "small.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(batches, batches.name)
    Mirror.files = {"/small.tar.gz": archive.read_bytes()}
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "train_list", entries[:5])
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "test_list", entries[5:6])
    monkeypatch.setattr(
        torchvision.datasets.CIFAR10,
        "meta",
        {"filename": "batches.meta", "key": "label_names", "md5": entries[6][1]},
    )
    monkeypatch.setitem(
        data.SOURCES,
        "cifar10",
        ((mirror + "/small.tar.gz",), hashlib.sha256(archive.read_bytes()).hexdigest()),
    )
    train, val, test = (
        data.load("cifar10", split, root=tmp_path / "root") for split in ("train", "val", "test")
    )
    assert (len(train), len(val), len(test)) == (180, 20, 40)
    assert train.classes == tuple(f"class{k}" for k in range(10))
    assert torch.equal(test.images, torch.from_numpy(images[5]).view(40, 3, 32, 32))
    assert len(Mirror.asked) == 1
    assert data.load("cifar10", "test", root=tmp_path / "root", size=16).images.shape == (
        40,
        3,
        16,
        16,
    )


def test_tensors_come_back_as_they_were(tmp_path):
    save_tensors(tmp_path / "x.safetensors", {"a": torch.arange(6).view(2, 3).T}, {"note": "ü"})
    tensors, text = load_tensors(tmp_path / "x.safetensors")
    assert torch.equal(tensors["a"], torch.arange(6).view(2, 3).T)
    assert text == {"note": "ü"}


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", pickle.dumps({"a": 1})])
def test_what_is_no_safetensors_file_is_refused(tmp_path, content):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_tensors(tmp_path / "x.safetensors")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def fail():
        with write_aside(path) as aside:
            aside.write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]


def test_a_full_disk_is_told_in_one_line():
    with (
        pytest.raises(OSError, match="choose another folder"),
        write_aside("/dev/full/x.txt") as aside,
    ):
        aside.write_text("x")
