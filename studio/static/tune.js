// Auto-tune: the best tight, balanced and soft settings on the worst frames, beside the present ones, as loops in step.

import { inWords, linesOf } from "./lines.js";
import { element, haveValues, pictureOf, shownValue } from "./tiles.js";

const TUNED = ["expansion_ratio", "feather_amount"];
const TILES = ["present", "tight", "balanced", "soft"];
// What each tile will show: its range, and what that means.
const ABOUT = {
  present: ["as the sliders are set", "to compare with"],
  tight: ["expansion 1.0 to 1.1, feather 10 to 20", "little of the plate is replaced, the edge is short"],
  balanced: ["expansion 1.12 to 1.18, feather 20 to 30", "around the defaults"],
  soft: ["expansion 1.2 to 1.3, feather 30 to 50", "the matte reaches further and runs out slowly"],
};
const EMPTY = "Offers the tight, the balanced and the soft setting with the lowest seam on the worst frames that keeps the mouth. Nothing changes until you take one.";

// now(), isEmpty() and adopt(settings) as in sweep.js; go: the button that starts and stops.
export function tunePane(root, { now, isEmpty, adopt, go }) {
  root.innerHTML = `
    <div class="sl-tune-tiles">${TILES.map((name) => `
      <button type="button" class="sl-tune-tile" data-name="${name}" disabled>
        <canvas></canvas><span class="sl-tune-name"></span><span class="sl-tune-score"></span>
      </button>`).join("")}</div>
    <footer><div class="sl-bar"><i></i></div><output role="status"></output></footer>`;
  const one = (selector) => root.querySelector(selector);
  const tileOf = (name) => one(`[data-name=${name}]`);
  // What tests read. found: the answer; drawn: frames of the loops that are there; shown: the one on the screen.
  const state = {
    busy: false, stale: false, found: null, drawn: 0, frames: 0, shown: -1, message: "", error: "", taken: null, visible: false, playing: false,
  };
  let run = null;
  let key = "";
  let sound = "";
  let loop = { first: 0, fps: 25, pictures: [] }; // pictures: by frame of the loop, then by name

  function keyOf({ shows, settings }) {
    return JSON.stringify([shows, Object.entries(settings).filter(([name]) => !TUNED.includes(name))]);
  }

  function say(message, error = "") {
    state.message = message;
    state.error = error;
    one("output").textContent = error || message;
    one("output").dataset.kind = error ? "wrong" : state.stale ? "old" : "";
  }

  function progress(share) {
    one(".sl-bar i").style.width = `${100 * share}%`;
  }

  function stop() {
    run?.abort();
    run = null;
    state.busy = false;
    progress(0);
  }

  function forget() {
    for (const pictures of loop.pictures) for (const picture of Object.values(pictures || {})) picture.close();
    loop = { first: 0, fps: 25, pictures: [] };
    Object.assign(state, { found: null, drawn: 0, frames: 0, shown: -1 });
    for (const name of TILES) {
      const canvas = tileOf(name).querySelector("canvas");
      canvas.width = canvas.height = 0;
    }
  }

  async function start() {
    const what = now();
    if (!what) return;
    stop();
    forget();
    const mine = new AbortController();
    run = mine;
    key = keyOf(what);
    sound = what.shows;
    Object.assign(state, { busy: true, stale: false });
    say("Looking for the worst frames");
    mark();
    try {
      for await (const step of linesOf("/studio/tune", { token: what.token, settings: what.settings }, mine.signal)) {
        if (run !== mine) return;
        if (step.waiting) say(`Waiting: ${step.waiting}`);
        else if (step.doing) tell(step);
        else if (step.candidates) state.found = step;
        else if (step.loop !== undefined) begin(step);
        else await put(step, mine);
        mark();
      }
      if (run === mine) say(outcome());
    } catch (error) {
      if (run !== mine) return;
      forget();
      say("", `${inWords(error)}.`.replace(/^./, (first) => first.toUpperCase()));
    } finally {
      if (run === mine) stop();
      mark();
    }
  }

  function tell({ doing, done, total }) {
    say(`${done} of ${total} ${doing}`);
    progress(done / total);
  }

  function begin({ loop: first, frames, fps }) {
    loop = { first, fps, pictures: new Array(frames) };
    state.frames = frames;
  }

  async function put({ index, pictures }, mine) {
    const names = Object.keys(pictures);
    const made = await Promise.all(names.map((name) => pictureOf(pictures[name])));
    if (run !== mine) {
      for (const picture of made) picture.close();
      return;
    }
    loop.pictures[index] = Object.fromEntries(names.map((name, i) => [name, made[i]]));
    state.drawn += 1;
    say(`${state.drawn} of ${state.frames} frames of the loops drawn`);
    progress(state.drawn / state.frames);
    if (!state.playing) play();
  }

  function outcome() {
    const { frames, measured, of, present, candidates } = state.found;
    const chosen = measured < of ? `${measured} measured of ${of}` : `${of}`;
    const best = candidates.reduce((a, b) => (b && (!a || b.seam < a.seam) ? b : a), null);
    const verdict = !best || best.seam >= present.seam ? " None has a lower seam than the present settings." : "";
    return `Mean seam of frames ${frames.join(", ")}: the worst of ${chosen}.${verdict} The loop shows frame ${frames[0]}. A click takes a tile's values.`;
  }

  // What stands under each tile, and whether it can be taken.
  function mark() {
    const what = now();
    const { found } = state;
    const lowest = found && [found.present, ...found.candidates].reduce((a, b) => (b && b.seam < a.seam ? b : a));
    for (const name of TILES) {
      const tile = tileOf(name);
      const told = name === "present" ? found?.present : found?.candidates.find((other) => other.name === name);
      const set = Boolean(told && what && haveValues(what.settings, told.values));
      tile.disabled = !told || state.stale || !what;
      tile.toggleAttribute("aria-current", set);
      tile.classList.toggle("sl-tune-best", Boolean(told) && told === lowest);
      const title = name === "present" && told && !set ? "Before" : name[0].toUpperCase() + name.slice(1);
      const values = told ? `expansion ${shownValue(told.values.expansion_ratio)}, feather ${shownValue(told.values.feather_amount)}` : ABOUT[name][0];
      tile.querySelector(".sl-tune-name").replaceChildren(element("b", "", title), ` ${values}${set && name !== "present" ? "  set" : ""}${told && told === lowest ? "  lowest" : ""}`);
      tile.querySelector(".sl-tune-score").textContent = told ? scoreOf(told, found) : found && name in found.missing
        ? `none keeps the mouth: ${found.missing[name].toFixed(2)} at best, ${found.floor} is asked for` : ABOUT[name][1];
    }
    root.classList.toggle("sl-tune-old", state.stale);
    go.textContent = state.busy ? "Cancel" : found ? "Find again" : "Find candidates";
    go.disabled = !what && !state.busy;
  }

  function scoreOf(told, { present }) {
    const by = told.seam - present.seam;
    const beside = told === present ? "" : ` (${by < 0 ? "−" : "+"}${Math.abs(by).toFixed(2)})`;
    return `seam ${told.seam.toFixed(2)}${beside}, worst ${told.worst.toFixed(2)}, mouth ${told.mouth.toFixed(2)}`;
  }

  // All tiles show the same frame; one that is not there yet is passed over.
  function play() {
    state.playing = true;
    const started = performance.now();
    const tick = () => {
      if (!state.visible || !state.drawn) {
        state.playing = false;
        return;
      }
      const index = Math.floor(((performance.now() - started) * loop.fps) / 1000) % loop.pictures.length;
      const pictures = loop.pictures[index];
      if (pictures && index !== state.shown) {
        state.shown = index;
        for (const [name, picture] of Object.entries(pictures)) paint(tileOf(name).querySelector("canvas"), picture);
      }
      requestAnimationFrame(tick);
    };
    tick();
  }

  function paint(canvas, picture) {
    if (canvas.width !== picture.width || canvas.height !== picture.height) {
      canvas.width = picture.width;
      canvas.height = picture.height;
    }
    canvas.getContext("2d").drawImage(picture, 0, 0);
  }

  function take(name) {
    const what = now();
    const told = name === "present" ? state.found?.present : state.found?.candidates.find((other) => other.name === name);
    if (!told || !what || state.stale) return;
    state.taken = told.values;
    adopt({ ...what.settings, ...told.values });
    say(`Taken: expansion ${shownValue(told.values.expansion_ratio)}, feather ${shownValue(told.values.feather_amount)}.`);
  }

  function cancel(why = "Stopped; nothing was changed.") {
    stop();
    if (state.drawn < state.frames || !state.found) forget();
    say(why);
    mark();
  }

  // Candidates hold for one sound and one set of all other settings.
  function changed() {
    const what = now();
    if (what || isEmpty()) compare(what, what ? keyOf(what) : "");
    mark();
  }

  function compare(what, next) {
    if (state.busy && next !== key) {
      cancel("Stopped: the settings have changed. Find again.");
      key = "";
    } else if (!state.busy && key && what?.shows !== sound) {
      forget();
      key = "";
      Object.assign(state, { stale: false, error: "" });
    } else if (state.found && state.stale !== (next !== key)) {
      state.stale = next !== key;
      say(state.stale ? "Found under other settings than these. Find again." : outcome());
    }
    if (!key && !state.busy && !state.error && !state.found) say(what ? EMPTY : "Upload speech or record it, at the top left.");
  }

  function shown(visible) {
    state.visible = visible;
    if (!visible) return;
    changed();
    if (state.drawn && !state.playing) play();
  }

  go.addEventListener("click", () => (state.busy ? cancel() : start()));
  for (const name of TILES) tileOf(name).addEventListener("click", () => take(name));
  progress(0);
  root.addEventListener("keydown", (event) => { if (event.key === "Escape" && state.busy) cancel(); });
  return { changed, shown, state };
}
