"""The command line as a person meets it: help, one-line errors, and nothing touched when something
is wrong.
"""

import os
import subprocess
import sys
import zipfile

import pytest
import torch
from PIL import Image

from helpers.__main__ import main
from helpers.simclr import load_pretrained

SMOKE = ["train", "--preset", "smoke", "--limit", "128", "--no-progress"]


def test_train_says_what_was_learned_beside_pixels_and_a_random_encoder(tmp_path, capsys):
    assert main([*SMOKE, "--out", str(tmp_path / "run"), "--test"]) == 0
    out = capsys.readouterr().out
    assert all(
        name in out
        for name in ("raw pixels", "random encoder", "SimCLR", "linear probe", "2,000 test images")
    )
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "encoder.safetensors",
        "last.ckpt",
        "metrics.csv",
        "results.json",
        "run.json",
    ]


def test_the_missions_command_with_underscores_on_a_folder(tmp_path, capsys):
    for index in range(60):
        path = tmp_path / "photos" / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (24, 24), (index * 4, 0, 0)).save(path)
    assert (
        main(
            [
                "train",
                "--data",
                str(tmp_path / "photos"),
                "--batch_size",
                "32",
                "--lr=0.003",
                "--epochs",
                "1",
                "--temperature",
                "0.3",
                "--out",
                str(tmp_path / "run_1"),
                "--no_progress",
            ]
        )
        == 0
    )
    assert "held out (val); encoder tiny, batch 32, epochs 1;" in capsys.readouterr().out
    assert (tmp_path / "run_1").is_dir(), "underscores of a value stay"


def test_help_explains_every_setting(capsys):
    with pytest.raises(SystemExit) as done:
        main(["train", "--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    for option in (
        "--data",
        "--encoder",
        "--epochs",
        "--batch-size",
        "--lr",
        "--temperature",
        "--preset",
        "--devices",
        "--num-nodes",
        "--resume",
        "--out",
    ):
        assert option in text
    assert max(map(len, text.splitlines())) <= 100


def folder_with_text(tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("text")
    return ["--data", str(tmp_path / "texts")]


def empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    return ["--data", str(tmp_path / "empty")]


def truncated_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "cut.zip", "w") as archive:
        archive.writestr("a/1.png", b"x" * 5000)
    (tmp_path / "cut.zip").write_bytes((tmp_path / "cut.zip").read_bytes()[:3000])
    return ["--data", str(tmp_path / "cut.zip")]


def one_image_per_class(tmp_path):
    for name in "abc":
        (tmp_path / "single" / name).mkdir(parents=True)
        Image.new("RGB", (20, 20)).save(tmp_path / "single" / name / "1.png")
    return ["--data", str(tmp_path / "single")]


def no_checkpoint(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    return ["--start", str(tmp_path / "x.safetensors")]


def checkpoint_of_another_encoder(tmp_path):
    assert main([*SMOKE, "--out", str(tmp_path / "tiny")]) == 0
    return ["--start", str(tmp_path / "tiny"), "--encoder", "resnet18"]


def out_is_a_file(tmp_path):
    (tmp_path / "file").write_text("mine")
    return ["--out", str(tmp_path / "file")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "cifar11"], "unknown data set 'cifar11'; choose shapes"),
        (["--preset", "desktop"], "unknown preset 'desktop'"),
        (["--batch-size", "1"], "no negatives"),
        (["--temperature", "0"], "temperature must be above 0, not 0.0"),
        (["--encoder", "vgg"], "unknown encoder 'vgg'"),
        (["--device", "tpu"], "unknown device 'tpu'"),
        (["--batch-size", "4096"], "choose --batch-size 128 or less"),
        (empty_folder, "is empty"),
        (folder_with_text, "none of the files"),
        (truncated_zip, "not a zip that can be read"),
        (one_image_per_class, "fewer than 3 images"),
        (no_checkpoint, "not a safetensors file"),
        (checkpoint_of_another_encoder, "cannot start from an encoder 'tiny'"),
        (out_is_a_file, "choose another folder"),
        (["--out", "/dev/full/run"], "choose another folder"),
        (["--out", "/proc/run"], "choose another folder"),
        (["--resume", "--start", "nothing"], "no encoder 'nothing'"),
        (["--epcohs", "1"], "there is no '--epcohs'; see python -m helpers train --help"),
    ],
)
def test_wrong_use_is_one_line_that_says_what_to_do(tmp_path, capsys, arguments, message):
    arguments = arguments(tmp_path) if callable(arguments) else arguments
    capsys.readouterr()
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    out = [] if "--out" in arguments else ["--out", str(tmp_path / "new")]
    assert main([*SMOKE, *arguments, *out]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("python -m helpers train: ")
    assert message in error
    assert "\n" not in error
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}, "files were touched"


def test_resume_says_where_there_is_nothing_to_go_on_with(tmp_path, capsys):
    for said in (True, False):
        assert main([*SMOKE, "--resume", "--out", str(tmp_path / "run")]) == 0
        assert ("a new one begins" in capsys.readouterr().out) == said


def test_a_missing_package_is_told_before_images_are_drawn(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm.optim", None)
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "data"))
    assert main(["train", "--preset", "paper", "--out", str(tmp_path / "run")]) == 2
    assert "LARS comes with timm: pip install timm" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*"))


def test_an_interrupted_study_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    from helpers.findings import run as findings

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(findings, "run_cell", interrupted)
    assert (
        main(
            [
                "findings",
                "temperature",
                "--data",
                "shapes",
                "--workers",
                "1",
                "--no-progress",
                "--out",
                str(tmp_path / "rows.csv"),
            ]
        )
        == 130
    )
    assert capsys.readouterr().err.strip() == "stopped; the same command with --resume goes on"


def test_no_network(tmp_path, capsys, monkeypatch):
    from helpers import data

    monkeypatch.setitem(data.SOURCES, "cifar10", (("http://127.0.0.1:9/x.tar.gz",), "0" * 64))
    assert main(["train", "--data", "cifar10", "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err.strip()
    assert "Without network, use 'shapes'" in error
    assert "\n" not in error
    assert not (tmp_path / "run").exists()


def test_a_full_disk_in_the_middle_of_a_run(tmp_path, capsys, monkeypatch):
    """The run's last kept state stays; the error says what to do."""
    from helpers import recording

    keep, write = ["--keep-seconds", "0"], recording.RunFolder.write_metrics
    assert main([*SMOKE, *keep, "--out", str(tmp_path / "whole")]) == 0

    def full(self, history):
        if history[-1]["step"] == 3:
            raise OSError("cannot write metrics.csv: No space left on device; free some space")
        write(self, history)

    with monkeypatch.context() as patch:
        patch.setattr(recording.RunFolder, "write_metrics", full)
        assert main([*SMOKE, *keep, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err.strip()
    assert "No space left" in error
    assert "\n" not in error
    assert main([*SMOKE, *keep, "--out", str(tmp_path / "run"), "--resume"]) == 0
    one, other = (
        load_pretrained(tmp_path / name).encoder.state_dict() for name in ("whole", "run")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_doctor(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("processor", "device", "torch", "all is well"))


def test_doctor_works_where_packages_are_missing():
    """Run with torch and lightning hidden: no traceback, but what to install."""
    program = """
import sys, importlib.metadata as metadata
real = metadata.version
def version(name):
    if name in ("torch", "lightning"): raise metadata.PackageNotFoundError(name)
    return real(name)
metadata.version = version
sys.modules["torch"] = sys.modules["lightning"] = None
from helpers.__main__ import main
sys.exit(main(["doctor"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": "."},
    )
    assert done.returncode == 1
    assert "lightning is missing: pip install -r requirements.txt" in done.stdout
    assert done.stderr == ""


def test_a_forgotten_environment_is_told_in_a_line():
    program = (
        "import sys; sys.modules['torch'] = None; from helpers.__main__ import main; "
        "sys.exit(main(['train']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": "."},
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "python -m helpers doctor" in done.stderr


def test_a_word_that_is_no_number_is_one_line(capsys):
    with pytest.raises(SystemExit) as done:
        main(["train", "--batch-size", "many"])
    assert done.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_doctor_names_what_is_missing(capsys, monkeypatch):
    import importlib.metadata

    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "1.0" if name == "lightning" else real(name)
    )
    assert main(["doctor"]) == 1
    assert (
        "lightning 1.0 is not >=2.6.6: pip install -U -r requirements.txt"
        in capsys.readouterr().out
    )


def test_importing_has_no_side_effects():
    program = """
import random, torch, logging
before = [torch.random.get_rng_state(), random.getstate(), torch.get_num_threads()]
before.append(len(logging.getLogger().handlers))
import helpers.simclr, helpers.plotting, helpers.widgets.monitor, helpers.__main__
after = [torch.random.get_rng_state(), random.getstate(), torch.get_num_threads()]
after.append(len(logging.getLogger().handlers))
assert torch.equal(before[0], after[0]) and before[1:] == after[1:]
"""
    subprocess.run(
        [sys.executable, "-c", program], check=True, env=os.environ | {"PYTHONPATH": "."}
    )
