// The contact sheet over two settings: tiles of jaw and neck with their seam score; a click or Enter takes the values.

import { inWords, linesOf } from "./lines.js";
import { element, haveValues, pictureOf, shownValue } from "./tiles.js";
import { tunePane } from "./tune.js";

const SETTLE_MS = 500;
const COUNTS = [3, 5];

// now(): { token, shows, frame, settings } of the page, null before the first frame; isEmpty(): there is no speech;
// adopt(settings): into the controls; peek({ image, place, name } or null): shown in the close-up.
export function sweepView(root, { now, isEmpty, adopt, peek }) {
  root.innerHTML = `
    <header>
      <div class="sl-tabs" role="tablist">
        <button type="button" role="tab" data-kind="sweep" aria-selected="true" data-help="One frame under many pairs of values, to choose by eye.">Sheet</button>
        <button type="button" role="tab" data-kind="tune" aria-selected="false" data-help="Tries settings on the worst frames and offers a tight, a balanced and a soft one. Nothing changes until you take one.">Auto-tune</button>
      </div>
      <div class="sl-sweep-axes">
        <label data-help="The setting that changes from row to row.">&#8595; <select data-axis="down" aria-label="setting down"></select></label>
        <label data-help="The setting that changes from column to column.">&#8594; <select data-axis="across" aria-label="setting across"></select></label>
        <div class="sl-tabs" role="group" aria-label="values of a slider">${COUNTS.map((count) => `<button type="button" data-count="${count}" data-help="${count} values of each slider; a choice shows all it has.">${count}&#8201;&#215;&#8201;${count}</button>`).join("")}</div>
      </div>
      <span class="sl-push"></span>
      <button type="button" class="sl-sweep-go" data-help="Draws the sheet anew, or stops drawing it. It follows frame and settings by itself."></button>
      <button type="button" class="sl-tune-go" data-help="Measures 27 settings on the worst frames, or stops. Takes some 10 s; sliders and renders go first."></button>
    </header>
    <div class="sl-sweep-sheet"></div>
    <p class="sl-sweep-blank" role="status"></p>
    <footer><output></output><span class="sl-sweep-tip"></span></footer>
    <div class="sl-tune"></div>`;
  const one = (selector) => root.querySelector(selector);
  const sheet = one(".sl-sweep-sheet");
  // What tests read. drawn: tiles that are there, of `total`; at: the tile under the hand; place: what tiles show.
  const state = {
    kind: "sweep", down: "expansion_ratio", across: "feather_amount", count: 5, frame: -1, drawn: 0, total: 0, best: -1,
    busy: false, stale: false, at: 0, place: null, message: "", error: "", taken: null, visible: false,
  };
  const tune = tunePane(one(".sl-tune"), { now, isEmpty, adopt, go: one(".sl-tune-go") });
  let labels = [];
  let listedFor = "";
  let key = ""; // of what the sheet shows
  let tiles = []; // { values, score, picture, button }
    let run = null;
  let timer = 0;

  const isSweep = () => state.kind === "sweep";

  // The swept settings may have any value: the sheet shows the same.
  function keyOf({ shows, frame, settings }) {
    const others = Object.entries(settings).filter(([name]) => name !== state.down && name !== state.across);
    return JSON.stringify([shows, frame, state.down, state.across, state.count, others]);
  }

  function say(message, error = "") {
    state.message = message;
    state.error = error;
    one("footer output").textContent = one("footer output").title = error ? "" : message;
    one(".sl-sweep-blank").textContent = error;
    root.dataset.blank = String(Boolean(error));
  }

  function buttons() {
    one(".sl-sweep-go").textContent = state.busy ? "Cancel" : "Sweep again";
    one(".sl-sweep-go").disabled = !now();
    for (const b of root.querySelectorAll("[data-count]")) b.setAttribute("aria-pressed", String(Number(b.dataset.count) === state.count));
    for (const b of root.querySelectorAll("[data-kind]")) b.setAttribute("aria-selected", String(b.dataset.kind === state.kind));
    root.dataset.kind = state.kind;
  }

  // The settings on offer depend on the clips: see `sweepable`.
  async function list({ token, shows }) {
    if (listedFor === shows) return;
    const answer = await fetch(`/studio/sweep/${token}`);
    if (!answer.ok) throw new Error("the studio does not tell its settings; reload the page");
    labels = await answer.json();
    listedFor = shows;
    for (const axis of ["down", "across"]) {
      const names = labels.map(({ name, label }) => Object.assign(element("option", "", label), { value: name }));
      one(`[data-axis=${axis}]`).replaceChildren(...names);
      one(`[data-axis=${axis}]`).value = state[axis];
    }
  }

  function stop() {
    run?.abort();
    run = null;
    state.busy = false;
  }

  async function draw() {
    clearTimeout(timer);
    stop();
    const what = now();
    if (!what) {
      key = "";
      clear();
      say("", isEmpty() ? "Upload speech or record it, at the top left: the mouth follows it, and the sheet shows it." : "The frame is being opened.");
      buttons();
      return;
    }
    const mine = new AbortController();
    run = mine;
    key = keyOf(what);
    Object.assign(state, { busy: true, stale: false, frame: what.frame, drawn: 0, best: -1 });
    for (const tile of tiles) tile.old = true;
    mark();
    say(`Drawing frame ${what.frame}`);
    buttons();
    try {
      await list(what);
      const { token, frame, settings } = what;
      const { down, across, count } = state;
      for await (const step of linesOf("/studio/sweep", { token, frame, settings, down, across, values: count }, mine.signal)) {
        if (run !== mine) return;
        if (step.waiting) say(`Waiting: ${step.waiting}`);
        else if (step.place) begin(step);
        else if (step.picture) {
          const picture = await pictureOf(step.picture);
          if (run !== mine) return;
          put(step, picture);
        } else finish(step);
      }
    } catch (error) {
      if (run !== mine) return;
      clear();
      say("", `${inWords(error)}.`.replace(/^./, (first) => first.toUpperCase()));
    } finally {
      if (run === mine) {
        stop();
        buttons();
      }
    }
  }

  function clear() {
    for (const { picture } of tiles) picture?.close();
    tiles = [];
    sheet.replaceChildren();
    Object.assign(state, { drawn: 0, total: 0, best: -1 });
    tip();
  }

  // A sheet with the same axes keeps its tiles, dimmed, until the new ones are there.
  function begin(step) {
    const shape = JSON.stringify([step.down, step.across]);
    state.place = step.place;
    if (sheet.dataset.shape !== shape || !tiles.length) {
      clear();
      sheet.dataset.shape = shape;
      build(step);
    }
    state.total = tiles.length;
  }

  function build({ down, across }) {
    sheet.style.gridTemplate = `auto repeat(${down.values.length}, minmax(0, 1fr)) / auto repeat(${across.values.length}, minmax(0, 1fr))`;
    sheet.replaceChildren(element("span", "sl-sweep-corner"), ...across.values.map((value, i) => element("b", "sl-sweep-top", `${i ? "" : `${across.label} `}${shownValue(value)}`)));
    down.values.forEach((row, i) => {
      const head = element("b", "sl-sweep-side", shownValue(row));
      if (!i) head.prepend(element("span", "", down.label));
      sheet.append(head);
      for (const column of across.values) {
        const tile = { values: { [down.name]: row, [across.name]: column }, score: null, picture: null, old: false };
        tile.words = `${down.label} ${shownValue(row)}, ${across.label} ${shownValue(column)}`;
        tile.button = element("button", "sl-sweep-tile");
        tile.button.type = "button";
        tile.button.append(document.createElement("canvas"), element("span", "sl-sweep-score"));
        wireTile(tile, tiles.length);
        tiles.push(tile);
        sheet.append(tile.button);
      }
    });
    state.at = Math.min(state.at, tiles.length - 1);
  }

  function wireTile(tile, number) {
    tile.button.addEventListener("click", () => take(tile));
    tile.button.addEventListener("pointerenter", () => tip(tile));
    tile.button.addEventListener("pointerleave", () => tip(tiles.find(({ button }) => button === document.activeElement)));
    tile.button.addEventListener("focus", () => { state.at = number; mark(); tip(tile); });
    tile.button.addEventListener("blur", () => tip());
  }

  function put({ values, score, picture: _sent }, picture) {
    const tile = tiles.find((other) => haveValues(other.values, values));
    tile.picture?.close();
    Object.assign(tile, { score, picture, old: false });
    const canvas = tile.button.querySelector("canvas");
    canvas.width = picture.width;
    canvas.height = picture.height;
    canvas.getContext("2d").drawImage(picture, 0, 0);
    tile.button.setAttribute("aria-label", `${tile.words}: seam ${score.toFixed(2)}`);
    state.drawn += 1;
    say(`${state.drawn} of ${tiles.length} tiles`);
    mark();
  }

  function finish({ best, still }) {
    state.best = best;
    const same = still.length ? ` ${still.join(" and ")} ${still.length > 1 ? "change" : "changes"} nothing here.` : "";
    say(`Frame ${state.frame}. Lowest seam ${tiles[best].score.toFixed(2)}.${same}`);
    const focused = document.activeElement;
    if (focused === document.body || focused?.dataset.view === "sweep") {
      state.at = best;
      tiles[best].button.focus({ preventScroll: true });
    }
    mark();
  }

  // Best, present and dimmed tiles; the one that Tab reaches.
  function mark() {
    const what = now();
    tiles.forEach((tile, number) => {
      const { button } = tile;
      const present = Boolean(what && haveValues(what.settings, tile.values));
      button.tabIndex = number === state.at ? 0 : -1;
      button.classList.toggle("sl-sweep-old", tile.old || state.stale || !tile.picture);
      button.classList.toggle("sl-sweep-best", number === state.best);
      button.toggleAttribute("aria-current", present);
      const names = [tile.score === null ? "" : tile.score.toFixed(2), number === state.best ? "best" : "", present ? "set" : ""];
      button.querySelector("span").textContent = names.filter(Boolean).join("  ");
    });
  }

  function tip(tile) {
    const there = tile?.picture && !tile.old && !state.stale;
    one(".sl-sweep-tip").textContent = there ? `${tile.words}: seam ${tile.score.toFixed(2)}` : "";
    peek(there ? { image: tile.picture, place: state.place, name: tile.words } : null);
  }

  function take(tile) {
    const what = now();
    if (!what || !tile.picture || tile.old || state.stale) return;
    state.taken = tile.values;
    adopt({ ...what.settings, ...tile.values });
    say(`Taken: ${tile.words}.`);
  }

  // What the page shows has changed. While a session opens there is nothing to compare with.
  function changed() {
    tune.changed();
    const what = now();
    mark();
    if (!what && !isEmpty()) return;
    clearTimeout(timer);
    if (what && keyOf(what) === key) {
      state.stale = false;
      mark();
      return;
    }
    state.stale = true;
    stop();
    tip();
    mark();
    if (!state.visible || !isSweep()) return;
    if (!state.error) say("Frame or settings have changed: the sheet follows");
    timer = setTimeout(draw, SETTLE_MS);
  }

  function show(kind) {
    state.kind = kind;
    buttons();
    tip();
    tune.shown(state.visible && kind === "tune");
    if (state.visible && isSweep()) fresh();
    else if (!isSweep()) {
      clearTimeout(timer);
      if (state.busy) cancel();
    }
  }

  // Whatever the page shows now is on the sheet, or is drawn.
  function fresh() {
    const what = now();
    if (!what || keyOf(what) !== key || state.stale) draw();
    else mark();
  }

  function shown(visible) {
    state.visible = visible;
    if (visible) {
      show(state.kind);
      return;
    }
    tune.shown(false);
    clearTimeout(timer);
    tip();
    if (state.busy) {
      stop();
      key = "";
    }
  }

  function cancel() {
    stop();
    say(`Stopped after ${state.drawn} of ${state.total} tiles.`);
    buttons();
  }

  root.addEventListener("wheel", (event) => event.stopPropagation(), { passive: true });
  one(".sl-sweep-go").addEventListener("click", () => (state.busy ? cancel() : draw()));
  for (const b of root.querySelectorAll("[data-kind]")) b.addEventListener("click", () => show(b.dataset.kind));
  for (const b of root.querySelectorAll("[data-count]")) {
    b.addEventListener("click", () => {
      state.count = Number(b.dataset.count);
      draw();
    });
  }
  for (const axis of ["down", "across"]) {
    one(`[data-axis=${axis}]`).addEventListener("change", ({ target }) => {
      const other = axis === "down" ? "across" : "down";
      if (target.value === state[other]) { // the two change places
        state[other] = state[axis];
        one(`[data-axis=${other}]`).value = state[other];
      }
      state[axis] = target.value;
      draw();
    });
  }
  sheet.addEventListener("keydown", (event) => {
    const across = JSON.parse(sheet.dataset.shape || "[{},{\"values\":[]}]")[1].values.length;
    const to = { ArrowLeft: state.at - 1, ArrowRight: state.at + 1, ArrowUp: state.at - across, ArrowDown: state.at + across, Home: 0, End: tiles.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    tiles[to]?.button.focus({ preventScroll: true });
  });
  root.addEventListener("keydown", (event) => { if (event.key === "Escape" && isSweep() && state.busy) cancel(); });
  buttons();
  return { changed, shown, state, tune: tune.state };
}
