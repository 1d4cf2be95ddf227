// Clips and models: what --verify measures as a table, as plots and in words, best first; the model's card. Clips are
// added, renamed and removed here, and videos of one's own.

import { clipAdding } from "./clip_adding.js";
import { drawPlots } from "./clip_plots.js";

// key, title, unit, digits, what it says.
const COLUMNS = [
  ["rank", "#", "", 0, "Place by score: 1 suits best."],
  ["name", "clip", "", 0, "Name of the clip: talk in it is for speech, silence for pauses."],
  ["score", "score", "of 100", 0, "100 less what is lost on pose, light, quality of the landmarks, loop and training light."],
  ["frames", "length", "frames", 0, "Length at 25 frames a second."],
  ["found_pct", "face", "% found", 1, "Frames in which a face was found. Below 99 a clip is unfit."],
  ["confidence", "sure", "0 to 1", 2, "How sure the detector is of the face, 0 to 1. Below 0.6 a clip is unfit."],
  ["jitter_pct", "jitter", "% of face", 2, "How much the landmarks tremble, in % of the face. Above 1 a clip is unfit."],
  ["turn_deg", "turn", "degrees", 0, "How far the head is turned away from the lead clip's pose, in degrees. Above 5 a cut shows."],
  ["loop_pct", "loop", "% of face", 1, "How far the last frame is from the first, in % of the face. Up to 2 the clip loops."],
  ["light", "light", "CIELAB", 0, "How far its light is from the lead clip's, in CIELAB units. Above 10 it is left out of core clips."],
  ["training", "train", "CIELAB", 0, "How far the light on the face is from the training footage, in CIELAB units. Above 10: look closely."],
  ["parsing", "masks", "", 0, "Parsing masks of the data set, which keep clothes and background: found, none, or left aside since they do not fit."],
];
const PANES = [["table", "Table"], ["plots", "Plots"], ["card", "Model"]];

// base(): what is shown now; changed(): bases were added or are gone; choose(base, { stay }): use it, and stay in this view; say(message): what went wrong.
// base(): the page's; changing(on): a clip may go, and what shows it with it; changed(): the clips are others.
export function clipsView(root, { base, changing: hold, changed, choose, say }) {
  root.innerHTML = `
    <header><div class="sl-tabs" role="tablist">${PANES.map(([pane, title]) => `<button type="button" role="tab" data-pane="${pane}">${title}</button>`).join("")}</div><p class="sl-dim"></p></header>
    <div class="sl-pane" data-pane="table" tabindex="0"><table></table><ul></ul></div>
    <div class="sl-pane" data-pane="plots" tabindex="0"></div>
    <div class="sl-pane" data-pane="card" tabindex="0"></div>
    <form class="sl-adding"></form>
    <dialog class="sl-change"><form method="dialog"><h2></h2><label>Name <input name="name" maxlength="60" autocomplete="off"></label>
      <p role="status"></p><div><button type="button" data-do="rename">Rename</button>
      <button type="button" data-do="remove" class="sl-danger">Remove</button><button type="button" data-do="close">Close</button></div></form></dialog>`;
  const one = (selector) => root.querySelector(selector);
  const dialog = one("dialog");
  const query = (words) => new URLSearchParams(words);
  // What tests read. pane: which is shown; plotted: the model whose plots are drawn; said: what a change answered.
  const state = { rows: [], own: [], model: "", pane: "table", plotted: "", card: null, said: "" };
  const adding = clipAdding(one("form.sl-adding"), { model: () => state.model, added, choose });
  let changing = null; // the row that the dialog is for

  async function ask(address, body) {
    const answer = await fetch(address, body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error || "the studio refused this request");
    return told;
  }

  async function open(model) {
    if (state.model !== model) Object.assign(state, { model, rows: [], own: [], plotted: "", card: null });
    adding.show();
    tell(state.rows.length ? "" : "Measuring the clips");
    try {
      const [rows, own, card] = await Promise.all([`/studio/clips?${query({ model })}`, `/studio/own_videos?${query({ model })}`, `/studio/model?${query({ model })}`].map((address) => ask(address)));
      if (model !== state.model) return;
      Object.assign(state, { rows, own, card, plotted: "" });
      tell("");
      drawTable();
      drawCard();
      show(state.pane);
    } catch (error) {
      tell(error.message);
      say(error.message);
    }
  }

  function tell(words) {
    const unfit = state.rows.filter((row) => !row.passed).length;
    const count = `${state.model}: ${state.rows.length} clip${state.rows.length === 1 ? "" : "s, best first"}${unfit ? `, ${unfit} unfit` : ""}${state.own.length ? "; below them your own videos" : ""}`;
    one("header p").textContent = words || (state.rows.length || state.own.length ? count : `${state.model}: no clips yet. Add one below.`);
  }

  async function show(pane) {
    state.pane = pane;
    for (const button of root.querySelectorAll("header button")) button.setAttribute("aria-selected", String(button.dataset.pane === pane));
    for (const part of root.querySelectorAll(".sl-pane")) part.hidden = part.dataset.pane !== pane;
    const { model } = state;
    if (pane !== "plots" || !model || state.plotted === model) return;
    try {
      const told = await ask(`/studio/clips/plots?${query({ model })}`);
      if (model !== state.model) return;
      drawPlots(one(".sl-pane[data-pane=plots]"), told);
      state.plotted = model;
    } catch (error) {
      say(error.message);
    }
  }

  function element(name, text, more = {}) {
    return Object.assign(document.createElement(name), { textContent: text, ...more });
  }

  function drawTable() {
    const head = document.createElement("tr");
    for (const [, title, unit, , help] of COLUMNS) {
      const cell = element("th", title, { title: help });
      cell.append(element("small", unit));
      cell.dataset.help = help;
      head.append(cell);
    }
    head.append(element("th", ""));
    one("table").replaceChildren(head, ...[...state.rows, ...state.own].map(line));
    const words = (row, list, className) => list.map((text) => {
      const item = element("li", "", { className });
      item.append(element("b", `${row.name}: `), text);
      return item;
    });
    const all = [...state.rows, ...state.own];
    one("ul").replaceChildren(
      ...all.flatMap((row) => words(row, row.reasons, "sl-unfit")),
      ...all.flatMap((row) => words(row, row.advice, "")),
      ...all.flatMap((row) => words(row, row.notes, "sl-dim")),
    );
  }

  function line(row) {
    const tr = document.createElement("tr");
    tr.className = row.passed ? "" : "sl-unfit";
    tr.dataset.name = row.name;
    for (const [key, , , digits] of COLUMNS) {
      const value = row[key];
      tr.append(element("td", typeof value === "number" ? value.toFixed(digits) : value ?? "–"));
    }
    tr.children[1].title = row.name;
    const lost = Object.entries(row.parts || {}).filter(([, off]) => off >= 0.5).sort((a, b) => b[1] - a[1]);
    if (row.score !== null) tr.children[2].title = lost.length ? `100 less ${lost.map(([name, off]) => `${off.toFixed(0)} for ${name}`).join(", ")}` : "nothing is lost";
    const use = element("button", "Use", { type: "button", title: "Use it as the base", disabled: row.frames === null });
    use.addEventListener("click", () => choose(row.name));
    const buttons = element("td", "");
    buttons.append(use);
    if (row.origin === "workspace" || row.origin === "own") {
      const more = element("button", "…", { type: "button", title: row.origin === "own" ? "Remove" : "Rename or remove" });
      more.setAttribute("aria-label", `change ${row.name}`);
      more.addEventListener("click", () => change(row));
      buttons.append(more);
    }
    tr.append(buttons);
    return tr;
  }

  function drawCard() {
    const list = document.createElement("dl");
    for (const [name, value] of state.card.facts) list.append(element("dt", name), element("dd", value));
    one(".sl-pane[data-pane=card]").replaceChildren(element("p", state.card.about), list);
  }

  async function added() {
    await open(state.model);
    changed();
  }

  function change(row) {
    changing = row;
    const own = row.origin === "own";
    one(".sl-change h2").textContent = row.name;
    one(".sl-change label").hidden = one("[data-do=rename]").hidden = own;
    one(".sl-change input").value = row.name;
    one(".sl-change p").textContent = "";
    one("[data-do=remove]").textContent = "Remove";
    one("[data-do=remove]").hidden = false;
    dialog.showModal();
  }

  // What the studio says of it stands in the dialog, and stays until it is closed where there is something to say.
  async function act(call) {
    try {
      await hold(true);
      const { said, next } = await call();
      state.said = said || "Done.";
      one(".sl-change p").textContent = state.said;
      const shown = base() === changing.name;
      if (!said) dialog.close();
      changing = null;
      one("[data-do=rename]").hidden = one("[data-do=remove]").hidden = true;
      await open(state.model);
      if (shown) {
        choose(next, { stay: true });
        tell(`The base is ${next} now.`);
      } else changed();
    } catch (error) {
      hold(false);
      state.said = error.message;
      one(".sl-change p").textContent = error.message;
    }
  }

  one("[data-do=rename]").addEventListener("click", () => act(async () => {
    const { name, said } = await ask("/studio/clip/rename", { model: state.model, name: changing.name, new: one(".sl-change input").value.trim() });
    return { said, next: name };
  }));
  one("[data-do=remove]").addEventListener("click", () => {
    const button = one("[data-do=remove]");
    if (button.textContent === "Remove") {
      button.textContent = "Remove for good?";
      return;
    }
    act(async () => {
      const { name, origin } = changing;
      const told = origin === "own" ? await ask("/studio/own_videos/remove", { base: name }) : await ask("/studio/clip/remove", { model: state.model, name });
      return { said: told.said, next: "core clips" };
    });
  });
  one("[data-do=close]").addEventListener("click", () => dialog.close());
  one(".sl-change form").addEventListener("submit", (event) => { // Enter in the name
    event.preventDefault();
    if (!one("[data-do=rename]").hidden) one("[data-do=rename]").click();
  });
  for (const button of root.querySelectorAll("header button")) button.addEventListener("click", () => show(button.dataset.pane));
  show("table");
  return { open, show, state, adding: adding.state };
}
