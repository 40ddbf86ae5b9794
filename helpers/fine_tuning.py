"""Train a classifier network on few labels: a head, rates that fall with depth, early stopping on
validation.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.augmentations import Augment, Policy
from helpers.data import ImageSet
from helpers.evaluation import extract_features
from helpers.runtime import HALF, pick_device, pick_precision

AUGMENTATIONS = {
    "gentle": Policy(crop_area=(0.5, 1.0), color_p=0, gray_p=0, blur_p=0),
    "color": Policy(crop_area=(0.5, 1.0), color_strength=0.5, blur_p=0),
}


def augmentation(name: str, images: ImageSet) -> Augment:
    """Return one of AUGMENTATIONS for images of this size.

    Raises:
        ValueError: If the name is unknown.
    """
    if name not in AUGMENTATIONS:
        raise ValueError(f"unknown augmentation {name!r}; choose {', '.join(AUGMENTATIONS)}")
    return Augment(replace(AUGMENTATIONS[name], size=images.images.shape[2]))


def usual_steps(images: int) -> int:
    """Return the usual length of a training on so many labelled images.

    That is 30 passes, but at least 300 steps and at most 6,000 (from 25,600 images on: 17 passes
    through 45,000).
    """
    return min(6000, max(300, 30 * images // _batch_size(images)))


def _batch_size(images: int) -> int:
    return min(images, 128, max(16, images // 4))


def parameters(*modules: nn.Module) -> int:
    """Return how many numbers these modules train."""
    return sum(p.numel() for module in modules for p in module.parameters())


class Standardize(nn.Module):
    """Scale features by the mean and spread that these had, (N, D), as scikit-learn's
    StandardScaler does.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, features: Tensor):
        super().__init__()
        self.register_buffer("mean", features.mean(dim=0))
        spread = features.std(dim=0, correction=0)
        # what never changes tells nothing
        self.register_buffer("spread", torch.where(spread < 1e-6, 1.0, spread))

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.spread


def make_head(
    features: Tensor, classes: int, hidden: int = 0, standardize: bool = True
) -> nn.Sequential:
    """Return new last layers for features like these, (N, D): a linear layer, or an MLP with one
    hidden layer.
    """
    first = [Standardize(features)] if standardize else []
    width = features.shape[1]
    if hidden:
        return nn.Sequential(
            *first, nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, classes)
        )
    return nn.Sequential(*first, nn.Linear(width, classes))


def layer_rates(encoder: nn.Module, lr: float, decay: float) -> list[dict]:
    """Return the encoder's parameters layer by layer, the lowest first, for an optimiser.

    The top layer learns at the rate lr x decay, and each layer below at `decay` times the rate of
    the one above. A BatchNorm belongs to the layer that it follows.
    """
    inside = encoder
    while len(children := [child for child in inside.children() if parameters(child)]) == 1:
        inside = children[0]
    layers: list[list[nn.Parameter]] = []
    for child in children:
        if layers and isinstance(child, nn.BatchNorm2d):
            layers[-1] += child.parameters()
        else:
            layers.append(list(child.parameters()))
    return [
        {"params": layer, "lr": lr * decay ** (len(layers) - k)} for k, layer in enumerate(layers)
    ]


def train_all(
    encoder: nn.Module,
    head: nn.Module,
    train: ImageSet,
    val: ImageSet,
    *,
    lr: float,
    layer_decay: float,
    augment: str,
    steps: int | None,
    seed: int,
) -> float:
    """Train encoder and head in place on augmented images; return what `train_steps` returns."""
    device = pick_device()
    half = HALF.get(pick_precision(device))
    views, net = augmentation(augment, train), nn.Sequential(encoder, head)
    net.to(device).to(memory_format=torch.channels_last)
    pixels = train.images.to(device)

    def logits(rows: Tensor, generator: torch.Generator) -> Tensor:
        net.train()
        batch = views(pixels[rows], generator).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, half, enabled=half is not None):
            return net(batch).float()

    def score() -> float:
        return (extract_features(net, val.images).argmax(dim=1) == val.labels).float().mean().item()

    groups = [*layer_rates(encoder, lr, layer_decay), {"params": list(head.parameters()), "lr": lr}]
    found = train_steps(
        net, groups, logits, score, train.labels.to(device), steps or usual_steps(len(train)), seed
    )
    net.cpu().eval()
    return found


def train_steps(
    net: nn.Module,
    groups: list[dict],
    logits: Callable[[Tensor, torch.Generator], Tensor],
    score: Callable[[], float],
    labels: Tensor,
    steps: int,
    seed: int,
    weight_decay: float = 1e-2,
) -> float:
    """Train, leave in `net` the weights of the step that was best on validation, and return the
    accuracy it had there.

    AdamW, a short warm-up, a cosine to 0; it stops at a look at validation that is worse than the
    best, if the last 5 of 15 brought no gain (a look as good as the best goes on).

    Args:
        net: What is trained.
        groups: Its parameters, for the optimiser.
        logits: Maps rows and a generator to the scores (B, classes) of those training images.
        score: Returns the accuracy on validation of `net` as it is.
        labels: int64 (N,), of the training images.
        steps: At most.
        seed: Chooses order and views.
        weight_decay: AdamW's.
    """
    optimizer = torch.optim.AdamW(groups, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(
            (step + 1) / (steps / 20 + 1), 0.5 * (1 + math.cos(math.pi * step / steps))
        ),
    )
    scaler = torch.amp.GradScaler(labels.device.type, enabled=labels.device.type == "cuda")
    generator = torch.Generator(labels.device).manual_seed(seed)
    size, look, order = _batch_size(len(labels)), max(1, steps // 15), labels[:0]
    best, kept, gained = -1.0, None, 0
    for step in range(steps):
        if len(order) < size:
            order = torch.randperm(len(labels), generator=generator, device=labels.device)
        rows, order = order[:size], order[size:]
        loss = F.cross_entropy(logits(rows, generator), labels[rows])
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        schedule.step()
        if (step + 1) % look == 0 or step + 1 == steps:
            found = score()
            if found > best:
                gained = step
            if found >= best:  # of equals the one that trained longer
                best, kept = found, copy.deepcopy(net.state_dict())
            elif step - gained >= 5 * look:
                break
    net.load_state_dict(kept)
    return best
