"""What decides a pretraining run besides its images: settings, and presets for machines from laptop
to cluster.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from helpers.augmentations import Augment, Policy, one_branch_views
from helpers.models import ENCODERS, HEADS

OBJECTIVES = ("contrastive", "supervised")
# of the paper's Figure 5
TRANSFORMS = (
    "crop",
    "cutout",
    "color",
    "sobel",
    "noise",
    "blur",
    "rotate",
)


def _option(default, text: str):
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Settings:
    """All that decides a pretraining run, besides its images: plain numbers and strings."""

    encoder: str = _option("tiny", f"encoder f: {', '.join(ENCODERS)}")
    objective: str = _option(
        "contrastive", f"what is learned from: {', '.join(OBJECTIVES)} (reads the labels)"
    )
    image_size: int = _option(32, "side of images and views in pixels (default: the images' own)")
    head: str = _option("nonlinear", f"projection head g: {', '.join(HEADS)}")
    head_dim: int = _option(128, "length of z")
    temperature: float = _option(0.1, "temperature of NT-Xent, above 0")
    batch_size: int = _option(128, "images a step on all devices together; each gives two views")
    epochs: float = _option(15.0, "passes through the images")
    optimizer: str = _option("adamw", "adamw, sgd or lars")
    lr: float = _option(2e-3, "peak learning rate (at batch 256 where it is scaled)")
    lr_scaling: str = _option(
        "none", "growth of the rate with the batch: none, linear (B/256), sqrt (root of B/256)"
    )
    weight_decay: float = _option(1e-4, "weight decay; none on biases and BatchNorm")
    warmup_epochs: float = _option(
        1.0, "epochs in which the learning rate climbs; a cosine to 0 follows"
    )
    crop_min: float = _option(0.2, "smallest area of the crop, as a fraction of the image")
    flip_p: float = _option(0.5, "probability of a mirrored view")
    color_strength: float = _option(0.5, "strength s of the colour jitter")
    color_p: float = _option(0.8, "probability of colour jitter")
    gray_p: float = _option(0.2, "probability of dropping colour")
    blur_p: float = _option(0.0, "probability of Gaussian blur (hurts at 32 px)")
    rotate_p: float = _option(0.0, "probability of a turn by 90, 180 or 270 degrees")
    cutout_p: float = _option(0.0, "probability of cutout")
    noise_p: float = _option(0.0, "probability of Gaussian noise")
    sobel_p: float = _option(0.0, "probability of the Sobel filter")
    one_branch: str = _option(
        "",
        "instead of all these: one crop for both views, and these\ntransforms, in this "
        f"order, on the first only\n({', '.join(TRANSFORMS)})",
    )
    seed: int = _option(0, "chooses weights, order and views")
    precision: str = _option("auto", "auto, 32-true, bf16-mixed or 16-mixed")

    def __post_init__(self):
        for name, choices in (
            ("encoder", ENCODERS),
            ("objective", OBJECTIVES),
            ("head", HEADS),
            ("optimizer", ("adamw", "sgd", "lars")),
            ("lr_scaling", ("none", "linear", "sqrt")),
            ("precision", ("auto", "32-true", "bf16-mixed", "16-mixed")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"unknown {name} {getattr(self, name)!r}; choose {', '.join(choices)}"
                )
        for name in ("temperature", "epochs", "lr"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.batch_size < 2:
            raise ValueError(
                f"a batch of {self.batch_size} has no negatives: NT-Xent needs at least 2 images, "
                "and learns better with 128 or more"
            )
        for name in ("weight_decay", "warmup_epochs"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more, not {getattr(self, name)}")
        if self.head_dim < 1:
            raise ValueError(f"head_dim must be at least 1, not {self.head_dim}")
        self.policy()  # checks its own values
        self.branch_policies()

    def policy(self) -> Policy:
        """Return the augmentation policy of these settings."""
        shared = {f.name for f in dataclasses.fields(Policy)} & set(vars(self))
        return Policy(
            size=self.image_size,
            crop_area=(self.crop_min, 1.0),
            **{name: getattr(self, name) for name in shared},
        )

    def branch_policies(self) -> list[Policy]:
        """Return the policies of the crop that both views share and of each transform of
        `one_branch`, in order.
        """
        alone = Policy(
            self.image_size, crop_area=(1.0, 1.0), flip_p=0, color_p=0, gray_p=0, blur_p=0
        )
        changes = {
            "crop": {"crop_area": (self.crop_min, 1.0), "flip_p": self.flip_p},
            "color": {
                name: getattr(self, name) for name in ("color_strength", "color_p", "gray_p")
            },
            "rotate": {"rotate_p": 0.75},
        }  # each of four ways up equally often
        chosen = self.one_branch.split(",") if self.one_branch else []
        for name in chosen:
            if name not in TRANSFORMS:
                raise ValueError(
                    f"unknown transform {name!r} in one_branch; choose {', '.join(TRANSFORMS)}"
                )
        return [
            dataclasses.replace(alone, **changes.get(name, {f"{name}_p": 1.0}))
            for name in ["crop", *chosen]
        ]

    @property
    def peak_lr(self) -> float:
        """The learning rate after warm-up. Chen et al. 2020: 0.3 B/256 (linear), or 0.075 sqrt(B) =
        1.2 sqrt(B/256).
        """
        ratio = self.batch_size / 256
        return self.lr * {"none": 1.0, "linear": ratio, "sqrt": math.sqrt(ratio)}[self.lr_scaling]

    @property
    def chance_loss(self) -> float:
        """The loss of projections that are all equal, log(2N - 1): what an untrained network starts
        near.

        Of a supervised run: the logarithm of the number of classes.
        """
        if self.objective == "supervised":
            return math.log(self.head_dim)
        return math.log(2 * self.batch_size - 1)

    @property
    def floor_loss(self) -> float:
        """About the lowest loss there is: pairs equal and all else at right angles; 0 of a
        supervised run.
        """
        if self.objective == "supervised":
            return 0.0
        return math.log1p((2 * self.batch_size - 2) * math.exp(-1 / self.temperature))


def view_maker(settings: Settings) -> Callable:
    """Return what maps (images, generator) to views by these settings: all first ones, then all
    second ones.
    """
    if settings.one_branch:
        stages = [Augment(policy) for policy in settings.branch_policies()]
        return lambda images, generator: one_branch_views(images, stages, generator)
    augment = Augment(settings.policy())

    def views(images: Tensor, generator) -> Tensor:
        return augment(images.repeat(2, 1, 1, 1), generator)

    return views


# `paper` is for hosts whose memory holds all images: they are kept there as bytes, in every
# process.
PRESETS = {
    "smoke": Settings(batch_size=32, epochs=1, warmup_epochs=0.1),
    "laptop": Settings(),
    "colab": Settings(
        encoder="resnet18",
        batch_size=512,
        epochs=30,
        optimizer="sgd",
        lr=0.12,
        lr_scaling="linear",
        weight_decay=5e-4,
        warmup_epochs=2,
    ),
    "paper": Settings(
        encoder="resnet50",
        image_size=224,
        batch_size=4096,
        epochs=100,
        optimizer="lars",
        lr=0.3,
        lr_scaling="linear",
        weight_decay=1e-6,
        warmup_epochs=10,
        crop_min=0.08,
        color_strength=1.0,
        blur_p=0.5,
    ),
}


def settings_for(preset: str, data: str, **changes) -> Settings:
    """Return a preset's settings fitted to a data set ("shapes" or another name), with these fields
    changed.
    """
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; choose {', '.join(PRESETS)}")
    fitted = {}
    if preset in ("smoke", "laptop") and data in ("shapes", "shapes-textured"):
        # A smaller crop often misses the one shape. Its hue beside the ground's survives every
        # jitter of colour, and is an easier clue than the shape: most views lose it.
        fitted = {"crop_min": 0.5, "color_strength": 1.0, "gray_p": 0.7}
    elif preset == "laptop":
        fitted = {"epochs": 6.5}
    return dataclasses.replace(PRESETS[preset], **{**fitted, **changes})
