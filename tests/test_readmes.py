"""The README files: short, without dead links, and true where the code knows better."""

import re

import pytest

from sidlib import catalog, paths, sample
from sidlib.experiment import Experiment

PAGES = ["README.md", "data/README.md", "data/OWN_PAIR.md", "sidlib/beyond/README.md"]


def read(page):
    return (paths.ROOT / page).read_text("utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading_that_exist(page):
    for link in re.findall(r"\]\(([^)]+)\)", read(page)):
        if not link.startswith("https://"):
            name, _, anchor = link.partition("#")
            file = (paths.ROOT / page).parent / name
            assert file.exists(), link
            headings = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.M) if anchor else []
            assert not anchor or anchor in [heading.lower().replace(" ", "-") for heading in headings], link
    assert not re.findall("«.*?»", read(page))  # which waits to be filled in


def test_the_first_page_is_read_in_three_minutes():
    assert len(re.findall(r"\S*\w\S*", re.sub(r"\]\([^)]*\)", "]", read("README.md")))) <= 700


def test_the_pictures_sizes_are_those_of_the_code():
    width, height = Experiment.crop_px
    assert f"crops of {width} × {height} pixels" in read("README.md")
    assert f"crops of {width} × {height} pixels" in read("data/README.md")
    test_px = [-(-side // 10) for side in sample.SENSOR_PX["test"]]
    assert "424 × 284" in read("README.md") and test_px == [424, 284]


def test_the_table_of_the_sample_is_that_of_the_code():
    for split in catalog.SPLITS.values():
        crops, drawn, frames = sample.SCENES[split], sample.DRAWN[split], sample.FRAMES[split]
        shown = sum(of == split for of in sample.PHOTOGRAPHS.values())
        pairs, (width, height) = (crops + drawn) * frames, sample.SENSOR_PX[split]
        row = f"| {split} | {crops}, of {shown} | {drawn} | {frames} | {pairs} | {width} × {height} |"
        assert row in read("data/README.md")


def test_a_pair_named_as_the_page_says_is_a_test_pair_that_comes_first(tmp_path):
    names = re.findall(r"data/mine/((?:long|short)/\S+)\n", read("data/OWN_PAIR.md"))
    found = [catalog._NAME.fullmatch(name.split("/")[1]) for name in names]
    assert len(names) == 2 and {catalog.SPLITS[match["scene"][0]] for match in found} == {"test"}
    assert {match["scene"] for match in found} == {"10000"}  # the sample's scenes begin at 10001
