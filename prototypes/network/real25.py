"""Real captures, darkened: python lab/real25.py FILE. Fitted PSNR of network, non-local means (stabilised, strength 1), amplified; truth: LibRaw's AHD of the bright one."""
import sys, tempfile
from pathlib import Path
sys.path.insert(0, str(Path(__file__).parent))
from bench25 import *
from sidlib.raw import interpret_raw, render
from sidlib.rawfile import open_raw
from sidlib.beyond.full_size.stable import align_levels

REAL = Path("real")
SIZE = 768


def load_real():
    made = {}
    for name in ("nikon_d1.nef", "canon_night.crw"):
        with open_raw(REAL / name) as (raw, pages):
            m = interpret_raw(REAL / name, raw, pages)
            made[name[:10]] = align_as(m.counts.astype(float), m.pattern, m.black, m.white, m.white_balance, m.to_srgb)
    c = np.fromfile(REAL / "nikon_dsc1339_768x512_rggb.raw", "<u2").reshape(512, 768).astype(float)
    made["rose"] = align_as(c, "RGGB", np.full(4, 600.0), c.max(), None, TO_SRGB)
    c = np.fromfile(REAL / "colorchecker_1920x1080_12bit_bggr.raw", "<u2").reshape(1080, 1920).astype(float)
    made["checker"] = align_as(c, "BGGR", np.full(4, max(0.0, np.percentile(c, 0.01) - 1)), 4095.0, None, TO_SRGB)
    return made


def align_as(counts, pattern, black, white, wb, to_srgb):
    """Light 0…1 of the mosaic as RGGB, cut to its middle, white balance, matrix."""
    counts, _ = align(counts, pattern)
    light = unpack((pack(counts[: counts.shape[0] // 2 * 2, : counts.shape[1] // 2 * 2]) - align_levels(black, pattern)) / (white - np.mean(black)))
    h, w = light.shape
    t, l = ((s - min(s, SIZE)) // 4 * 2 for s in (h, w))
    light = light[t : t + min(h, SIZE) // 2 * 2, l : l + min(w, SIZE) // 2 * 2]
    if wb is None or np.ptp(wb) == 0:
        p = pack(light).clip(0, 1).mean((0, 1))
        wb = (p[1] + p[2]) / 2 / np.array([p[0], (p[1] + p[2]) / 2, p[3]])
        wb = wb / wb.min()
    return light, np.asarray(wb, float), to_srgb


def develop(light, wb, to_srgb):
    """LibRaw's AHD in the camera's own colours, then raw.render."""
    import tifffile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "x.dng")
        tags = [(271, 2, 0, "X", True), (272, 2, 0, "Y", True), (33421, 3, 2, (2, 2), True), (33422, 1, 4, bytes((0, 1, 1, 2)), True),
                (50706, 1, 4, bytes((1, 4, 0, 0)), True), (50708, 2, 0, "X Y", True), (50714, 4, 1, 0, True), (50717, 4, 1, 65535, True),
                (50721, 10, 9, [int(v) for x in np.linalg.inv(np.eye(3)).ravel() for v in (x * 10000, 10000)], True),
                (50728, 5, 3, [10000, 10000] * 3, True), (50778, 3, 1, 21, True)]
        # white balanced before, which is what AHD compares colours by
        p = pack(light) * (wb / wb.max())[[0, 1, 1, 2]]
        tifffile.imwrite(file, np.rint(unpack(p).clip(0, 1) * 65535).astype(np.uint16), photometric=32803, extratags=tags)
        with rawpy.imread(str(file)) as raw:
            wide = raw.postprocess(user_wb=[1, 1, 1, 1], no_auto_bright=True, output_bps=16, gamma=(1, 1), output_color=rawpy.ColorSpace.raw, demosaic_algorithm=rawpy.DemosaicAlgorithm.AHD, user_flip=0)
    camera_rgb = wide / 65535.0 * wb.max() / wb
    return 255 * encode_srgb(render(camera_rgb, wb, to_srgb))


def real(network, parts=None):
    rows = {}
    for name, (light, wb, to_srgb) in load_real().items():
        truth = develop(light, wb, to_srgb)
        for part, (white_e, read, ratio) in {"A": (159, 2.5, 100), "B": (53, 2.5, 300), "C": (12, 2.0, 1000)}.items():
            gain, black, white = 1.0, 512, 512 + ratio * white_e
            rng = np.random.default_rng(3)
            e = white_e * light.clip(0)
            counts = np.rint(gain * (rng.poisson(e) + rng.normal(0, read, e.shape)) + black).clip(0, min(white, 65535)).astype(np.uint16)
            noise = Noise(gain, float(np.hypot(gain * read, ROUNDING_DN)), 0.0, "calibration")
            m = Mosaic(counts, "RGGB", np.full(4, float(black)), float(white), wb, to_srgb, 0)
            if hasattr(network, "network"):
                network.cap = stream25.find_cap(np.float32(white_e / wb), noise.gain_dn, noise.read_dn)
            outs = {"net": restore_mosaic(m, noise, Shot(""), network).render(np.log2(ratio)) / 257}
            signal = pack(counts.astype(float)) - black
            if parts is None:
                clean = denoise_signal(signal, gain, noise.read_dn**2, "non-local means", 1.0)
                outs["nlm"] = develop(unpack(clean) / white_e, wb, to_srgb)
                outs["amplified"] = develop(unpack(signal) / white_e, wb, to_srgb)
            rows[name, part] = {k: evaluate.score_fitted(o, truth) for k, o in outs.items()}
            pictures[name, part] = [truth, *outs.values()]
    return pd.DataFrame(rows).T.round(2)


pictures = {}
if __name__ == "__main__":
    network = load(sys.argv[1])
    print(real(network, *sys.argv[2:3]))
    from PIL import Image
    for (name, part), p in pictures.items():
        if part in "AC":
            Image.fromarray(np.uint8(np.hstack([x[:400, :500] for x in p]).clip(0, 255))).save(f"real_{name}_{part}.png")
