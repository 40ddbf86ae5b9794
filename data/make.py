"""Make the files that ship in data/: python data/make.py shapes-tiny, laptop and others (see data/README.md).

Runs are kept in runs/ and not repeated when they are there. A killed one is resumed; pretext networks start again, as
do the clinic, encoders and batchnorm-bug, which take minutes.
"""

import argparse
import base64
import functools
import json
import multiprocessing
import sys
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers.artifacts import CHECKPOINTS, RESULTS, sha256, with_block, write_aside
from helpers.augmentations import rotate
from helpers.data import ImageSet, load, nested_subset
from helpers.evaluation import evaluate
from helpers.figures.explorers import MOVES, animate, gallery
from helpers.findings import score_untrained
from helpers.losses import nt_xent
from helpers.metrics import proportion_interval
from helpers.models import build_encoder
from helpers.pretext import TASKS, PretextSettings, load_pretext, train_pretext
from helpers.results import curves, read_results, results_table, write_results
from helpers.runtime import hardware, pick_device
from helpers.simclr import Pretrained, Settings, load_pretrained, pretrain, settings_for
from helpers.studies import DATA
from helpers.transfer import OPTIONS, RUN, compare, fingerprint, train_from_scratch, train_last_layers
from helpers.verdicts import headlines_table, judge_all

RUNS = Path("runs")
NO_COLOR = {"color_p": 0.0, "gray_p": 0.0}
SEEN, NEW = ("disc", "ring", "drop", "triangle", "square", "star"), ("moon", "heart", "cross", "arrow")
# For two hours on two cores: the smaller of the two recipes that did best at that length in recipes.csv, and that one
# seed does not tell apart ("fine, 384, full" and "fine, long h, full").
LONG = settings_for("laptop", "cifar10", encoder="small", batch_size=256, lr=3e-3, crop_min=0.08, epochs=100.0,
                    warmup_epochs=5.0)

def trained(name: str, data: str, settings: Settings, snapshots: tuple[float, ...] = (), size: int | None = None,
            classes: tuple[str, ...] = (), devices: int = 1) -> Pretrained:
    """Return the run of this name, trained now or before."""
    train, val = (load(data, split, size=size) for split in ("train", "val"))
    if classes:
        train, val = train.only(classes), val.only(classes)
    if (RUNS / name / "encoder.safetensors").exists():
        found = load_pretrained(RUNS / name)
        whole = found.history and found.history[-1]["epoch"] >= settings.epochs
        if whole and (found.settings, found.card["data"]) == (settings, train.name):
            return found
    result = pretrain(train, settings, val=val, out=RUNS / name, resume=True, snapshots=snapshots, devices=devices)
    if rank_zero_only.rank:
        sys.exit()  # a process that only helped to train
    if result.interrupted:
        sys.exit("stopped; the same command goes on")
    return result


def make_encoder(name: str, data: str, settings: Settings, snapshots: tuple[float, ...] = (),
                 classes: tuple[str, ...] = (), judged_by: tuple[str, ...] = (), devices: int = 1) -> None:
    """Train an encoder, score it on test images, and ship it, and how it was after some of its epochs."""
    folder = f"{name}-seed{settings.seed}"
    result = trained(folder, data, settings, snapshots, classes=classes, devices=devices)
    parts = [load(data, split) for split in ("train", "val", "test")]
    if judged_by:
        parts = [part.only(judged_by) for part in parts]
    count = len(parts[2])
    scores = [evaluate(result.encoder, *parts, probe_labels=labels) for labels in sorted({5000, len(parts[0])})
              if labels <= len(parts[0])]
    for score, kind in product(scores, ("knn", "probe")):  # over test images; there is one seed
        score[f"{kind}_interval"] = [round(end, 4) for end in proportion_interval(round(score[kind] * count), count)]
    result.card |= {"command": f"python data/make.py {name}", "test_images": count, "test": scores,
                    "test_classes": parts[2].classes}
    result.save(CHECKPOINTS / f"{name}.safetensors", half=True)
    for epoch in snapshots:
        kept = load_pretrained(RUNS / folder / f"epoch-{epoch:g}.safetensors")
        kept.card["command"] = result.card["command"]
        kept.save(CHECKPOINTS / f"{name}-epoch{epoch:g}.safetensors", half=True)
    write_index()
    print(json.dumps(result.card, indent=1))


def write_index() -> None:
    """Write the SHA-256 of every shipped checkpoint to index.json."""
    index = {path.stem: sha256(path) for path in sorted(CHECKPOINTS.glob("*.safetensors"))}
    with write_aside(CHECKPOINTS / "index.json") as aside:
        aside.write_text(json.dumps(index, indent=1) + "\n")


def make_laptop(photos: str, seeds: int, photo_seeds: int) -> None:
    """What the laptop preset learns, beside raw pixels and a random encoder, and without colour transforms."""
    rows = []
    for data, name in ((photos, "CIFAR-10"), ("shapes", "shapes")):
        parts = [load(data, split) for split in ("train", "val", "test")]
        label = name if data in ("shapes", "cifar10") else f"{name} (JPEG)"
        for seed in range(seeds if data == "shapes" else photo_seeds):
            settings = settings_for("laptop", data, seed=seed)
            conditions = {"raw pixels": nn.Flatten(), "random encoder": _random(seed)}
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
                rows.append({"data": label, "condition": condition, "seed": seed, **scores,
                             "test_images": len(parts[2]),
                             # Runs without colour went beside other work: their time says nothing.
                             "minutes": round(card["seconds"] / 60, 2) if condition == "SimCLR" else "",
                             "epochs": runs[condition].epochs if condition in runs else "",
                             "hardware": card.get("hardware", ""),
                             "torch": card.get("versions", {}).get("torch", "")})
                print(rows[-1], flush=True)
        write_results(RESULTS / "laptop.csv", rows)
    make_tables()


def make_tables() -> None:
    """Write the README's tables of results anew, from the rows that ship."""
    readme = RESULTS.parent.parent / "README.md"
    text = with_results(readme.read_text("utf-8"))
    with write_aside(readme) as aside:
        aside.write_text(text, "utf-8")


def with_results(readme: str) -> str:
    """Return the README with its tables of results: of laptop.csv and the encoder that had two hours, and two more."""
    rows, card = read_results("laptop"), load_pretrained("cifar10-tiny").card
    few = card["test"][0]
    photos = "CIFAR-10 (JPEG)"
    last = max(k for k, row in enumerate(rows) if row["data"] == photos)
    rows.insert(last + 1, {"data": photos, "condition": "SimCLR, two hours and a larger network (`cifar10-tiny`)",
                           "knn": few["knn"], "probe": few["probe"], "minutes": card["seconds"] / 60,
                           "test_images": card["test_images"]})
    table = results_table(rows, {"data": "images", "condition": "representation"},
                          {"knn": "kNN", "probe": f"linear probe, {few['probe_labels']:,} labels"},
                          {"minutes": "minutes to train"})
    for name, body in (("results", table), ("options", _options_table()), ("findings", headlines_table(judge_all()))):
        readme = with_block(readme, name, body)
    return readme


def _options_table() -> str:
    """Return the README's table of the transfer options on photos: a line for each number of labels."""
    rows = read_results("transfer_cifar10")
    found = {option: {labels: f"{mean:.1f} ± {width:.1f}" if width else f"{mean:.1f}" for labels, mean, width in curve}
             for option, curve in curves(rows, "labels", "option", "accuracy").items()}
    titles = ["labels per class", *(OPTIONS[option] for option in found)]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for labels in dict.fromkeys(row["labels"] for row in rows):
        lines.append(f"| {labels} | {' | '.join(of[labels] for of in found.values())} |")
    return "\n".join(lines)


def make_pretext(photos: str, seeds: int, photo_seeds: int) -> None:
    """Both families on the same images with the same budget: as many images through the encoder as SimCLR's views."""
    rows = []
    for data in (photos, "shapes"):
        shapes = data == "shapes"
        parts = [load(data, split) for split in ("train", "val", "test")]
        label = data if data in ("shapes", "cifar10") else "CIFAR-10 (JPEG)"
        for seed in range(seeds if shapes else photo_seeds):
            simclr = settings_for("laptop", data, seed=seed)
            steps = round(simclr.epochs * (len(parts[0]) // simclr.batch_size))
            found = {"raw pixels": (nn.Flatten(), None, {})} if seed == 0 else {}
            found["random encoder"] = (_random(seed), None, {})
            run = trained(f"laptop-{'shapes' if shapes else 'cifar10'}-seed{seed}", data, simclr)
            budget = (run.history[-1]["step"], 2 * run.settings.batch_size, run.settings.crop_min)
            found["SimCLR"] = (run.encoder, budget, run.card)
            for task in TASKS:
                wanted = PretextSettings(task, steps, 2 * simclr.batch_size, crop_min=simclr.crop_min, seed=seed)
                kept = RUNS / f"pretext-{task}-{'shapes' if shapes else 'cifar10'}-seed{seed}.safetensors"
                if not kept.exists():
                    train_pretext(parts[0], wanted).save(kept)
                result = load_pretext(kept)
                made = PretextSettings(**result.card["settings"])
                if made != wanted or result.card["data"] != parts[0].name:
                    sys.exit(f"{kept} was trained otherwise ({made} on {result.card['data']}); remove it")
                found[task] = (result.net.encoder, (made.steps, made.batch_size, made.crop_min), result.card)
                if not shapes and seed == 0:
                    result.card["command"] = "python data/make.py pretext"
                    result.save(CHECKPOINTS / f"pretext-{task}.safetensors")
            for condition, (encoder, budget, card) in found.items():
                rows.append({"data": label, "condition": condition, "seed": seed, **evaluate(encoder, *parts),
                             "test_images": len(parts[2])})
                if budget:
                    rows[-1] |= {"steps": budget[0], "batch": budget[1], "images_encoded": budget[0] * budget[1],
                                 "crop_min": budget[2], **_made(card)}
                print(rows[-1], flush=True)
            write_results(RESULTS / "pretext.csv", rows)
    write_index()


def make_shortcut(seeds: int) -> None:
    """SimCLR on a striped ground, with and without the colour transforms: pairs found beside what was learned."""
    rows = []
    parts = [load("shapes-textured", split) for split in ("train", "val", "test")]
    for seed in range(seeds):
        settings = settings_for("laptop", "shapes-textured", seed=seed)
        for condition, run in (("with colour", settings), ("without colour", replace(settings, **NO_COLOR))):
            found = trained(f"textured-{condition.replace(' ', '-')}-seed{seed}", "shapes-textured", run)
            rows.append({"condition": condition, "seed": seed, **evaluate(found.encoder, *parts),
                         "test_images": len(parts[2]), "pairs_found": found.history[-1]["top1"],
                         "batch_size": run.batch_size, **_made(found.card)})
            print(rows[-1], flush=True)
        for condition, encoder in (("raw pixels", nn.Flatten()), ("random encoder", _random(seed))):
            if condition == "random encoder" or seed == 0:
                rows.append({"condition": condition, "seed": seed, **evaluate(encoder, *parts),
                             "test_images": len(parts[2])})
        write_results(RESULTS / "shortcut.csv", rows)


def make_stay(flowers: str, seeds: int) -> None:
    """What a transform takes away from h and z: the turn of a digit, the colour of flowers, the hue of shapes."""
    rows = []
    digits, petals, hues = ([load(data, split, size=32) for split in ("train", "val", "test")]
                            for data in ("digits", flowers, "shapes"))
    for part in hues:
        part.labels, part.classes = (part.factors["hue"] * 6).long(), tuple("123456")
    questions = {"digits": (("6 or 9?", [part.only(("6", "9")) for part in digits]),
                            ("upright or upside down?", [_both_ways_up(part) for part in digits])),
                 "flowers17": (("which flower?", petals),), "shapes": (("which of six hues?", hues),)}
    for seed in range(seeds):
        turned = settings_for("laptop", "digits", epochs=30.0, flip_p=0.0, crop_min=0.5, seed=seed)
        plain = settings_for("laptop", flowers, epochs=60.0, seed=seed)
        runs = {("digits", "no rotation"): trained(f"stay-digits-no-rotation-seed{seed}", "digits", turned),
                ("digits", "rotation"): trained(f"stay-digits-rotation-seed{seed}", "digits",
                                                replace(turned, rotate_p=0.75)),
                ("flowers17", "colour transforms"): trained(f"stay-flowers17-with-colour-transforms-seed{seed}",
                                                            flowers, plain, size=32),
                ("flowers17", "no colour transforms"): trained(f"stay-flowers17-without-colour-transforms-seed{seed}",
                                                               flowers, replace(plain, **NO_COLOR), size=32),
                ("shapes", "colour transforms"): load_pretrained(RUNS / f"laptop-shapes-seed{seed}"),
                ("shapes", "no colour transforms"): load_pretrained(RUNS / f"nocolor-shapes-seed{seed}")}
        for (data, condition), found in runs.items():
            for question, parts in questions[data]:
                of_z = evaluate(nn.Sequential(found.encoder, found.head).eval(), *parts)
                rows.append({"data": data, "question": question, "transforms": condition, "seed": seed,
                             "chance": 1 / len(parts[0].classes), "test_images": len(parts[2]),
                             **evaluate(found.encoder, *parts), "knn_z": of_z["knn"], "probe_z": of_z["probe"],
                             **_made(found.card)})
                print(rows[-1], flush=True)
        write_results(RESULTS / "what_must_stay.csv", rows)


def _both_ways_up(part: ImageSet) -> ImageSet:
    """Every digit that does not look alike turned by 180 degrees, both ways up; the label says which."""
    images = part.images[torch.isin(part.labels, torch.tensor([2, 3, 4, 5, 6, 7, 9]))]
    turned = rotate(images, torch.full((len(images),), 2))
    return ImageSet(part.name, torch.cat([images, turned]), torch.arange(2).repeat_interleave(len(images)),
                    ("upright", "upside down"))


def _random(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return build_encoder("tiny").eval()


def _made(card: dict) -> dict:
    return {"minutes": round(card["seconds"] / 60, 2), "hardware": card["hardware"], "torch": card["versions"]["torch"]}


# Encoder, labels per class, and whether each seed searches (on CIFAR-10 the first one's choice serves all: hours less).
TARGETS = {"shapes": ("shapes-six", (5, 20, 100, None), True),
           "cifar10": ("cifar10-tiny", (10, 50, 100, 500, None), False),
           "flowers17": ("cifar10-tiny", (5, 10, 20, 50), True)}
TRIES = 4


@functools.cache
def target_parts(target: str, photos: str, flowers: str) -> list[ImageSet]:
    """Return train, val and test of a target of transfer."""
    data = {"shapes": "shapes", "cifar10": photos, "flowers17": flowers}[target]
    parts = [load(data, split, size=32) for split in ("train", "val", "test")]
    if target == "shapes":
        return [part.only(NEW) for part in parts]
    if data.endswith(".zip"):
        for part in parts:
            part.name = f"{target} (JPEG)/{part.name.partition('/')[2]}"
    return parts


def make_transfer(target: str, photos: str, flowers: str, seeds: int, workers: int) -> None:
    """The three options and the baseline from scratch on one target; a killed one goes on with the rows it has."""
    encoder, labels, each_seed = TARGETS[target]
    path = RUNS / f"transfer_{target}.csv"  # half a table does not ship
    cells = [(str(per_class or "all"), option, str(seed)) for per_class, option in product(labels, OPTIONS)
             for seed in range(seeds)]
    done = {(row["labels"], row["option"], row["seed"]): row for row in (read_results(path) if path.exists() else [])}
    now = fingerprint(load_pretrained(encoder).encoder)
    if {(row["encoder_fingerprint"], row["tries"]) for row in done.values()} - {(now, str(TRIES))}:
        sys.exit(f"{path} was made with another encoder or other tries; remove it")
    waiting = [cell for cell in cells if cell not in done]
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        running = {}
        while waiting or running:
            for cell in list(waiting):
                first = (*cell[:2], "0")
                if len(running) < workers and (each_seed or cell == first or first in done):
                    running[pool.submit(transfer_row, target, photos, flowers, cell, list(done.values()))] = cell
                    waiting.remove(cell)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                cell = running.pop(future)
                done[cell] = {"encoder": encoder} | future.result()
                write_results(path, [done[key] for key in dict.fromkeys([*cells, *done]) if key in done])
                print(f"{len(done)}/{len(cells)}", *cell, done[cell]["accuracy"], flush=True)
    write_results(RESULTS / path.name, read_results(path))


def transfer_row(target: str, photos: str, flowers: str, cell: tuple[str, str, str], known: list[dict]) -> dict:
    """Return one row of a table of transfer, in a process of its own."""
    encoder, _, each_seed = TARGETS[target]
    per_class, option, seed = cell
    parts = target_parts(target, photos, flowers)
    return compare(load_pretrained(encoder).encoder, *parts, labels=(None if per_class == "all" else int(per_class),),
                   options=(option,), seeds=(int(seed),), tries=TRIES, search_each_seed=each_seed, known=known,
                   progress=False)[-1]


def make_costs(photos: str, flowers: str) -> None:
    """Seconds and memory of the first seed's choices, trained once more with nothing else running."""
    path, key = RUNS / "transfer_costs.csv", ("target", "encoder_fingerprint", "labels", "option", "choice")
    warm = load("shapes", "val", limit=200)
    train_from_scratch(build_encoder("tiny"), warm, warm, steps=20)  # else the first row pays for what torch sets up
    done = {tuple(row[k] for k in key): row for row in (read_results(path) if path.exists() else [])}
    rows = []
    for target, (encoder, _, _) in TARGETS.items():
        net, (train, val, _) = load_pretrained(encoder).encoder, target_parts(target, photos, flowers)
        for row in read_results(f"transfer_{target}"):
            if row["seed"] != "0":
                continue
            cell = {"target": target} | {k: row[k] for k in key[1:]}
            if tuple(cell.values()) not in done:
                labels = None if row["labels"] == "all" else int(row["labels"])
                few, asked = (part.subset(nested_subset(part.labels, labels and min(
                    labels, int(part.labels.bincount().min())), 0)) for part in (train, val))
                fitted = RUN[row["option"]](net, few, asked, **json.loads(row["choice"]))
                done[tuple(cell.values())] = cell | {
                    "seconds": fitted.seconds, "mebibytes": fitted.mebibytes, "parameters": fitted.parameters,
                    "threads": torch.get_num_threads(), "hardware": hardware(), "torch": torch.__version__}
                print(done[tuple(cell.values())], flush=True)
            rows.append(done[tuple(cell.values())])
            write_results(path, [*rows, *(row for row in done.values() if row not in rows)])
    write_results(RESULTS / path.name, rows)


def make_encoders(photos: str, flowers: str) -> None:
    """The encoder of photos beside its supervised twin, a random one and raw pixels: at home, and on other images."""
    torch.manual_seed(0)
    nets = {"raw pixels": nn.Flatten(), "random": build_encoder(LONG.encoder).eval(),
            "SimCLR": load_pretrained("cifar10-tiny").encoder,
            "supervised": load_pretrained("cifar10-supervised").encoder}
    rows = []
    for target, (name, net) in product(("cifar10", "flowers17", "shapes"), nets.items()):
        parts = target_parts(target, photos, flowers)
        rows.append({"target": target, "pretraining": name, **evaluate(net, *parts), "test_images": len(parts[2]),
                     "data": parts[2].name, "hardware": hardware(), "torch": torch.__version__})
        print(rows[-1], flush=True)
    write_results(RESULTS / "encoders.csv", rows)


def make_batchnorm(seeds: int) -> None:
    """What BatchNorm statistics that move under a frozen encoder do: the switch of notebook 05, over seeds."""
    encoder = load_pretrained("shapes-six").encoder
    train, val, test = target_parts("shapes", "", "")
    rows = []
    for per_class, seed, mode in product((5, 20, 100), range(seeds), ("eval", "train")):
        few, asked = (part.subset(nested_subset(part.labels, per_class, seed)) for part in (train, val))
        fitted = train_last_layers(encoder, few, asked, augment="colour", encoder_mode=mode, steps=300, seed=seed)
        rows.append({"encoder": "shapes-six", "encoder_mode": mode, "labels": per_class, "seed": seed,
                     "accuracy": fitted.accuracy(test), "test_images": len(test), "before": fitted.fingerprints[0],
                     "after": fitted.fingerprints[1], "hardware": hardware(), "torch": torch.__version__})
        print(rows[-1], flush=True)
    write_results(RESULTS / "batchnorm_bug.csv", rows)


def make_untrained(photos: str, seeds: int) -> None:
    """The baseline of the composition maps: encoders without any training, by the same protocol."""
    rows = [score_untrained(data, seed, photos) for data in DATA for seed in range(seeds)]
    write_results(RESULTS / "findings_untrained.csv", rows)


def make_figures() -> None:
    """The README's pictures: the neighbours that the solution of notebook 00 shows, and all explorers, moving."""
    cells = json.loads((RESULTS.parent.parent / "notebooks" / "solutions" / "00_welcome.ipynb").read_text())["cells"]
    pictures = [output["data"]["image/png"] for cell in cells for output in cell.get("outputs", [])
                if "image/png" in output.get("data", {})]
    figures = RESULTS.parent.parent / "slides" / "figures"
    with write_aside(figures / "neighbors.png") as aside:
        aside.write_bytes(base64.b64decode(pictures[-1]))
    for name in MOVES:
        with write_aside(figures / "explorers" / f"{name}.gif") as aside:
            aside.write_bytes(animate(name))
    readme = RESULTS.parent.parent / "README.md"
    text = with_gallery(readme.read_text("utf-8"))
    with write_aside(readme) as aside:
        aside.write_text(text, "utf-8")


def with_gallery(readme: str) -> str:
    """Return the README with the table of explorers between its marks."""
    return with_block(readme, "explorers", gallery())


def pull_only(projections: Tensor, temperature: float) -> Tensor:
    """A loss without negatives: pull pairs together, and nothing else."""
    first, second = F.normalize(projections, dim=1).chunk(2)
    return _shown_as_nt_xent(-(first * second).sum(dim=1).mean() / temperature, projections, temperature)


def wrong_positive(projections: Tensor, temperature: float) -> Tensor:
    """NT-Xent for views that alternate, given views that are stacked: row k is paired with row k + 1."""
    alternating = torch.cat([projections[0::2], projections[1::2]])
    return _shown_as_nt_xent(nt_xent(alternating, temperature), projections, temperature)


def _shown_as_nt_xent(loss: Tensor, projections: Tensor, temperature: float) -> Tensor:
    # The gradient is the faulty loss's, the value NT-Xent as it should have been: curves that can be compared.
    return loss + (nt_xent(projections, temperature) - loss).detach()


def make_clinic() -> None:
    """Curves of a healthy run and of three faulty ones, with NT-Xent as it should have been computed."""
    settings = settings_for("laptop", "shapes", epochs=4.0)
    images, val = load("shapes", "train"), load("shapes", "val")
    patients = {"healthy": (settings, None),
                # A head that ends in BatchNorm keeps the spread of a batch up, and would hide the collapse.
                "A": (replace(settings, head="linear"), pull_only),
                "B": (settings, wrong_positive),
                "C": (replace(settings, lr=settings.lr * 500), None)}
    rows = []
    for name, (each, loss) in patients.items():
        result = pretrain(images, each, val=val, loss=loss)
        rows += [{"run": name, "batch_size": each.batch_size, **row} for row in result.history]
    write_results(RESULTS / "clinic.csv", rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the files that ship in data/.")
    parser.add_argument("what", choices=("shapes-tiny", "shapes-six", "cifar10-tiny", "cifar10-supervised", "laptop",
                                         "pretext", "shortcut", "what-must-stay", "transfer-shapes", "transfer-cifar10",
                                         "transfer-flowers17", "transfer-costs", "encoders",
                                         "batchnorm-bug", "clinic", "untrained", "tables", "figures"))
    parser.add_argument("--photos", default="cifar10", help="cifar10, or a zip of its class folders")
    parser.add_argument("--flowers", default="flowers17.zip", help="a zip of Oxford Flowers-17 in class folders")
    parser.add_argument("--seeds", type=int, default=0, help="3 where not given, and 5 for transfer")
    parser.add_argument("--workers", type=int, default=1, help="of transfer: rows made at the same time")
    parser.add_argument("--photo-seeds", type=int, default=1, help="seeds on photos, which take twice as long")
    options = parser.parse_args()
    what, seeds = options.what, options.seeds or 3
    cpu_processes = 2 if pick_device().type == "cpu" else 1
    if what == "shapes-tiny":
        make_encoder(what, "shapes", settings_for("laptop", "shapes"), (0, 1, 2, 5, 10))
    elif what == "shapes-six":
        make_encoder(what, "shapes", settings_for("laptop", "shapes", epochs=25.0), classes=SEEN, judged_by=NEW)
    elif what == "cifar10-tiny":
        make_encoder(what, options.photos, LONG, (1, 10), devices=cpu_processes)
    elif what == "cifar10-supervised":
        twin = replace(LONG, objective="supervised", head="linear", head_dim=10)
        make_encoder(what, options.photos, twin, devices=cpu_processes)
    elif what == "laptop":
        make_laptop(options.photos, seeds, options.photo_seeds)
    elif what == "pretext":
        make_pretext(options.photos, seeds, options.photo_seeds)
    elif what == "shortcut":
        make_shortcut(seeds)
    elif what == "what-must-stay":
        make_stay(options.flowers, seeds)
    elif what == "transfer-costs":
        make_costs(options.photos, options.flowers)
    elif what == "encoders":
        make_encoders(options.photos, options.flowers)
    elif what.startswith("transfer-"):
        make_transfer(what.removeprefix("transfer-"), options.photos, options.flowers, options.seeds or 5,
                      options.workers)
    elif what == "batchnorm-bug":
        make_batchnorm(options.seeds or 5)
    elif what == "clinic":
        make_clinic()
    elif what == "untrained":
        make_untrained(options.photos, seeds)
    elif what == "tables":
        make_tables()
    else:
        make_figures()
