// Two videos in step to the frame. A leads and has the sound. A pair of pictures is handed out only when both videos have
// delivered the same frame, so what is shown is never apart.

const SIDES = ["a", "b"];
const KEPT = 6;
const NUDGE = 2;
const NUDGE_MOST = 0.4;
const JUMP_S = 0.3;
const LATE_MS = 600;

// videos: { a, b }. shown(frame, pictureA, pictureB); changed(): it plays or no longer does; failed(message).
export function film(videos, { shown, changed, failed }) {
  const kept = { a: new Map(), b: new Map() };
  let reel = { frames: 0, fps: 25, skip: { a: 0, b: 0 } };
  let turn = 0;
  let run = 0;
  let frame = -1; // that is shown
  let target = null; // the one that is to be shown while nothing plays
  let sought = null; // where the videos were last sent
  let late = 0;
  const state = { playing: false, loop: true, speed: 1 };

  const timeOf = (side, number) => (reel.skip[side] + number + 0.5) / reel.fps;
  const placeOf = (side) => videos[side].currentTime - reel.skip[side] / reel.fps;

  // Every frame a video presents is copied, the last few kept.
  function watch(side, mine) {
    const video = videos[side];
    const took = (_now, { mediaTime }) => {
      if (mine !== turn) return;
      const number = Math.round(mediaTime * reel.fps) - reel.skip[side];
      if (number >= 0 && number < reel.frames) {
        keep(side, number);
        pair();
      }
      video.requestVideoFrameCallback(took);
    };
    video.requestVideoFrameCallback(took);
  }

  function keep(side, number) {
    const video = videos[side];
    const frames = kept[side];
    const oldest = frames.size < KEPT ? undefined : [...frames.keys()].find((one) => one !== frame);
    const canvas = frames.get(oldest) || document.createElement("canvas");
    frames.delete(oldest);
    if (canvas.width !== video.videoWidth || canvas.height !== video.videoHeight) {
      canvas.width = video.videoWidth;
      canvas.height = video.videoHeight;
    }
    canvas.getContext("2d").drawImage(video, 0, 0);
    frames.delete(number);
    frames.set(number, canvas);
  }

  // The frame that was asked for; while it plays, the latest that both have.
  function pair() {
    let number = target ?? -1;
    if (target === null) for (const one of kept.a.keys()) if (kept.b.has(one)) number = one;
    if (number === frame || !kept.a.has(number) || !kept.b.has(number)) return;
    frame = number;
    shown(frame, kept.a.get(frame), kept.b.get(frame));
  }

  // urls: { a, b }; told: { frames, fps, skip: { a, b } }, skip: frames of the video before the first that is shown; at:
  // the frame to begin with. Rejects with the side, "a" or "b", that cannot be played.
  async function load(urls, told, at) {
    const mine = ++turn;
    pause();
    reel = told;
    frame = -1;
    target = sought = null;
    for (const side of SIDES) {
      kept[side].clear();
      videos[side].src = urls[side];
      videos[side].load();
      watch(side, mine);
    }
    await Promise.all(SIDES.map((side) => new Promise((resolve, reject) => {
      videos[side].addEventListener("loadeddata", resolve, { once: true });
      videos[side].addEventListener("error", () => mine === turn && reject(side), { once: true });
    })));
    if (mine === turn) seek(at);
  }

  function unload() {
    turn += 1;
    pause();
    reel = { ...reel, frames: 0 };
    frame = -1;
    for (const side of SIDES) {
      kept[side].clear();
      videos[side].removeAttribute("src");
      videos[side].load();
    }
  }

  // off: frames beside the middle of the one that is sought.
  function jump(number, off = 0) {
    sought = number;
    for (const side of SIDES) videos[side].currentTime = timeOf(side, number + off);
    clearTimeout(late);
    late = setTimeout(again, LATE_MS, number, off);
  }

  // A busy browser may seek and never present the picture: it is sent elsewhere in the same frame.
  function again(number, off) {
    if (state.playing || target !== number || frame === number) return;
    if (isSeeking()) late = setTimeout(again, LATE_MS, number, off);
    else jump(number, off ? 0 : 0.2);
  }

  const isSeeking = () => SIDES.some((side) => videos[side].seeking);

  // The latest wish wins: the next seek waits until both videos have ended the one before.
  function seek(number) {
    if (!reel.frames) return;
    pause();
    target = Math.min(Math.max(number, 0), reel.frames - 1);
    if (!isSeeking()) jump(target);
    pair();
  }

  function arrived() {
    if (target !== null && target !== sought && !isSeeking()) jump(target);
  }

  async function start(number) {
    const mine = ++run;
    for (const side of SIDES) for (const one of [...kept[side].keys()]) if (one !== frame) kept[side].delete(one);
    target = null;
    jump(number);
    setSpeed(state.speed);
    state.playing = true;
    changed();
    try {
      await Promise.all(SIDES.map((side) => videos[side].play()));
    } catch (error) {
      if (mine !== run || error.name === "AbortError") return;
      pause();
      failed(error.message);
      return;
    }
    follow(mine);
  }

  function play() {
    if (reel.frames) start(frame >= reel.frames - 1 ? 0 : Math.max(target ?? frame, 0));
  }

  function pause() {
    run += 1;
    target = frame < 0 ? null : frame;
    state.playing = false;
    for (const side of SIDES) videos[side].pause();
    changed();
  }

  // B is brought to A by a little speed, or by a jump when far away.
  function follow(mine) {
    if (mine !== run) return;
    if (placeOf("a") * reel.fps >= reel.frames) {
      finish();
      return;
    }
    const ahead = placeOf("a") - placeOf("b");
    if (Math.abs(ahead) > JUMP_S && !videos.b.seeking) videos.b.currentTime += ahead;
    else videos.b.playbackRate = state.speed * (1 + Math.min(Math.max(NUDGE * ahead, -NUDGE_MOST), NUDGE_MOST));
    requestAnimationFrame(() => follow(mine));
  }

  function finish() {
    if (!state.playing) return;
    if (state.loop) start(0);
    else seek(reel.frames - 1);
  }

  function setSpeed(speed) {
    state.speed = speed;
    for (const side of SIDES) videos[side].playbackRate = speed;
  }

  for (const side of SIDES) {
    videos[side].addEventListener("seeked", arrived);
    videos[side].addEventListener("ended", () => { if (videos[side].ended) finish(); });
  }
  return {
    load, unload, seek, play, pause, setSpeed, state,
    at: () => target ?? frame,
    apart: () => Math.round((placeOf("a") - placeOf("b")) * reel.fps),
  };
}
