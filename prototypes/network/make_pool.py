"""Draw the pools of scenes once: results/lab25/pool_<split>.npy, float16 (count, 192, 192, 3), linear light."""
import sys, numpy as np
sys.path.insert(0, "lab")
from sidlib import paths
from sidlib.beyond.stream import _draw
from sidlib.raw import quantize
from sidlib.sample.photographs import decode_linear, load_photograph
SPLITS = {"train": ("chelsea", "motorcycle", "rocket"), "val": ("grace_hopper", "coffee")}
split, count = sys.argv[1], int(sys.argv[2])
colours = [quantize(decode_linear(load_photograph(n))) for n in SPLITS[split]]
key = (25, ("train", "val").index(split))
made = []
for place in range(count):
    made.append(_draw(np.random.SeedSequence((*key, place)), (192, 192), colours))
    if place % 200 == 199 or place == count - 1:
        with paths.write_whole(paths.RESULTS / "lab25" / f"pool_{split}.npy") as path:
            np.save(open(path, "wb"), np.stack(made))
        print(place + 1, flush=True)
