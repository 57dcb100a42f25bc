"""Every RAW file of a data set to PNG, once: reduced to a tenth of its size and developed to 8-bit sRGB."""

import sys

import joblib
from PIL import Image
from tqdm import tqdm

from sidlib import catalog, paths
from sidlib.raw import RawError, develop


def develop_pairs(pairs):
    """Develop both pictures of every pair to data/<name>/png, with all cores; PNGs that are there are kept.

    Args:
        pairs: DataFrame of catalog.load_pairs.
    Returns:
        the pairs whose two pictures are there, with their paths in columns short_png and long_png. Files that cannot be
        read are logged with the reason and added to `.attrs["problems"]`.
    Raises:
        OSError: a PNG cannot be written (a full disk). What was written stays and is whole; call again to go on.
    """
    usable = pairs.assign(short_png=pairs.short.map(locate_png), long_png=pairs.long.map(locate_png))
    for folder in {png.parent for png in usable.short_png} | {png.parent for png in usable.long_png}:
        paths.clear_leftovers(folder)
    captures = [*usable.short, *usable.long.unique()]
    missing = [capture for capture in captures if not locate_png(capture).is_file()]

    workers = joblib.Parallel(n_jobs=-1, return_as="generator")
    reasons = workers(joblib.delayed(develop_file)(capture) for capture in missing)
    progress = tqdm(reasons, "Developing", len(missing), unit="file", file=sys.stdout, disable=not missing)
    problems = [
        {"file": str(capture), "reason": reason} for capture, reason in zip(missing, progress, strict=True) if reason
    ]
    catalog.report_problems(usable, problems)
    unreadable = [problem["file"] for problem in problems]
    return usable[~usable.short.map(str).isin(unreadable) & ~usable.long.map(str).isin(unreadable)].reset_index(
        drop=True
    )


def locate_png(capture):
    """Return where the developed picture of a capture lies: data/<name>/short/x.ARW → data/<name>/png/short/x.png."""
    return capture.parent.parent / "png" / capture.parent.name / f"{capture.stem}.png"


def develop_file(capture):
    """Develop one RAW file to its PNG; return None, or the reason why the file cannot be read."""
    try:
        picture = develop(capture)
    except RawError as error:
        return str(error).removeprefix(f"{capture}: ")
    with paths.write_whole(locate_png(capture)) as path:
        Image.fromarray(picture).save(path, compress_level=1)  # the usual 6 takes as long as developing
