// A video that Seamline rendered, dropped on the page or chosen: its recipe comes back. Only its head is sent.

const MOST_BOXES = 4096;
const HEAD_BYTES = 4096;
const MOST_BYTES = 16 << 20; // of a head; an hour's has 3 MB
const PLACES = "#sl-audio, input[type=file]"; // what takes files itself

// The parts of an mp4 that say what it is: ftyp and moov. Of anything else its beginning, for the studio to refuse.
export async function headOf(file) {
  const parts = [];
  let start = 0;
  for (let count = 0; count < MOST_BOXES && start + 8 <= file.size; count += 1) {
    const view = new DataView(await file.slice(start, start + 16).arrayBuffer());
    const name = String.fromCharCode(...[4, 5, 6, 7].map((k) => view.getUint8(k)));
    if (!start && name !== "ftyp") break;
    let size = view.getUint32(0);
    if (size === 1 && view.byteLength === 16) size = Number(view.getBigUint64(8));
    if (size === 0) size = file.size - start; // to the file's end
    if (size < 8 || start + size > file.size || (name === "moov" && size > MOST_BYTES)) break;
    if (name === "ftyp" || name === "moov") parts.push(file.slice(start, start + size));
    if (name === "moov") return new Blob(parts);
    start += size;
  }
  return file.slice(0, HEAD_BYTES);
}

// token(): of what is open; use(told): puts back what the studio found in the recipe, see studio/recipes.py.
export function recipeDrop(stage, button, { token, use }) {
  const state = { message: "", busy: false, over: false };
  const mark = Object.assign(document.createElement("div"), { className: "sl-drop-mark", textContent: "Drop a video that Seamline rendered: its settings come back" });
  const card = Object.assign(document.createElement("div"), { className: "sl-drop-card", hidden: true });
  card.innerHTML = '<div role="status"></div><button type="button">Close</button>';
  const input = Object.assign(document.createElement("input"), { type: "file", accept: "video/mp4,.mp4", hidden: true });
  stage.append(mark, card);
  button.after(input);

  // The first line in front; the rest are what is missing.
  function tell(lines, failed = false) {
    state.message = lines.join("\n");
    card.classList.toggle("sl-drop-failed", failed);
    card.firstChild.replaceChildren(...lines.map((text) => Object.assign(document.createElement("p"), { textContent: text })));
    card.hidden = false;
  }

  async function take(files) {
    if (files.length !== 1) {
      tell([`Expected one video that Seamline rendered; got ${files.length || "no"} files. Drop one at a time.`], true);
      return;
    }
    if (state.busy) return;
    state.busy = true;
    const [file] = files;
    tell([`Reading ${file.name}`]);
    try {
      const told = await ask(file);
      use(told);
      tell([`Restored from ${file.name}: ${told.what.join(", ")}.`, ...told.missing.map((text) => `${text[0].toUpperCase()}${text.slice(1)}.`)]);
    } catch (error) {
      tell([error.message], true);
    } finally {
      state.busy = false;
    }
  }

  async function ask(file) {
    const head = await headOf(file).then((blob) => blob.arrayBuffer()).catch(() => {
      throw new Error(`Expected a video that Seamline rendered; ${file.name} cannot be read. Is it a folder?`);
    });
    const query = new URLSearchParams({ name: file.name.slice(0, 255), token: token() });
    const answer = await fetch(`/studio/recipe?${query}`, { method: "POST", body: head }).catch(() => {
      throw new Error("The studio cannot be reached; is it still running?");
    });
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(sentence(told.error || `the studio answered with status ${answer.status}; reload the page`));
    return told;
  }

  const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files") && !event.target.closest?.(PLACES);
  const over = (on) => {
    state.over = on;
    stage.classList.toggle("sl-drop-over", on);
  };

  // Anywhere: a file let go beside the viewer would take the page's place.
  for (const name of ["dragenter", "dragover"]) {
    window.addEventListener(name, (event) => {
      over(Boolean(hasFiles(event)));
      if (!hasFiles(event)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
    });
  }
  window.addEventListener("dragleave", (event) => { if (!event.relatedTarget) over(false); });
  window.addEventListener("drop", (event) => {
    over(false);
    if (!hasFiles(event)) return;
    event.preventDefault();
    take([...event.dataTransfer.files]);
  });
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = ""; // the same one can be chosen again
    take(files);
  });
  card.lastChild.addEventListener("click", () => { card.hidden = true; });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") card.hidden = true; });
  return { take, state };
}
