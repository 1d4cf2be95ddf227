// Blended frames around the present one, played again and again: a seam shows in motion.

import { fetchFrame, picturesOf } from "./channel.js";

const AT_ONCE = 2;

export class Loop {
  // show(entry) draws { header, images }; told(text) says how far it is; failed(message).
  constructor({ show, told, failed }) {
    Object.assign(this, { show, told, failed, frames: [], running: false, seconds: 1, stop: new AbortController() });
  }

  // First frame of the loop around `at`, and the one after its last.
  range(at, total, fps) {
    const count = Math.min(Math.round(this.seconds * fps), total);
    const first = Math.min(Math.max(at - Math.floor(count / 2), 0), total - count);
    return [first, first + count];
  }

  // request: what to ask for, without its frame; at: the frame around which, of `total`.
  start(request, at, total, fps) {
    this.end();
    this.running = true;
    const [first, stop] = this.range(at, total, fps);
    this.frames = Array.from({ length: stop - first }, (_, k) => ({ frame: first + k, entry: null }));
    this.fps = fps;
    this.load(request);
  }

  // Other settings while it plays: the frames are drawn anew, those that are there go on.
  refresh(request) {
    if (this.running) this.load(request);
  }

  end() {
    this.running = false;
    this.stop.abort();
    for (const slot of this.frames) forget(slot);
    this.frames = [];
  }

  async load(request) {
    this.stop.abort();
    this.stop = new AbortController();
    const { signal } = this.stop;
    const left = [...this.frames];
    let done = 0;
    const fetchSome = async () => {
      while (left.length) {
        const slot = left.shift();
        const { header, blobs } = await fetchFrame({ ...request, frame: slot.frame, plate: true, light: true, score: false }, signal);
        const images = await picturesOf(blobs);
        if (signal.aborted) return;
        forget(slot);
        slot.entry = { header, images };
        done += 1;
        this.told(done, this.frames.length);
      }
    };
    this.told(0, this.frames.length);
    try {
      await Promise.all(Array.from({ length: AT_ONCE }, fetchSome));
      if (!signal.aborted && !this.playing) this.play();
    } catch (error) {
      if (signal.aborted) return;
      this.end();
      this.failed(error.message);
    }
  }

  play() {
    this.playing = true;
    const started = performance.now();
    let last = -1;
    const tick = () => {
      if (!this.running) {
        this.playing = false;
        return;
      }
      const place = Math.floor(((performance.now() - started) * this.fps) / 1000);
      const slot = this.frames[place % this.frames.length];
      if (place !== last && slot.entry) {
        last = place;
        this.show(slot.entry);
      }
      requestAnimationFrame(tick);
    };
    tick();
  }
}

function forget(slot) {
  for (const image of Object.values(slot.entry?.images || {})) image.close();
  slot.entry = null;
}
