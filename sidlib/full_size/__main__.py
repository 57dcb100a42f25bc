"""The command line: python -m sidlib.full_size "my photo.arw" [--stops 5]."""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from sidlib.full_size.capture import read_capture
from sidlib.full_size.restore import load_network, restore_mosaic
from sidlib.full_size.save import check_output, name_pictures, save_pictures
from sidlib.rawfile import RawError

MAX_STOPS = 32  # beyond, there is nothing to see


def main(arguments=None):
    """Restore a RAW file and save its pictures beside it, or exit with one sentence that says why not."""
    parser = argparse.ArgumentParser("python -m sidlib.full_size", description="Restore a dark RAW file at full size.")
    parser.add_argument("path", help="RAW file of a camera with a Bayer pattern")
    parser.add_argument("--stops", type=float, help="brightness relative to the capture; estimated if not given")
    options = parser.parse_args(arguments)
    path, stops = options.path, options.stops
    if stops is not None and not abs(stops) <= MAX_STOPS:
        parser.error(f"--stops must be a number from -{MAX_STOPS} to {MAX_STOPS}. Received: {stops:g}")
    if Path(path).is_dir():  # as is the current folder, ""
        received = f"the folder {path}" if path else "nothing"
        sys.exit(f'A RAW file is needed, as in make restore RAW="my photo.arw". Received: {received}')
    try:
        capture = read_capture(path)
        _, noise, info = capture
        check_output(info)
        with tqdm(desc=info.name, unit="tile", file=sys.stdout) as progress:

            def show(done, tiles):
                progress.total = tiles
                progress.update(done - progress.n)

            restoration = restore_mosaic(capture, load_network(), show)
        save_pictures(restoration.render_strips(stops), restoration.shape, info)
    except (RawError, OSError) as error:
        sys.exit(str(error))
    print(f"Noise, by {noise.source}: {noise.gain_dn:.3g} counts per electron, {noise.read_dn:.3g} counts in the dark")
    for remark in restoration.remarks:
        print(remark)
    print(f"{restoration.stops:+.1f} stops, estimated: --stops sets others" if stops is None else f"{stops:+.1f} stops")
    print("Saved {} and {}".format(*name_pictures(path)))


if __name__ == "__main__":
    main()
