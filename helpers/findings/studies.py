"""The studies of the paper's findings: grids of short runs. `findings.py` runs them, `agreement.py`
judges them.

Three of them (composition, color, batch_epochs) had longer runs at first. They were shortened for
their cost alone, but after a look at the longer ones; the rules of `agreement.py` stayed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

from helpers.settings import TRANSFORMS, Settings, settings_for

DATA = ("photos", "shapes")
IMAGES = 10_000  # of each, to learn from: a fixed choice
STRENGTHS = ("1/8", "1/4", "1/2", "1", "1 + blur")
BATCHES, LENGTHS = (32, 64, 128, 256), (1, 2, 4, 8)


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    Attributes:
        data: "photos" or "shapes".
        about: The columns that tell it from the study's other cells, besides data and seed.
        settings: What to train and how.
        images: How many to learn from.
        l2: Whether z is normalised before similarities are taken.
        measure: What is measured of it: "" for kNN and probe, "head" for those of z too,
            "knowledge" for what h and z still tell of an image.
    """

    data: str
    about: dict[str, str]
    settings: Settings
    images: int = IMAGES
    l2: bool = True
    measure: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What names it in a table."""
        return self.data, *self.about.values(), str(self.settings.seed)

    @property
    def views(self) -> int:
        """How many views its training takes."""
        return round(2 * self.images * self.settings.epochs)


def _settings(data: str, epochs: float, seed: int, **changes) -> Settings:
    name = "shapes" if data == "shapes" else "cifar10"
    return settings_for(
        "laptop", name, epochs=float(epochs), warmup_epochs=epochs / 10, seed=seed, **changes
    )


def composition(seed: int) -> list[Cell]:
    """Figure 5: a transform alone (diagonal), or a first and then a second one, on one of two equal
    crops.
    """
    return [
        Cell(
            data,
            {"first": first, "second": second},
            _settings(data, 2, seed, one_branch=first if first == second else f"{first},{second}"),
        )
        for data, first, second in product(DATA, TRANSFORMS, TRANSFORMS)
    ]


def color(seed: int) -> list[Cell]:
    """Table 1: the strength of the colour jitter, for SimCLR and for supervised training with the
    same views.
    """
    cells = []
    for data, objective, strength in product(DATA, ("contrastive", "supervised"), STRENGTHS):
        number, _, blur = strength.partition(" + ")
        over, _, under = number.partition("/")
        cells.append(
            Cell(
                data,
                {"objective": objective, "strength": strength},
                _settings(
                    data,
                    6 if data == "photos" else 4,
                    seed,
                    color_strength=int(over) / int(under or 1),
                    gray_p=0.2,
                    blur_p=0.5 if blur else 0.0,
                    **_objective(objective),
                ),
            )
        )
    return cells


def head(seed: int) -> list[Cell]:
    """Figure 8: no head, a linear and a nonlinear one, and how long z is."""
    kinds = [("none", ""), *product(("linear", "nonlinear"), ("32", "128", "512"))]
    return [
        Cell(
            data,
            {"head": kind, "length of z": size},
            _settings(
                data, 6 if data == "photos" else 4, seed, head=kind, head_dim=int(size or 128)
            ),
            measure="head",
        )
        for data, (kind, size) in product(DATA, kinds)
    ]


def knowledge(seed: int) -> list[Cell]:
    """Table 3: what h and z still tell of an image, z as long as h; on shapes, of what it was
    rendered from too.

    As in the paper, turns, noise and the Sobel filter are added to pretraining one at a time, for
    their questions.
    """
    added = {
        "nothing": {},
        "rotation": {"rotate_p": 0.75},
        "noise": {"noise_p": 0.5},
        "Sobel": {"sobel_p": 0.5},
    }
    return [
        Cell(
            data,
            {"added": name},
            _settings(data, 8, seed, head_dim=224, **change),
            measure="knowledge",
        )
        for data, (name, change) in product(DATA, added.items())
    ]


def batch_epochs(seed: int) -> list[Cell]:
    """Figure 9, Table B.1: batch size and length of training; the rate grows with the batch or with
    its root.
    """
    cells = []
    for data, objective, scaling in (
        ("photos", "contrastive", "linear"),
        ("photos", "contrastive", "sqrt"),
        ("photos", "supervised", "linear"),
        ("shapes", "contrastive", "linear"),
    ):
        # At batch 256 the two scalings are the same rate: once is enough.
        for batch, epochs in product(BATCHES[:-1] if scaling == "sqrt" else BATCHES, LENGTHS):
            cells.append(
                Cell(
                    data,
                    {
                        "objective": objective,
                        "scaling": scaling,
                        "batch": str(batch),
                        "epochs": str(epochs),
                    },
                    _settings(
                        data,
                        epochs,
                        seed,
                        batch_size=batch,
                        optimizer="sgd",
                        lr=0.12,
                        lr_scaling=scaling,
                        **_objective(objective),
                    ),
                    images=IMAGES if data == "photos" else 4000,
                )
            )
    return cells


def temperature(seed: int) -> list[Cell]:
    """Table 5: the temperature, with z normalised and as it is."""
    taus = [("yes", tau) for tau in ("0.05", "0.1", "0.2", "0.5", "1")] + [
        ("no", tau) for tau in ("1", "10", "100")
    ]
    return [
        Cell(
            data,
            {"L2": l2, "temperature": tau},
            _settings(data, 6 if data == "photos" else 4, seed, temperature=float(tau)),
            l2=l2 == "yes",
        )
        for data, (l2, tau) in product(DATA, taus)
    ]


STUDIES: dict[str, Callable[[int], list[Cell]]] = {
    "composition": composition,
    "color": color,
    "head": head,
    "knowledge": knowledge,
    "batch_epochs": batch_epochs,
    "temperature": temperature,
}


def _objective(name: str) -> dict:
    return {"objective": name, "head": "linear", "head_dim": 10} if name == "supervised" else {}
