// Two videos in step: A (blended, with sound) leads, B follows.

const byId = (id) => document.getElementById(id);
const a = () => byId("sl-video-a");
const b = () => byId("sl-video-b");

export class Compare {
  constructor(wrong) {
    this.wrong = wrong;
    this.fps = 25;
  }

  wire() {
    byId("sl-play").addEventListener("click", () => this.toggle());
    byId("sl-back").addEventListener("click", () => this.step(-1));
    byId("sl-forward").addEventListener("click", () => this.step(1));
    byId("sl-seek").addEventListener("input", (event) => this.seek(Number(event.target.value)));
    byId("sl-loop").addEventListener("change", () => { a().loop = byId("sl-loop").checked; });
    a().loop = true;
    a().addEventListener("play", () => { byId("sl-play").textContent = "Pause"; this.tick(); });
    a().addEventListener("pause", () => { byId("sl-play").textContent = "Play"; b().pause(); this.follow(); });
    a().addEventListener("seeked", () => this.follow());
    b().addEventListener("ended", () => { if (!a().paused) { b().currentTime = a().currentTime; b().play(); } });
  }

  // told: what the render hands to the page, see layout.py; frames of both videos, frames per second.
  load(told, frames, fps) {
    this.fps = fps;
    for (const [element, address, link] of [[a(), told.blended, "sl-save"], [b(), told.unblended, "sl-save-plain"]]) {
      element.src = address;
      element.load();
      byId(link).href = `${address}?download=true`;
    }
    byId("sl-seek").max = String(frames - 1);
    const seam = told.seam === null ? "" : `, seam ${told.seam.toFixed(2)}, worst ${told.worst.toFixed(2)} at frame ${told.worst_frame}`;
    byId("sl-video-line").textContent = `${told.name}${seam}.`;
    byId("sl-tab-compare").disabled = false;
  }

  toggle() {
    if (a().paused) this.play();
    else this.pause();
  }

  play() {
    b().currentTime = a().currentTime;
    Promise.all([a().play(), b().play()]).catch((error) => {
      if (error.name !== "AbortError") this.wrong(`The video cannot be played: ${error.message}`);
    });
  }

  pause() {
    a().pause();
    b().pause();
  }

  get frame() {
    return Math.min(Math.floor(a().currentTime * this.fps + 1e-3), Number(byId("sl-seek").max));
  }

  step(by) {
    this.seek(this.frame + by);
  }

  seek(frame) {
    this.pause();
    const last = Number(byId("sl-seek").max);
    a().currentTime = b().currentTime = (Math.min(Math.max(frame, 0), last) + 0.5) / this.fps;
    this.follow();
  }

  follow() {
    byId("sl-seek").value = String(this.frame);
    byId("sl-time").textContent = `${this.frame}`;
    if (a().paused) return;
    const ahead = a().currentTime - b().currentTime;
    if (Math.abs(ahead) > 0.3) b().currentTime = a().currentTime;
    else b().playbackRate = 1 + Math.min(Math.max(2 * ahead, -0.4), 0.4);
  }

  tick() {
    if (a().paused) return;
    this.follow();
    requestAnimationFrame(() => this.tick());
  }
}
