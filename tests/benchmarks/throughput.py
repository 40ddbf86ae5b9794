"""Views per second against torchvision's PIL pipeline, and a training step against the bare
network, in one run.

    python tests/benchmarks/throughput.py

Ratios are what counts: both sides of each run in turn, in rounds, on the machine as it is; the
median round is printed with the range. Aims: the policy at least 5 times torchvision's with 2
workers, the step at least 0.75 of the bare net.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
import torchvision.transforms as T
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from helpers.augmentations import Augment
from helpers.data import load
from helpers.runtime import hardware
from helpers.simclr import SimCLR, pretrain, settings_for


class TwoViews(Dataset):
    """torchvision's own transforms on PIL images, as the paper's policy has them, two views an
    image.
    """

    def __init__(self, images, policy):
        self.images = [T.functional.to_pil_image(image) for image in images]
        s = policy.color_strength
        self.transform = T.Compose(
            [
                T.RandomResizedCrop(policy.size, scale=policy.crop_area),
                T.RandomHorizontalFlip(policy.flip_p),
                T.RandomApply([T.ColorJitter(0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s)], policy.color_p),
                T.RandomGrayscale(policy.gray_p),
                T.RandomApply([T.GaussianBlur(3, policy.blur_sigma)], policy.blur_p),
                T.ToTensor(),
            ]
        )

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.transform(self.images[index]), self.transform(self.images[index])


def rounds(sides: dict, count: int) -> dict[str, list[float]]:
    """Return views per second of each side, measured in turn `count` times."""
    for measure in sides.values():
        measure()
    found = {name: [] for name in sides}
    for _ in range(count):
        for name, measure in sides.items():
            found[name].append(measure())
    return found


def report(title: str, found: dict[str, list[float]], ours: str, theirs: str) -> None:
    """Print both sides and the ratio of each round."""
    ratios = [a / b for a, b in zip(found[ours], found[theirs], strict=True)]
    print(title)
    for name, values in found.items():
        print(
            f"  {name:<44} {statistics.median(values):>9,.0f} views/s ({min(values):,.0f} to "
            f"{max(values):,.0f})"
        )
    print(
        f"  ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description="Throughput of the augmentations and of a training step."
    )
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    images = load("shapes", limit=4096)
    print(hardware())

    policy = settings_for("laptop", "cifar10", blur_p=0.5, color_strength=1.0).policy()
    loader = DataLoader(
        TwoViews(images.images, policy), batch_size=256, num_workers=2, persistent_workers=True
    )
    augment = Augment(policy)

    def torchvision_views() -> float:
        iterator = iter(loader)
        next(iterator)  # the workers are up
        start, seen = time.perf_counter(), 0
        for first, second in iterator:
            seen += len(first) + len(second)
        return seen / (time.perf_counter() - start)

    def our_views() -> float:
        start, seen = time.perf_counter(), 0
        for batch in images.images.split(256):
            seen += len(augment(batch)) + len(augment(batch))
        return seen / (time.perf_counter() - start)

    report(
        "whole policy at 32 px: crop, flip, jitter, grey, blur",
        rounds(
            {
                "helpers.augmentations": our_views,
                "torchvision on PIL, 2 workers": torchvision_views,
            },
            options.rounds,
        ),
        "helpers.augmentations",
        "torchvision on PIL, 2 workers",
    )

    settings = settings_for("laptop", "cifar10", epochs=1.0)
    module = SimCLR(settings, images.images)
    views = module.two_views(0).contiguous(memory_format=torch.channels_last)
    steps = module.total_steps

    def bare_network() -> float:
        module.train()
        start = time.perf_counter()
        for _ in range(steps):
            with torch.autocast("cpu", torch.bfloat16, enabled="bf16" in hardware()):
                z = module.head(module.encoder(views))
            z.float().square().mean().backward()
            module.zero_grad()
        return steps * len(views) / (time.perf_counter() - start)

    def training_step() -> float:
        timer = Timer()
        pretrain(images, settings, progress=False, evaluations=0, monitor=timer)
        return timer.views_per_second(len(views))

    report(
        f"a training step of {settings.encoder}, batch {settings.batch_size}: augment, loss, "
        "optimiser, Lightning",
        rounds(
            {"pretrain": training_step, "bare forward and backward": bare_network}, options.rounds
        ),
        "pretrain",
        "bare forward and backward",
    )


class Timer:
    """Takes the time between the first and the last row that a run logs."""

    def __init__(self):
        self.rows = []

    def __call__(self, history: list[dict], ended: bool) -> None:
        self.rows = [row for row in history if row.get("loss") is not None]

    def views_per_second(self, views: int) -> float:
        """Return views per second from the fifth logged step to the last."""
        first, last = self.rows[min(4, len(self.rows) - 2)], self.rows[-1]
        return (last["step"] - first["step"]) * views / (last["seconds"] - first["seconds"])


if __name__ == "__main__":
    main()
