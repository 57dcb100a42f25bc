// A file to upload, that is sent in pieces.

const PIECE = 4 * 2 ** 20; // bytes: servers refuse messages of more than 10 MB, and RAW files are larger

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

function render({ model, el }) {
  const label = el.appendChild(document.createElement("label"));
  label.textContent = "or upload a RAW file ";
  const input = label.appendChild(Object.assign(document.createElement("input"), { type: "file" }));
  const status = el.appendChild(Object.assign(document.createElement("span"), { role: "status" }));
  input.onchange = async () => {
    const [file] = input.files;
    if (!file) return;
    input.value = status.textContent = ""; // so that the same file can be chosen again
    await send(model, file).catch((error) => {
      // It cannot be read, or the kernel is gone; then only this page can say so.
      status.textContent = `${file.name}: the upload stopped (${error.message})`;
    });
  };
}

export default { render };
