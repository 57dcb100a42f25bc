// The stage of the human check: sliders that a screen reader can name, and pictures that can be dragged.
// All pictures come as HTML from Python, which is told zoom, place and brightness and answers with new HTML.

const SLIDERS = [
  // trait, name, lowest, highest, step, the value as text
  ["zoom", "Zoom", 1, 16, 1, (value) => `${value} ×`],
  ["across", "Across", 0, 1, 0.01, (value) => `${Math.round(100 * value)} %`],
  ["down", "Down", 0, 1, 0.01, (value) => `${Math.round(100 * value)} %`],
  ["stops", "Brightness (display only)", -4, 4, 0.5, (value) => `${value > 0 ? "+" : ""}${value} stops`],
  ["place", "Wipe", 0, 1, 0.01, (value) => `${Math.round(100 * value)} %`],
];
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function addSlider(model, parent, [trait, name, min, max, step, describe]) {
  const label = parent.appendChild(document.createElement("label"));
  label.append(name);
  const slider = label.appendChild(document.createElement("input"));
  Object.assign(slider, { type: "range", min, max, step, ariaLabel: name });
  const value = label.appendChild(document.createElement("output"));
  const show = () => {
    slider.value = model.get(trait);
    value.textContent = describe(model.get(trait));
    slider.setAttribute("aria-valuetext", value.textContent);
  };
  slider.addEventListener("input", () => {
    model.set(trait, Number(slider.value));
    model.save_changes();
  });
  model.on(`change:${trait}`, show);
  show();
  return label;
}

function render({ model, el }) {
  el.classList.add("sid-stage");
  const sliders = el.appendChild(document.createElement("div"));
  sliders.className = "sid-sliders";
  const wipe = SLIDERS.map((slider) => addSlider(model, sliders, slider)).at(-1);
  const status = el.appendChild(document.createElement("p"));
  status.setAttribute("role", "status");
  const pictures = el.appendChild(document.createElement("div"));
  pictures.className = "sid-pictures";
  pictures.tabIndex = 0;
  pictures.setAttribute("role", "group");
  pictures.setAttribute("aria-label", "Pictures: arrow keys move them, plus and minus zoom");

  const show = () => {
    pictures.innerHTML = model.get("html");
    status.textContent = model.get("status");
    el.setAttribute("aria-busy", model.get("busy"));
    wipe.hidden = !model.get("wiping");
  };
  for (const trait of ["html", "status", "busy", "wiping"]) model.on(`change:${trait}`, show);
  show();

  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const zoomBy = (factor) => {
    model.set("zoom", clamp(Math.round(model.get("zoom") * factor), 1, 16));
    model.save_changes();
  };
  // The part that is hidden, in widths of the part that is shown, is zoom − 1.
  const moveBy = (across, down) => {
    const hidden = model.get("zoom") - 1;
    if (!hidden) return;
    model.set("across", clamp(model.get("across") + across / hidden, 0, 1));
    model.set("down", clamp(model.get("down") + down / hidden, 0, 1));
    model.save_changes();
  };
  pictures.addEventListener("keydown", (event) => {
    if (event.key in KEYS) moveBy(...KEYS[event.key].map((step) => step / 4));
    else if (event.key === "+" || event.key === "=") zoomBy(2);
    else if (event.key === "-") zoomBy(0.5);
    else return;
    event.preventDefault();
    event.stopPropagation(); // the notebook has shortcuts of its own
  });
  pictures.addEventListener("pointerdown", (event) => {
    if (event.button || event.target.tagName !== "IMG") return;
    const { width, height } = event.target.getBoundingClientRect();
    let [x, y] = [event.clientX, event.clientY];
    const drag = (moved) => {
      moveBy((x - moved.clientX) / width, (y - moved.clientY) / height);
      [x, y] = [moved.clientX, moved.clientY];
    };
    pictures.setPointerCapture(event.pointerId);
    pictures.addEventListener("pointermove", drag);
    pictures.addEventListener("lostpointercapture", () => pictures.removeEventListener("pointermove", drag), {
      once: true,
    });
  });
  pictures.addEventListener("dblclick", (event) => zoomBy(event.shiftKey ? 0.5 : 2));
}

export default { render };
