// The timeline dock: thumbnails, seam score, speech, cuts and landmark confidence over all output frames; scrubs.
import { STRONG, scoreColour } from "./inspect.js";

export function timelineDock(root, { goto }) {
  const ROWS = [["thumbs", 44, ""], ["seam", 34, "Seam"], ["speech", 26, "Speech"], ["cuts", 18, "Clips"], ["sure", 10, "Face"]];
  const LABELS = 56;
  const GAP = 3;
  const POLL_MS = 400;
  const SETTLE_MS = 900;
  const DRAW_MS = 60;
  const UNSURE = 0.7;
  const APART = 5;
  const TIP_PX = 12;
  const INK = { text: "#9a9a9a", line: "#d4d4d4", dim: "#5a5a5a", panel: "#232323", block: "#343434", talk: "#4a4a4a",
    bad: "#e0604c", warn: "#d9a441", head: "#ffffff", out: "rgba(27,27,27,.75)" };
  const canvas = document.createElement("canvas");
  const tip = document.createElement("div");
  tip.className = "sl-timeline-tip";
  tip.hidden = true;
  root.append(canvas, tip);
  root.tabIndex = 0;
  root.setAttribute("role", "slider");
  root.setAttribute("aria-label", "output frame");
  // What tests read.
  // covered: first frame, and the one after the last, of the two renders whose frames are shown.
  const state = { frames: 0, frame: 0, covered: null, measured: 0, done: false, worst: [], thumbs: 0, error: "" };
  let session = null;
  let told = null;
  let scores = new Map();
  let unblended = {}; // by frame
  let floors = {}; // by clip
  let thumbs = new Map();
  let settings = null;
  let timer = 0;
  let soon = 0;
  let turn = 0;
  let held = false;
  const running = new Set(); // requests on their way
  let dragging = false;

  const height = () => ROWS.reduce((sum, [, tall]) => sum + tall + GAP, 0);
  const wide = () => Math.max(canvas.clientWidth - LABELS, 1);
  const xOf = (frame) => LABELS + ((frame + 0.5) / state.frames) * wide();
  const frameAt = (x) => Math.min(Math.max(Math.floor(((x - LABELS) / wide()) * state.frames), 0), state.frames - 1);

  async function fetchJson(address, body) {
    const answer = await fetch(address, body && {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
    const text = await answer.json();
    if (!answer.ok) throw new Error(text.error || "the studio refused this request");
    return text;
  }

  // Another sound or base.
  async function open(next) {
    const mine = ++turn;
    session = next;
    held = false;
    told = null;
    scores = new Map();
    thumbs = new Map();
    Object.assign(state, { frames: next?.frames || 0, measured: 0, done: false, worst: [], thumbs: 0, error: "" });
    draw();
    if (!next) return;
    try {
      const answer = await fetchJson(`/studio/timeline/${next.token}`);
      if (mine !== turn) return;
      told = answer;
      draw();
      loadThumbs(mine);
    } catch (error) {
      if (mine === turn) state.error = error.message;
    }
  }

  function at(frame) {
    const range = { "aria-valuemin": "0", "aria-valuemax": String(Math.max(state.frames - 1, 0)), "aria-valuenow": String(frame) };
    if (frame === state.frame && Object.entries(range).every(([name, value]) => root.getAttribute(name) === value)) return;
    state.frame = frame;
    for (const [name, value] of Object.entries(range)) root.setAttribute(name, value);
    draw();
  }

  // Null: the frames of the page are shown, and none is left out.
  function cover(frames) {
    state.covered = frames;
    draw();
  }

  // Under a slider that moves, the picture comes first.
  function drawSoon() {
    soon ||= setTimeout(() => { soon = 0; draw(); }, DRAW_MS);
  }

  // Other settings: what was measured no longer holds; asked anew once the hand rests.
  function changed(next) {
    const text = JSON.stringify(next);
    if (settings?.text === text && settings.turn === turn) return;
    settings = { text, values: next, turn };
    scores = new Map();
    Object.assign(state, { measured: 0, done: false, worst: [] });
    clearTimeout(timer);
    timer = setTimeout(poll, SETTLE_MS);
    drawSoon();
  }

  // Asks for nothing while what is open may be closed; false: goes on. A session that is opened goes on by itself.
  async function hold(on) {
    held = on;
    await Promise.allSettled(running);
  }

  function tracked(request) {
    running.add(request);
    request.catch(() => {}).finally(() => running.delete(request));
    return request;
  }

  function poll() {
    if (!session || !settings || document.hidden || held) timer = setTimeout(poll, 4 * POLL_MS);
    else tracked(measure());
  }

  async function measure() {
    const mine = settings;
    try {
      const answer = await fetchJson("/studio/scan", { token: session.token, settings: mine.values });
      if (mine !== settings || mine.turn !== turn) return;
      ({ unblended, floors } = answer);
      scores = new Map(Object.entries(answer.scores).map(([frame, score]) => [Number(frame), score]));
      state.measured = scores.size;
      state.done = answer.done;
      state.worst = worst();
      state.error = answer.error;
      draw();
      if (!answer.done) timer = setTimeout(poll, POLL_MS);
    } catch (error) {
      state.error = error.message;
    }
  }

  // Measured frames from the worst down, none closer than APART frames to a worse one.
  function worst() {
    const found = [];
    for (const [frame] of [...scores].sort((a, b) => b[1] - a[1] || a[0] - b[0])) {
      if (found.every((other) => Math.abs(other - frame) >= APART)) found.push(frame);
      if (found.length === 12) break;
    }
    return found;
  }

  function nextWorst() {
    if (!state.worst.length) return;
    const place = state.worst.indexOf(state.frame);
    goto(state.worst[(place + 1) % state.worst.length]);
  }

  async function loadThumbs(mine) {
    const count = Math.max(1, Math.floor(wide() / ROWS[0][1]));
    for (let i = 0; i < count; i++) {
      const frame = Math.min(Math.floor(((i + 0.5) / count) * state.frames), state.frames - 1);
      if (thumbs.has(frame)) continue;
      while (held) await new Promise((go) => setTimeout(go, POLL_MS));
      if (mine !== turn) return;
      const image = new Image();
      image.src = `/studio/thumbnail/${session.token}/${frame}`;
      try {
        await tracked(image.decode());
      } catch {
        return;
      }
      if (mine !== turn) return;
      thumbs.set(frame, image);
      state.thumbs = thumbs.size;
      draw();
    }
  }

  function draw() {
    const ratio = window.devicePixelRatio || 1;
    canvas.style.width = "100%";
    canvas.style.height = `${height()}px`;
    const width = canvas.clientWidth;
    if (!width) return;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height() * ratio);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    let y = 0;
    for (const [name, tall, label] of ROWS) {
      pen.fillStyle = INK.panel;
      pen.fillRect(LABELS, y, wide(), tall);
      pen.fillStyle = INK.text;
      pen.fillText(label, 0, y + tall / 2);
      if (state.frames) painters[name](pen, y, tall);
      y += tall + GAP;
    }
    if (!state.frames) return;
    if (state.covered) {
      const [from, to] = state.covered.map((frame) => LABELS + (Math.min(frame, state.frames) / state.frames) * wide());
      pen.fillStyle = INK.out;
      pen.fillRect(LABELS, 0, from - LABELS, y - GAP);
      pen.fillRect(to, 0, LABELS + wide() - to, y - GAP);
    }
    if (state.frame >= state.frames) return;
    const x = Math.round(xOf(state.frame)) + 0.5;
    pen.strokeStyle = INK.head;
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.moveTo(x, 0);
    pen.lineTo(x, y - GAP);
    pen.stroke();
  }

  // One value per column of pixels: the highest of the frames under it; `at` is filled with the frame that has it.
  function columns(valueOf, at = []) {
    const count = Math.round(wide());
    const found = new Array(count).fill(null);
    for (let frame = 0; frame < state.frames; frame++) {
      const value = valueOf(frame);
      if (value === null || value === undefined) continue;
      const first = Math.floor((frame / state.frames) * count);
      const last = Math.max(first + 1, Math.floor(((frame + 1) / state.frames) * count));
      for (let column = first; column < last; column++) {
        if (found[column] !== null && value <= found[column]) continue;
        found[column] = value;
        at[column] = frame;
      }
    }
    return found;
  }

  const cutAt = (frame) => told?.cuts.find((one) => frame >= one.start && frame < one.stop);
  const colourAt = (frame) => scoreColour(scores.get(frame), unblended[frame], floors[cutAt(frame)?.clip]);

  const inCuts = (paint) => {
    for (const cut of told?.cuts || []) {
      const x0 = LABELS + (cut.start / state.frames) * wide();
      const x1 = LABELS + (cut.stop / state.frames) * wide();
      paint(cut, x0, x1);
    }
  };

  const painters = {
    thumbs(pen, y, tall) {
      const count = Math.max(1, Math.floor(wide() / tall));
      const step = wide() / count;
      for (const [frame, image] of thumbs) {
        const slot = Math.min(Math.floor((frame / state.frames) * count), count - 1);
        pen.drawImage(image, LABELS + slot * step + (step - tall) / 2, y, tall, tall);
      }
    },
    seam(pen, y, tall) {
      const top = Math.max(STRONG, ...scores.values());
      const at = [];
      columns((frame) => scores.get(frame), at).forEach((score, column) => {
        if (score === null) return;
        const bar = Math.max(1, (score / top) * (tall - 2));
        pen.fillStyle = colourAt(at[column]);
        pen.fillRect(LABELS + column, y + tall - bar, 1, bar);
      });
      pen.fillStyle = INK.bad;
      for (const frame of state.worst.slice(0, 3)) pen.fillRect(Math.round(xOf(frame)) - 1, y, 3, 3);
      if (!scores.size) {
        pen.fillStyle = INK.dim;
        pen.fillText(state.error || (state.done ? "no frame is blended here" : "measured while nothing else is to do"), LABELS + 6, y + tall / 2);
      }
    },
    speech(pen, y, tall) {
      inCuts((cut, x0, x1) => {
        pen.fillStyle = INK.block;
        if (cut.driven) pen.fillRect(x0, y, x1 - x0, tall);
      });
      pen.fillStyle = INK.line;
      columns((frame) => told?.level[Math.floor(frame / told.per_bin)]).forEach((level, column) => {
        const bar = Math.max(0.5, (level || 0) * (tall - 2));
        pen.fillRect(LABELS + column, y + (tall - bar) / 2, 1, bar);
      });
    },
    cuts(pen, y, tall) {
      inCuts((cut, x0, x1) => {
        pen.fillStyle = cut.driven ? INK.talk : INK.block;
        pen.fillRect(x0 + 0.5, y, Math.max(x1 - x0 - 1, 0.5), tall);
        if (x1 - x0 < 28) return;
        pen.save();
        pen.beginPath();
        pen.rect(x0, y, x1 - x0 - 3, tall);
        pen.clip();
        pen.fillStyle = INK.line;
        pen.fillText(cut.clip, x0 + 5, y + tall / 2);
        pen.restore();
      });
    },
    sure(pen, y, tall) {
      const unsure = columns((frame) => {
        const sure = told?.confidence[Math.floor(frame / told.per_bin)];
        return sure === null || sure === undefined ? null : 1 - sure;
      });
      unsure.forEach((value, column) => {
        if (value === null) return;
        pen.fillStyle = 1 - value < UNSURE ? INK.warn : INK.dim;
        const bar = Math.max(1, (1 - value) * tall);
        pen.fillRect(LABELS + column, y + tall - bar, 1, bar);
      });
    },
  };

  function describe(frame) {
    const cut = cutAt(frame);
    const score = scores.get(frame);
    const sure = told?.confidence[Math.floor(frame / told.per_bin)];
    return [
      `frame ${frame}`, `${(frame / session.fps).toFixed(2)} s`, cut ? `${cut.clip}, ${cut.driven ? "speech" : "silence"}` : "",
      score === undefined ? "" : `seam ${score.toFixed(2)}`, sure === null || sure === undefined ? "" : `face ${Math.round(100 * sure)} %`,
    ].filter(Boolean).join("   ");
  }

  function hover(event) {
    if (!state.frames || !told) return;
    const box = canvas.getBoundingClientRect();
    const x = event.clientX - box.left;
    tip.hidden = x < LABELS;
    tip.textContent = describe(frameAt(x));
    // Beside the pointer and inside the timeline: above it are buttons.
    const right = x + TIP_PX;
    tip.style.left = `${right + tip.offsetWidth <= box.width ? right : x - TIP_PX - tip.offsetWidth}px`;
  }

  function scrub(event) {
    const x = event.clientX - canvas.getBoundingClientRect().left;
    if (!state.frames || (x < LABELS && !dragging)) return;
    goto(frameAt(x));
  }

  root.addEventListener("pointerdown", (event) => {
    dragging = true;
    root.setPointerCapture(event.pointerId);
    scrub(event);
  });
  root.addEventListener("pointermove", (event) => {
    hover(event);
    if (dragging) scrub(event);
  });
  for (const end of ["pointerup", "pointercancel"]) root.addEventListener(end, () => { dragging = false; });
  root.addEventListener("pointerleave", () => { tip.hidden = true; });
  root.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -25, PageDown: 25 }[event.key];
    const place = { Home: 0, End: state.frames - 1 }[event.key];
    if (!state.frames || (step === undefined && place === undefined)) return;
    event.preventDefault();
    goto(Math.min(Math.max(place ?? state.frame + step, 0), state.frames - 1));
  });
  new ResizeObserver(() => { draw(); if (told) loadThumbs(turn); }).observe(root);
  return { open, at, cover, changed, hold, nextWorst, colourAt, state };
}
