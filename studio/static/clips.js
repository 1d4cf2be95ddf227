// Clips and model: what --verify measures as a table and as a plot, best first; a clip is added by upload.

const COLUMNS = [
  ["name", "clip"], ["kind", "for"], ["score", "score"], ["frames", "frames"], ["found_pct", "face %"], ["confidence", "sure"],
  ["jitter_pct", "jitter %"], ["turn_deg", "turn"], ["loop_pct", "loop %"], ["light", "light"], ["training", "training"],
];
const DIGITS = { score: 0, frames: 0, found_pct: 1, confidence: 2, jitter_pct: 2, turn_deg: 0, loop_pct: 1, light: 0, training: 0 };

// changed(): a clip was added; choose(name): use it as the base; say(message): what went wrong.
export function clipsView(root, { changed, choose, say }) {
  root.innerHTML = `
    <header><h3>Clips</h3><p class="sl-dim sl-card"></p></header>
    <div class="sl-clip-table"><table></table><ul></ul></div>
    <figure><img alt="pose, light, confidence and jitter of each clip over time"></figure>
    <form><label>Add a clip <input type="file" accept="video/*" required></label>
      <label>Name <input type="text" name="name" maxlength="80" required placeholder="e.g. standing talk"></label>
      <button type="submit">Add</button><output></output></form>`;
  const one = (selector) => root.querySelector(selector);
  // What tests read.
  let named = ""; // the name that was filled in from a file
  const state = { rows: [], model: "", busy: false, message: "" };

  async function ask(address) {
    const answer = await fetch(address);
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error || "the studio refused this request");
    return told;
  }

  async function open(model) {
    if (state.model !== model) Object.assign(state, { model, rows: [] });
    one(".sl-card").textContent = "Measuring the clips";
    try {
      const [rows, card] = await Promise.all([ask(`/studio/clips?model=${encodeURIComponent(model)}`), ask(`/studio/model?model=${encodeURIComponent(model)}`)]);
      if (model !== state.model) return;
      state.rows = rows;
      one(".sl-card").textContent = card.lines.join("   ");
      one(".sl-card").title = card.more.join("\n");
      one("figure img").src = `/studio/clips/plot?model=${encodeURIComponent(model)}&${rows.length}`;
      draw();
    } catch (error) {
      one(".sl-card").textContent = error.message;
      say(error.message);
    }
  }

  function draw() {
    const table = one("table");
    const head = document.createElement("tr");
    for (const [, title] of COLUMNS) head.append(Object.assign(document.createElement("th"), { textContent: title }));
    table.replaceChildren(head, ...state.rows.map(line));
    one("ul").replaceChildren(...state.rows.flatMap((row) => [...row.reasons, ...row.notes].map((words) => {
      const item = document.createElement("li");
      item.append(Object.assign(document.createElement("b"), { textContent: `${row.name}: ` }), words);
      return item;
    })));
  }

  function line(row) {
    const tr = document.createElement("tr");
    tr.className = row.passed ? "" : "sl-unfit";
    for (const [key] of COLUMNS) {
      const cell = document.createElement("td");
      const value = row[key];
      cell.textContent = typeof value === "number" ? value.toFixed(DIGITS[key]) : value ?? "–";
      tr.append(cell);
    }
    const use = Object.assign(document.createElement("button"), { type: "button", textContent: "Use", title: "use this clip as the base" });
    use.disabled = !row.passed && row.frames === null;
    use.addEventListener("click", () => choose(row.name));
    tr.append(document.createElement("td"));
    tr.lastChild.append(use);
    return tr;
  }

  async function add(event) {
    event.preventDefault();
    const file = one("input[type=file]").files[0];
    const name = one("input[name=name]").value.trim();
    if (!file || !name || state.busy) return;
    state.busy = true;
    told(`Sending ${file.name}`);
    try {
      const address = `/studio/clips?model=${encodeURIComponent(state.model)}&name=${encodeURIComponent(name)}`;
      const answer = await fetch(address, { method: "POST", body: file });
      if (!answer.ok) throw new Error((await answer.json()).error || "the studio refused this clip");
      const clip = await lines(answer.body.getReader());
      told(`${clip} is ready`);
      one("form").reset();
      await open(state.model);
      changed();
    } catch (error) {
      told(error.message);
    } finally {
      state.busy = false;
    }
  }

  // One line of JSON per state; the name of the finished clip.
  async function lines(reader) {
    const decoder = new TextDecoder();
    let left = "";
    let clip = "";
    for (;;) {
      const { value, done } = await reader.read();
      left += decoder.decode(value, { stream: !done });
      const whole = left.split("\n");
      left = whole.pop();
      for (const text of whole.filter(Boolean)) {
        const step = JSON.parse(text);
        if (step.error) throw new Error(step.error);
        if (step.clip) clip = step.clip;
        else if (step.frames) told(`Finding the face: ${step.done} of ${step.frames} frames`);
      }
      if (done) return clip;
    }
  }

  function told(message) {
    state.message = message;
    one("output").textContent = message;
  }

  one("input[type=file]").addEventListener("change", () => {
    const file = one("input[type=file]").files[0];
    const name = one("input[name=name]");
    if (file && (!name.value || name.value === named)) name.value = named = file.name.replace(/\.[^.]*$/, "").slice(0, 80);
  });
  one("form").addEventListener("submit", add);
  return { open, state };
}
