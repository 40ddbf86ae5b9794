"""Every explorer without a browser: it follows its controls, computes what `helpers` computes, and
takes any input.
"""

import datetime
import gc
import io
import math
import os
import random
import subprocess
import sys
from pathlib import Path

import ipywidgets
import numpy as np
import psutil
import pytest
import torch
from explorers import EXPLORERS, move, search_in_samples
from PIL import Image
from sklearn.neighbors import NearestNeighbors

from helpers.evaluation import extract_features
from helpers.losses import cosine_similarity, nt_xent
from helpers.pretext import load_pretext
from helpers.simclr import load_pretrained
from helpers.widgets.angle import AngleExplorer
from helpers.widgets.by_hand import ByHand, nearest_possible, vectors_with
from helpers.widgets.canvas import SCALE, Canvas
from helpers.widgets.circle import CircleExplorer
from helpers.widgets.embedding import EmbeddingExplorer
from helpers.widgets.explorer import WIDTH, shared
from helpers.widgets.histograms import BINS, HistogramExplorer, intensity_histograms
from helpers.widgets.matrix import MatrixExplorer
from helpers.widgets.options import OptionsExplorer, recommend
from helpers.widgets.photos import PhotoPicker
from helpers.widgets.self_prediction import JigsawExplorer, MaskedExplorer, RotationExplorer
from helpers.widgets.transforms import TransformsExplorer
from helpers.widgets.two_views import DRAWS, TwoViewsExplorer

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module", params=EXPLORERS, ids=lambda kind: kind.__name__)
def explorer(request):
    return request.param()


def test_every_control_says_what_it_is_and_moves_the_picture(explorer):
    assert Image.open(io.BytesIO(explorer.image.value)).size == (
        SCALE * WIDTH,
        round(SCALE * explorer.height),
    )
    for control in explorer.controls:
        if isinstance(control, ipywidgets.Checkbox):
            control.value = (
                True  # so that the sliders of what can be switched off have something to change
            )
    for control in explorer.controls:
        assert control.description.strip()
        if isinstance(control, ipywidgets.Button):
            move(explorer.controls[1], 5)  # something to start again from
        before = explorer.image.value, explorer.text
        if not isinstance(control, ipywidgets.FileUpload):
            moved = (
                move(control, turn) and (explorer.image.value, explorer.text) != before
                for turn in range(12)
            )
            kept = getattr(control, "value", None)
            assert any(moved), f"nothing follows {control.description!r}"
            if kept is not None:
                control.value = kept


def test_sliders_at_both_ends_in_any_order(explorer):
    chance = random.Random(0)
    ends = [(c, end) for c in explorer.controls for end in ("min", "max") if hasattr(c, "min")]
    others = [c for c in explorer.controls if not hasattr(c, "min")]
    for _ in range(4):
        chance.shuffle(ends)
        for control, end in ends:
            control.value = getattr(control, end)
            move(chance.choice(others), 0) if others else None
            assert explorer.text
            assert "nan" not in explorer.text
            assert "inf" not in explorer.text


def test_without_a_kernel_a_picture_and_its_text_are_left(explorer):
    data, metadata = explorer._repr_mimebundle_()
    assert set(data) == {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"}
    assert metadata["image/png"]["alt"] == data["text/plain"] == explorer.text
    picture = Image.open(io.BytesIO(data["image/png"]))
    assert picture.width == WIDTH * 1.25
    assert picture.height > explorer.height * 1.25, "controls and sentence are part of it"
    assert len(data["image/png"]) < 700_000


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    "kind", [MatrixExplorer, TwoViewsExplorer, TransformsExplorer, CircleExplorer]
)
def test_a_thousand_moves_leave_memory_as_it_was(kind):
    explorer, process = kind(), psutil.Process()
    for turn in range(100):
        move(explorer.controls[turn % len(explorer.controls)], turn)
    gc.collect()
    before = process.memory_info().rss
    for turn in range(1000):
        move(explorer.controls[turn % len(explorer.controls)], turn)
    gc.collect()
    assert process.memory_info().rss - before < 20e6


@pytest.mark.slow
def test_running_a_cell_again_does_not_load_its_networks_again():
    process, sizes = psutil.Process(), []
    for _ in range(6):
        MatrixExplorer()
        gc.collect()
        sizes.append(process.memory_info().rss)
    assert sizes[-1] - sizes[1] < 20e6


def test_the_angle_is_the_cosine_and_the_length_does_not_matter():
    explorer = AngleExplorer()
    for degrees, expected in (
        (0, "1.00"),
        (60, "0.50"),
        (90, "0.00"),
        (180, "−1.00"),
        (-120, "−0.50"),
    ):
        explorer.angle.value = degrees
        for length in (0.25, 2.0):
            explorer.length.value = length
            assert f"cosine similarity {expected}" in explorer.text.replace("−0.00", "0.00")


def test_the_circles_gradient_is_that_of_nt_xent():
    explorer = CircleExplorer()
    explorer.temperature.value = 0.3
    value, gradient = explorer._gradient()
    radians = explorer.angles.double() * math.pi / 180

    def loss(x):
        return nt_xent(torch.stack([x.cos(), x.sin()], 1), 0.3).item()

    assert value == pytest.approx(loss(radians), abs=1e-5)
    for k in range(8):
        step = torch.zeros(8).double()
        step[k] = 1e-5
        slope = (loss(radians + step) - loss(radians - step)) / 2e-5
        assert gradient[k].item() == pytest.approx(slope, abs=1e-3)


def test_gradient_steps_bring_pairs_together_and_a_slider_moves_one_point():
    explorer = CircleExplorer()
    start = explorer._gradient()[0]
    explorer.many.click()
    explorer.many.click()
    assert explorer._gradient()[0] < start
    assert "100% of the points" in explorer.text
    others = explorer.angles[1:].clone()
    explorer.angle.value = 170
    assert explorer.angles[0] == 170
    assert torch.equal(explorer.angles[1:], others)
    explorer.point.value = 3
    assert explorer.angle.value == round(float(explorer.angles[3]))


def test_the_matrix_shows_the_losses_of_helpers():
    explorer = MatrixExplorer()
    for whose, epoch, n, tau in (
        ("z", 0, 2, 0.5),
        ("h", 5, 16, 0.05),
        ("pixels", 15, 7, 2.0),
        ("z", 15, 16, 0.1),
    ):
        explorer.whose.value, explorer.epoch.value, explorer.count.value = whose, epoch, n
        explorer.temperature.value = tau
        assert explorer.anchor.max == 2 * n
        embeddings = explorer.embeddings()
        assert len(embeddings) == 2 * n
        drawn = []
        explorer._draw_anchor = lambda *arguments, keep=drawn: keep.append(arguments)
        explorer.anchor.value = 2
        explorer.redraw()
        _, _, anchor, partner, own, share, loss = drawn[-1]
        logits = cosine_similarity(embeddings) / tau
        kept = [k for k in range(2 * n) if k != anchor]
        by_hand = -math.log(
            math.exp(logits[anchor, partner]) / sum(math.exp(logits[anchor, k]) for k in kept)
        )
        assert partner == (anchor + n) % (2 * n)
        assert own == pytest.approx(by_hand, abs=1e-4)
        assert loss == pytest.approx(nt_xent(embeddings, tau).item(), abs=1e-5)
        assert share == pytest.approx(by_hand / (2 * n * loss), rel=1e-3)


def test_pull_and_push_are_the_gradient():
    explorer = MatrixExplorer()
    seen = []
    explorer._draw_row = lambda *arguments: seen.append(arguments)
    explorer.anchor.value = 5
    explorer.redraw()
    _, _, similarity, p, force, is_partner = seen[-1]
    s = similarity.double().clone().requires_grad_()
    (-(s / explorer.temperature.value).log_softmax(0)[is_partner.index(True)]).backward()
    assert torch.allclose(force.double(), s.grad, atol=1e-5)
    assert force.sum().item() == pytest.approx(0, abs=1e-4)
    assert p.sum().item() == pytest.approx(1, abs=1e-5)
    assert list(similarity) == sorted(similarity, reverse=True)


def test_by_hand_agrees_with_nt_xent_to_a_millionth_wherever_it_goes():
    explorer, chance = ByHand(), random.Random(1)
    for _ in range(60):
        explorer.pair.index = chance.randrange(6)
        explorer.value.value = round(chance.uniform(-1, 1), 2)
        explorer.temperature.value = chance.choice([0.1, 0.5, 2.0])
        vectors = vectors_with(explorer.similarity)
        assert torch.allclose(cosine_similarity(vectors), explorer.similarity, atol=1e-6)
        assert explorer.numbers()["l"].mean().item() == pytest.approx(
            nt_xent(vectors, explorer.temperature.value).item(), abs=1e-6
        )


def test_what_no_vectors_can_have_is_refused_kindly():
    similarity = torch.tensor(
        [[1, 0.9, 0.9, 0], [0.9, 1, 0.9, 0], [0.9, 0.9, 1, 0], [0, 0, 0, 1]], dtype=torch.float64
    )
    # both in c's plane
    assert nearest_possible(similarity, 0, 1, -1.0) == pytest.approx(2 * 0.9**2 - 1, abs=1e-6)
    assert nearest_possible(similarity, 0, 1, 0.8) == 0.8
    explorer = ByHand()
    explorer.value.value = -1.0
    assert explorer.text.startswith("No four vectors")
    explorer.reset.click()
    assert not explorer.text.startswith("No four vectors")


def test_histograms_are_numpys():
    views = torch.rand(3, 3, 8, 8)
    views[0, 0, 0, 0] = 1.0
    for view, histogram in zip(views, intensity_histograms(views), strict=True):
        counts, _ = np.histogram(view.numpy(), BINS, (0, 1))
        assert histogram.tolist() == pytest.approx((counts / counts.sum()).tolist())


def test_colour_distortion_hides_the_pair_from_the_histogram():
    explorer = HistogramExplorer()
    plain = explorer.text
    explorer.color.value = True
    assert "Without" in plain
    assert "With colour distortion" in explorer.text
    share = [int(text.split("%")[0].split()[-1]) for text in (plain, explorer.text)]
    assert share[0] > 80 > 40 > share[1]


def test_a_slider_changes_the_strength_of_the_views_and_not_the_draw():
    explorer = TwoViewsExplorer()
    _, first = explorer.views()
    explorer.strength.value = 0.2
    _, weak = explorer.views()
    assert torch.equal(first["top"], weak["top"])
    assert torch.allclose(
        (first["brightness"] - 1) / 1.0, (weak["brightness"] - 1) / 0.2, atol=1e-4
    )
    explorer.crop.value = explorer.flip.value = explorer.color.value = False
    assert "similarity 1.00" in explorer.text
    explorer.gray.value = True
    views, _ = explorer.views()
    assert torch.equal(views[DRAWS, 0], views[DRAWS, 1])


def test_rotation_is_exact_at_quarter_turns():
    explorer = RotationExplorer()
    for quarters in range(4):
        explorer.angle.value = 90 * quarters
        assert torch.equal(explorer.turned(), torch.rot90(explorer.picture, quarters, (2, 3)))
    explorer.angle.value = 5
    near = explorer.turned()
    assert (near - explorer.picture).abs().mean() < (
        near - torch.rot90(explorer.picture, 1, (2, 3))
    ).abs().mean()


def test_jigsaw_tells_what_is_in_place():
    explorer = JigsawExplorer()
    # a network that is always right
    explorer.predict = lambda tiles: torch.eye(24)[[explorer.order.value - 1]] * 20
    explorer.order.value = 9
    assert "all four tiles are in place" in explorer.text
    explorer.predict = lambda tiles: torch.eye(24)[[0]] * 20
    explorer.order.value = 2  # (0, 1, 3, 2), taken for (0, 1, 2, 3)
    assert "2 of 4 tiles are in place" in explorer.text


def test_nothing_hidden_is_nothing_to_predict():
    explorer = MaskedExplorer()
    explorer.ratio.value = 0.0
    assert explorer.text.startswith("Nothing is hidden")


def file_of(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_any_picture_can_be_uploaded():
    picker = PhotoPicker(32)
    red = Image.new("RGB", (60, 40), "red")
    frames = [Image.new("P", (20, 20), k) for k in range(3)]
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a phone
    tall = Image.new("RGB", (40, 20), "black")
    tall.paste("white", (0, 0, 20, 20))
    files = {
        "one pixel.png": file_of(Image.new("RGB", (1, 1), "red"), "png"),
        "large.jpg": file_of(Image.new("RGB", (8000, 5000), "red"), "jpeg"),
        "moving.gif": file_of(frames[0], "gif", save_all=True, append_images=frames[1:]),
        "print.jpg": file_of(red.convert("CMYK"), "jpeg"),
        "phone.jpg": file_of(tall, "jpeg", exif=exif),
        "deep.png": file_of(Image.fromarray(np.full((9, 9), 40000, np.uint16)), "png"),
        "thin.png": file_of(Image.new("RGBA", (500, 1), (255, 0, 0, 128)), "png"),
    }
    for name, content in files.items():
        picker.add(name, content)
        assert picker.picture.shape == (3, 32, 32)
        assert picker.choice.value == name
        assert picker.is_photo
    picker.choice.value = "phone.jpg"
    assert picker.picture[0, :14].float().mean() > 240, "upright: white on top"
    assert picker.picture[0, 18:].float().mean() < 15


def upload(explorer, *files: tuple[str, bytes]) -> None:
    """Do what the browser does when files are chosen; none when the choice is cancelled."""
    now = datetime.datetime.now(datetime.UTC)
    explorer.photo.upload.set_trait(
        "value",
        tuple(
            {
                "name": name,
                "type": "",
                "size": len(content),
                "last_modified": now,
                "content": memoryview(content),
            }
            for name, content in files
        ),
    )


def test_bad_and_cancelled_uploads_change_nothing_but_the_sentence():
    explorer = TransformsExplorer()
    chosen, text = explorer.photo.choice.value, explorer.text
    for name, content in (
        ("notes.txt", b"no picture"),
        ("cut.png", file_of(Image.new("RGB", (50, 50)), "png")[:60]),
        ("empty.jpg", b""),
        ("empty.jpg", b""),
    ):
        upload(explorer, (name, content))
        assert explorer.text.startswith(f"'{name}' could not be read")
        assert explorer.photo.choice.value == chosen
    said = explorer.text
    upload(explorer)
    assert explorer.text == said
    explorer.photo.choice.value = "lake"
    assert explorer.text == text, "another picture, and the problem is forgotten"


def test_the_same_file_can_be_chosen_twice():
    explorer, drawn = TransformsExplorer(), []
    explorer.image.observe(lambda _: drawn.append(explorer.photo.choice.value), "value")
    for name in ("a.png", "a.png (2)"):
        upload(explorer, ("a.png", file_of(Image.new("RGB", (9, 9), "red"), "png")))
        assert explorer.photo.choice.value == name
        assert set(drawn) <= {name, "lake"}, "no other picture in between"
        assert explorer.photo.upload.value == (), "its bytes are not kept"
        explorer.photo.choice.value = "lake"
        drawn.clear()


def test_half_way_between_two_turns_both_are_right():
    explorer = RotationExplorer()
    for degrees in (45, 135, 225, 315):
        explorer.angle.value = degrees
        for answer in ((degrees - 45) // 90, (degrees + 45) // 90 % 4):
            explorer.predict = lambda _, answer=answer: torch.eye(4)[[answer]] * 9
            explorer.redraw()
            assert "right" in explorer.text


@pytest.mark.slow
def test_explorers_work_with_colabs_ipywidgets(tmp_path):
    """ipywidgets 7.7.1 beside the installed packages, in a process of its own."""
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--target",
        str(tmp_path),
        "ipywidgets==7.7.1",
        "ipython-genutils==0.2.0",
    ]
    if subprocess.run(pip, capture_output=True).returncode:
        pytest.skip("the package index cannot be reached")
    program = """
import ipywidgets
assert ipywidgets.__version__ == "7.7.1", ipywidgets.__version__
from explorers import EXPLORERS, move, search_in_samples
import io
from PIL import Image
png = io.BytesIO()
Image.new("RGB", (9, 9), "red").save(png, "png")
for kind in EXPLORERS:
    explorer = kind()
    changed = 0
    for control in explorer.controls:
        for turn in range(3):
            before = explorer.image.value, explorer.text
            changed += move(control, turn) and (explorer.image.value, explorer.text) != before
    assert changed > 2 * (len(explorer.controls) - 2), (kind, changed)
    if hasattr(explorer, "photo"):
        for turn in range(2):  # the second time the same file again
            upload = {"metadata": [{"name": "a.png"}], "data": [memoryview(png.getvalue())],
                      "_counter": turn + 1}
            explorer.photo.upload.set_state(upload)
            explorer.redraw()
            assert explorer.photo.choice.value.startswith("a.png"), explorer.photo.choice.value
            explorer.photo.choice.value = "lake"
    data, _ = explorer._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.widget.model_id
print("all moved")
"""
    path = os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.stdout.strip() == "all moved", done.stderr[-2000:]


def test_neighbours_on_the_map_are_those_of_the_features():
    explorer = EmbeddingExplorer()
    images, labels = explorer.images.images, explorer.images.labels
    assert labels.bincount().tolist() == [60] * 4
    explorer.index.value = 17
    for space, features in (
        ("pixels", (images.float() / 255).flatten(1)),
        ("h", extract_features(load_pretrained("shapes-six").encoder, images)),
    ):
        vectors = (features - features.mean(dim=0)).numpy()
        nearest = (
            NearestNeighbors(n_neighbors=7, metric="cosine")
            .fit(vectors)
            .kneighbors(vectors[16:17])[1][0]
        )
        assert explorer.neighbors(space) == [k for k in nearest if k != 16]
        same = sum(labels[k] == labels[16] for k in explorer.neighbors(space))
        assert (
            f"{same} of its kind by h" if space == "h" else f"{same} by raw pixels"
        ) in explorer.text


def rows_of(accuracies):
    return [
        {"option": option, "seed": str(seed), "accuracy": str(value), "seconds": seconds}
        for option, (seconds, values) in accuracies.items()
        for seed, value in enumerate(values)
    ]


def test_a_recommendation_compares_seed_by_seed_and_takes_the_quickest_of_equals():
    hard, easy = [0.50, 0.60, 0.70, 0.55, 0.65], [0.52, 0.62, 0.72, 0.57, 0.68]
    assert recommend(rows_of({"1": ("9", easy), "3": ("1", hard)})) == ("1", ["1"]), (
        "always 2 points better, or 3"
    )
    assert recommend(rows_of({"1": ("9", [0.9, 0.7, 0.8]), "3": ("1", [0.8, 0.6, 0.7])})) == (
        "3",
        ["1", "3"],
    ), "the same difference three times, of a few test images, is no interval"
    close = [0.53, 0.58, 0.73, 0.55, 0.66]  # better at times, worse at times
    assert recommend(rows_of({"1": ("9", easy), "3": ("1", close)})) == ("3", ["1", "3"])
    assert recommend(rows_of({"1": ("1", easy), "3": ("9", easy)})) == ("1", ["1", "3"])
    assert recommend(rows_of({"2": ("1", easy), "3": ("1.9", easy)})) == ("3", ["2", "3"]), (
        "as quick: the simpler one"
    )
    assert recommend(rows_of({"1": ("9", [0.7]), "3": ("1", [0.6])})) == ("3", ["1", "3"]), (
        "one seed decides nothing"
    )
    wild = [score + shift for score, shift in zip(hard, (0.2, -0.1, 0.2, -0.1, 0.05), strict=True)]
    assert recommend(rows_of({"1": ("9", wild), "2": ("8", easy), "3": ("1", hard)})) == (
        "2",
        ["1", "2"],
    ), "3 is not told apart from the wild best, but 2 is better than 3"


def test_what_is_the_same_in_all_runs_has_no_interval_of_nothing(monkeypatch):
    explorer, written, write = OptionsExplorer(), [], Canvas.text
    monkeypatch.setattr(
        Canvas,
        "text",
        lambda self, x, y, text, *rest, **more: (
            written.append(str(text)),
            write(self, x, y, text, *rest, **more),
        )[1],
    )
    explorer.labels.value = "all"  # embeddings of all images: logistic regression draws nothing
    assert [
        text
        for text in written
        if "%" in text and "±" not in text and text[-2].isdigit() and "." in text
    ]
    assert not [text for text in written if "± 0.0" in text]


@pytest.mark.parametrize("make", EXPLORERS, ids=lambda make: make.__name__)
def test_an_explorer_draws_from_a_generator_of_its_own(make):
    """Else the numbers below it would differ between the first run of a notebook and the second."""
    if make is search_in_samples:
        pytest.skip("it is handed an encoder")
    shared.cache_clear()
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    explorer = make()
    move(explorer.controls[0], 1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]
    assert random.getstate() == before[2]


@pytest.mark.parametrize("name", ["shapes-tiny", "cifar10-tiny"])
def test_loading_leaves_the_seed_where_it_is(name):
    before = torch.get_rng_state()
    load_pretrained(name)
    load_pretext("jigsaw")
    assert torch.equal(torch.get_rng_state(), before)
