"""What a pretraining run leaves while it runs: its folder, its curves, its progress bar, and a
checkpoint to resume.
"""

import csv
import json
import math
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
import torch
from tqdm import tqdm

from helpers.artifacts import write_aside, write_text
from helpers.data import ImageSet
from helpers.evaluation import Diverged, extract_features, knn_accuracy
from helpers.metrics import contrastive_rank, spread
from helpers.runtime import versions
from helpers.settings import Settings

COLUMNS = ("step", "epoch", "seconds", "loss", "top1", "mean_rank", "spread", "lr", "knn")
ROWS = 100  # rows of metrics.csv in a whole run, about
# images that the kNN curve uses; enough to see it rise, few enough not to wait
KNN_BANK, KNN_QUERIES = (
    3000,
    1000,
)


class RunFolder:
    """A folder that belongs to one run: run.json, metrics.csv, last.ckpt and, at the end,
    encoder.safetensors.
    """

    def __init__(self, path: Path):
        self.path = path

    def prepare(self, record: dict, hardware: str, resume: bool) -> None:
        """Write run.json for a new run, or check that the run to resume is this one.

        Raises:
            ValueError: If there is a run already and it is not to be resumed, or it was made with
                other settings.
        """
        for left in self.path.glob(".*.part"):  # of a run that was killed while it wrote
            left.unlink()
        there = self.path / "run.json"
        if not there.exists():
            self._write(
                "run.json",
                json.dumps(record | {"hardware": hardware, "versions": versions()}, indent=1),
            )
            return
        if not resume:
            raise ValueError(
                f"{self.path} already holds a run; add --resume to go on with it, or choose "
                "another folder with --out"
            )
        before = self.read()
        # A run that was made before a setting existed had its default.
        old, new = (
            asdict(Settings())
            | r["settings"]
            | {k: v for k, v in r.items() if k in record and k != "settings"}
            for r in (before, record)
        )
        changed = [
            f"{name} {old.get(name)!r}, not {new[name]!r}"
            for name in new
            if old.get(name) != new[name]
        ]
        if changed:
            raise ValueError(
                f"the run in {self.path} was made with {'; '.join(changed)}: resume it as it was, "
                "or start another with a new --out"
            )

    def read(self) -> dict:
        """Return run.json.

        Raises:
            ValueError: If it is missing or broken.
        """
        try:
            return json.loads((self.path / "run.json").read_text())
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{self.path} holds no run that could be resumed (no readable run.json)"
            ) from error

    def checkpoint(self, module: L.LightningModule) -> Path | None:
        """Return the checkpoint to resume from, None where the run was killed before the first was
        kept.

        Raises:
            ValueError: If it is not a checkpoint, or one of another network.
        """
        path = self.path / "last.ckpt"
        if not path.exists():
            return None
        try:
            # runs no code from the file
            kept = torch.load(path, map_location="meta", weights_only=True, mmap=True)
            kept["global_step"]
            shapes = {name: tensor.shape for name, tensor in kept["state_dict"].items()}
        except (
            OSError,
            RuntimeError,
            LookupError,
            TypeError,
            AttributeError,
            EOFError,
            pickle.UnpicklingError,
        ) as error:
            raise ValueError(
                f"{path} is not a checkpoint that can be resumed; remove it to start this run from "
                "its beginning"
            ) from error
        if shapes != {name: tensor.shape for name, tensor in module.state_dict().items()}:
            raise ValueError(
                f"{path} holds another encoder or head than these settings ask for; resume the run "
                "as it was, or start another with a new --out"
            )
        return path

    def write_metrics(self, history: list[dict]) -> None:
        """Write metrics.csv."""
        with write_aside(self.path / "metrics.csv") as aside, aside.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(
                {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()}
                for row in history
            )

    def _write(self, name: str, text: str) -> None:
        write_text(self.path / name, text + "\n")


class Recorder(L.Callback):
    """Lightning callback: logs, measures kNN, keeps the run, shows progress, ends cleanly when
    interrupted.
    """

    def __init__(
        self,
        folder: RunFolder | None,
        images: ImageSet,
        val: ImageSet | None,
        evaluations: int,
        keep_seconds: float,
        monitor: Callable[[list[dict], bool], None] | None,
        progress: bool,
        hardware: str,
        snapshot: Callable[[int], None] | None = None,
    ):
        self.folder, self.keep_seconds, self.hardware = folder, keep_seconds, hardware
        self.monitor, self.progress, self.evaluations, self.snapshot = (
            monitor,
            progress,
            evaluations,
            snapshot,
        )
        self.name = images.name
        self.history: list[dict] = []
        self.stopped, self._before = False, 0.0
        self._started: float | None = None
        self._old_handlers: dict = {}
        self._bar: tqdm | None = None
        self._bank = self._queries = None
        if (
            images.labels is not None
            and val is not None
            and val.labels is not None
            and evaluations > 0
        ):
            chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[
                :KNN_BANK
            ]
            self._bank = images.subset(chosen)
            asked = torch.randperm(len(val), generator=torch.Generator().manual_seed(0))[
                :KNN_QUERIES
            ]
            self._queries = val.subset(asked)

    def state_dict(self) -> dict:
        return {"history": self.history, "seconds": self._seconds()}

    def load_state_dict(self, state: dict) -> None:
        self.history, self._before = list(state["history"]), state["seconds"]

    def plan(self, total_steps: int) -> None:
        """Set how many steps lie between two rows, and between two measurements of kNN, which are
        rows too.
        """
        self.log_every = max(1, total_steps // ROWS)
        rows = max(1, total_steps // self.log_every)
        self.knn_every = self.log_every * max(1, round(rows / max(1, self.evaluations)))

    def card(self) -> dict:
        """Return what belongs beside the weights: data, hardware, versions, seconds, and the last
        kNN accuracy.
        """
        measured = [row["knn"] for row in self.history if row.get("knn") is not None]
        return {
            "data": self.name,
            "hardware": self.hardware,
            "versions": versions(),
            "seconds": round(self._seconds(), 1),
            "val_knn": measured[-1] if measured else None,
        }

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        self._started = self._kept = time.monotonic()
        self.plan(module.total_steps)
        if threading.current_thread() is threading.main_thread():
            self._old_handlers = {
                number: signal.signal(number, self._interrupt)
                for number in (signal.SIGINT, signal.SIGTERM)
            }
        if trainer.is_global_zero:
            self._bar = tqdm(
                total=module.total_steps,
                initial=trainer.global_step,
                desc="pretraining",
                unit="step",
                disable=not self.progress,
                mininterval=0.5,
                dynamic_ncols=True,
                # A notebook paints what goes to stderr red, as if something were wrong.
                file=sys.stdout if "ipykernel" in sys.modules else None,
            )
        if trainer.global_step == 0:
            knn = self._knn(module)
            if knn is not None and trainer.is_global_zero:
                self.history.append({"step": 0, "epoch": 0.0, "seconds": 0.0, "knn": knn})
            if self.snapshot is not None and trainer.is_global_zero:
                self.snapshot(0)

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, *_) -> None:
        step, last = trainer.global_step, trainer.global_step == module.total_steps
        if self._bar is not None:
            self._bar.update(step - self._bar.n)
        if step % self.log_every == 0 or last:
            self._log(trainer, module, step, measure=step % self.knn_every == 0 or last)
        if self.snapshot is not None and trainer.is_global_zero:
            self.snapshot(step)
        stop = self.stopped
        keep = self.folder is not None and time.monotonic() - self._kept > self.keep_seconds
        # clocks differ and one process gets the signal, but all must do the same
        if trainer.world_size > 1:
            if step % 10 and not last:
                return
            stop, keep = (
                trainer.strategy.reduce_boolean_decision(wish, all=False) for wish in (stop, keep)
            )
        if self.folder is not None and (keep or stop or last):
            self._keep(trainer)
        if stop:
            trainer.should_stop = True
            if not last:  # after keeping: a resumed run has the rows of one that was never stopped
                self._log_stop(trainer, module, step)

    def on_train_end(self, trainer: L.Trainer, module: Any) -> None:
        self._close()
        self.stopped = trainer.global_step < module.total_steps
        if self.monitor is not None and trainer.is_global_zero:
            self.monitor(self.history, True)

    def on_exception(self, trainer: L.Trainer, module: Any, exception: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        self._old_handlers = {}
        self._before, self._started = self._seconds(), None

    def _interrupt(self, *_) -> None:
        if self.stopped:  # asked a second time: at once
            raise KeyboardInterrupt
        self.stopped = True

    def _seconds(self) -> float:
        started = getattr(self, "_started", None)
        return self._before + (time.monotonic() - started if started is not None else 0.0)

    def _log(self, trainer: L.Trainer, module: Any, step: int, measure: bool) -> None:
        loss, projections = module.latest  # with several processes: this one's share of the batch
        top1, rank = contrastive_rank(projections)
        row = {
            "step": step,
            "epoch": step / module.steps_per_epoch,
            "seconds": self._seconds(),
            "loss": loss.item(),
            "top1": top1.item(),
            "mean_rank": rank.item(),
            "spread": spread(projections).item(),
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "knn": self._knn(module) if measure else None,
        }
        if not math.isfinite(row["loss"]):
            raise Diverged(
                f"the loss is {row['loss']} after {step} steps: the learning rate "
                f"{module.settings.peak_lr:g} is too high for these settings; try a tenth of it"
            )
        if not trainer.is_global_zero:
            return
        self.history.append(row)
        knn = [r["knn"] for r in self.history if r.get("knn") is not None]
        self._bar.set_postfix_str(
            f"loss {row['loss']:.2f} (chance {module.settings.chance_loss:.2f}), pairs found "
            f"{row['top1']:.0%}" + (f", kNN {knn[-1]:.0%}" if knn else "")
        )
        if self.folder is not None:
            self.folder.write_metrics(self.history)
        if self.monitor is not None and not self.stopped:  # it is called once more at the end
            self.monitor(self.history, False)

    def _log_stop(self, trainer: L.Trainer, module: Any, step: int) -> None:
        """Make the last row that of the last step, with a kNN accuracy, wherever the run was
        stopped.
        """
        if not self.history or self.history[-1]["step"] != step:
            self._log(trainer, module, step, measure=True)
        elif self.history[-1]["knn"] is None:
            self.history[-1] = self.history[-1] | {"knn": self._knn(module)}
            if self.folder is not None:
                self.folder.write_metrics(self.history)

    def _knn(self, module: Any) -> float | None:
        if self._bank is None or not module.trainer.is_global_zero:
            return None
        bank, queries = (
            extract_features(module.encoder, part.images) for part in (self._bank, self._queries)
        )
        return knn_accuracy(bank, self._bank.labels, queries, self._queries.labels)

    def _keep(self, trainer: L.Trainer) -> None:
        path = self.folder.path / "last.ckpt"
        if trainer.is_global_zero:
            with write_aside(path) as aside:
                trainer.save_checkpoint(aside)
        else:
            trainer.save_checkpoint(path)  # takes part in gathering; the first process alone writes
        self._kept = time.monotonic()
