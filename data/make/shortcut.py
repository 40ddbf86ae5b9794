"""What a network learns where hues and stripes give every image away."""

from dataclasses import replace

from torch import nn

from data.make.runs import NO_COLOR, made_how, random_encoder, trained
from helpers.artifacts import RESULTS
from helpers.data import load
from helpers.evaluation import evaluate
from helpers.results import write_results
from helpers.simclr import settings_for


def make_shortcut(seeds: int) -> None:
    """SimCLR on a striped ground, with and without the colour transforms: pairs found beside what
    was learned.
    """
    rows = []
    parts = [load("shapes-textured", split) for split in ("train", "val", "test")]
    for seed in range(seeds):
        settings = settings_for("laptop", "shapes-textured", seed=seed)
        for condition, run in (
            ("with colour", settings),
            ("without colour", replace(settings, **NO_COLOR)),
        ):
            found = trained(
                f"textured-{condition.replace(' ', '-')}-seed{seed}", "shapes-textured", run
            )
            rows.append(
                {
                    "condition": condition,
                    "seed": seed,
                    **evaluate(found.encoder, *parts),
                    "test_images": len(parts[2]),
                    "pairs_found": found.history[-1]["top1"],
                    "batch_size": run.batch_size,
                    **made_how(found.card),
                }
            )
            print(rows[-1], flush=True)
        for condition, encoder in (
            ("raw pixels", nn.Flatten()),
            ("random encoder", random_encoder(seed)),
        ):
            if condition == "random encoder" or seed == 0:
                rows.append(
                    {
                        "condition": condition,
                        "seed": seed,
                        **evaluate(encoder, *parts),
                        "test_images": len(parts[2]),
                    }
                )
        write_results(RESULTS / "shortcut.csv", rows)
