"""Trainings that are made once: kept in runs/, resumed when killed, not repeated when they are
there.
"""

import sys
from pathlib import Path

import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import nn

from helpers.data import load
from helpers.models import build_encoder
from helpers.simclr import Pretrained, Settings, load_pretrained, pretrain

RUNS = Path("runs")
NO_COLOR = {"color_p": 0.0, "gray_p": 0.0}


def trained(
    name: str,
    data: str,
    settings: Settings,
    snapshots: tuple[float, ...] = (),
    size: int | None = None,
    classes: tuple[str, ...] = (),
    devices: int = 1,
) -> Pretrained:
    """Return the run of this name, trained now or before."""
    train, val = (load(data, split, size=size) for split in ("train", "val"))
    if classes:
        train, val = train.only(classes), val.only(classes)
    if (RUNS / name / "encoder.safetensors").exists():
        found = load_pretrained(RUNS / name)
        whole = found.history and found.history[-1]["epoch"] >= settings.epochs
        if whole and (found.settings, found.card["data"]) == (settings, train.name):
            return found
    result = pretrain(
        train, settings, val=val, out=RUNS / name, resume=True, snapshots=snapshots, devices=devices
    )
    if rank_zero_only.rank:
        sys.exit()  # a process that only helped to train
    if result.interrupted:
        sys.exit("stopped; the same command goes on")
    return result


def random_encoder(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return build_encoder("tiny").eval()


def made_how(card: dict) -> dict:
    return {
        "minutes": round(card["seconds"] / 60, 2),
        "hardware": card["hardware"],
        "torch": card["versions"]["torch"],
    }
