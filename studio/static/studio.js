// The page: what the controls say goes to the viewer, blended here at once where that can be, by the studio otherwise.

import { reasonOf, tellAbility, wireAbility } from "./ability.js";
import { adviser } from "./advice.js";
import { blenderOf, layersOf, GpuBlender, PlainBlender } from "./blend.js";
import { Channel, picturesOf } from "./channel.js";
import { clipsView } from "./clips.js";
import { recipeDrop } from "./drop.js";
import { plainToasts, sheet, tellHint, wireHelp } from "./help.js";
import { renderHistory } from "./history.js";
import { drawHeat, legendColours, say, sentences, tellRule, tellScore } from "./inspect.js";
import { Loop } from "./loop.js";
import { remember as rememberView } from "./memory.js";
import { openingStage } from "./opening.js";
import { Picture } from "./picture.js";
import { player } from "./player.js";
import { presetSheet } from "./presets.js";
import { closeRecorder, wireSound } from "./sound.js";
import { sweepView } from "./sweep.js";
import { timelineDock } from "./timeline.js";
import { undoAndSlots } from "./undo.js";
import { Viewer } from "./viewer.js";

const SETTLE_MS = 120;
const MOVED_MS = 1000;
const REST_MS = 3000;
const FLOOR_MS = 1500;
const FLOOR_TRIES = 8;
const ROOMY_PX = 940;
const MORE_MS = 2000;
const byId = (id) => document.getElementById(id);
const door = window.seamline;

// What tests and people's consoles can read. seq counts drawn pictures; shown says of what; exact: the studio's own
// pixels; tier: who blended them; off: largest difference, in levels, between the last draft and the exact picture.
const state = {
  seq: 0, shown: null, exact: false, tier: "", pending: false, error: "", header: null, latency: 0, off: null, video: null,
  channel: "fetch", looping: false,
  // Whether the settings are blended on this page.
  get local() { return isLocal(); },
};
const picture = new Picture();
const viewer = new Viewer(picture);
const channel = new Channel({ live: door.live, answered, failed: (message, request) => request.token === session?.token && wrong(message) });
const loop = new Loop({ show: rolled, told: rolling, failed: (message) => { stopRolling(); wrong(message); } });
const floorAsked = {};
let session = null;
let told = null; // { frame, settings } as Gradio and the hand have them
const movedAt = {}; // when a hand, or the page itself, last moved a slider
let wanted = null; // { token, frame, settings, asked }: what the controls say
let draft = null; // what is to be blended on this page before the next picture
let fresh = null; // what the next drawn picture shows
let blender = null;
let spare = null; // the blender before, which the other slot's settings may need
let plateKey = "";
let shownSeq = 0;
let settling = 0;
let presetValues = null;
let compare, dock, renders, clips, presets, stage, advice, steps, drop, sweeps; // made when their places are there
let handAt = Infinity; // when a hand first moved something
const lately = { at: -Infinity, held: false }; // when it last did anything, and whether it holds something now
let finished = ""; // a render that was not shown when it was done, since the hand was at something else
let rendering = false;
let heatDrawn = -1;
let listed = null; // the finished renders are, when it is kept
let page = null; // a view without a frame that a reload brings back, and its pair of videos

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

// Frame and settings that the layers of a page blend depend on; "" where only the studio can blend.
function localKey({ token, frame, settings }, local) {
  if (settings.compositor !== "alpha") return "";
  return JSON.stringify([token, frame, Object.entries(settings).filter(([name]) => !local.includes(name))]);
}

function chooseBlender() {
  if (spare && spare.key === localKey(wanted, spare.local)) [blender, spare] = [spare, blender];
}

const isLocal = () => Boolean(blender && blender.key === localKey(wanted, blender.local) && picture.header?.frame === wanted.frame && !state.looping);

// What Gradio's events say. During a drag they come late, and after a preset the sliders do: see `truth`.
function show(names, values) {
  const [text, frame, ...rest] = values;
  if (!text) return;
  if (!session || session.text !== text) open(text);
  if (!session.token) return;
  told = { frame, settings: Object.fromEntries(names.map((name, i) => [name, rest[i]])) };
  showTold();
}

// A slider that was just moved is asked itself: it is ahead of Gradio. Any other is behind what Gradio says: a preset,
// or a value typed between its steps.
function truth(name, value) {
  const input = document.querySelector(`#sl-${name} input[type=range]`);
  if (!input || typeof value !== "number" || !(performance.now() - movedAt[name] < MOVED_MS)) return value;
  const shown = Number(input.value);
  return Math.abs(shown - value) > 0.51 * Number(input.step) ? shown : value;
}

function onHand(event) {
  const name = event.target.matches("input[type=range]") && event.target.closest("#sl-controls .block, #sl-frame")?.id.slice(3);
  if (!name || !told || !session?.token) return;
  movedAt[name] = performance.now();
  if (name === "frame") told.frame = Number(event.target.value);
  else if (name in told.settings) told.settings[name] = Number(event.target.value);
  showTold();
}

function showTold() {
  const settings = Object.fromEntries(Object.entries(told.settings).map(([name, value]) => [name, truth(name, value)]));
  const frame = Math.min(Math.max(Math.round(Number(truth("frame", told.frame)) || 0), 0), session.frames - 1);
  const before = wanted;
  if (before && before.token === session.token && before.frame === frame && same(before.settings, settings) && !state.error) return false;
  markPreset(settings);
  wanted = { token: session.token, frame, settings, asked: performance.now() };
  if (viewer.isPage && before) viewer.show("result");
  advice.forget();
  able();
  dock.at(frame);
  dock.changed(settings);
  steps.changed(settings);
  sweeps.changed();
  if (state.looping) {
    if (before.frame === frame) {
      loop.refresh({ token: session.token, settings });
      return true;
    }
    stopRolling();
  }
  follow();
  return true;
}

function follow() {
  state.pending = true;
  clearTimeout(settling);
  chooseBlender();
  if (isLocal()) {
    draft = wanted;
    mark("draft");
    viewer.drawAtOnce();
    settleSoon();
  } else {
    draft = null;
    mark("drawing");
    ask({ score: false, layers: false });
  }
}

function ask(more) {
  channel.ask({ token: wanted.token, frame: wanted.frame, settings: wanted.settings, asked: wanted.asked, plate: plateKey !== `${wanted.token} ${wanted.frame}`, ...more });
}

const settleSoon = (after = SETTLE_MS) => {
  clearTimeout(settling);
  settling = setTimeout(() => {
    if (!wanted || state.looping || wanted.token !== session?.token || showTold()) return;
    const key = localKey(wanted, blender?.local || []);
    const layers = wanted.settings.compositor === "alpha" && blender?.key !== key;
    ask({ score: true, layers });
  }, after);
};

async function answered({ header, blobs }, request) {
  const images = await picturesOf(blobs);
  if (request.token !== session?.token || request.seq < shownSeq || state.looping) return;
  shownSeq = request.seq;
  if (header.local) {
    spare = blender;
    blender = blenderOf(layersOf(header.local, blobs), { gpu: door.gpu !== false });
    blender.local = header.local.settings;
    blender.key = localKey(request, blender.local);
    setTimeout(warm, 0, blender, request.settings);
    chooseBlender();
  }
  const current = request.frame === wanted.frame && same(request.settings, wanted.settings);
  if (!current && isLocal() && !images.plate) return follow(); // the page's own draft is newer
  const before = current && state.tier === "browser" && !images.plate ? picture.square() : null;
  picture.take(header, images);
  if (before) state.off = largestDifference(before, picture.square());
  if (images.plate) plateKey = `${request.token} ${request.frame}`;
  state.header = { ...(header.score === undefined ? keepScore(header) : {}), ...header };
  fresh = { request, exact: true, tier: "server", current };
  viewer.draw();
  tell();
  if (!current) return;
  if (request.score) {
    remember();
    if (header.driven) advice.look(request, header);
  }
  if (!request.score) settleSoon();
  else if (floorIsComing(header)) settleSoon(FLOOR_MS);
}

// The first blends of a browser are ten times as slow as those that follow: they are done before the hand moves.
function warm(one, settings) {
  for (let turn = 0; turn < 3 && one === blender && !draft && !one.isWarm; turn += 1) {
    one.blend(settings);
    viewer.drawNow();
  }
  PlainBlender.prototype.isWarm = true;
}

function largestDifference(before, after) {
  let largest = 0;
  for (let k = 0; k < before.length; k += 1) largest = Math.max(largest, Math.abs(before[k] - after[k]));
  return largest;
}

// A clip's floor is measured in the background when its score is first asked for.
function floorIsComing(header) {
  if (!header.driven || header.floor !== undefined) return false;
  floorAsked[header.clip] = (floorAsked[header.clip] || 0) + 1;
  return floorAsked[header.clip] <= FLOOR_TRIES;
}

viewer.beforeDraw = () => {
  if (!draft) return;
  const request = draft;
  draft = null;
  if (!isLocal()) return;
  try {
    picture.put(blender.blend(request.settings), blender.layers.numbers.side);
  } catch {
    blender = remade(blender); // the graphics card went away
    picture.put(blender.blend(request.settings), blender.layers.numbers.side);
  }
  if (!state.header.old) {
    state.header = { ...state.header, old: true };
    tellScore(state.header);
  }
  fresh = { request, exact: false, tier: "browser", current: true };
};

function remade({ layers, key, local }) {
  GpuBlender.missing = true;
  return Object.assign(new PlainBlender(layers), { key, local });
}

viewer.afterDraw = () => {
  if (!fresh) return;
  const { request, exact, tier, current } = fresh;
  fresh = null;
  right();
  Object.assign(state, { shown: { frame: request.frame, settings: request.settings }, exact: exact && current, tier, channel: channel.kind });
  state.pending = !state.exact;
  state.latency = performance.now() - request.asked;
  state.seq += 1;
  if (stage.waits) {
    stage.end();
    able();
  }
  if (!request.score && request.asked >= handAt) byId("sl-latency").textContent = `${Math.round(state.latency)} ms`;
  mark(state.exact ? "exact" : tier === "browser" ? "draft" : "drawing");
  if (page && state.exact) listed.then(() => page && reopenPage());
  if (heatDrawn !== picture.heatVersion) {
    heatDrawn = picture.heatVersion;
    drawHeat(picture);
  }
};

// Until the score of new settings is measured, the last one of this frame stays, marked as old.
function keepScore(header) {
  const last = state.header;
  if (!last || last.frame !== header.frame || last.score === undefined || !header.driven) return {};
  const { score, sectors, unblended_score, floor } = last;
  return { score, sectors, unblended_score, floor, old: true };
}

const MARKS = { exact: "exact", draft: "draft", drawing: "drawing", wrong: "not this one", none: "no frame" };

function mark(kind, text = MARKS[kind]) {
  byId("sl-mark").dataset.state = kind;
  byId("sl-mark").textContent = text;
}

function tell() {
  const { header } = state;
  tellScore(header);
  say(sentences(header, session));
  nameFrame(header);
}

const nameFrame = ({ frame, size }) => { byId("sl-frame-name").textContent = `frame ${frame}, ${size.join("×")}`; };

// An answer did not come: the picture that stays is dimmed and the words say why.
function wrong(message) {
  state.error = message;
  state.pending = false;
  byId("sl-body").classList.add("sl-stale");
  byId("sl-banner").textContent = message;
  byId("sl-banner").hidden = false;
  mark("wrong");
}

function right() {
  state.error = "";
  byId("sl-body").classList.remove("sl-stale");
  byId("sl-banner").hidden = true;
}

const title = () => `${session.model}, ${session.base}: ${session.frames} frames, ${(session.frames / session.fps).toFixed(2)} s`;

function open(text) {
  if (state.looping) stopRolling();
  session = { text, ...JSON.parse(text) };
  closeRecorder();
  plateKey = "";
  blender = spare = wanted = told = draft = null;
  clearTimeout(settling);
  channel.forget();
  right();
  dock.open(session.token ? session : null);
  advice.forget();
  sweeps.changed();
  if (session.empty) {
    state.shown = state.header = null;
    stage.empty(session.empty);
    say([session.empty]);
    tellScore(null);
    picture.clear();
    drawHeat(picture);
    viewer.blank();
    byId("sl-frame-name").textContent = "";
    mark("none");
  } else if (viewer.view === "renders") viewer.show("wipe");
  if (session.token) stage.drawing(session.model);
  able();
  titled();
}

function titled() {
  byId("sl-what").textContent = session?.token ? title() : session?.what || "No speech yet";
  byId("sl-what").title = session?.token ? `The network runs in ${session.network}` : "";
  for (const input of document.querySelectorAll("#sl-model input, #sl-base input")) input.title = input.value; // cut where long
}

const NO_SPEECH = "Upload speech or record it, at the top left: the mouth follows it.";
const nothing = () => session?.empty || NO_SPEECH; // why nothing is open
const NO_PICTURE = "There is no picture yet.";

// What can act now; the rest says why not.
function able() {
  const open = session?.token ? "" : nothing();
  const seen = picture.header ? "" : NO_PICTURE;
  const videos = viewer.view === "renders";
  const ends = (at, why) => (videos ? "" : open || (wanted?.frame === at ? why : ""));
  tellAbility({
    "sl-keep": open, "sl-render": open, "sl-link": open,
    "sl-cancel": rendering ? "" : "Nothing is being rendered.",
    "sl-roll": videos ? "" : open,
    "sl-prev": ends(0, "This is the first frame."), "sl-next": ends((session?.frames || 0) - 1, "This is the last frame."),
    "sl-fit": seen, "sl-face": seen, "sl-actual": seen, "sl-steady": seen, "sl-outline": seen,
    "sl-tab-compare": state.video || renders.state.entries.length ? "" : "No render is finished yet. Render test video makes one.",
  });
}

function rolled({ header, images }) {
  picture.take(header, images);
  viewer.draw();
  nameFrame(header);
}

function rolling(done, total) {
  mark("loop", done < total ? `loop: ${done} of ${total}` : `loop, ${total} frames`);
  state.loaded = done === total;
}

function roll() {
  if (state.looping) {
    stopRolling();
    wanted.asked = performance.now();
    return follow();
  }
  if (!wanted || !session?.token) return undefined;
  state.looping = true;
  state.loaded = false;
  channel.forget();
  clearTimeout(settling);
  byId("sl-roll").setAttribute("aria-pressed", "true");
  byId("sl-roll").textContent = "Stop";
  if (viewer.isPage || viewer.view === "sweep") viewer.show("result");
  tellScore(state.header && { ...state.header, old: true }, `of frame ${wanted.frame}`);
  say(["While the loop plays nothing is measured. k stops it."]);
  return loop.start({ token: session.token, settings: wanted.settings }, wanted.frame, session.frames, session.fps);
}

function stopRolling() {
  loop.end();
  state.looping = false;
  plateKey = "";
  blender = spare = null;
  byId("sl-roll").setAttribute("aria-pressed", "false");
  byId("sl-roll").textContent = "Loop";
}

function markPreset(settings) {
  const changed = presetValues && Object.entries(presetValues).some(([name, value]) => name in settings && settings[name] !== value);
  byId("sl-preset")?.classList.toggle("sl-changed", Boolean(changed));
}

function goTo(frame) {
  const input = document.querySelector("#sl-frame input[type=range]");
  if (!input) return;
  input.value = String(frame);
  input.dispatchEvent(new Event("input", { bubbles: true }));
}

function stepFrame(by) {
  if (viewer.view === "renders") compare.step(by);
  else goTo(Number(document.querySelector("#sl-frame input[type=range]").value) + by);
}

// Text for one of Gradio's hidden boxes: its change tells the studio.
function hand(id, text) {
  const box = document.querySelector(`#${id} textarea, #${id} input`);
  box.value = text;
  box.dispatchEvent(new Event("input", { bubbles: true }));
}

// Settings of a finished render, back into the controls; a fresh number, so that the same ones can be asked for again.
const restore = (settings) => hand("sl-restore", JSON.stringify({ settings, again: performance.now() }));

// Settings of this page's own: the picture follows at once, Gradio's controls a moment later.
function put(settings) {
  for (const [name, value] of Object.entries(settings)) {
    const input = document.querySelector(`#sl-${name} input[type=range]`);
    if (input) {
      input.value = String(value);
      movedAt[name] = performance.now();
    }
  }
  hand("sl-put", JSON.stringify({ ...settings, again: performance.now() }));
  if (!told) return;
  told.settings = { ...settings };
  showTold();
}

// What the studio found in a dropped video.
function useRecipe({ settings, quality, model, base, frame, loop_s: seconds }) {
  if (seconds) loopOf(seconds);
  const place = frame === null ? {} : { frame, range: seconds ? "loop" : "whole" };
  hand("sl-restore", JSON.stringify({ settings, quality, model, base, ...place, again: performance.now() }));
}

function loopOf(seconds) {
  loop.seconds = seconds;
  for (const one of document.querySelectorAll("#sl-length button")) one.setAttribute("aria-pressed", String(Number(one.dataset.seconds) === seconds));
  if (state.looping) {
    stopRolling();
    roll();
  }
}

// What a reload of this tab brings back, see memory.js.
const VIEW_STATE = {
  viewer: { read: () => viewer.kept(), write: (kept) => viewer.recall(kept) },
  loop: { read: () => ({ seconds: loop.seconds }), write: ({ seconds }) => [1, 2, 3].includes(seconds) && loopOf(seconds) },
  page: { read: () => (viewer.isPage ? { view: viewer.view, a: renders.state.a, b: renders.state.b } : null), write(kept) { page = kept; } },
  slots: { read: () => steps.read(), write: (kept) => steps.write(kept) },
};

function reopenPage() {
  const { view, a, b } = page;
  page = null;
  if (view === "clips") viewer.show("clips");
  else if (a) renders.choose(a, b);
}

// Two videos, or none any more.
function showPair(pair) {
  if (!pair) {
    state.video = null;
    byId("sl-video-line").textContent = "A render that was shown here is deleted. A and B in the list of renders choose others.";
    compare.clear();
    able();
    if (!renders.state.entries.length && viewer.view === "renders") viewer.show("wipe");
    tellTimeline();
    return;
  }
  state.video = { a: pair.a.url, b: pair.b.url };
  able();
  if (state.looping) stopRolling();
  right();
  byId("sl-video-line").textContent = pair.line;
  compare.load(pair).catch((error) => wrong(error.message));
  viewer.show("renders");
}

function showFinished() {
  const id = finished;
  finished = "";
  byId("sl-tab-compare").toggleAttribute("data-new", false);
  renders.refresh(id);
}

// The timeline is of the videos while they are shown, and of the page's frame otherwise.
function tellTimeline() {
  const { frame, first, frames } = compare.state;
  const videos = viewer.view === "renders" && frames > 0;
  dock.cover(videos ? [first, first + frames] : null);
  if (!videos && wanted) dock.at(wanted.frame);
  else if (videos && frame >= 0) dock.at(frame);
}

async function copyLink() {
  if (!wanted) return;
  const query = await linkQuery();
  const address = `${location.origin}${location.pathname}?${query}`;
  try {
    await navigator.clipboard.writeText(address);
    byId("sl-link").textContent = "Copied";
    setTimeout(() => { byId("sl-link").textContent = "Copy link"; }, 1500);
  } catch {
    window.prompt("The browser does not let this page copy; the address is:", address);
  }
}

async function linkQuery() {
  const { settings, frame } = wanted;
  const answer = await fetch("/studio/link", {
    method: "POST", headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ settings, model: session.model, base: session.base, frame }),
  });
  return (await answer.json()).query;
}

// The address holds what is shown: a reload opens it again.
async function remember() {
  if (!wanted || !session?.token) return;
  sessionStorage.setItem("seamline-session", session.text);
  const query = await linkQuery().catch(() => null);
  if (query !== null) window.history.replaceState(null, "", query ? `?${query}` : location.pathname);
}

const VIEWS = ["wipe", "result", "original", "matte", "overlay", "difference", "heat", "renders", "clips"];
const KEYS = {
  ",": () => stepFrame(-1),
  ".": () => stepFrame(1),
  f: () => viewer.fit(),
  g: () => viewer.face(),
  0: () => viewer.zoomTo(window.devicePixelRatio || 1),
  s: () => viewer.hold(),
  o: () => viewer.set({ outline: !viewer.outline }),
  b: () => viewer.nextSurround(),
  "[": () => viewer.stepGain(-1),
  "]": () => viewer.stepGain(1),
  a: (event) => event.repeat || steps.flip(),
  k: () => (viewer.view === "renders" ? compare.toggle() : roll()),
  n: () => dock.nextWorst(),
  w: () => compare.toggleMode(),
  l: () => compare.toggleLoop(),
  "<": () => compare.slower(),
  ">": () => compare.faster(),
  x: () => viewer.set({ held: true }),
  t: () => viewer.show("sweep"),
  "?": sheet,
  ...Object.fromEntries(VIEWS.map((view, i) => [String(i + 1), () => viewer.show(view)])),
};

// The button that a key presses: where it cannot act, the key says the same.
const BUTTONS = { ",": "sl-prev", ".": "sl-next", f: "sl-fit", g: "sl-face", 0: "sl-actual", s: "sl-steady", o: "sl-outline", k: "sl-roll", 8: "sl-tab-compare" };

function whyNot(key) {
  if (key === "n" && !dock.state.worst.length) {
    if (!session?.token) return nothing();
    return dock.state.done ? "No frame of this sound is blended." : "No frame is measured with these settings yet; that is done while nothing else is to do.";
  }
  if ("wl<>".includes(key) && viewer.view !== "renders") return `${key} works in Renders: w side by side or as a wipe, l loop, < > speed.`;
  return reasonOf(BUTTONS[key]);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("textarea, select, [contenteditable], input:not([type=range]):not([type=checkbox]):not([type=radio])")) return;
  if (byId("sl-sheet").open && event.key !== "?") return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  const reason = whyNot(event.key);
  if (reason) tellHint(reason, true);
  else act(event);
}

// What a hand opens below the edge of the column is scrolled to, while Gradio puts it in.
function showMore() {
  const more = byId("sl-more");
  let until = 0;
  more.addEventListener("click", (event) => {
    if (event.isTrusted && event.target.closest("#sl-more > button")) until = performance.now() + MORE_MS;
  });
  new ResizeObserver(() => { if (performance.now() < until) more.scrollIntoView({ block: "end" }); }).observe(more);
}

// The button answers once Gradio has put in what lies under it.
function openMore(tries) {
  if (byId("sl-adapt")?.offsetParent || !tries) return;
  document.querySelector("#sl-more button")?.click();
  setTimeout(openMore, 250, tries - 1);
}

function wire() {
  viewer.wire();
  stage = openingStage();
  beginStage();
  advice = adviser((name, value) => put({ ...wanted.settings, [name]: value }));
  steps = undoAndSlots(byId("sl-undo"), { put });
  compare = viewer.pair = player(byId("sl-compare"), {
    moved: (frame) => viewer.view === "renders" && dock.at(frame),
    chosen: (side, choice) => renders.put(side, choice),
    tell: (text) => { byId("sl-video-line").textContent = text; },
  });
  dock = timelineDock(byId("sl-timeline"), { goto: (frame) => (viewer.view === "renders" && compare.state.frames ? compare.seek(frame) : goTo(frame)) });
  renders = renderHistory(byId("sl-history"), { compare: showPair, offer: compare.offer, restore, say: wrong });
  listed = renders.refresh().then(able);
  clips = clipsView(byId("sl-clips"), {
    base: () => session?.base,
    changing: (on) => dock.hold(on),
    changed: () => byId("sl-refresh").click(),
    choose(name, { stay = false } = {}) {
      if (!stay) viewer.show("result");
      hand("sl-restore", JSON.stringify({ base: name, model: clips.state.model, again: performance.now() }));
    },
    say: wrong,
  });
  presets = presetSheet(byId("sl-presets-sheet"), {
    now: () => ({
      name: document.querySelector("#sl-preset input").value, settings: wanted.settings, model: session.model,
      clip: session.clip,
    }),
    listed: (name) => hand("sl-listed", JSON.stringify({ name, again: performance.now() })),
  });
  drop = recipeDrop(byId("sl-stage"), byId("sl-drop-open"), { token: () => session?.token || "", use: useRecipe });
  sweeps = sweepView(byId("sl-sweep"), {
    now: () => wanted && { token: session.token, shows: session.shows, frame: wanted.frame, settings: wanted.settings },
    isEmpty: () => Boolean(session?.empty),
    adopt: put,
    peek(guest) {
      if (guest === viewer.guest) return;
      viewer.guest = guest;
      viewer.draw();
    },
  });
  byId("sl-keep").addEventListener("click", () => wanted && presets.open());
  byId("sl-link").addEventListener("click", copyLink);
  wireHelp();
  tellRule();
  wireAbility((reason) => tellHint(reason, true));
  plainToasts();
  wireRendering();
  wireSound();
  showMore();
  able();
  viewer.viewChanged = (view) => {
    able();
    page = null;
    if (view !== "renders") compare.pause();
    tellTimeline();
    if (view === "renders" && finished) showFinished();
    if (view === "renders" && !state.video && renders.state.entries.length) renders.choose(renders.state.entries[0].id, "");
    if (view === "sweep" && state.looping) roll();
    sweeps.shown(view === "sweep");
    if (view === "clips" && session) clips.open(session.model || clips.state.model);
  };
  byId("sl-prev").addEventListener("click", () => stepFrame(-1));
  byId("sl-next").addEventListener("click", () => stepFrame(1));
  byId("sl-roll").addEventListener("click", roll);
  for (const button of document.querySelectorAll("#sl-length button")) {
    button.addEventListener("click", () => loopOf(Number(button.dataset.seconds)));
  }
  rememberView(VIEW_STATE);
  document.querySelector("#sl-legend i").style.background = legendColours();
  // Where there is room for them, the rarer settings lie open.
  if (window.innerHeight >= ROOMY_PX) openMore(20);
  for (const act of ["pointerdown", "keydown", "input"]) window.addEventListener(act, () => { handAt = Math.min(handAt, performance.now()); }, true);
  for (const act of ["pointerdown", "keydown", "wheel"]) {
    window.addEventListener(act, () => Object.assign(lately, { at: performance.now(), held: lately.held || act === "pointerdown" }), { capture: true, passive: true });
  }
  for (const end of ["pointerup", "pointercancel", "blur"]) window.addEventListener(end, () => Object.assign(lately, { at: performance.now(), held: false }), true);
  document.addEventListener("input", onHand, true);
  document.addEventListener("keydown", onKey);
  document.addEventListener("keyup", (event) => { if (event.key === "x") viewer.set({ held: false }); });
  window.addEventListener("blur", () => viewer.set({ held: false }));
  window.addEventListener("beforeunload", (event) => rendering && event.preventDefault()); // it would be cancelled
}

const beginStage = () => stage.begin(document.querySelector("#sl-model input").value, document.querySelector("#sl-base input").value);

// The progress line says whether a render runs.
function wireRendering() {
  const line = byId("sl-progress");
  new MutationObserver(() => {
    rendering = Boolean(line.querySelector("[data-running]"));
    able();
  }).observe(line, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-running"] });
}

// For tests: what is drawn, and how an error looks.
Object.assign(door, { state, viewer, picture, fail: wrong, parts: () => ({ compare, dock, renders, clips, presets, steps, drop, sweeps }) });

const CALLS = {
  show,
  // While the server lays a new sound over the clips, and when it could not.
  opening() {
    byId("sl-what").textContent = "Listening to the speech";
    state.opening = true;
    if (stage.waits) beginStage();
  },
  // The server answered, with a session or a message.
  opened() {
    state.opening = false;
    titled();
    setTimeout(() => { // its session comes beside this call, before or after it
      if (!session?.token && !state.opening) stage.empty(session?.empty || "Nothing is open: upload speech or record it, at the top left.");
    }, SETTLE_MS);
  },
  // From the click until the first frame; another person's render may have to end before.
  starting(values) {
    const line = document.querySelector("#sl-progress p");
    document.querySelector("#sl-progress .sl-bar")?.toggleAttribute("data-running", true);
    if (line) line.textContent = "Starting; one render runs at a time";
    lately.at = -Infinity; // the click itself is over
    const [first, stop] = session?.token ? loop.range(Math.round(Number(values[3])), session.frames, session.fps) : [0, 0];
    return [...values.slice(0, 4), values[2] === "loop" ? `${first}-${stop}` : "", ...values.slice(5)];
  },
  // A render is finished: it is shown, but not under a hand that is at something else by now.
  async compare(text) {
    if (!text) return;
    if (!lately.held && performance.now() - lately.at > REST_MS) {
      await renders.refresh(text);
      return;
    }
    await renders.refresh();
    finished = text;
    byId("sl-tab-compare").toggleAttribute("data-new", true);
    tellHint("The render is finished: 8 shows it.", true);
  },
  preset(text) {
    presetValues = JSON.parse(text);
    if (wanted) markPreset(wanted.settings);
  },
};

// Gradio puts the parts of the page in one after the other; calls that came before wait in door.early.
const PARTS = ["sl-canvas", "sl-what", "sl-say", "sl-roll", "sl-sheet", "sl-hint-text", "sl-preset", "sl-more", "sl-timeline", "sl-history", "sl-keep", "sl-undo"];
const waiting = setInterval(() => {
  if (!PARTS.every(byId)) return;
  clearInterval(waiting);
  wire();
  Object.assign(door, CALLS);
  door.early.splice(0).forEach(([name, args]) => door[name](...args));
}, 30);
