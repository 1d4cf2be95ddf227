// The viewer of two renders: side by side or as a wipe, zoomed and panned as one, in step to the frame.

import { film } from "./film.js";
import { scoreColour } from "./inspect.js";
import { fitted, onFace, paintPlaced, panned, sized, wireWipeLine, zoomed } from "./zoom.js";

const SPEEDS = [0.25, 0.5, 1, 2];
const GAP = 6;

// moved(frame): another frame of the sound is shown; chosen(side, choice): of the lists over the pictures; tell(text)
// says in the line below what cannot be done.
export function player(root, { moved, chosen, tell }) {
  const pane = (side) => `<div class="sl-of" data-side="${side}"><b>${side.toUpperCase()}</b>
    <select data-pick="${side}" aria-label="render shown as ${side.toUpperCase()}" data-help="The video shown as ${side.toUpperCase()}: any render, or its unblended one."></select>
    <span></span><i></i></div>`;
  root.innerHTML = `
    <div class="sl-duo" data-mode="side">
      <canvas></canvas>${pane("a")}${pane("b")}
      <div class="sl-wipe" role="slider" tabindex="0" aria-label="place of the wipe" aria-valuemin="0" aria-valuemax="100" data-help="The line between A and B: drag it, or move it with the arrows, Home and End."></div>
    </div>
    <div class="sl-player">
      <button type="button" data-do="play" data-help="Plays both videos in step, or pauses (k).">Play</button>
      <button type="button" data-do="back" aria-label="one frame back" data-help="One frame back (comma).">&#9664;&#8201;1</button>
      <button type="button" data-do="forward" aria-label="one frame forward" data-help="One frame forward (period).">1&#8201;&#9654;</button>
      <input class="sl-seek" type="range" min="0" max="1" value="0" step="1" aria-label="frame of the videos" data-help="Frame of the sound, as in the timeline.">
      <output class="sl-at"></output>
      <button type="button" data-do="loop" aria-pressed="true" data-help="Begins again at the end (l).">Loop</button>
      <label data-help="Speed of play: slower with &lt;, faster with &gt;.">Speed <select data-do="speed">${SPEEDS.map((s) => `<option${s === 1 ? " selected" : ""}>${s}</option>`).join("")}</select></label>
      <button type="button" data-do="mode" aria-pressed="false" data-help="Side by side, or one over the other (w).">Wipe</button>
    </div>
    <video data-video="a" playsinline preload="auto"></video>
    <video data-video="b" playsinline muted preload="auto"></video>`;
  const one = (selector) => root.querySelector(selector);
  const stage = one(".sl-duo");
  const canvas = one("canvas");
  const videos = { a: one("[data-video=a]"), b: one("[data-video=b]") };
  for (const video of Object.values(videos)) video.className = "sl-hidden-video";
  // What tests read. frame and first count from the start of the sound; pairs: how many were shown.
  const state = { frame: -1, first: 0, frames: 0, pairs: 0, playing: false, loop: true, speed: 1, mode: "side", wipe: 0.5, error: "" };
  let pictures = null; // { a, b }
  let faceBox = null;
  let scale = 0; // device px per picture px; 0 shows the whole picture
  let centre = [0, 0];
  let asked = 0;
  const reel = film(videos, { shown, changed, failed: (message) => { state.error = message; tell(message); } });

  function shown(number, a, b) {
    pictures = { a, b };
    state.frame = state.first + number;
    state.pairs += 1;
    one(".sl-seek").value = String(state.frame);
    one(".sl-at").textContent = String(state.frame);
    drawNow();
    moved(state.frame);
  }

  function changed() {
    state.playing = reel.state.playing;
    one("[data-do=play]").textContent = state.playing ? "Pause" : "Play";
  }

  const ratio = () => window.devicePixelRatio || 1;

  function paneSize() {
    const [width, height] = [stage.clientWidth * ratio(), stage.clientHeight * ratio()].map(Math.round);
    return { width: state.mode === "wipe" ? width : Math.floor((width - GAP * ratio()) / 2), height };
  }

  function place() {
    const whole = fitted(paneSize(), [pictures.a.width, pictures.a.height]);
    return scale ? { ...whole, scale, cx: centre[0], cy: centre[1] } : whole;
  }

  function put(next) {
    scale = next.scale;
    centre = [next.cx, next.cy];
    draw();
  }

  function draw() {
    asked = asked || requestAnimationFrame(() => { asked = 0; drawNow(); });
  }

  function drawNow() {
    if (!stage.clientWidth || !stage.clientHeight) return;
    const context = sized(canvas, Math.round(stage.clientWidth * ratio()), Math.round(stage.clientHeight * ratio()));
    if (!pictures) return;
    const at = place();
    const size = [pictures.a.width, pictures.a.height];
    if (state.mode === "wipe") {
      const split = Math.round(state.wipe * at.width);
      paintPlaced(context, pictures.a, at, 0, split);
      paintPlaced(context, pictures.b, at, split, at.width, size);
    } else {
      paintPlaced(context, pictures.a, at, 0, at.width);
      context.save();
      context.translate(canvas.width - at.width, 0);
      paintPlaced(context, pictures.b, at, 0, at.width, size);
      context.restore();
    }
    document.getElementById("sl-scale").textContent = `${Math.round((100 * at.scale) / ratio())} %`;
  }

  // pair: { a, b: { url, choice, tells, score, against, title, why }, first, frames, skip, fps, face }. against: the
  // score of the unblended paste; why: what to do where this video cannot be played.
  async function load(pair) {
    const at = Math.min(Math.max(state.frame - pair.first, 0), pair.frames - 1);
    Object.assign(state, { frame: -1, first: pair.first, frames: pair.frames, pairs: 0, error: "" });
    faceBox = pair.face;
    Object.assign(one(".sl-seek"), { min: String(pair.first), max: String(pair.first + pair.frames - 1) });
    for (const side of ["a", "b"]) {
      const { tells, score, against, title } = pair[side];
      const words = one(`[data-side=${side}]`);
      words.title = title;
      words.children[2].textContent = tells;
      words.children[3].textContent = score === null ? "" : `seam ${score.toFixed(2)}`;
      words.children[3].style.color = scoreColour(score, against);
    }
    try {
      await reel.load({ a: pair.a.url, b: pair.b.url }, pair, at);
    } catch (side) {
      if (!pair[side]) throw side;
      state.error = pair[side].why;
      throw new Error(state.error);
    }
  }

  // No pair is chosen.
  function clear() {
    reel.unload();
    pictures = null;
    Object.assign(state, { frame: -1, frames: 0 });
    one(".sl-at").textContent = "";
    for (const side of ["a", "b"]) {
      const words = one(`[data-side=${side}]`);
      words.title = words.children[2].textContent = words.children[3].textContent = "";
    }
    drawNow();
  }

  // choices: [value, text] of all videos; now: { a, b }, the values of those that are shown.
  function offer(choices, now) {
    for (const side of ["a", "b"]) {
      const list = one(`[data-pick=${side}]`);
      list.replaceChildren(...choices.map(([value, text]) => new Option(text, value)));
      list.value = now[side];
    }
  }

  const seek = (frame) => reel.seek(frame - state.first);
  const step = (by) => reel.seek(reel.at() + by);
  const toggle = () => (state.playing ? reel.pause() : reel.play());

  function setMode(mode) {
    state.mode = stage.dataset.mode = mode;
    one("[data-do=mode]").setAttribute("aria-pressed", String(mode === "wipe"));
    draw();
  }

  const toggleMode = () => setMode(state.mode === "wipe" ? "side" : "wipe");

  function setLoop(loop) {
    state.loop = reel.state.loop = loop;
    one("[data-do=loop]").setAttribute("aria-pressed", String(loop));
  }

  function setSpeed(speed) {
    state.speed = speed;
    reel.setSpeed(speed);
    one("[data-do=speed]").value = String(speed);
  }

  const stepSpeed = (by) => setSpeed(SPEEDS[Math.min(Math.max(SPEEDS.indexOf(state.speed) + by, 0), SPEEDS.length - 1)]);

  function setWipe(wipe) {
    state.wipe = wipe;
    one(".sl-wipe").style.left = `${100 * wipe}%`;
    one(".sl-wipe").setAttribute("aria-valuenow", String(Math.round(100 * wipe)));
    draw();
  }

  function fit() {
    scale = 0;
    draw();
  }

  function face() {
    if (!pictures) return;
    if (faceBox) put(onFace(paneSize(), faceBox));
    else tell("Where the face is is not known of these renders; zoom with the wheel, at the pointer.");
  }

  const zoomTo = (wanted) => { if (pictures) put({ ...place(), scale: wanted }); };

  // Device px of the pane under the pointer.
  function inPane({ clientX, clientY }) {
    const { left, top } = stage.getBoundingClientRect();
    const x = (clientX - left) * ratio();
    const second = state.mode === "side" && x > canvas.width / 2;
    return [second ? x - (canvas.width - paneSize().width) : x, (clientY - top) * ratio()];
  }

  stage.addEventListener("wheel", (event) => {
    if (!pictures || event.target.matches("select")) return;
    event.preventDefault();
    put(zoomed(place(), ...inPane(event), event.deltaY));
  }, { passive: false });
  let from = null;
  stage.addEventListener("pointerdown", (event) => {
    if (event.button || event.target !== canvas || !pictures) return;
    from = { x: event.clientX, y: event.clientY, place: place() };
    stage.setPointerCapture(event.pointerId);
    stage.classList.add("sl-panning");
  });
  stage.addEventListener("pointermove", (event) => {
    if (from) put(panned(from.place, (event.clientX - from.x) * ratio(), (event.clientY - from.y) * ratio()));
  });
  for (const end of ["pointerup", "pointercancel"]) {
    stage.addEventListener(end, () => { from = null; stage.classList.remove("sl-panning"); });
  }
  wireWipeLine(one(".sl-wipe"), stage, { now: () => state.wipe, move: setWipe });
  const press = (name, act) => one(`[data-do=${name}]`).addEventListener("click", act);
  press("play", toggle);
  press("back", () => step(-1));
  press("forward", () => step(1));
  press("loop", () => setLoop(!state.loop));
  press("mode", toggleMode);
  one(".sl-seek").addEventListener("input", (event) => seek(Number(event.target.value)));
  one("[data-do=speed]").addEventListener("change", (event) => setSpeed(Number(event.target.value)));
  for (const side of ["a", "b"]) one(`[data-pick=${side}]`).addEventListener("change", (event) => chosen(side, event.target.value));
  // A list chosen from by hand gives the keys back; by the keyboard it keeps them.
  for (const list of root.querySelectorAll("select")) {
    let byHand = false;
    list.addEventListener("pointerdown", () => { byHand = true; });
    list.addEventListener("keydown", () => { byHand = false; });
    list.addEventListener("change", () => byHand && list.blur());
  }
  new ResizeObserver(draw).observe(stage);
  setWipe(0.5);
  return {
    load, clear, offer, seek, step, toggle, toggleMode, fit, face, zoomTo, state, apart: reel.apart,
    play: reel.play, pause: reel.pause, place: () => pictures && place(),
    toggleLoop: () => setLoop(!state.loop), slower: () => stepSpeed(-1), faster: () => stepSpeed(1),
  };
}
