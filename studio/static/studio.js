// The viewer: asks for one output frame at a time, latest wins, and draws its lossless layers.
(() => {
  "use strict";
  const SETTLE_MS = 120;
  const FLOOR_MS = 1500;
  const floorAsked = {};
  const NECK_SHARE = 0.8;
  const OVERLAY = [255, 64, 64, 0.5];
  const byId = (id) => document.getElementById(id);

  // What tests and people's consoles can read: seq counts drawn answers, shown says what is on screen.
  const state = { seq: 0, shown: null, pending: false, error: "", header: null, latency: 0, video: null };
  let session = null;
  let wanted = null;
  let busy = false;
  let settle = 0;
  let plateKey = "";
  let view = "fit";
  let holdPlate = false;
  const layers = {};

  function show(names, values) {
    const [text, frame, ...rest] = values;
    if (!text) return;
    if (!session || session.text !== text) open(text);
    if (!session.token) return;
    const settings = Object.fromEntries(names.map((name, i) => [name, rest[i]]));
    const number = Math.min(Math.max(Math.round(Number(frame) || 0), 0), session.frames - 1);
    if (byId("sl-view").dataset.mode === "compare") select("frame");
    wanted = { frame: number, settings, since: performance.now() };
    state.pending = true;
    pump();
  }

  function open(text) {
    session = { text, ...JSON.parse(text) };
    plateKey = "";
    state.opening = false;
    if (session.empty) {
      state.shown = state.header = null;
      byId("sl-score").innerHTML = "";
      byId("sl-view").dataset.empty = "1";
      say(session.empty);
      byId("sl-what").textContent = "No speech yet";
      return;
    }
    delete byId("sl-view").dataset.empty;
    byId("sl-what").textContent = title();
    select("frame");
  }

  // While the server lays a new sound over the clips, and when it could not.
  function opening() {
    byId("sl-what").textContent = "Listening to the speech";
    state.opening = true;
  }

  // From the click until the first frame; another person's render may have to end before.
  function starting() {
    const line = document.querySelector("#sl-progress p");
    if (line) line.textContent = "Starting; one render runs at a time";
  }

  // The server answered, with a session or a message.
  function opened() {
    state.opening = false;
    byId("sl-what").textContent = session?.token ? title() : "No speech yet";
    byId("sl-what").title = session?.token ? `The network runs in ${session.network}` : "";
  }

  const title = () =>
    `${session.model}, ${session.base}: ${session.frames} frames, ${(session.frames / session.fps).toFixed(2)} s`;

  async function pump() {
    if (busy || !wanted) return;
    const now = wanted;
    const asked = session;
    wanted = null;
    busy = true;
    clearTimeout(settle);
    const key = `${asked.token} ${now.frame}`;
    try {
      const answer = await fetch("/studio/preview", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({
          token: asked.token, frame: now.frame, settings: now.settings,
          plate: key !== plateKey, score: Boolean(now.score),
        }),
      });
      if (!answer.ok) throw new Error(await reason(answer));
      const { header, images } = await unpack(await answer.arrayBuffer());
      if (asked === session) {
        if (images.plate) plateKey = key;
        accept(header, images);
        state.shown = { frame: now.frame, settings: now.settings };
        state.latency = performance.now() - now.since;
        state.error = "";
        state.seq += 1;
      }
    } catch (error) {
      state.error = error.message || String(error);
      say(state.error, true);
    } finally {
      busy = false;
      state.pending = Boolean(wanted);
    }
    const again = () => {
      if (wanted || busy || asked !== session) return;
      wanted = { ...now, score: true, since: performance.now() };
      pump();
    };
    if (wanted) pump();
    else if (!now.score && !state.error) settle = setTimeout(again, SETTLE_MS);
    else if (!state.error && floorIsComing(state.header)) settle = setTimeout(again, FLOOR_MS);
  }

  // A clip's floor is measured in the background when its score is first asked for.
  function floorIsComing(header) {
    if (!header?.driven || header.floor !== undefined) return false;
    floorAsked[header.clip] = (floorAsked[header.clip] || 0) + 1;
    return floorAsked[header.clip] <= 8;
  }

  async function reason(answer) {
    try {
      const told = await answer.json();
      return told.error || (typeof told.detail === "string" ? told.detail : "the studio refused this request");
    } catch {
      return `the studio answered with status ${answer.status}; reload the page`;
    }
  }

  async function unpack(buffer) {
    const length = new DataView(buffer).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    const images = {};
    let offset = 4 + length;
    await Promise.all(header.layers.map(async (layer) => {
      const blob = new Blob([new Uint8Array(buffer, offset, layer.bytes)], { type: "image/png" });
      offset += layer.bytes;
      images[layer.name] = await createImageBitmap(blob, { colorSpaceConversion: "none" });
    }));
    return { header, images };
  }

  function surface(name, width, height) {
    const canvas = layers[name] || (layers[name] = document.createElement("canvas"));
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    return canvas.getContext("2d", { willReadFrequently: name === "matte" });
  }

  function accept(header, images) {
    const [width, height] = header.size;
    const [x, y] = header.roi;
    if (images.plate) {
      surface("plate", width, height).drawImage(images.plate, 0, 0);
      const plain = surface("unblended", width, height);
      plain.drawImage(images.plate, 0, 0);
      plain.drawImage(images.unblended, x, y);
    }
    const result = surface("result", width, height);
    result.drawImage(layers.plate, 0, 0);
    result.drawImage(images.composite, x, y);
    const matte = surface("matte", width, height);
    matte.fillStyle = "#000";
    matte.fillRect(0, 0, width, height);
    matte.drawImage(images.matte, x, y);
    const overlay = surface("overlay", width, height);
    overlay.drawImage(layers.plate, 0, 0);
    overlay.drawImage(tinted(matte, header.roi), x, y);
    overlay.strokeStyle = "rgba(255,255,255,.55)";
    overlay.setLineDash([6, 4]);
    overlay.strokeRect(header.box[0] + 0.5, header.box[1] + 0.5, header.box[2] - 1, header.box[2] - 1);
    state.header = { ...(header.score === undefined ? keepScore(header) : {}), ...header };
    draw();
    tell(state.header);
  }

  // Until the score of new settings is measured, the last one of this frame stays, marked as old.
  function keepScore(header) {
    const last = state.header;
    if (!last || last.frame !== header.frame || last.score === undefined || !header.driven) return {};
    const { score, sectors, unblended_score, floor } = last;
    return { score, sectors, unblended_score, floor, old: true };
  }

  function tinted(matte, [x, y, width, height]) {
    const pixels = matte.getImageData(x, y, width, height);
    for (let i = 0; i < pixels.data.length; i += 4) {
      const alpha = pixels.data[i];
      pixels.data[i] = OVERLAY[0];
      pixels.data[i + 1] = OVERLAY[1];
      pixels.data[i + 2] = OVERLAY[2];
      pixels.data[i + 3] = alpha * OVERLAY[3];
    }
    const tint = surface("tint", width, height);
    tint.putImageData(pixels, 0, 0);
    return layers.tint;
  }

  // The part of the plate, in its pixels, that a pane shows.
  function region(pane, aspect) {
    const header = state.header;
    const [width, height] = header.size;
    const [x0, y0, side] = header.box;
    let wide = width;
    let cx = width / 2;
    let cy = height / 2;
    if (pane === "closeup") {
      wide = NECK_SHARE * side;
      [cx, cy] = [header.chin[0], header.chin[1] + 0.06 * side];
      return [cx - wide / 2, cy - wide / aspect / 2, wide, wide / aspect];
    }
    let tall = height;
    if (view === "face") {
      wide = tall = 1.3 * side;
      [cx, cy] = [x0 + side / 2, y0 + 0.45 * side];
    }
    if (wide / tall < aspect) wide = tall * aspect;
    else tall = wide / aspect;
    return [cx - wide / 2, cy - tall / 2, wide, tall];
  }

  function draw() {
    if (!state.header || !layers.plate) return;
    for (const canvas of document.querySelectorAll("#sl-panes canvas")) {
      const ratio = window.devicePixelRatio || 1;
      const width = Math.round(canvas.clientWidth * ratio);
      const height = Math.round(canvas.clientHeight * ratio);
      if (!width || !height) continue;
      if (canvas.width !== width || canvas.height !== height) {
        canvas.width = width;
        canvas.height = height;
      }
      const pane = canvas.dataset.pane;
      let name = pane === "closeup" ? "result" : pane;
      if (holdPlate && name === "result") name = "plate";
      const [x, y, wide] = region(pane, width / height);
      const scale = width / wide;
      const context = canvas.getContext("2d");
      context.fillStyle = "#000";
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, width, height);
      context.imageSmoothingEnabled = scale < 2;
      context.imageSmoothingQuality = "high";
      context.setTransform(scale, 0, 0, scale, -x * scale, -y * scale);
      context.drawImage(layers[name], 0, 0);
    }
    byId("sl-result-name").textContent = holdPlate ? "Plate (x held)" : "Result";
  }

  function tell(header) {
    const where = `${header.clip}, frame ${header.clip_frame}`;
    byId("sl-score").innerHTML = "";
    const parts = [];
    if (header.driven && header.score !== undefined) {
      parts.push(["Seam", header.score.toFixed(2)], ["Unblended", header.unblended_score.toFixed(2)]);
      if (header.floor !== undefined) parts.push(["Floor", header.floor.toFixed(2)]);
      for (const [name, value] of Object.entries(header.sectors)) parts.push([name.replace("_", " "), value.toFixed(2)]);
    }
    parts.forEach(([name, value], i) => {
      const item = document.createElement("span");
      item.className = i ? "" : "sl-first";
      item.append(`${name} `);
      const figure = document.createElement("b");
      figure.textContent = value;
      item.append(figure);
      byId("sl-score").append(item);
    });
    byId("sl-score").classList.toggle("sl-old", Boolean(header.old));
    const notes = session.notes.length ? [session.notes.join("; ")] : [];
    const feather = header.driven && header.feather_px >= 1 ? [featherInWords(header)] : [];
    const laidOn = header.driven && header.feather_px > 0 && header.texture_share !== null;
    const texture = laidOn ? [textureInWords(header)] : [];
    say([where, ...feather, ...texture, ...header.limits, ...notes].map((part) => part[0].toUpperCase() + part.slice(1)).join(". ") + ".");
  }

  function textureInWords(header) {
    const share = header.texture_share;
    return share > 0 ? `${Math.round(100 * share)} % of the plate's texture laid on`
      : "no texture laid on: the generated skin has as much";
  }

  function featherInWords(header) {
    const share = header.feather_share;
    const why = share < 0.9 ? ", narrowed since the picture comes close to the plate"
      : share > 1.1 ? ", widened since the picture stays far from the plate" : "";
    return `feather ${header.feather_px.toFixed(0)} px${why}`;
  }

  function say(text, wrong = false) {
    byId("sl-say").textContent = text;
    byId("sl-say").classList.toggle("sl-wrong", wrong);
  }

  function select(mode) {
    byId("sl-view").dataset.mode = mode;
    document.body.classList.toggle("sl-comparing", mode === "compare");
    byId("sl-tab-frame").setAttribute("aria-selected", String(mode === "frame"));
    byId("sl-tab-compare").setAttribute("aria-selected", String(mode === "compare"));
    if (mode === "frame") {
      pause();
      requestAnimationFrame(draw);
    }
  }

  function zoom(next) {
    view = next;
    byId("sl-fit").setAttribute("aria-pressed", String(view === "fit"));
    byId("sl-face").setAttribute("aria-pressed", String(view === "face"));
    draw();
  }

  // Two videos in step: A (blended, with sound) leads, B follows.
  const a = () => byId("sl-video-a");
  const b = () => byId("sl-video-b");

  function compare(text) {
    if (!text) return;
    const told = JSON.parse(text);
    state.video = told;
    for (const [element, address, link] of [[a(), told.blended, "sl-save"], [b(), told.unblended, "sl-save-plain"]]) {
      element.src = address;
      element.load();
      byId(link).href = `${address}?download=true`;
    }
    byId("sl-tab-compare").disabled = false;
    byId("sl-seek").max = String(session.frames - 1);
    const seam = told.seam === null ? "" : `, seam ${told.seam.toFixed(2)}, worst ${told.worst.toFixed(2)} at frame ${told.worst_frame}`;
    state.video.line = `${told.name}${seam}.`;
    say(state.video.line);
    select("compare");
  }

  function play() {
    b().currentTime = a().currentTime;
    Promise.all([a().play(), b().play()]).catch((error) => say(`The video cannot be played: ${error.message}`, true));
  }

  function pause() {
    a()?.pause();
    b()?.pause();
  }

  function seek(frame) {
    pause();
    const last = Number(byId("sl-seek").max);
    const time = (Math.min(Math.max(frame, 0), last) + 0.5) / session.fps;
    a().currentTime = time;
    b().currentTime = time;
    follow();
  }

  const videoFrame = () => Math.min(Math.floor(a().currentTime * session.fps + 1e-3), Number(byId("sl-seek").max));

  function follow() {
    if (!session?.fps) return;
    byId("sl-seek").value = String(videoFrame());
    byId("sl-time").textContent = `${videoFrame()}`;
    if (a().paused) return;
    const ahead = a().currentTime - b().currentTime;
    if (Math.abs(ahead) > 0.3) b().currentTime = a().currentTime;
    else b().playbackRate = 1 + Math.min(Math.max(2 * ahead, -0.4), 0.4);
  }

  function tick() {
    if (!a().paused) {
      follow();
      requestAnimationFrame(tick);
    }
  }

  function stepFrame(by) {
    if (byId("sl-view").dataset.mode === "compare") {
      seek(videoFrame() + by);
      return;
    }
    const input = document.querySelector("#sl-frame input[type=range]");
    if (!input) return;
    input.value = String(Number(input.value) + by);
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }

  function onKey(event) {
    const target = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.matches("textarea, select, [contenteditable], input:not([type=range]):not([type=checkbox]):not([type=radio])")) return;
    const keys = {
      ",": () => stepFrame(-1),
      ".": () => stepFrame(1),
      f: () => zoom("fit"),
      g: () => zoom("face"),
      k: () => byId("sl-view").dataset.mode === "compare" && (a().paused ? play() : pause()),
      x: () => { holdPlate = true; draw(); },
    };
    const act = keys[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  }

  function wire() {
    byId("sl-tab-frame").addEventListener("click", () => { select("frame"); if (state.header) tell(state.header); });
    byId("sl-tab-compare").addEventListener("click", () => { select("compare"); say(state.video.line); });
    byId("sl-fit").addEventListener("click", () => zoom("fit"));
    byId("sl-face").addEventListener("click", () => zoom("face"));
    byId("sl-play").addEventListener("click", () => (a().paused ? play() : pause()));
    byId("sl-back").addEventListener("click", () => seek(videoFrame() - 1));
    byId("sl-forward").addEventListener("click", () => seek(videoFrame() + 1));
    byId("sl-seek").addEventListener("input", (event) => seek(Number(event.target.value)));
    byId("sl-loop").addEventListener("change", () => { a().loop = byId("sl-loop").checked; });
    a().loop = true;
    a().addEventListener("play", () => { byId("sl-play").textContent = "Pause"; tick(); });
    a().addEventListener("pause", () => { byId("sl-play").textContent = "Play"; b().pause(); follow(); });
    a().addEventListener("seeked", follow);
    b().addEventListener("ended", () => { if (!a().paused) { b().currentTime = a().currentTime; b().play(); } });
    document.addEventListener("keydown", onKey);
    document.addEventListener("keyup", (event) => { if (event.key === "x") { holdPlate = false; draw(); } });
    new ResizeObserver(draw).observe(byId("sl-panes"));
    state.ready = true;
  }

  // Calls that come before Gradio has put the viewer into the page wait for it.
  const early = [];
  const whenReady = (call) => (...args) => { if (state.ready) call(...args); else early.push(() => call(...args)); };
  window.seamline = {
    show: whenReady(show), compare: whenReady(compare), opening: whenReady(opening), opened: whenReady(opened),
    starting: whenReady(starting), state,
  };
  const waiting = setInterval(() => {
    if (!byId("sl-say") || !byId("sl-what")) return;
    clearInterval(waiting);
    wire();
    early.splice(0).forEach((call) => call());
  }, 30);
})();
