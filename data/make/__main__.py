"""Make the files that ship in data/: python data/make NAME (data/README.md says which file is
whose).

Runs are kept in runs/ and not repeated when they are there. A killed one is resumed; pretext
networks start again, as do the clinic, encoders and batchnorm-bug, which take minutes.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

# run by its path, only its own folder is there
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from data.make.batchnorm import make_batchnorm
from data.make.clinic import make_clinic
from data.make.encoders import LONG, NEW, SEEN, make_encoder
from data.make.figures import make_figures
from data.make.laptop import make_laptop
from data.make.pretext import make_pretext
from data.make.pretraining import make_encoders
from data.make.shortcut import make_shortcut
from data.make.tables import make_tables
from data.make.transfer import TARGETS, make_costs, make_transfer
from data.make.untrained import make_untrained
from data.make.what_must_stay import make_stay
from helpers.runtime import pick_device
from helpers.settings import settings_for


def cifar10_encoder(options: argparse.Namespace) -> None:
    """The encoder of photos, trained for two hours."""
    make_encoder("cifar10-tiny", options.photos, LONG, (1, 10), devices=options.devices)


def cifar10_twin(options: argparse.Namespace) -> None:
    """Its twin, trained with labels."""
    settings = replace(LONG, objective="supervised", head="linear", head_dim=10)
    make_encoder("cifar10-supervised", options.photos, settings, devices=options.devices)


def six_shapes(options: argparse.Namespace) -> None:
    """The encoder that saw six shapes, judged by the other four."""
    settings = settings_for("laptop", "shapes", epochs=25.0)
    make_encoder("shapes-six", "shapes", settings, classes=SEEN, judged_by=NEW)


TARGETS_BY_NAME: dict[str, Callable[[argparse.Namespace], None]] = {
    "shapes-tiny": lambda o: make_encoder(
        "shapes-tiny", "shapes", settings_for("laptop", "shapes"), (0, 1, 2, 5, 10)
    ),
    "shapes-six": six_shapes,
    "cifar10-tiny": cifar10_encoder,
    "cifar10-supervised": cifar10_twin,
    "laptop": lambda o: make_laptop(o.photos, o.seeds or 3, o.photo_seeds),
    "pretext": lambda o: make_pretext(o.photos, o.seeds or 3, o.photo_seeds),
    "shortcut": lambda o: make_shortcut(o.seeds or 3),
    "what-must-stay": lambda o: make_stay(o.flowers, o.seeds or 3),
    **{
        f"transfer-{name}": lambda o, name=name: make_transfer(
            name, o.photos, o.flowers, o.seeds or 5, o.workers
        )
        for name in TARGETS
    },
    "transfer-costs": lambda o: make_costs(o.photos, o.flowers),
    "encoders": lambda o: make_encoders(o.photos, o.flowers),
    "batchnorm-bug": lambda o: make_batchnorm(o.seeds or 5),
    "untrained": lambda o: make_untrained(o.photos, o.seeds or 3),
    "clinic": lambda o: make_clinic(),
    "tables": lambda o: make_tables(),
    "figures": lambda o: make_figures(),
}


def main() -> None:
    """Make what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python data/make", description="Make the files that ship in data/."
    )
    parser.add_argument("name", choices=TARGETS_BY_NAME)
    parser.add_argument(
        "--photos", default="cifar10", help="cifar10, or a zip of its class folders"
    )
    parser.add_argument(
        "--flowers", default="flowers17.zip", help="a zip of Oxford Flowers-17 in class folders"
    )
    parser.add_argument(
        "--seeds", type=int, default=0, help="3 where not given, 5 for transfer and batchnorm-bug"
    )
    parser.add_argument(
        "--workers", type=int, default=1, help="of transfer: rows made at the same time"
    )
    parser.add_argument(
        "--photo-seeds", type=int, default=1, help="seeds on photos, which take twice as long"
    )
    options = parser.parse_args()
    options.devices = 2 if pick_device().type == "cpu" else 1
    TARGETS_BY_NAME[options.name](options)


if __name__ == "__main__":
    main()
