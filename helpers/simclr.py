"""SimCLR: the LightningModule, and `pretrain`, which trains it on a set of images and returns what
was learned.

Every random draw of a step comes from (seed, step, rank). A resumed run therefore draws what the
killed one would have drawn, and needs nothing but weights, optimiser state and the step's number.
"""

import dataclasses
import json
import logging
import math
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn

from helpers.artifacts import load_tensors, save_tensors, sha256_of, shipped_encoders, shipped_file
from helpers.data import ImageSet
from helpers.losses import nt_xent, nt_xent_across_ranks, nt_xent_in_blocks
from helpers.models import ProjectionHead, build_encoder
from helpers.recording import Recorder, RunFolder
from helpers.runtime import hardware, pick_device, pick_precision
from helpers.settings import PRESETS, Settings, settings_for, view_maker

__all__ = [
    "PRESETS",
    "Pretrained",
    "Settings",
    "SimCLR",
    "load_pretrained",
    "pretrain",
    "settings_for",
]

LARGE_BATCH = 2048  # views; above it the loss goes in row blocks, whose memory grows linearly


class SimCLR(L.LightningModule):
    """Encoder f, projection head g and the contrastive loss of their projections.

    Args:
        settings: What to train and how.
        images: uint8 (N, 3, H, W); they move to the device once and are augmented there.
        loss: Maps projections (2N, D) and the temperature to a scalar; NT-Xent where it is not
            given.
        labels: int64 (N,), for the objective "supervised" only: the head's outputs are then the
            classes' scores.
    """

    def __init__(
        self,
        settings: Settings,
        images: Tensor,
        loss: Callable[[Tensor, float], Tensor] | None = None,
        labels: Tensor | None = None,
    ):
        super().__init__()
        torch.manual_seed(settings.seed)
        self.settings, self.images, self.loss, self.labels = settings, images, loss, labels
        self.encoder = build_encoder(settings.encoder, settings.image_size)
        self.head = ProjectionHead(
            self.encoder.feature_dim, out_dim=settings.head_dim, kind=settings.head
        )
        self.to(memory_format=torch.channels_last)
        self.views = view_maker(settings)
        self.ranks = 1  # processes that train together
        self.steps_per_epoch = len(images) // settings.batch_size
        self.total_steps = max(1, round(settings.epochs * self.steps_per_epoch))
        self.latest: tuple[Tensor, Tensor] | None = (
            None  # loss and projections of the last step, for whoever looks
        )
        self._order: tuple[int, Tensor] | None = None

    def on_fit_start(self) -> None:
        self.images = self.images.to(self.device)
        self.ranks = self.trainer.world_size

    def train_dataloader(self) -> "Steps":
        return Steps(self.trainer.global_step, self.total_steps)

    def training_step(self, step: int) -> Tensor:
        # Pixels and the loss keep 32 bits: autocast would round them to 8 in the crop and in the
        # similarities.
        with torch.autocast(self.device.type, enabled=False):
            views = self.two_views(step)  # (2N, 3, H, W)
        z = self.head(self.encoder(views.contiguous(memory_format=torch.channels_last)))  # (2N, D)
        with torch.autocast(self.device.type, enabled=False):
            if self.settings.objective == "supervised":
                labels = self.labels[self.batch_rows(step).cpu()].repeat(2)
                loss = F.cross_entropy(z.float(), labels.to(z.device))
            else:
                loss = self.contrastive_loss(z.float())
        self.latest = (loss.detach(), z.detach())
        return loss

    def two_views(self, step: int) -> Tensor:
        """Return the views of a step's images, all first views and then all second ones, float (2N,
        3, H, W).
        """
        return self.views(
            self.images[self.batch_rows(step)], self._generator(step, self.global_rank)
        )

    def batch_rows(self, step: int) -> Tensor:
        """Return the rows of this process's images in a step; an epoch shuffles all images."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._order is None or self._order[0] != epoch:
            generator = self._generator(epoch, salt=1)
            self._order = (
                epoch,
                torch.randperm(len(self.images), generator=generator, device=self.device),
            )
        share = self.settings.batch_size // self.ranks
        start = place * self.settings.batch_size + self.global_rank * share
        return self._order[1][start : start + share]

    def contrastive_loss(self, projections: Tensor) -> Tensor:
        """Return the loss of this step's projections (2N, D), compared across all processes."""
        if self.loss is not None:
            return self.loss(projections, self.settings.temperature)
        if self.ranks > 1:
            return nt_xent_across_ranks(projections, self.settings.temperature)
        form = nt_xent if len(projections) <= LARGE_BATCH else nt_xent_in_blocks
        return form(projections, self.settings.temperature)

    def configure_optimizers(self) -> Any:
        s = self.settings
        decayed = [p for p in self.parameters() if p.ndim > 1]
        others = [p for p in self.parameters() if p.ndim <= 1]  # biases and BatchNorm
        groups = [
            {"params": decayed, "weight_decay": s.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        optimizer: torch.optim.Optimizer
        if s.optimizer == "adamw":
            optimizer = torch.optim.AdamW(groups, s.peak_lr, fused=True)
        elif s.optimizer == "sgd":
            optimizer = torch.optim.SGD(groups, s.peak_lr, momentum=0.9, fused=True)
        else:
            optimizer = find_lars()(groups, s.peak_lr, momentum=0.9, trust_coeff=0.001)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.lr_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def lr_factor(self, step: int) -> float:
        """Return the share of the peak learning rate at a step: a linear warm-up, then a cosine to
        0.
        """
        warmup = min(
            round(self.settings.warmup_epochs * self.steps_per_epoch), self.total_steps // 2
        )
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, self.total_steps - warmup)))

    def _generator(self, number: int, rank: int = 0, salt: int = 0) -> torch.Generator:
        mixed = (self.settings.seed * 1_000_003 + number) * 8191 + rank * 2 + salt
        return torch.Generator(self.device).manual_seed(mixed % 2**62)


class Steps:
    """The numbers of the steps still to do: all that a training step needs to draw its batch."""

    def __init__(self, start: int, stop: int):
        self.start, self.stop = start, stop

    def __iter__(self):
        return iter(range(self.start, self.stop))

    def __len__(self) -> int:
        return self.stop  # Lightning counts the steps before a resume too

    def state_dict(self) -> dict:
        return {}  # nothing to keep: the step's number is in the trainer

    def load_state_dict(self, state: dict) -> None:
        pass


@dataclass
class Pretrained:
    """What pretraining leaves: encoder f and head g in eval mode on the CPU, the curves, and how it
    was made.

    Attributes:
        encoder: Maps images, float in [0, 1], to representations h.
        head: Maps h to projections z.
        history: One dict for each logged step, as in metrics.csv.
        settings: What it was trained with.
        card: Data, hardware, versions, seconds, and whatever was measured.
        interrupted: Whether it was stopped before its last step.
    """

    encoder: nn.Module
    head: nn.Module
    history: list[dict]
    settings: Settings
    card: dict = field(default_factory=dict)
    interrupted: bool = False

    def summary(self) -> str:
        """Return how long it was trained, on what, and whether it was stopped before its end."""
        epochs = f"{self.settings.epochs:g} epochs"
        if self.interrupted:
            done = self.history[-1]["epoch"] if self.history else 0
            epochs = f"stopped after {done:.1f} of {epochs}"
        return (
            f"{self.card['seconds'] / 60:.1f} minutes on {self.card['hardware']}; {epochs}, batch "
            f"{self.settings.batch_size}"
        )

    def save(self, path: str | Path, half: bool = False) -> None:
        """Write weights, settings, curves and card to a .safetensors file; `half` stores 16-bit
        floats.
        """
        tensors = {
            f"{part}.{name}": tensor
            for part in ("encoder", "head")
            for name, tensor in getattr(self, part).state_dict().items()
        }
        if half:
            tensors = {
                name: t.half() if t.is_floating_point() else t for name, t in tensors.items()
            }
        texts = {"settings": asdict(self.settings), "history": self.history, "card": self.card}
        save_tensors(Path(path), tensors, {key: json.dumps(value) for key, value in texts.items()})


def load_pretrained(name: str | Path) -> Pretrained:
    """Load an encoder that ships with the course by its name, or any run's .safetensors file or
    folder by its path.

    Raises:
        FileNotFoundError: If there is neither a shipped encoder nor a file of that name.
        ValueError: If the file is not one of this course's, or a shipped one is not what was
            shipped.
    """
    path, shipped = Path(name), shipped_encoders()
    if str(name) in shipped:
        path = shipped_file(str(name))
    elif path.is_dir():
        path = path / "encoder.safetensors"
        if not path.exists():
            raise FileNotFoundError(
                f"the run in {path.parent} left no encoder yet; go on with it (--resume) first"
            )
    elif not path.exists():
        raise FileNotFoundError(
            f"there is no encoder {str(name)!r}; shipped are {', '.join(shipped) or 'none'}, and a "
            "run's folder or .safetensors file can be given by its path"
        )
    tensors, metadata = load_tensors(path)
    if "settings" not in metadata:
        raise ValueError(
            f"{path} holds tensors, but is not a checkpoint of this course: it names no settings"
        )
    known = {f.name for f in dataclasses.fields(Settings)}
    settings = Settings(**{k: v for k, v in json.loads(metadata["settings"]).items() if k in known})
    # the first weights are drawn in vain: loading must not move the seed
    with torch.random.fork_rng(devices=[]):
        encoder = build_encoder(settings.encoder, settings.image_size)
        head = ProjectionHead(encoder.feature_dim, out_dim=settings.head_dim, kind=settings.head)
    for part, module in (("encoder.", encoder), ("head.", head)):
        weights = {
            key.removeprefix(part): value for key, value in tensors.items() if key.startswith(part)
        }
        try:
            module.load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(
                f"the weights in {path} do not fit its encoder {settings.encoder!r}; the file "
                "belongs to another version of the course"
            ) from error
    return Pretrained(
        encoder.eval(),
        head.eval(),
        json.loads(metadata.get("history", "[]")),
        settings,
        json.loads(metadata.get("card", "{}")),
    )


def pretrain(
    images: ImageSet,
    settings: Settings = PRESETS["laptop"],
    *,
    val: ImageSet | None = None,
    start: Pretrained | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    device: str = "auto",
    devices: int = 1,
    num_nodes: int = 1,
    evaluations: int = 8,
    keep_seconds: float = 30,
    monitor: Callable[[list[dict], bool], None] | None = None,
    progress: bool = True,
    loss: Callable[[Tensor, float], Tensor] | None = None,
    snapshots: tuple[float, ...] = (),
) -> Pretrained:
    """Train an encoder on images; no label is read, unless the settings' objective is "supervised".

    Interrupting it (Ctrl-C, or the stop button of a notebook) ends it after the step at hand, with
    all that was learned until then: `interrupted` is true, and the last row of the history is that
    of this step.

    Args:
        images: The images to learn from; labels, where there are any, serve the kNN curve only.
        settings: What to train and how.
        val: Held-out images with labels for the kNN curve; without them there is none.
        start: Weights to go on from, of the same encoder and head; random ones where not given.
        out: The run's folder: metrics.csv, run.json, last.ckpt and encoder.safetensors. Nothing is
            written without it.
        resume: Go on with the run in `out` from the last step kept.
        device: "auto", "cpu", "cuda" or "mps".
        devices, num_nodes: How many devices and hosts share each batch; more than one from a script
            only.
        evaluations, keep_seconds: How many times kNN is measured, and after how many seconds the
            run is kept again.
        monitor: Called with the history and False after each new row, and with True at the end, to
            draw it.
        progress: Whether to show a progress bar.
        loss: Another loss than NT-Xent; see `SimCLR`.
        snapshots: Epochs after which the encoder is kept in `out` too, as epoch-1.safetensors and
            so on; 0 is the untrained one.

    Raises:
        ValueError: If there are fewer images than a batch takes, or what is to be resumed does not
            fit.
    """
    chosen, ranks = pick_device(device), devices * num_nodes
    _check_run(images, settings, devices, num_nodes, loss)
    module = SimCLR(settings, images.images, loss, images.labels)
    if start is not None:
        _start_from(module, start)
    precision = pick_precision(chosen) if settings.precision == "auto" else settings.precision
    folder = None if out is None else RunFolder(Path(out))
    record = {
        "settings": asdict(settings),
        "data": images.name,
        "images": len(images),
        "images_sha256": sha256_of(images.images),
        "precision": precision,
        "processes": ranks,
        "start": "" if start is None else sha256_of(*start.encoder.state_dict().values()),
    }
    epochs = {round(epoch * module.steps_per_epoch): epoch for epoch in snapshots}
    if snapshots and (folder is None or max(epochs) > module.total_steps):
        raise ValueError(
            f"snapshots after epochs {snapshots} need a folder (out) and a run of as many epochs, "
            f"not of {settings.epochs:g}"
        )

    def snapshot(step: int) -> None:
        if folder is not None and step in epochs:
            card = recorder.card() | {"epoch": epochs[step]}
            Pretrained(module.encoder, module.head, list(recorder.history), settings, card).save(
                folder.path / f"epoch-{epochs[step]:g}.safetensors"
            )

    recorder = Recorder(
        folder,
        images,
        val,
        evaluations,
        keep_seconds,
        monitor,
        progress,
        hardware(chosen, precision),
        snapshot if snapshots else None,
    )
    with _quiet():
        trainer = _trainer(
            accelerator={"cuda": "gpu"}.get(chosen.type, chosen.type),
            devices=devices,
            num_nodes=num_nodes,
            precision=precision,
            max_epochs=1,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            callbacks=[recorder],
            sync_batchnorm=ranks > 1 and chosen.type == "cuda",
            use_distributed_sampler=False,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        # the first process; Lightning starts the others from within its fit
        if folder and trainer.is_global_zero:
            folder.prepare(record, recorder.hardware, resume)
        last = folder.checkpoint(module) if folder and resume else None
        try:
            trainer.fit(module, ckpt_path=last, weights_only=True)
        # how Lightning ends when it is interrupted before its first step, or twice
        except SystemExit as error:
            raise KeyboardInterrupt from error
    module.cpu()
    result = Pretrained(
        module.encoder.eval(),
        module.head.eval(),
        recorder.history,
        settings,
        recorder.card(),
        interrupted=recorder.stopped,
    )
    if folder and trainer.is_global_zero:
        result.save(folder.path / "encoder.safetensors")
    return result


def _check_run(
    images: ImageSet, settings: Settings, devices: int, num_nodes: int, loss: Callable | None
) -> None:
    """Raise ValueError if images, settings and devices do not fit together."""
    ranks = devices * num_nodes
    if len(images) < 2:
        raise ValueError(
            "at least 2 images are needed to compare, but there "
            f"{'is 1' if len(images) else 'are none'}"
        )
    if settings.batch_size > len(images):
        raise ValueError(
            f"a batch of {settings.batch_size} needs as many images, but there are {len(images)}; "
            f"choose --batch-size {2 ** int(math.log2(len(images)))} or less"
        )
    if ranks < 1 or settings.batch_size % ranks or settings.batch_size // ranks < 2:
        raise ValueError(
            f"a batch of {settings.batch_size} cannot be shared by {devices} x {num_nodes} "
            "devices, at least 2 images and the same number each; change --batch-size or --devices"
        )
    if images.images.shape[2] != settings.image_size:
        raise ValueError(
            f"the images have {images.images.shape[2]} px a side and the settings say "
            f"{settings.image_size}; load them with size={settings.image_size}, or change "
            "image_size"
        )
    if settings.objective == "supervised" and (
        images.labels is None
        or settings.head_dim != len(images.classes)
        or settings.head == "none"
        or loss is not None
    ):
        raise ValueError(
            "supervised training needs labels, its own loss, and a head with one output a class "
            f"(head_dim {len(images.classes)}), not head {settings.head!r} with {settings.head_dim}"
        )


def _trainer(**options) -> L.Trainer:
    try:
        return L.Trainer(**options)
    except MisconfigurationException as error:
        raise ValueError(
            f"this machine cannot train with {options['devices']} devices of kind "
            f"{options['accelerator']!r}: {str(error).splitlines()[0].strip()}"
        ) from error


def _start_from(module: SimCLR, start: Pretrained) -> None:
    try:
        module.encoder.load_state_dict(start.encoder.state_dict())
        module.head.load_state_dict(start.head.state_dict())
    except RuntimeError as error:
        raise ValueError(
            f"cannot start from an encoder {start.settings.encoder!r} with head "
            f"{start.settings.head!r}: these settings ask for {module.settings.encoder!r} with "
            f"{module.settings.head!r}"
        ) from error


def find_lars() -> Callable[..., torch.optim.Optimizer]:
    """Return the optimizer LARS; ValueError without timm, which it comes with."""
    try:
        from timm.optim import Lars
    except ImportError as error:
        raise ValueError(
            "LARS comes with timm: pip install timm (or choose --optimizer adamw)"
        ) from error
    return Lars


@contextmanager
def _quiet():
    # Lightning tells about devices and offers services on every run; that is noise in a notebook.
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
