"""What the laptop preset learns, beside raw pixels, a random encoder and runs without colour."""

from dataclasses import replace

from torch import nn

from data.make.runs import NO_COLOR, random_encoder, trained
from data.make.tables import make_tables
from helpers.artifacts import RESULTS
from helpers.data import load
from helpers.evaluation import evaluate
from helpers.results import write_results
from helpers.simclr import Pretrained, settings_for


def make_laptop(photos: str, seeds: int, photo_seeds: int) -> None:
    """What the laptop preset learns, beside raw pixels and a random encoder, and without colour
    transforms.
    """
    rows = []
    for data, name in ((photos, "CIFAR-10"), ("shapes", "shapes")):
        parts = [load(data, split) for split in ("train", "val", "test")]
        label = name if data in ("shapes", "cifar10") else f"{name} (JPEG)"
        for seed in range(seeds if data == "shapes" else photo_seeds):
            settings = settings_for("laptop", data, seed=seed)
            conditions = {"raw pixels": nn.Flatten(), "random encoder": random_encoder(seed)}
            runs = {"SimCLR": settings}
            if data == "shapes":
                runs["SimCLR without colour"] = replace(settings, **NO_COLOR)
            for condition, run in runs.items():
                short = "nocolor" if "without" in condition else "laptop"
                folder = "shapes" if data == "shapes" else "cifar10"
                conditions[condition] = trained(f"{short}-{folder}-seed{seed}", data, run)
            for condition, found in conditions.items():
                if condition == "raw pixels" and seed:
                    continue  # there is no chance in it
                is_run = isinstance(found, Pretrained)
                scores = evaluate(found.encoder if is_run else found, *parts)
                card = found.card if is_run else {}
                rows.append(
                    {
                        "data": label,
                        "condition": condition,
                        "seed": seed,
                        **scores,
                        "test_images": len(parts[2]),
                        # Runs without colour went beside other work: their time says nothing.
                        "minutes": round(card["seconds"] / 60, 2) if condition == "SimCLR" else "",
                        "epochs": runs[condition].epochs if condition in runs else "",
                        "hardware": card.get("hardware", ""),
                        "torch": card.get("versions", {}).get("torch", ""),
                    }
                )
                print(rows[-1], flush=True)
        write_results(RESULTS / "laptop.csv", rows)
    make_tables()
