"""Training: it learns, repeats bit for bit, survives kills, shares batches between processes, and
refuses nonsense.
"""

import json
import math
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from helpers.data import load
from helpers.losses import nt_xent, nt_xent_across_ranks
from helpers.models import ProjectionHead, build_encoder
from helpers.simclr import PRESETS, Settings, SimCLR, load_pretrained, pretrain, settings_for

QUICK = Settings(batch_size=32, epochs=2, warmup_epochs=0.2, crop_min=0.4)


@pytest.fixture
def images():
    return load("shapes", limit=160)


def weights(result):
    return {
        f"{part}.{name}": value
        for part in ("encoder", "head")
        for name, value in getattr(result, part).state_dict().items()
    }


def assert_same_weights(one, other):
    one, other = weights(one), weights(other)
    assert one.keys() == other.keys()
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert not different


def run(images, settings=QUICK, **options):
    return pretrain(images, settings, device="cpu", progress=False, **options)


def test_a_short_run_lowers_the_loss_and_logs_what_to_watch(images):
    result = run(
        images,
        Settings(batch_size=32, epochs=12, crop_min=0.4),
        val=load("shapes", "val", limit=200),
    )
    rows = [row for row in result.history if row.get("loss") is not None]
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.5
    assert rows[-1]["step"] == 60
    assert all(
        0 <= row["top1"] <= 1 <= row["mean_rank"] <= 63 and 0 <= row["spread"] <= 1 for row in rows
    )
    measured = [row["knn"] for row in result.history if row.get("knn") is not None]
    assert len(measured) == 9, "at the start, and eight times on the way"
    assert not result.encoder.training
    assert result.encoder(images.images[:2].float() / 255).shape == (2, result.encoder.feature_dim)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(images):
    one = run(images)
    assert_same_weights(one, run(images))
    other = run(images, Settings(batch_size=32, epochs=2, warmup_epochs=0.2, crop_min=0.4, seed=1))
    assert not torch.equal(
        weights(one)["head.layers.0.weight"], weights(other)["head.layers.0.weight"]
    )


def test_labels_are_never_learned_from(images):
    scrambled = load("shapes", limit=160)
    scrambled.labels = scrambled.labels.flip(0)
    val = load("shapes", "val", limit=100)
    assert_same_weights(run(images, val=val), run(scrambled, val=val))


def test_an_epoch_is_every_image_once_and_views_come_in_pairs(images):
    module = SimCLR(QUICK, images.images)
    rows = torch.cat([module.batch_rows(step) for step in range(module.steps_per_epoch)])
    assert rows.sort().values.tolist() == list(range(160))
    assert not torch.equal(module.batch_rows(0), module.batch_rows(module.steps_per_epoch))
    still = SimCLR(
        Settings(batch_size=32, crop_min=1, flip_p=0, color_p=0, gray_p=0), images.images
    )
    views = still.two_views(3)
    assert views.shape == (64, 3, 32, 32)
    assert (views[:32] - views[32:]).abs().mean() < 0.2 * (
        views[:32] - views[32:].roll(1, 0)
    ).abs().mean()


def test_schedule_warms_up_and_falls_to_zero(images):
    module = SimCLR(Settings(batch_size=16, epochs=10, warmup_epochs=2), images.images)
    factors = [module.lr_factor(step) for step in range(101)]
    assert factors[:20] == sorted(factors[:20])
    assert factors[20] == 1
    assert factors[20:] == sorted(factors[20:], reverse=True)
    assert factors[60] == pytest.approx(0.5 * (1 + math.cos(math.pi / 2)))
    assert factors[100] == pytest.approx(0)


def test_learning_rates_of_the_paper():
    linear = Settings(batch_size=4096, lr=0.3, lr_scaling="linear")
    root = Settings(batch_size=1024, lr=1.2, lr_scaling="sqrt")
    assert linear.peak_lr == pytest.approx(4.8)
    assert root.peak_lr == pytest.approx(0.075 * math.sqrt(1024))
    assert PRESETS["paper"].peak_lr == pytest.approx(4.8)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lars"])
def test_every_optimizer_trains_and_spares_biases_and_batchnorm(images, optimizer):
    settings = Settings(batch_size=32, epochs=1, optimizer=optimizer, lr=0.01)
    groups = SimCLR(settings, images.images).configure_optimizers()["optimizer"].param_groups
    assert {p.ndim > 1 for p in groups[0]["params"]} == {True}
    assert {p.ndim > 1 for p in groups[1]["params"]} == {False}
    assert groups[1]["weight_decay"] == 0
    assert math.isfinite(run(images, settings).history[-1]["loss"])


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_precisions(images, precision):
    result = run(images, Settings(batch_size=32, epochs=1, precision=precision))
    assert all(p.dtype == torch.float32 for p in result.encoder.parameters())


def test_large_batches_take_the_loss_in_blocks(images, monkeypatch):
    """The same weights come out (to rounding) when the loss is computed in row blocks."""
    plain = run(images, Settings(batch_size=32, epochs=0.4, precision="32-true"))
    monkeypatch.setattr("helpers.simclr.LARGE_BATCH", 4)
    blocks = run(images, Settings(batch_size=32, epochs=0.4, precision="32-true"))
    for name, value in weights(plain).items():
        torch.testing.assert_close(weights(blocks)[name], value, rtol=1e-3, atol=1e-4)


def test_a_stopped_run_is_usable_and_resumes_to_the_same_bits(images, tmp_path):
    """Stopped in the middle of an epoch, as the stop button of a notebook does it."""
    whole = run(images, out=tmp_path / "whole")

    def stop(history, ended):
        if not ended and history[-1]["step"] == 4:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    stopped = run(images, out=tmp_path / "run", monitor=stop)
    assert signal.getsignal(signal.SIGINT) is before
    assert stopped.interrupted
    assert 4 <= stopped.history[-1]["step"] < 10
    assert load_pretrained(tmp_path / "run").encoder(torch.rand(1, 3, 32, 32)).isfinite().all()
    resumed = run(images, out=tmp_path / "run", resume=True)
    assert not resumed.interrupted
    assert_same_weights(whole, resumed)
    kept = len(stopped.history)
    assert resumed.history[:kept] == stopped.history, (
        "it started again instead of going on: the times differ"
    )
    drop_time = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in r.history]
        for r in (whole, resumed)
    ]
    assert drop_time[0] == drop_time[1]
    assert (tmp_path / "run" / "metrics.csv").read_text().count("\n") == 11


@pytest.mark.parametrize("epochs", [2, 90])  # every step a row, and every fourth
def test_a_stopped_run_is_told_as_it_was(images, tmp_path, epochs):
    """Its last row is its last step with a kNN accuracy, the monitor saw it, and a resumed run has
    the usual rows.
    """
    settings = Settings(batch_size=32, epochs=epochs, warmup_epochs=0.2, crop_min=0.4)
    val = load("shapes", "val", limit=100)
    seen, taken = [], []

    def loss(z, temperature):
        taken.append(1)
        if len(taken) == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return nt_xent(z, temperature)

    stopped = run(
        images,
        settings,
        val=val,
        out=tmp_path / "run",
        loss=loss,
        monitor=lambda history, ended: seen.append((history[-1], ended)),
    )
    last = stopped.history[-1]
    assert stopped.interrupted
    assert last["step"] == 6
    assert last["knn"] is not None
    assert seen[-1] == (last, True)
    assert [ended for _, ended in seen].count(True) == 1
    assert f"stopped after {last['epoch']:.1f} of {epochs} epochs" in stopped.summary()
    assert (tmp_path / "run" / "metrics.csv").read_text().splitlines()[-1].split(",")[0] == str(
        last["step"]
    )
    if epochs == 2:
        whole = run(images, settings, val=val)
        resumed = run(images, settings, val=val, out=tmp_path / "run", resume=True)
        assert [(row["step"], row.get("knn")) for row in whole.history] == [
            (row["step"], row.get("knn")) for row in resumed.history
        ]
        assert "stopped" not in resumed.summary()


def test_resuming_a_finished_run_changes_nothing(images, tmp_path):
    one = run(images, out=tmp_path / "run")
    assert_same_weights(one, run(images, out=tmp_path / "run", resume=True))


TRAIN = [
    sys.executable,
    "-m",
    "helpers",
    "train",
    "--preset",
    "smoke",
    "--limit",
    "640",
    "--epochs",
    "6",
    "--no-progress",
    "--device",
    "cpu",
    "--keep-seconds",
    "0",
]


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bits(tmp_path):
    """SIGKILL, as when a session ends; twenty kills are in tests/benchmarks/kill_and_resume.py."""
    subprocess.run([*TRAIN, "--out", str(tmp_path / "whole")], check=True, capture_output=True)
    process = subprocess.Popen([*TRAIN, "--out", str(tmp_path / "run")], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    kept = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert 0 < kept["global_step"] < 120
    subprocess.run(
        [*TRAIN, "--out", str(tmp_path / "run"), "--resume"], check=True, capture_output=True
    )
    whole, resumed = load_pretrained(tmp_path / "whole"), load_pretrained(tmp_path / "run")
    assert_same_weights(whole, resumed)
    before = kept["callbacks"]["Recorder"]["history"]
    assert resumed.history[: len(before)] == before, (
        "it started again instead of going on: the times differ"
    )


def gradients(model, views, loss):
    model.zero_grad()
    loss(model(views)).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def network():
    torch.manual_seed(0)
    encoder = build_encoder("tiny", 16)
    # BatchNorm in eval mode: its batch statistics are shared by SyncBatchNorm, which torch has for
    # GPUs only.
    return torch.nn.Sequential(encoder, ProjectionHead(encoder.feature_dim)).eval()


def one_of_two_processes(rank, port, folder):
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    views = torch.load(f"{folder}/views.pt", weights_only=True)
    # this rank's images, both views
    half = views.view(2, 2, 4, 3, 16, 16)[:, rank].reshape(8, 3, 16, 16)
    found = gradients(
        DistributedDataParallel(network()), half, lambda z: nt_xent_across_ranks(z, 0.2)
    )
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_with_half_the_batch_give_the_gradients_of_one(tmp_path):
    views = torch.rand(16, 3, 16, 16)
    torch.save(views, tmp_path / "views.pt")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(one_of_two_processes, (port, str(tmp_path)), nprocs=2)
    expected = gradients(network(), views, lambda z: nt_xent(z, 0.2))
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_two_devices_from_the_command_line(tmp_path):
    done = subprocess.run(
        [*TRAIN, "--out", str(tmp_path / "run"), "--devices", "2"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "run" / "encoder.safetensors").exists()
    assert done.stdout.count("trained in") == 1, "one process speaks"


def test_saved_weights_come_back(images, tmp_path):
    result = run(images)
    result.save(tmp_path / "full.safetensors")
    result.save(tmp_path / "half.safetensors", half=True)
    loaded = load_pretrained(tmp_path / "full.safetensors")
    assert_same_weights(result, loaded)
    assert (loaded.settings, loaded.history, loaded.card) == (
        result.settings,
        result.history,
        result.card,
    )
    half = weights(load_pretrained(tmp_path / "half.safetensors"))
    assert all(
        torch.allclose(half[name].float(), value.float(), atol=1e-2)
        for name, value in weights(result).items()
    )
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * (
        tmp_path / "full.safetensors"
    ).stat().st_size


def test_snapshots_show_the_run_at_its_epochs_and_leave_it_as_it_is(images, tmp_path):
    whole = run(images, out=tmp_path / "run", snapshots=(0, 1))
    assert_same_weights(whole, run(images))
    first, untrained = (
        load_pretrained(tmp_path / "run" / f"epoch-{epoch}.safetensors") for epoch in (1, 0)
    )
    assert_same_weights(untrained, SimCLR(QUICK, images.images))
    assert first.card["epoch"] == 1
    assert first.history[-1]["epoch"] <= 1
    last = {name: value for name, value in weights(whole).items() if value.is_floating_point()}
    assert all(
        not torch.equal(value, weights(net)[name])
        for net in (first, untrained)
        for name, value in last.items()
        if value.ndim > 1
    )


@pytest.mark.parametrize("options", [{}, {"out": "run"}])
def test_snapshots_that_could_not_be_kept_are_refused(images, tmp_path, options):
    options = {"out": tmp_path / "run", "snapshots": (9,)} if options else {"snapshots": (1,)}
    with pytest.raises(ValueError, match="snapshots after epochs"):
        run(images, **options)


def test_a_run_can_start_from_weights(images):
    first = run(images)
    later = run(images, Settings(batch_size=32, epochs=1, lr=1e-12, warmup_epochs=0), start=first)
    name = "layers.1.weight"
    torch.testing.assert_close(later.encoder.state_dict()[name], first.encoder.state_dict()[name])
    with pytest.raises(ValueError, match="cannot start from an encoder 'tiny'"):
        run(images, Settings(batch_size=32, epochs=1, encoder="resnet18"), start=first)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 1}, "no negatives"),
        ({"temperature": 0}, "temperature must be above 0"),
        ({"temperature": math.nan}, "temperature must be above 0"),
        ({"lr": -1}, "lr must be above 0"),
        ({"epochs": 0}, "epochs must be above 0"),
        ({"encoder": "vgg"}, "unknown encoder 'vgg'"),
        ({"head": "deep"}, "unknown head"),
        ({"warmup_epochs": math.nan}, "warmup_epochs must be 0 or more"),
        ({"optimizer": "adam"}, "choose adamw"),
        ({"crop_min": 0}, "crop_area"),
        ({"color_strength": -1}, "color_strength"),
        ({"precision": "8"}, "unknown precision"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message) as refusal:
        Settings(**wrong)
    assert "\n" not in str(refusal.value)


def test_presets_fit_their_data():
    assert set(PRESETS) == {"smoke", "laptop", "colab", "paper"}
    assert settings_for("laptop", "shapes").gray_p == 0.7
    assert settings_for("laptop", "cifar10").gray_p == 0.2
    assert settings_for("laptop", "cifar10", color_strength=0.7).color_strength == 0.7
    with pytest.raises(ValueError, match="unknown preset 'desktop'; choose smoke"):
        settings_for("desktop", "shapes")


def test_fewer_images_than_a_batch(images):
    with pytest.raises(ValueError, match="there are 160; choose --batch-size 128 or less"):
        run(images, Settings(batch_size=256))


def test_a_batch_that_devices_cannot_share(images):
    for devices in (0, 5, 32):
        with pytest.raises(ValueError, match=f"cannot be shared by {devices} x 1 devices"):
            run(images, QUICK, devices=devices)


def test_images_of_another_size_than_the_settings_say(images):
    with pytest.raises(
        ValueError, match="32 px a side and the settings say 64; load them with size=64"
    ):
        run(images, Settings(batch_size=32, image_size=64))


def test_a_checkpoint_of_another_network_is_refused(images, tmp_path):
    run(images, out=tmp_path / "a")
    run(images, Settings(**{**vars(QUICK), "head_dim": 64}), out=tmp_path / "b")
    (tmp_path / "a" / "last.ckpt").write_bytes((tmp_path / "b" / "last.ckpt").read_bytes())
    with pytest.raises(ValueError, match="another encoder or head"):
        run(images, out=tmp_path / "a", resume=True)


def test_knn_is_measured_evenly_when_rows_are_not_every_step(images):
    """147 steps: rows every step; 1,155 as the laptop preset has: every 11, kNN every 13 rows."""
    from helpers.recording import Recorder

    for steps in (147, 1155, 2457):
        recorder = Recorder(None, images, None, 8, 30, None, False, "")
        recorder.plan(steps)
        measured = [
            s
            for s in range(1, steps + 1)
            if s % recorder.log_every == 0 and s % recorder.knn_every == 0
        ]
        assert 7 <= len(measured) <= 9


def test_a_run_is_never_overwritten_or_resumed_as_another(images, tmp_path):
    run(images, out=tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="already holds a run; add --resume"):
        run(images, out=tmp_path)
    with pytest.raises(ValueError, match="encoder 'tiny', not 'resnet18'"):
        run(images, Settings(**{**vars(QUICK), "encoder": "resnet18"}), out=tmp_path, resume=True)
    assert before == {p.name: p.read_bytes() for p in tmp_path.iterdir()}


class Evil:
    def __reduce__(self):
        return os.system, ("touch evil-was-here",)


@pytest.mark.parametrize(
    "content", [b"", b"no checkpoint", pickle.dumps({"global_step": 1}), "evil"]
)
def test_a_checkpoint_that_is_none_is_refused_and_never_executed(
    images, tmp_path, content, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    run(images, out=tmp_path / "run")
    path = tmp_path / "run" / "last.ckpt"
    if content == "evil":
        torch.save({"global_step": 1, "state_dict": {}, "x": Evil()}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="not a checkpoint that can be resumed"):
        run(images, out=tmp_path / "run", resume=True)
    assert not Path("evil-was-here").exists()


def test_what_load_pretrained_refuses(images, tmp_path):
    from helpers.artifacts import load_tensors, save_tensors

    with pytest.raises(FileNotFoundError, match="no encoder 'shapes-huge'; shipped are"):
        load_pretrained("shapes-huge")
    save_tensors(tmp_path / "other.safetensors", {"x": torch.ones(1)}, {})
    with pytest.raises(ValueError, match="not a checkpoint of this course"):
        load_pretrained(tmp_path / "other.safetensors")
    run(images).save(tmp_path / "mine.safetensors")
    tensors, text = load_tensors(tmp_path / "mine.safetensors")
    text["settings"] = json.dumps(json.loads(text["settings"]) | {"encoder": "resnet18"})
    save_tensors(tmp_path / "mixed.safetensors", tensors, text)
    with pytest.raises(ValueError, match="do not fit its encoder 'resnet18'"):
        load_pretrained(tmp_path / "mixed.safetensors")


def test_a_loss_that_is_not_finite_ends_the_run_with_a_reason(images):
    with pytest.raises(ValueError, match="learning rate"):
        run(images, loss=lambda z, t: z.sum() * float("nan"))


def test_interrupts_are_left_alone_off_the_main_thread(images):
    """JupyterLab may run code on another thread, where signals cannot be handled."""
    found = []
    thread = threading.Thread(target=lambda: found.append(run(images)))
    thread.start()
    thread.join()
    assert_same_weights(found[0], run(images))


def test_the_supervised_twin_learns_the_classes_from_the_same_views(images):
    settings = Settings(
        batch_size=32, epochs=30, crop_min=0.6, objective="supervised", head="linear", head_dim=10
    )
    module = SimCLR(settings, images.images, labels=images.labels)
    rows = module.batch_rows(0)
    loss = module.training_step(0).item()
    logits = module.latest[1]
    own = images.labels[rows].repeat(2)
    by_hand = -sum(logits[k].log_softmax(0)[own[k]].item() for k in range(64)) / 64
    assert loss == pytest.approx(by_hand, abs=1e-4)
    result = run(images, settings)
    with torch.inference_mode():
        found = result.head(result.encoder(images.images.float() / 255)).argmax(dim=1)
    assert (found == images.labels).float().mean() > 0.6
    assert result.settings.chance_loss == pytest.approx(math.log(10))


def test_supervised_training_without_labels_is_refused(images):
    with pytest.raises(ValueError, match="a head with one output a class"):
        run(images, Settings(batch_size=32, epochs=1, objective="supervised"))


def test_a_run_made_before_a_setting_existed_can_be_resumed(images, tmp_path):
    run(images, out=tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    del record["settings"]["objective"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    run(images, out=tmp_path / "run", resume=True)
