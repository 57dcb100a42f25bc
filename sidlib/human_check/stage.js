// The viewer of the human check. It is given pictures once, and alone zooms, moves, wipes, brightens and compares them.
// Its model is anywidget's, or the one of a saved page: anything that has get, set, save_changes, send and on.

const WINDOW_PX = 11; // of SSIM: the visible part is never smaller, so that it can be scored
const MAX_ERROR = 100; // of 255: the upper end of every error map's scale
const REST_MS = 150; // after which a hand rests
const SILENT_MS = 4000; // after which an answer is missed
const KEYS = { ArrowLeft: [-0.25, 0], ArrowRight: [0.25, 0], ArrowUp: [0, -0.25], ArrowDown: [0, 0.25] };
const HELP = `Drag to move. Double click, pinch or the wheel zoom where the pointer is (the wheel once a picture was
  clicked, or with Ctrl), Shift + double click zooms out. Keys: + and − zoom, arrows move, 0 shows whole pictures, 1 a
  pixel as a pixel. Brightness and error maps change no score, and of files only a photograph restored at full size.`;
const SILENT = "No answer. What is here stays usable; new pictures need the kernel: is it running?";

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const decode = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
const encode = (light) => (light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055);
const add = (parent, tag, of = {}) => parent.appendChild(Object.assign(document.createElement(tag), of));
const makeCanvas = (width, height) => Object.assign(document.createElement("canvas"), { width, height });

// A picture with its samples, 0…white, `step` of them a pixel: those of a PNG, or bytes of 8 or 16 bits as they came,
// alone or as another model's: a part (left, top, width, height: fractions) of one of a size, brightened by stops.
async function load(given, model) {
  const { width, height, pixels, url } = given;
  const picture = { size: [width, height], part: [0, 0, 1, 1], stops: 0, ...given };
  if (url) {
    const image = Object.assign(new Image(), { src: url });
    await image.decode();
    const context = makeCanvas(width, height).getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    return { ...picture, samples: context.getImageData(0, 0, width, height).data, step: 4, white: 255 };
  }
  const isHere = typeof pixels !== "string"; // else it is "IPY_MODEL_" and an id
  const data = isHere ? pixels : (await model.widget_manager.get_model(pixels.slice(10))).get("data");
  const bytes = data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
  const is8Bit = bytes.byteLength === 3 * width * height;
  const samples = is8Bit ? new Uint8Array(bytes) : new Uint16Array(bytes);
  return { ...picture, samples, step: 3, white: is8Bit ? 255 : 65535 };
}

// The level 0…255 that shows each sample 0…white, with its light multiplied by 2 ** stops and cut at white.
function makeTable(white, stops) {
  const table = new Uint8ClampedArray(white + 1); // which rounds
  for (let of = 0; of <= white; of++) table[of] = 255 * encode(Math.min(1, decode(of / white) * 2 ** stops));
  return table;
}

// Paint a picture on a canvas: brightened or, given the truth, its mean error, 0…MAX_ERROR in the colours of `ramp`.
function paint({ samples, step, white, width, height }, table, truth, ramp) {
  const image = new ImageData(width, height);
  const out = new Uint32Array(image.data.buffer); // a pixel is ABGR
  const far = (at, of) => Math.abs(samples[at] / white - truth.samples[of] / truth.white);
  for (let pixel = 0, at = 0, of = 0; pixel < out.length; pixel++, at += step) {
    if (truth) {
      const error = (85 * (far(at, of) + far(at + 1, of + 1) + far(at + 2, of + 2))) / MAX_ERROR;
      out[pixel] = ramp[Math.min(255, Math.floor(256 * error))];
      of += truth.step;
    } else {
      out[pixel] = 0xff000000 | (table[samples[at + 2]] << 16) | (table[samples[at + 1]] << 8) | table[samples[at]];
    }
  }
  const canvas = makeCanvas(width, height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

// Draw the visible part of a painted picture on a canvas, right of `edge`: pixels crisp where they are enlarged,
// averaged where they are reduced, from the halves of the picture that are kept in `levels`, each made when needed.
function draw(canvas, { levels, size, part: [left, top, wide, high] }, { zoom, across, down }, edge) {
  const scale = (canvas.width * zoom * wide) / levels[0].width;
  const wanted = clamp(Math.floor(-Math.log2(scale)), 0, 10);
  while (levels.length <= wanted) {
    const { width, height } = levels.at(-1);
    const half = makeCanvas(Math.ceil(width / 2), Math.ceil(height / 2));
    half.getContext("2d").drawImage(levels.at(-1), 0, 0, half.width, half.height);
    levels.push(half);
  }
  const [from, pen] = [levels[wanted], canvas.getContext("2d")];
  const [wholeWidth, wholeHeight] = [from.width / wide, from.height / high];
  const [width, height, rest] = [wholeWidth / zoom, wholeHeight / zoom, 1 - edge / canvas.width];
  const x = across * (wholeWidth - width) - left * wholeWidth;
  const y = down * (wholeHeight - height) - top * wholeHeight;
  const isSmooth = scale < 0.999 || size[0] * wide > levels[0].width + 1; // its pixels are not the picture's
  Object.assign(pen, { imageSmoothingEnabled: isSmooth, imageSmoothingQuality: "medium" });
  pen.drawImage(from, x + width * (1 - rest), y, width * rest, height, edge, 0, canvas.width - edge, canvas.height);
}

// Add a list to choose from; return how to fill it: [[value, text], …], and the value.
function addSelect(parent, name, choose) {
  const label = add(parent, "label", { textContent: name });
  const select = add(label, "select", { ariaLabel: name, onchange: () => choose(select.value) });
  return (options, value) => {
    select.replaceChildren(...options.map(([of, text]) => new Option(text, of, false, of === value)));
    label.hidden = !options.length;
  };
}

// Add a slider; return how to move it.
function addSlider(parent, name, min, max, step, describe, choose) {
  const label = add(parent, "label", { textContent: name });
  const slider = add(label, "input", { type: "range", min, max, step, ariaLabel: name });
  const output = add(label, "output");
  slider.oninput = () => choose(Number(slider.value));
  return (value) => {
    slider.value = value;
    slider.ariaValueText = output.textContent = describe(value);
  };
}

class Stage {
  constructor(model, el) {
    const [zoom, across, down, stops] = ["zoom", "across", "down", "stops"].map((name) => model.get(name));
    this.view = { zoom, across, down, stops, errors: false, left: "", right: "", place: 0.5 };
    Object.assign(this, { model, el, pictures: [], details: [], figures: [], notice: "" });
    this.ramp = Uint32Array.from(model.get("colours").match(/.{6}/g), (bgr) => parseInt(`ff${bgr}`, 16));
    el.classList.add("sid-stage");
    el.dataset.lmSuppressShortcuts = true; // the notebook has shortcuts of its own
    this.build();
    this.listen(this.grid);
    this.follow(this.grid);
    model.on("change:shown change:scored", () => this.arrange());
    model.on("change:pictures change:status change:busy", () => this.say("", clearTimeout(this.waiting)));
    model.on("change:mode change:choices change:choice", () => this.tell());
    model.on("change:visible", () => this.redraw());
    this.tell();
    for (const name of ["pictures", "details"]) {
      model.on(`change:${name}`, () => this.take(name));
      this.take(name);
    }
  }

  build() {
    const bar = add(this.el, "div", { className: "sid-bar", role: "toolbar", ariaLabel: "Viewer" });
    this.fillModes = addSelect(bar, "Mode", (mode) => this.ask("mode", mode));
    this.fillChoices = addSelect(bar, "Picture", (choice) => this.ask("choice", Number(choice)));
    const zoom = add(bar, "span");
    add(zoom, "button", { textContent: "−", ariaLabel: "Zoom out", onclick: () => this.zoomBy(0.5) });
    this.zoom = add(zoom, "output", { ariaLabel: "Zoom" });
    add(zoom, "button", { textContent: "+", ariaLabel: "Zoom in", onclick: () => this.zoomBy(2) });
    add(bar, "button", { textContent: "1:1", ariaLabel: "A pixel as a pixel", onclick: () => this.press("1") });
    this.errors = add(bar, "button", { textContent: "Error map" });
    this.errors.onclick = () => this.redraw({ errors: !this.view.errors }, true);
    this.wipe = this.addSection(bar, "Wipe", () => this.arrange());
    this.fillLeft = addSelect(this.wipe, "Left", (left) => this.arrange({ left }));
    this.fillRight = addSelect(this.wipe, "Right", (right) => this.arrange({ right }));
    const percent = (value) => `${Math.round(100 * value)} %`;
    this.showPlace = addSlider(this.wipe, "Edge", 0, 1, 0.01, percent, (place) => this.redraw({ place }));
    const describe = (value) => `${value > 0 ? "+" : ""}${value} stops of light`;
    const light = this.addSection(bar, "Brightness");
    this.showStops = addSlider(light, "Brightness", -4, 8, 0.5, describe, (stops) => this.redraw({ stops }, true));
    this.boxes = Object.assign(this.addSection(bar, "Pictures"), { role: "group", ariaLabel: "Pictures to show" });
    this.chooser = bar.lastChild;
    this.addSection(bar, "Help").textContent = HELP;
    this.status = add(this.el, "p", { role: "status" });
    this.legend = add(this.el, "p", { className: "sid-legend", textContent: "Error, mean over the colours: 0" });
    const scale = add(this.legend, "canvas", { width: 256, height: 1, role: "img", ariaLabel: "from black to light" });
    scale.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(this.ramp.buffer), 256), 0, 0);
    this.legend.append(`${MAX_ERROR} of 255 and more`);
    this.grid = add(this.el, "div", { className: "sid-pictures", tabIndex: 0, role: "group", ariaLabel: "Pictures" });
    this.grid.ariaDescription = HELP;
    this.observer = new ResizeObserver(() => this.redraw());
    this.observer.observe(this.grid);
  }

  addSection(bar, name, act = () => {}) {
    const section = add(this.el, "div", { className: "sid-section", hidden: true });
    const button = add(bar, "button", { textContent: name, ariaExpanded: false });
    button.onclick = () => {
      section.hidden = !section.hidden;
      button.ariaExpanded = !section.hidden;
      act();
    };
    return section;
  }

  // Ask the kernel for what it alone knows; if it does not answer, say so.
  ask(name, value) {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.say(SILENT), SILENT_MS);
    this.model.set(name, value);
    this.model.save_changes();
  }

  say(notice = this.notice) {
    this.notice = notice;
    const stops = this.view.stops && this.model.get("scored") && "brightened for display, scores are not";
    const text = [this.model.get("status"), stops, notice].filter(Boolean).join(" · ");
    if (this.status.textContent !== text) this.status.textContent = text; // what stays is not read aloud again
    this.el.ariaBusy = this.model.get("busy");
  }

  tell() {
    this.fillModes(this.model.get("modes").map((name) => [name, name]), this.model.get("mode"));
    this.fillChoices([...this.model.get("choices").entries()], this.model.get("choice"));
  }

  async take(name) {
    const given = this.model.get(name);
    const loaded = await Promise.all(given.map((picture) => load(picture, this.model)));
    if (given !== this.model.get(name)) return; // newer ones have come
    this[name] = loaded;
    name === "pictures" ? this.arrange() : this.redraw({}, true);
  }

  // Build a figure for each picture that is shown, and first the wipe's.
  arrange(change) {
    const view = Object.assign(this.view, change);
    const shown = this.model.get("shown");
    const pictures = this.pictures.filter(({ name }) => !name || shown.includes(name)); // in a blind vote none has one
    const titles = pictures.map(({ title }) => title);
    if (!titles.includes(view.left)) view.left = titles.at(-2) ?? "";
    if (!titles.includes(view.right)) view.right = titles.at(-1) ?? "";
    const options = titles.map((title) => [title, title]);
    this.fillLeft(options, view.left);
    this.fillRight(options, view.right);
    this.fillBoxes(shown);
    this.grid.replaceChildren();
    this.figures = [];
    if (!this.wipe.hidden && titles.length > 1) {
      const both = [view.left, view.right].map((title) => pictures[titles.indexOf(title)]);
      this.figures.push(this.addFigure(both, { title: "wipe", caption: `${view.left} | ${view.right}` }));
    }
    this.figures.push(...pictures.map((picture) => this.addFigure([picture], picture)));
    this.redraw({}, true);
  }

  fillBoxes(shown) {
    const focused = this.boxes.querySelector(":focus")?.value;
    this.boxes.replaceChildren();
    this.chooser.textContent = `${shown.length} of ${this.model.get("offered").length} shown`;
    for (const name of this.model.get("offered")) {
      const label = add(this.boxes, "label");
      const box = add(label, "input", { type: "checkbox", value: name, checked: shown.includes(name) });
      label.append(name);
      if (name === focused) box.focus();
      box.onchange = () => {
        this.ask("shown", [...this.boxes.querySelectorAll(":checked")].map(({ value }) => value));
        if (!box.checked || this.pictures.some((of) => of.name === name)) clearTimeout(this.waiting); // it is here
      };
    }
  }

  addFigure(sources, { title, caption }) {
    const element = add(this.grid, "figure");
    const canvas = add(element, "canvas", { role: "img" });
    if (sources.some((of) => of.size[0] > of.width)) element.className = "sid-large";
    element.style.setProperty("--shape", sources[0].size[0] / sources[0].size[1]);
    return { canvas, text: add(element, "figcaption"), sources, title, caption };
  }

  // Show another part of the pictures, or paint them anew, and tell the kernel which part once the hand rests.
  redraw(change, paints) {
    Object.assign(this.view, change);
    this.stale ||= paints;
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      for (const name of ["zoom", "across", "down", "stops"]) this.model.set(name, this.view[name]);
      this.model.save_changes();
    }, REST_MS);
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (this.stale) this.paint();
      this.figures.forEach((figure) => this.drawFigure(figure));
      this.grid.style.touchAction = this.view.zoom > 1 ? "none" : "pan-y"; // a finger moves the page, or the pictures
      this.zoom.textContent = `${+this.view.zoom.toFixed(1)} ×`;
      this.showPlace(this.view.place);
    });
  }

  paint() {
    const { errors, stops } = this.view;
    const scored = this.model.get("scored");
    const truth = errors && scored && this.pictures.find(({ name }) => name === "truth");
    const tables = {};
    for (const source of new Set([...this.figures.flatMap(({ sources }) => sources), ...this.details])) {
      const table = (tables[[source.white, source.stops]] ??= makeTable(source.white, stops - source.stops));
      source.levels = [paint(source, table, source !== truth && truth, this.ramp)];
    }
    Object.assign(this.errors, { ariaPressed: errors, disabled: !scored });
    this.legend.hidden = !truth;
    this.showStops(stops);
    this.say();
    this.stale = false;
  }

  drawFigure({ canvas, sources, text, title, caption }) {
    const [width, height] = ["clientWidth", "clientHeight"].map((side) => Math.round(canvas[side] * devicePixelRatio));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const [pen, edge] = [canvas.getContext("2d"), sources[1] ? Math.round(this.view.place * width) : 0];
    pen.globalCompositeOperation = "source-over";
    for (const source of sources)
      for (const layer of [source, ...this.details.filter((of) => of.title === source.title)])
        draw(canvas, layer, this.view, source === sources[0] ? 0 : edge);
    Object.assign(pen, { globalCompositeOperation: "difference", fillStyle: "white" }); // seen on any picture
    if (edge) pen.fillRect(edge - 1, 0, 2, height);
    const { scores = {}, ...part } = this.model.get("visible");
    const isHere = Object.keys(part).every((name) => part[name] === this.view[name]);
    const lines = [caption, isHere && scores[title] && `visible: ${scores[title]}`].filter(Boolean);
    const words = [title, ...lines].join("\n");
    if (canvas.ariaLabel === words) return;
    canvas.ariaLabel = words;
    text.replaceChildren();
    add(text, "b", { textContent: title });
    const keep = (line) => line.replace(/(?<!·) (?!·)/g, "\u00a0"); // a score is not broken from its value
    for (const line of lines) add(text, "span", { textContent: keep(line) });
  }

  // Zoom by a factor, leaving what lies at the fractions x and y of the visible part where it is.
  zoomBy(factor, x = 0.5, y = 0.5) {
    const [width, height] = this.pictures.at(-1)?.size ?? [1, 1]; // of the largest, should they differ
    const old = this.view.zoom;
    const zoom = clamp(old * factor, 1, Math.max(1, Math.min(width, height) / WINDOW_PX));
    const keep = (part, at) => clamp((part * (1 - 1 / old) + at / old - at / zoom) / (1 - 1 / zoom), 0, 1);
    if (zoom > 1) Object.assign(this.view, { across: keep(this.view.across, x), down: keep(this.view.down, y) });
    this.redraw({ zoom });
  }

  // Move by fractions of the visible part; what is hidden is zoom − 1 times as large.
  moveBy(x, y) {
    const { zoom, across, down } = this.view;
    if (zoom === 1) return;
    this.redraw({ across: clamp(across + x / (zoom - 1), 0, 1), down: clamp(down + y / (zoom - 1), 0, 1) });
  }

  press(key) {
    const figure = this.figures.at(-1);
    if (key in KEYS) this.moveBy(...KEYS[key]);
    else if (key === "1" && figure) this.zoomBy(figure.sources[0].size[0] / figure.canvas.width / this.view.zoom);
    else if ("+=-0".includes(key)) this.zoomBy({ "-": 0.5, 0: 0 }[key] ?? 2);
    else return false;
    return true;
  }

  // The figure under the pointer, where in it, as fractions, and how to find the fractions of other places.
  find({ clientX, clientY }) {
    for (const figure of this.figures) {
      const { left, top, width, height } = figure.canvas.getBoundingClientRect();
      const locate = (x, y) => [(x - left) / width, (y - top) / height];
      const [x, y] = locate(clientX, clientY);
      if (x >= 0 && x <= 1 && y >= 0 && y <= 1) return { figure, locate, x, y };
    }
  }

  listen(grid) {
    grid.onkeydown = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.press(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
    };
    grid.ondblclick = (event) => {
      const at = this.find(event);
      if (at) this.zoomBy(event.shiftKey ? 0.5 : 2, at.x, at.y);
    };
    const turn = (event) => {
      const at = this.find(event);
      const scrolls = !grid.matches(":focus") || (this.view.zoom === 1 && event.deltaY > 0);
      if (!at || (scrolls && !event.ctrlKey)) return;
      event.preventDefault();
      const speed = event.deltaMode ? 0.1 : event.ctrlKey ? 0.02 : 0.003; // lines, a pinch on a touchpad, pixels
      this.zoomBy(2 ** clamp(-event.deltaY * speed, -0.5, 0.5), at.x, at.y);
    };
    grid.addEventListener("wheel", turn, { passive: false });
  }

  // One pointer moves the pictures, or a wipe's edge; two zoom them, too.
  follow(grid) {
    const pointers = new Map();
    let start, before;
    const gather = () => {
      const [[x, y], [u, v] = [x, y]] = pointers.values();
      return [...start.locate((x + u) / 2, (y + v) / 2), Math.hypot(x - u, y - v)];
    };
    grid.onpointerdown = (event) => {
      const at = this.find(event);
      if (!at || event.button) return;
      if (!pointers.size) start = at;
      const isNear = this.view.zoom === 1 || Math.abs(start.x - this.view.place) < 0.08; // whole pictures do not move
      start.wipes = start.figure.sources[1] && isNear;
      grid.focus({ preventScroll: true });
      grid.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      before = gather();
    };
    grid.onpointermove = (event) => {
      if (!pointers.has(event.pointerId)) return;
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      const [x, y, spread] = gather();
      if (start.wipes) this.redraw({ place: clamp(x, 0, 1) });
      else this.moveBy(before[0] - x, before[1] - y);
      if (spread && before[2]) this.zoomBy(spread / before[2], x, y);
      before = [x, y, spread];
    };
    grid.onlostpointercapture = (event) => {
      pointers.delete(event.pointerId);
      if (pointers.size) before = gather();
    };
  }
}

function render({ model, el }) {
  const stage = new Stage(model, el);
  return () => stage.observer.disconnect();
}

export default { render };
