import numpy as np
import pytest
from PIL import Image

from sidlib import sample
from sidlib.sample import photographs


def draw(seed, size=(150, 120)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8))


@pytest.fixture
def folder(tmp_path):
    for place in range(10):
        draw(place).save(tmp_path / f"{place}.png")
    return tmp_path


def split(folder, seed=0):
    return {file.name: of for file, of in photographs.split_photographs(folder, seed).items()}


def test_one_photograph_more_moves_at_most_one_in_each_of_val_and_test_and_names_do_not_matter(folder, caplog):
    (folder / "notes.txt").write_text("no photograph")
    before = split(folder)
    assert sorted(before.values()) == ["test"] * 2 + ["train"] * 6 + ["val"] * 2 and "notes.txt" in caplog.text
    assert before != split(folder, seed=3)
    for place in range(10, 15):
        draw(place).save(folder / f"{place}.png")
        after = split(folder)
        moved = [{of, after[name]} for name, of in before.items() if of != after[name]]
        assert all("train" in move for move in moved)
        assert len(moved) == len({*map(frozenset, moved)})  # at most one between train and val, one with test
        before = after
    (folder / "0.png").rename(folder / "zero.png")
    assert split(folder) == {name if name != "0.png" else "zero.png": of for name, of in before.items()}


def test_equal_pixels_stay_in_one_split_whatever_their_file(folder):
    picture = draw(99)
    picture.save(folder / "a.png")
    picture.save(folder / "a.bmp")
    (folder / "link.png").symlink_to(folder / "a.png")
    splits = split(folder)
    assert splits["a.png"] == splits["a.bmp"]
    assert {"train", "val", "test"} == set(splits.values())
    for file in folder.glob("[0-9].png"):
        file.unlink()
    with pytest.raises(ValueError, match="at least three.*1 different"):
        split(folder)


def test_sixteen_bits_keep_their_brightness_what_is_transparent_lies_on_white_and_unknown_white_is_left_out(
    folder, caplog
):
    for name, order in {"grey16.png": "<u2", "big_endian.tif": ">u2"}.items():
        grey = np.linspace(0, 65535, 200, dtype=order).reshape(10, 20)
        Image.fromarray(grey).save(folder / name)
        np.testing.assert_array_equal(np.asarray(photographs.load_photograph(folder / name))[..., 0], grey // 256)
    Image.new("RGBA", (4, 4), (10, 20, 30, 0)).save(folder / "a.png")
    assert photographs.load_photograph(folder / "a.png").getpixel((0, 0)) == (255, 255, 255)
    Image.fromarray(np.ones((20, 30), np.float32)).save(folder / "float.tif")
    assert "float.tif" not in split(folder) and "float.tif is left out" in caplog.text


def test_photographs_of_any_shape_and_kind_become_scenes(tmp_path, monkeypatch):
    draw(50, (40, 900)).save(tmp_path / "portrait.jpg")
    Image.new("RGB", (1, 1), (9, 99, 200)).save(tmp_path / "one.png")
    draw(52).convert("L").save(tmp_path / "grey.jpg")
    draw(54).convert("CMYK").save(tmp_path / "cmyk.jpg")
    draw(56).save(tmp_path / "moves.gif", save_all=True, append_images=[draw(57)])
    draw(58).convert("P").save(tmp_path / "palette.png", transparency=0)
    monkeypatch.setattr(sample, "SENSOR_PX", dict.fromkeys(sample.SENSOR_PX, (160, 106)))
    splits = photographs.split_photographs(tmp_path, seed=0)
    scenes = {scene.photograph: scene for scene in sample.plan_scenes(splits) if scene.box}
    assert scenes.keys() == {str(tmp_path / file.name) for file in tmp_path.iterdir()}
    for scene in scenes.values():
        image = sample.load_photograph(scene.photograph)
        signal = sample.expose_mosaic(image, scene.box, scene.white_balance, scene.size_px)
        assert signal.shape == (106, 160)
        assert np.isfinite(signal).all() and signal.min() >= 0
