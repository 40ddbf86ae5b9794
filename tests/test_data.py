"""Folders, zips and pictures as people have them; splits; errors that say what to do."""

import io
import warnings
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from helpers.artifacts import cache_dir
from helpers.data import load, sample_photos


def write(path, color, size=(20, 20), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).convert(mode).save(path)


@pytest.fixture
def folder(tmp_path):
    """Two classes of 12 pictures, each picture of a colour of its own."""
    for index in range(12):
        write(tmp_path / "photos" / "red" / f"{index}.png", (200 + index, 0, 0))
        write(tmp_path / "photos" / "blue" / f"{index}.png", (0, 0, 200 + index))
    return tmp_path / "photos"


def zipped(folder, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    return path


def test_folder_and_zip_of_class_folders_are_the_same(folder, tmp_path):
    found, same = load(str(folder)), load(str(zipped(folder, tmp_path / "photos.zip")))
    assert found.classes == same.classes == ("blue", "red")
    assert torch.equal(found.images, same.images)
    assert torch.equal(found.labels, same.labels)
    assert found.images.shape[2:] == (20, 20)
    assert (found.images[found.labels == 1][:, 0] >= 200).all()


def test_splits_are_disjoint_complete_stratified_and_seeded(folder):
    parts = {split: load(str(folder), split) for split in ("train", "val", "test")}
    colors = {
        split: {tuple(image[:, 0, 0].tolist()) for image in part.images}
        for split, part in parts.items()
    }
    assert sum(map(len, colors.values())) == 24
    assert not colors["train"] & colors["val"]
    assert not colors["train"] & colors["test"]
    assert not colors["val"] & colors["test"]
    assert all(set(part.labels.tolist()) == {0, 1} for part in parts.values())
    assert torch.equal(load(str(folder), "val").images, parts["val"].images)
    assert not torch.equal(load(str(folder), "test", seed=1).images, parts["test"].images)


def test_given_splits_are_kept_and_only_val_is_cut(tmp_path):
    for split, count in (("train", 10), ("test", 4)):
        for index in range(count):
            for name in ("a", "b"):
                write(
                    tmp_path / "set" / split / name / f"{index}.png",
                    (index, 0 if split == "train" else 99, 0),
                )
    assert len(load(str(tmp_path / "set"), "test")) == 8
    train, val = load(str(tmp_path / "set"), "train"), load(str(tmp_path / "set"), "val")
    assert (len(train), len(val)) == (18, 2)
    assert (torch.cat([train.images, val.images])[:, 1] == 0).all(), "no test image in train or val"


@pytest.mark.parametrize("name", ["shapes", "shapes-textured"])
def test_shapes_splits(name):
    train, val, test = (load(name, split) for split in ("train", "val", "test"))
    assert (len(train) + len(val), len(test)) == (11_000, 2_000)
    assert 1_090 < len(val) < 1_110
    rows = {bytes(image.numpy().tobytes()) for image in train.images}
    assert not rows & {
        bytes(image.numpy().tobytes()) for image in torch.cat([val.images, test.images])
    }
    assert set(train.factors) == {"hue", "background_hue", "size", "x", "y", "angle", "light"}
    assert all(len(values) == len(train) for values in train.factors.values())


def test_digits_come_with_scikit_learn_and_stand_upright():
    parts = [load("digits", split) for split in ("train", "val", "test")]
    assert sum(map(len, parts)) == 1797
    assert parts[0].images.shape[1:] == (3, 32, 32)
    assert len({image.numpy().tobytes() for part in parts for image in part.images}) > 1790, (
        "no image in two splits"
    )
    found = load_digits()
    known = torch.from_numpy(found.images).float().flatten(1)
    for part in parts:
        small = (
            torch.nn.functional.interpolate(part.images[:, :1].float(), 8, mode="area") / 255 * 16
        )
        nearest = torch.cdist(small.flatten(1), known).argmin(1)
        assert torch.equal(part.labels, torch.from_numpy(found.target)[nearest])


def test_sample_photos_are_squares_of_the_size_asked_for():
    photos = sample_photos(40)
    assert photos.images.shape == (5, 3, 40, 40)
    assert photos.images.dtype == torch.uint8
    temple = photos.images[photos.classes.index("temple")].float()
    assert temple[2, :10].mean() > temple[0, :10].mean() > temple[0, 30:].mean(), (
        "a blue bright sky above"
    )


def test_limits_are_nested():
    few, more = load("shapes", limit=50), load("shapes", limit=80)
    assert torch.equal(few.images, more.images[:50])
    assert len(load("shapes", "val", limit=10**9)) > 1000


def test_plain_images_have_no_labels(tmp_path):
    for index in range(6):
        write(tmp_path / f"{index}.png", (index, 0, 0))
    found = load(str(tmp_path))
    assert found.labels is None
    assert found.classes == ()
    assert len(found) + len(load(str(tmp_path), "val")) + len(load(str(tmp_path), "test")) == 6


def test_stray_images_and_folders_mix_nothing_up(tmp_path):
    for split in ("train", "test"):
        for name in ("a", "b"):
            for index in range(8):
                write(
                    tmp_path / "set" / split / name / f"{index}.png",
                    (index, 0, 0 if split == "train" else 99),
                )
    write(tmp_path / "set" / "logo.png", (9, 9, 9))
    write(tmp_path / "set" / "extra" / "a" / "1.png", (8, 8, 8))
    with pytest.warns(UserWarning, match="left out"):
        train, test = load(str(tmp_path / "set")), load(str(tmp_path / "set"), "test")
    assert train.classes == ("a", "b")
    assert (train.images[:, 2] == 0).all()
    assert (test.images[:, 2] == 99).all()


def test_plain_test_images_beside_classes_to_learn_from(tmp_path):
    for index in range(8):
        write(tmp_path / "pets" / "train" / "cat" / f"{index}.png", (index, 0, 0))
        write(tmp_path / "pets" / "train" / "dog" / f"{index}.png", (index, 0, 9))
        write(tmp_path / "pets" / "test" / f"{index}.png", (index, 0, 99))
    with pytest.warns(UserWarning, match="8 images .* outside the class folders"):
        assert load(str(tmp_path / "pets")).classes == ("cat", "dog")


def test_a_class_may_be_called_train(tmp_path):
    for name in ("bus", "car", "train"):
        for index in range(8):
            write(tmp_path / "vehicles" / name / f"{index}.png", (index, 0, len(name)))
    assert load(str(tmp_path / "vehicles")).classes == ("bus", "car", "train")


def test_a_zip_of_one_folder_of_plain_images_has_no_labels(tmp_path):
    for index in range(9):
        write(tmp_path / "holiday" / f"{index}.png", (index, 0, 0))
    assert load(str(zipped(tmp_path / "holiday", tmp_path / "x.zip"))).labels is None


def test_non_ascii_names_nested_and_hidden(tmp_path):
    for index in range(6):
        write(tmp_path / "Bilder ü" / "Katze 猫" / "tief" / f"é{index}.JPG", (index, 0, 0))
        write(tmp_path / "Bilder ü" / "Hund" / f"{index}.PNG", (0, index, 0))
        write(tmp_path / "Bilder ü" / ".hidden" / f"{index}.png", (0, index, 0))
    found = load(str(tmp_path / "Bilder ü"))
    assert found.classes == ("Hund", "Katze 猫")
    assert len(found) == 8


def test_every_kind_of_picture_becomes_rgb(tmp_path):
    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 255, (60, 40, 3), np.uint8))
    kinds = tmp_path / "kinds"
    kinds.mkdir()
    for mode in ("L", "RGBA", "P", "LA", "1"):
        photo.convert(mode).save(kinds / f"{mode}.png")
    photo.convert("CMYK").save(kinds / "cmyk.jpg")
    Image.fromarray(rng.integers(0, 65535, (50, 70), np.uint16)).save(kinds / "sixteen.png")
    photo.save(kinds / "moving.gif", save_all=True, append_images=[photo.rotate(90)])
    photo.resize((1, 1)).save(kinds / "dot.png")
    photo.resize((900, 30)).save(kinds / "long.JPG")
    half = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    half.save(kinds / "clear.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = torch.cat(
            [load(str(kinds), split, size=16).images for split in ("train", "val", "test")]
        )
    assert whole.shape == (11, 3, 16, 16)
    assert (whole == 255).all(dim=(1, 2, 3)).any(), "what is transparent is white"


def test_phone_photos_stand_upright(tmp_path):
    picture = Image.new("RGB", (40, 40), "white")
    picture.paste((0, 0, 0), (0, 0, 40, 20))  # dark above
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying: turn by 90 degrees clockwise to see it
    for index in range(4):
        picture.save(tmp_path / f"{index}.jpg", exif=exif, quality=95)
    image = load(str(tmp_path), size=40).images[0].float().mean(0)
    assert image[:, 30:].mean() < 20 < 200 < image[:, :10].mean()


def test_unreadable_files_are_counted_named_and_left_out(folder):
    (folder / "red" / "broken.jpg").write_bytes(b"no picture")
    (folder / "red" / "notes.txt").write_text("not asked for")
    with pytest.warns(UserWarning, match=r"1 of 25 images .* left out: red/broken\.jpg"):
        found = load(str(folder))
    with pytest.warns(UserWarning, match="1 of 25"):  # told again, from the cache too
        load(str(folder), "val")
    assert len(found) == 18


def test_a_changed_folder_is_read_again(folder):
    folder = folder.rename(folder.parent / "changing")

    def count():
        return sum(len(load(str(folder), split)) for split in ("train", "val", "test"))

    assert count() == 24
    write(folder / "red" / "new.png", (1, 2, 3))
    assert count() == 25
    assert len(list(cache_dir().glob("folders/changing-*"))) == 1, "what was decoded before goes"


def make_empty(path):
    path.mkdir()


def make_text(path):
    path.mkdir()
    (path / "a.txt").write_text("text")


def make_truncated_zip(path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/1.png", b"x" * 5000)
    path.write_bytes(buffer.getvalue()[:2000])


def make_single(path):
    for name in ("a", "b"):
        write(path / name / "1.png", (1, 2, 3))


def make_broken(path):
    path.mkdir()
    for index in range(3):
        (path / f"{index}.jpg").write_bytes(b"no picture")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (make_empty, "is empty"),
        (make_text, "is an image .first of 1: a.txt"),
        (make_truncated_zip, "not a zip"),
        (make_single, "fewer than 3 images"),
        (make_broken, "none of the 3 images"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line_and_left_untouched(tmp_path, make, message):
    path = tmp_path / "given"
    make(path)
    before = sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=message) as refusal:
        load(str(path))
    assert "\n" not in str(refusal.value)
    assert before == sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "cifar11"}, "unknown data set 'cifar11'; choose shapes"),
        ({"split": "dev"}, "unknown split"),
        ({"split": "unlabeled"}, "stl10 only"),
        ({"limit": 0}, "at least 1"),
        ({"size": 2}, "between 8 and 512"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        load(**arguments)


def test_missing_folder():
    with pytest.raises(FileNotFoundError, match="no folder or zip 'nowhere/photos'"):
        load("nowhere/photos")
