"""Self-prediction: hide or change part of an image and train a network to predict it. No label is
read anywhere.

Five tasks share one encoder, so that what they teach it can be compared: three paint a picture
(masked, denoising, colorization), two answer a question (rotation, jigsaw).
"""

import itertools
import json
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from helpers.artifacts import load_tensors, save_tensors, shipped_file
from helpers.augmentations import Augment, Policy, color_drop, gaussian_noise, rotate
from helpers.data import ImageSet
from helpers.models import TinyResNet
from helpers.runtime import HALF, hardware, pick_device, pick_precision, versions

TASKS = ("masked", "denoising", "colorization", "rotation", "jigsaw")
# of the four tiles: place k of the puzzle shows tile ORDERS[i][k]
ORDERS = tuple(itertools.permutations(range(4)))
HIDDEN, PATCHES, NOISE = (0.5, 0.9), (4, 8), (0.05, 0.4)  # what is drawn in training


def mask_patches(
    images: Tensor, patch_px: int, hidden: Tensor, scores: Tensor
) -> tuple[Tensor, Tensor]:
    """Paint square patches grey; return (images, mask), the mask bool (N, 1, H, W) and true where
    it is hidden.

    Args:
        images: Float (N, 3, H, W); patch_px divides H and W.
        patch_px: Side of a patch.
        hidden: Share of each image's patches to hide, from 0 to 1, shape (N,).
        scores: Shape (N, patches); the patches with the lowest scores are hidden, so that a larger
            share hides the same ones and more.

    Source: He et al. 2021, who leave hidden patches out of a transformer. A convolutional net must
    be given something: here grey, as in Pathak et al. 2016.
    """
    n, _, height, width = images.shape
    if height % patch_px or width % patch_px:
        raise ValueError(f"patches of {patch_px} px do not tile images of {height} x {width} px")
    rows, columns = height // patch_px, width // patch_px
    if scores.shape != (n, rows * columns):
        raise ValueError(
            f"{n} images with {rows} x {columns} patches need scores of shape "
            f"{(n, rows * columns)}, not {tuple(scores.shape)}"
        )
    rank = scores.argsort(dim=1).argsort(dim=1)
    mask = (rank < (hidden * rows * columns).round()[:, None]).view(n, 1, rows, columns)
    mask = mask.repeat_interleave(patch_px, dim=2).repeat_interleave(patch_px, dim=3)
    return images.masked_fill(mask, 0.5), mask


def cut_tiles(images: Tensor, top: Tensor, left: Tensor, tile_px: int) -> Tensor:
    """Return the four quarters of each image, float (N, 4, 3, tile_px, tile_px), in reading order.

    A tile is cut from its quarter `top` and `left` pixels (each (N, 4)) from the corner. The gaps
    between tiles keep the answer from being read off edges that fit.

    Source: Noroozi and Favaro 2016, with 2 x 2 instead of 3 x 3 tiles.
    """
    half = images.shape[2] // 2
    quarters = (
        images.unfold(2, half, half).unfold(3, half, half).permute(0, 2, 3, 1, 4, 5).flatten(1, 2)
    )
    reach = torch.arange(tile_px, device=images.device)
    rows, columns = top[:, :, None] + reach, left[:, :, None] + reach  # (N, 4, tile_px)
    n, tiles = (
        torch.arange(len(images), device=images.device)[:, None, None, None],
        torch.arange(4)[:, None, None],
    )
    return quarters[n, tiles, :, rows[..., :, None], columns[..., None, :]].movedim(-1, 2)


class PretextNet(nn.Module):
    """An encoder and what a task puts on top: a decoder that paints, or a classifier that answers.

    Args:
        task: One of TASKS.
    """

    def __init__(self, task: str):
        super().__init__()
        if task not in TASKS:
            raise ValueError(f"unknown task {task!r}; choose {', '.join(TASKS)}")
        self.task, self.encoder = task, TinyResNet()
        width = self.encoder.feature_dim
        if task in TASKS[:3]:
            self.top: nn.Module = (
                nn.Sequential(  # from a sixteenth of the resolution back to pixels
                    nn.Conv2d(width, 448, 1, bias=False),
                    nn.BatchNorm2d(448),
                    nn.ReLU(),
                    nn.PixelShuffle(2),
                    nn.Conv2d(112, 192, 3, padding=1, bias=False),
                    nn.BatchNorm2d(192),
                    nn.ReLU(),
                    nn.PixelShuffle(2),
                    nn.Conv2d(48, 96, 3, padding=1, bias=False),
                    nn.BatchNorm2d(96),
                    nn.ReLU(),
                    nn.PixelShuffle(4),
                    nn.Conv2d(6, 3, 3, padding=1),
                )
            )
        elif task == "rotation":
            self.top = nn.Linear(width, 4)
        else:
            self.top = nn.Sequential(
                nn.Linear(4 * width, 256), nn.ReLU(), nn.Linear(256, len(ORDERS))
            )

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a picture (N, 3, H, W), or logits: of 4 turns (N, 4), or of the ORDERS of tiles
        (N, 4, 3, t, t).
        """
        if self.task == "jigsaw":
            return self.top(self.encoder(inputs.flatten(0, 1)).view(len(inputs), -1))
        if self.task == "rotation":
            return self.top(self.encoder(inputs))
        painted = self.top(self.encoder.layers(inputs)) + 0.5
        if self.task == "colorization":  # the brightness is given: only the colour is painted
            return _gray(inputs) + painted - _gray(painted)
        return painted


def _gray(images: Tensor) -> Tensor:
    return color_drop(images, torch.ones(len(images), device=images.device))


def make_task(
    task: str, images: Tensor, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (inputs, target, weight): what the net sees, what it should say, and which pixels
    count.

    Args:
        task: One of TASKS.
        images: Float (N, 3, H, W) in [0, 1].
        generator: Where the draws come from.

    Returns:
        inputs: Float (N, 3, H, W), for jigsaw the tiles (N, 4, 3, t, t).
        target: The images, or for rotation and jigsaw the right answer, int64 (N,).
        weight: (N, 1, H, W), 1 where a pixel counts, or (N, 1, 1, 1) where all do.
    """
    n, device, side = len(images), images.device, images.shape[2]

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return torch.rand(shape, generator=generator, device=device) * (high - low) + low

    everywhere = torch.ones(n, 1, 1, 1, device=device)
    if task == "masked":
        patch = PATCHES[int(torch.randint(len(PATCHES), (), generator=generator, device=device))]
        hidden = uniform(n, low=HIDDEN[0], high=HIDDEN[1])
        inputs, mask = mask_patches(images, patch, hidden, uniform(n, (side // patch) ** 2))
        return inputs, images, mask.float()
    if task == "denoising":
        return (
            gaussian_noise(images, uniform(n, low=NOISE[0], high=NOISE[1]), generator=generator),
            images,
            everywhere,
        )
    if task == "colorization":
        return _gray(images), images, everywhere
    if task == "rotation":
        turns = torch.randint(4, (n,), generator=generator, device=device)
        return rotate(images, turns), turns, everywhere
    gap = side // 16
    top, left = torch.randint(2 * gap + 1, (2, n, 4), generator=generator, device=device).unbind()
    tiles = cut_tiles(images, top, left, side // 2 - 2 * gap)
    answer = torch.randint(len(ORDERS), (n,), generator=generator, device=device)
    order = torch.tensor(ORDERS, device=device)[answer]
    return tiles[torch.arange(n, device=device)[:, None], order], answer, everywhere


def task_loss(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the mean squared error over the pixels that count, or the cross-entropy of an answer:
    a scalar.

    Args:
        output: The net's: as the target, or scores (N, answers).
        target, weight: As `make_task` gives them.
    """
    if target.dtype == torch.int64:
        return F.cross_entropy(output.float(), target)
    squared = (output.float() - target).square().mean(dim=1, keepdim=True)
    return (squared * weight).sum() / weight.expand_as(squared).sum().clamp(min=1)


@dataclass
class TrainedPretext:
    """A pretext network in eval mode on the CPU, its losses by step where it was just trained, and
    how it was made.
    """

    net: PretextNet
    losses: list[float]
    card: dict = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write weights (16-bit floats) and card to a .safetensors file."""
        tensors = {
            k: t.half() if t.is_floating_point() else t for k, t in self.net.state_dict().items()
        }
        save_tensors(path, tensors, {"task": self.net.task, "card": json.dumps(self.card)})


@dataclass(frozen=True)
class PretextSettings:
    """What decides a run: the budget is steps x batch_size images through the encoder, as two views
    are for SimCLR.
    """

    task: str
    steps: int = 1155
    batch_size: int = 256
    lr: float = 2e-3
    weight_decay: float = 1e-4
    crop_min: float = 0.5
    seed: int = 0


def train_pretext(
    images: ImageSet, settings: PretextSettings, progress: bool = True
) -> TrainedPretext:
    """Train a network on one task: AdamW, a short warm-up and a cosine, as for SimCLR.

    Args:
        images: The images to learn from; labels are not read.
        settings: What to train and how.
        progress: Whether to show a progress bar.
    """
    device = pick_device()
    precision = pick_precision(device)
    half = HALF.get(precision)
    torch.manual_seed(settings.seed)
    net = PretextNet(settings.task).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        net.parameters(), settings.lr, weight_decay=settings.weight_decay, fused=True
    )
    warmup = settings.steps // 15
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (
            (step + 1) / (warmup + 1)
            if step < warmup
            else 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, settings.steps - warmup)))
        ),
    )
    scaler = torch.amp.GradScaler(device.type, enabled=half is torch.float16)
    generator = torch.Generator(device).manual_seed(settings.seed)
    crop = Augment(
        Policy(
            size=images.images.shape[2],
            crop_area=(settings.crop_min, 1.0),
            color_p=0,
            gray_p=0,
            blur_p=0,
        )
    )
    pixels, losses, started = images.images.to(device), [], time.monotonic()
    for _ in tqdm(range(settings.steps), desc=settings.task, unit="step", disable=not progress):
        rows = torch.randint(
            len(pixels), (settings.batch_size,), generator=generator, device=device
        )
        inputs, target, weight = make_task(settings.task, crop(pixels[rows], generator), generator)
        with torch.autocast(device.type, half, enabled=half is not None):
            output = net(inputs)
        loss = task_loss(output, target, weight)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        schedule.step()
        losses.append(loss.detach())
    card = {
        "data": images.name,
        "settings": asdict(settings),
        "hardware": hardware(device, precision),
        "seconds": round(time.monotonic() - started, 1),
        "versions": versions(),
    }
    return TrainedPretext(net.cpu().eval(), torch.stack(losses).tolist(), card)


def load_pretext(task: str | Path) -> TrainedPretext:
    """Load the network of this task that ships with the course, or one from a file by its path.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not what was shipped, or no pretext network.
    """
    path = shipped_file(f"pretext-{task}") if task in TASKS else Path(task)
    tensors, metadata = load_tensors(path)
    if "task" not in metadata:
        raise ValueError(f"{path} holds no pretext network")
    # the first weights are drawn in vain: loading must not move the seed
    with torch.random.fork_rng(devices=[]):
        net = PretextNet(metadata["task"])
    net.load_state_dict(tensors)
    return TrainedPretext(net.eval(), [], json.loads(metadata["card"]))
