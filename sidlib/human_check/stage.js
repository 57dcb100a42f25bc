// The stage of the human check: sliders that a screen reader can name, a file to upload, and pictures that can be
// dragged. All pictures come as HTML from Python, which is told zoom, place and brightness and answers with new HTML.

const MAX_ZOOM = 16;
const SLIDERS = [
  // trait, name, lowest, highest, step, the value as text
  ["zoom", "Zoom", 1, MAX_ZOOM, 1, (value) => `${value} ×`],
  ["across", "Across", 0, 1, 0.01, (value) => `${Math.round(100 * value)} %`],
  ["down", "Down", 0, 1, 0.01, (value) => `${Math.round(100 * value)} %`],
  ["stops", "Brightness (display only)", -4, 4, 0.5, (value) => `${value > 0 ? "+" : ""}${value} stops`],
  ["place", "Wipe's edge", 0, 1, 0.01, (value) => `${Math.round(100 * value)} %`],
];
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const PIECE = 4 * 2 ** 20; // bytes: servers refuse messages of more than 10 MB, and RAW files are larger

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

function add(parent, tag, properties = {}) {
  return parent.appendChild(Object.assign(document.createElement(tag), properties));
}

function addSlider(model, parent, [trait, name, min, max, step, describe]) {
  const label = add(parent, "label");
  label.append(name);
  const slider = add(label, "input", { type: "range", min, max, step, ariaLabel: name });
  const value = add(label, "output");
  const show = () => {
    slider.value = model.get(trait);
    value.textContent = describe(model.get(trait));
    slider.setAttribute("aria-valuetext", value.textContent);
    slider.disabled = ["across", "down"].includes(trait) && model.get("zoom") === 1;
  };
  slider.addEventListener("input", () => {
    model.set(trait, Number(slider.value));
    model.save_changes();
  });
  model.on(`change:${trait} change:zoom`, show);
  show();
  return label;
}

async function send(model, file) {
  const id = `${Date.now()} ${Math.random()}`; // several files may be on their way, of one name too
  const { name, size } = file;
  let end = 0;
  do {
    const start = end;
    end = size > model.get("max_bytes") ? 0 : Math.min(start + PIECE, size); // of one too large, the size alone
    model.send({ id, name, size, start, end }, undefined, [await file.slice(start, end).arrayBuffer()]);
  } while (end && end < size);
}

function addUpload(model, parent) {
  const label = add(parent, "label");
  label.append("Upload a RAW file");
  const input = add(label, "input", { type: "file" });
  input.addEventListener("change", async () => {
    const [file] = input.files;
    if (!file) return;
    input.value = ""; // so that the same file can be chosen again
    try {
      await send(model, file);
    } catch (error) {
      // It cannot be read, or the kernel is gone; then only this page can say so.
      model.set("status", `${file.name}: the upload stopped (${error.message})`);
    }
  });
  return label;
}

// Zoom by a factor, leaving what lies at the fractions x and y of the visible part where it is.
function zoomBy(model, factor, x = 0.5, y = 0.5) {
  const old = model.get("zoom");
  const zoom = clamp(Math.round(old * factor), 1, MAX_ZOOM);
  if (zoom > 1) {
    for (const [trait, at] of [["across", x], ["down", y]]) {
      const point = model.get(trait) * (1 - 1 / old) + at / old;
      model.set(trait, clamp((point - at / zoom) / (1 - 1 / zoom), 0, 1));
    }
  }
  model.set("zoom", zoom);
  model.save_changes();
}

// Move by fractions of the visible part; what is hidden is zoom − 1 times as large.
function moveBy(model, across, down) {
  const hidden = model.get("zoom") - 1;
  if (!hidden) return;
  model.set("across", clamp(model.get("across") + across / hidden, 0, 1));
  model.set("down", clamp(model.get("down") + down / hidden, 0, 1));
  model.save_changes();
}

function listen(model, pictures) {
  const locate = ({ left, top, width, height }, event) => [(event.clientX - left) / width, (event.clientY - top) / height];
  pictures.addEventListener("keydown", (event) => {
    if (event.key in KEYS) moveBy(model, ...KEYS[event.key].map((step) => step / 4));
    else if (event.key === "+" || event.key === "=") zoomBy(model, 2);
    else if (event.key === "-") zoomBy(model, 0.5);
    else return;
    event.preventDefault();
    event.stopPropagation(); // the notebook has shortcuts of its own
  });
  pictures.addEventListener("dblclick", (event) => {
    for (const image of pictures.querySelectorAll("img")) {
      const [x, y] = locate(image.getBoundingClientRect(), event); // the event's target is what captured the pointer
      if (x >= 0 && x <= 1 && y >= 0 && y <= 1) return zoomBy(model, event.shiftKey ? 0.5 : 2, x, y);
    }
  });
  pictures.addEventListener("pointerdown", (event) => {
    const image = event.target;
    if (event.button || image.tagName !== "IMG") return;
    const box = image.getBoundingClientRect(); // the image itself is replaced while it is dragged
    const wipes = image.closest(".wipe");
    let before = locate(box, event);
    const drag = (moved) => {
      const at = locate(box, moved);
      if (wipes) {
        model.set("place", clamp(at[0], 0, 1));
        model.save_changes();
      } else moveBy(model, before[0] - at[0], before[1] - at[1]);
      before = at;
    };
    pictures.setPointerCapture(event.pointerId);
    pictures.addEventListener("pointermove", drag);
    pictures.addEventListener("lostpointercapture", () => pictures.removeEventListener("pointermove", drag), {
      once: true,
    });
  });
}

function render({ model, el }) {
  el.classList.add("sid-stage");
  const upload = addUpload(model, el);
  const sliders = add(el, "div", { className: "sid-sliders" });
  const wipe = SLIDERS.map((slider) => addSlider(model, sliders, slider)).at(-1);
  const help = "Double click or + zooms in, Shift + double click or − out; drag or use the arrow keys to move.";
  add(el, "p", { className: "sid-help", textContent: help });
  const status = add(el, "p", { role: "status" });
  const pictures = add(el, "div", { className: "sid-pictures", tabIndex: 0, role: "group", ariaLabel: "Pictures" });
  pictures.setAttribute("aria-description", help);
  listen(model, pictures);

  const show = () => {
    pictures.innerHTML = model.get("html");
  };
  const tell = () => {
    status.textContent = model.get("status");
    el.setAttribute("aria-busy", model.get("busy"));
    wipe.hidden = !model.get("wiping");
    upload.hidden = !model.get("uploading");
  };
  // Pixels are crisp where they are enlarged. Reduced so, a picture would lose some of them.
  const sharpen = () => {
    for (const image of pictures.querySelectorAll("img")) {
      const reduced = image.naturalWidth > image.clientWidth * devicePixelRatio;
      image.style.imageRendering = reduced ? "auto" : "pixelated";
    }
  };
  pictures.addEventListener("load", sharpen, true);
  new ResizeObserver(sharpen).observe(pictures);
  model.on("change:html", show);
  model.on("change:status change:busy change:wiping change:uploading", tell);
  show();
  tell();
}

export default { render };
