"""The command line: python -m sidlib.full_size "my photo.arw" "a folder" [--stops 5] [--strength 0.8] [--out here]."""

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from sidlib.full_size.burst import restore_burst
from sidlib.full_size.capture import find_files, read_capture
from sidlib.full_size.restore import find_network, load_network, restore_mosaic
from sidlib.full_size.save import check_output, name_pictures, read_software, save_pictures
from sidlib.rawfile import RawError

MAX_STOPS = 32  # beyond, there is nothing to see


def main(arguments=None):
    """Restore RAW files and save their pictures, or exit with one sentence for each that says why not."""
    parser = argparse.ArgumentParser("python -m sidlib.full_size", description="Restore dark RAW files at full size.")
    named = 'RAW file of a camera with a Bayer pattern, a folder of such files, or a pattern: "night/*.arw"'
    parser.add_argument("paths", nargs="+", metavar="path", help=f"{named}; what was restored before is left as it is")
    parser.add_argument("--stops", type=float, help="brightness relative to the capture; estimated if not given")
    parser.add_argument("--strength", type=float, default=1, help="how much of the noise is taken, 0 to 1 (default)")
    parser.add_argument("--out", metavar="folder", help="where pictures are saved, instead of beside their RAW files")
    parser.add_argument("--burst", action="store_true", help="make one picture of all files, frames of one scene")
    options = parser.parse_args(arguments)
    for name, low, high in (("stops", -MAX_STOPS, MAX_STOPS), ("strength", 0, 1)):
        if (value := getattr(options, name)) is not None and not low <= value <= high:
            parser.error(f"--{name} must be a number from {low} to {high}. Received: {value:g}")
    files = [file for path in filter(None, options.paths) for file in find_files(path)]
    if not files:
        received = ", ".join(filter(None, options.paths)) or "nothing"
        sys.exit(f'A RAW file is needed, as in make restore RAW="my photo.arw". Received: {received}')
    jobs, failed = [files] if options.burst else [[file] for file in files], []
    try:
        find_network()
        if options.out:
            Path(options.out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sys.exit(str(error))
    for number, job in enumerate(jobs, 1):
        try:
            restore_files(job, options, f"{number} of {len(jobs)}: {job[0].name}")
        except (RawError, OSError) as error:
            failed.append(str(error))
    if failed:
        sys.exit("\n".join([f"{len(failed)} of {len(jobs)} failed:"] * (len(jobs) > 1) + failed))


def restore_files(files, options, title):
    """Restore a RAW file, or the frames of one burst, by the options of main; a file restored before is left."""
    stops, strength = options.stops, options.strength
    if options.burst:
        run = partial(restore_burst, files, load_network())
    else:
        capture = read_capture(files[0])
        info = place(capture[2], options.out)
        check_output(info)
        if read_software(name_pictures(info.path)[0]) == info.sign(stops, strength):
            return print(f"{title}: restored before")
        run = partial(restore_mosaic, capture, load_network())
    with tqdm(desc=title, unit="tile", file=sys.stdout) as progress:

        def show(done, tiles):
            progress.total = tiles
            progress.update(done - progress.n)

        restoration = run(show)
    noise, info = restoration.noise, place(restoration.info, options.out)
    save_pictures(replace(restoration, info=info), stops, strength)
    print(f"Noise, by {noise.source}: {noise.gain_dn:.3g} counts per electron, {noise.read_dn:.3g} counts in the dark")
    for remark in restoration.remarks:
        print(remark)
    print(f"{restoration.stops:+.1f} stops, estimated: --stops sets others" if stops is None else f"{stops:+.1f} stops")
    print("Saved {} and {}".format(*name_pictures(info.path, info.frames)))


def place(info, folder):
    """Return a CaptureInfo whose pictures are saved in a folder, if one is given."""
    return replace(info, path=Path(folder, info.name)) if folder else info


if __name__ == "__main__":
    main()
