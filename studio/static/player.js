// Two videos in step to the frame, side by side or as a wipe. A leads and has the sound. What is shown are canvases:
// a pair of frames appears only when both videos have delivered the same frame, so the two can never be apart.
export function player(root) {
  const KEPT = 6;
  const NUDGE = 2;
  const JUMP_S = 0.3;
  const SPEEDS = [0.25, 0.5, 1];
  root.innerHTML = `
    <div class="sl-duo" data-mode="side">
      <figure><canvas data-side="a"></canvas><figcaption data-name="a"></figcaption></figure>
      <figure><canvas data-side="b"></canvas><figcaption data-name="b"></figcaption></figure>
      <input class="sl-duo-wipe" type="range" min="0" max="100" value="50" step="0.5" aria-label="place of the wipe">
    </div>
    <div class="sl-player">
      <button type="button" data-do="play" title="play or pause (k)">Play</button>
      <button type="button" data-do="back" aria-label="one frame back" title="one frame back (,)">&#9664;&#8201;1</button>
      <button type="button" data-do="forward" aria-label="one frame forward" title="one frame forward (.)">1&#8201;&#9654;</button>
      <input class="sl-seek" type="range" min="0" max="1" value="0" step="1" aria-label="frame of the videos">
      <output class="sl-at">0</output>
      <label><input type="checkbox" data-do="loop" checked> Loop</label>
      <label>Speed <select data-do="speed">${SPEEDS.map((s) => `<option${s === 1 ? " selected" : ""}>${s}</option>`)}</select></label>
      <button type="button" data-do="mode" aria-pressed="false" title="side by side or one over the other (w)">Wipe</button>
    </div>
    <video data-video="a" playsinline preload="auto"></video>
    <video data-video="b" playsinline muted preload="auto"></video>`;
  const one = (selector) => root.querySelector(selector);
  const videos = { a: one("[data-video=a]"), b: one("[data-video=b]") };
  for (const video of Object.values(videos)) video.className = "sl-hidden-video";
  const kept = { a: new Map(), b: new Map() };
  // What tests read: the frame shown on both sides, how many pairs were shown, and how many were skipped.
  const state = { frame: -1, pairs: 0, frames: 0, playing: false, mode: "side", error: "" };
  let fps = 25;
  let turn = 0;

  const frameOf = (time) => Math.round(time * fps);

  // Every frame a video presents is copied, the last few kept.
  function watch(side, mine) {
    const video = videos[side];
    const took = (_now, { mediaTime }) => {
      if (mine !== turn) return;
      const frames = kept[side];
      const number = frameOf(mediaTime);
      const canvas = frames.size >= KEPT ? frames.get(frames.keys().next().value) : document.createElement("canvas");
      if (frames.size >= KEPT) frames.delete(frames.keys().next().value);
      if (canvas.width !== video.videoWidth || canvas.height !== video.videoHeight) {
        canvas.width = video.videoWidth;
        canvas.height = video.videoHeight;
      }
      canvas.getContext("2d").drawImage(video, 0, 0);
      frames.delete(number);
      frames.set(number, canvas);
      pair();
      video.requestVideoFrameCallback(took);
    };
    video.requestVideoFrameCallback(took);
  }

  // The latest frame both have.
  function pair() {
    let number = -1;
    for (const frame of kept.a.keys()) if (kept.b.has(frame)) number = frame;
    if (number < 0 || number === state.frame) return;
    state.frame = number;
    state.pairs += 1;
    paint();
    one(".sl-seek").value = String(number);
    one(".sl-at").textContent = `${number}`;
  }

  function paint() {
    const a = kept.a.get(state.frame);
    const b = kept.b.get(state.frame);
    if (!a || !b) return;
    for (const [side, picture] of [["a", a], ["b", b]]) {
      const canvas = one(`canvas[data-side=${side}]`);
      if (canvas.width !== picture.width || canvas.height !== picture.height) {
        canvas.width = picture.width;
        canvas.height = picture.height;
      }
      canvas.getContext("2d").drawImage(picture, 0, 0);
    }
    if (state.mode !== "wipe") return;
    const canvas = one("canvas[data-side=a]");
    const pen = canvas.getContext("2d");
    const x = Math.round((canvas.width * Number(one(".sl-duo-wipe").value)) / 100);
    if (x < canvas.width) pen.drawImage(b, x, 0, b.width - x, b.height, x, 0, b.width - x, b.height);
    pen.fillStyle = "#fff";
    pen.fillRect(x - 1, 0, 2, canvas.height);
  }

  // a, b: {url, label}; length in frames.
  async function load(a, b, frames, rate) {
    const mine = ++turn;
    pause();
    fps = rate;
    Object.assign(state, { frame: -1, pairs: 0, frames, error: "" });
    one(".sl-seek").max = String(frames - 1);
    for (const [side, told] of [["a", a], ["b", b]]) {
      kept[side].clear();
      one(`[data-name=${side}]`).textContent = told.label;
      videos[side].src = told.url;
      videos[side].load();
      watch(side, mine);
    }
    try {
      await Promise.all(Object.values(videos).map((video) => new Promise((resolve, reject) => {
        video.addEventListener("loadeddata", resolve, { once: true });
        video.addEventListener("error", () => reject(new Error("a video of this pair can no longer be read; render it again")), { once: true });
      })));
      if (mine === turn) seek(0);
    } catch (error) {
      if (mine === turn) state.error = error.message;
      throw error;
    }
  }

  function seek(frame) {
    pause();
    const time = (Math.min(Math.max(frame, 0), state.frames - 1) + 0.5) / fps;
    videos.a.currentTime = time;
    videos.b.currentTime = time;
  }

  async function play() {
    if (!state.frames) return;
    if (state.frame >= state.frames - 1) seek(0);
    videos.b.currentTime = videos.a.currentTime;
    state.playing = true;
    label();
    try {
      await Promise.all([videos.a.play(), videos.b.play()]);
      requestAnimationFrame(follow);
    } catch (error) {
      if (error.name !== "AbortError") state.error = error.message;
      pause();
    }
  }

  function pause() {
    state.playing = false;
    videos.a.pause();
    videos.b.pause();
    label();
  }

  // B is brought to A by a little speed, or by a jump when far away.
  function follow() {
    if (!state.playing) return;
    const speed = Number(one("[data-do=speed]").value);
    const ahead = videos.a.currentTime - videos.b.currentTime;
    videos.a.playbackRate = speed;
    if (Math.abs(ahead) > JUMP_S && !videos.b.seeking) videos.b.currentTime = videos.a.currentTime;
    else videos.b.playbackRate = speed * (1 + Math.min(Math.max(NUDGE * ahead, -0.4), 0.4));
    requestAnimationFrame(follow);
  }

  function ended() {
    if (!one("[data-do=loop]").checked) {
      pause();
      return;
    }
    for (const side of ["a", "b"]) kept[side].clear();
    videos.a.currentTime = videos.b.currentTime = 0;
    play();
  }

  function setMode(mode) {
    state.mode = mode;
    one(".sl-duo").dataset.mode = mode;
    one("[data-do=mode]").setAttribute("aria-pressed", String(mode === "wipe"));
    paint();
  }

  const label = () => { one("[data-do=play]").textContent = state.playing ? "Pause" : "Play"; };
  const toggle = () => (state.playing ? pause() : play());
  const step = (by) => seek(state.frame + by);
  const toggleMode = () => setMode(state.mode === "wipe" ? "side" : "wipe");

  one("[data-do=play]").addEventListener("click", toggle);
  one("[data-do=back]").addEventListener("click", () => step(-1));
  one("[data-do=forward]").addEventListener("click", () => step(1));
  one("[data-do=mode]").addEventListener("click", toggleMode);
  one(".sl-seek").addEventListener("input", (event) => seek(Number(event.target.value)));
  one(".sl-duo-wipe").addEventListener("input", paint);
  const stage = one(".sl-duo");
  const wipeTo = (event) => {
    const canvas = one("canvas[data-side=a]");
    const box = canvas.getBoundingClientRect();
    const shown = Math.min(box.width, (box.height * canvas.width) / canvas.height);
    const share = (event.clientX - box.left - (box.width - shown) / 2) / shown;
    one(".sl-duo-wipe").value = String(100 * Math.min(Math.max(share, 0), 1));
    paint();
  };
  stage.addEventListener("pointerdown", (event) => {
    if (state.mode !== "wipe" || event.target.matches("input")) return;
    stage.setPointerCapture(event.pointerId);
    wipeTo(event);
  });
  stage.addEventListener("pointermove", (event) => {
    if (state.mode === "wipe" && stage.hasPointerCapture(event.pointerId)) wipeTo(event);
  });
  videos.a.addEventListener("ended", ended);
  return {
    load, play, pause, toggle, step, seek, toggleMode, state,
  };
}
