// The stage: draws the chosen view of the picture, with zoom and pan that stay through every update.

import { bounded, fitted, onFace, paintPlaced, panned, sized, wireWipeLine, zoomed } from "./zoom.js";

const byId = (id) => document.getElementById(id);
const NAMES = { result: "Result", original: "Original", unblended: "Unblended", matte: "Matte", overlay: "Overlay", heat: "Heat" };
const PLAIN = "nothing is generated in this frame";
const GAINS = [1, 2, 4, 8, 16];
const SURROUNDS = ["dark", "mid", "grey"];
const PAGES = ["renders", "clips"];
const RIM_SHARE = 4 / 328;
const FRAME_MS = 12;

function measured(element) {
  const ratio = window.devicePixelRatio || 1;
  return [Math.round(element.clientWidth * ratio), Math.round(element.clientHeight * ratio)];
}

export class Viewer {
  constructor(picture) {
    this.picture = picture;
    Object.assign(this, { view: "wipe", against: "original", gain: 8, wipe: 0.5, held: false, outline: false, steady: false, times: 2 });
    this.scale = 0; // device px per plate px; 0 shows the whole frame
    this.centre = [0, 0];
    this.drawnAt = 0;
    this.asked = 0;
    this.sizes = { "sl-stage": [0, 0], "sl-closeup": [0, 0] }; // device px; asking the page while it changes is slow
    this.guest = null; // { image, place, name }: a part of the frame that the close-up shows in its own stead
    this.afterDraw = () => {};
    this.viewChanged = () => {};
    this.pair = null; // the player of two renders: in its view, whole frame, face and 1:1 are its own
  }

  wire() {
    byId("sl-gain").innerHTML = GAINS.map((gain) => `<button type="button" data-gain="${gain}" data-help="Difference times ${gain}.">&#215;${gain}</button>`).join("");
    const press = (selector, act) => document.querySelectorAll(selector).forEach((button) => button.addEventListener("click", () => act(button.dataset)));
    press("#sl-tabs button", ({ view }) => this.show(view));
    press("#sl-against button", ({ against }) => this.set({ against }));
    press("#sl-gain button", ({ gain }) => this.set({ gain: Number(gain) }));
    press("#sl-times button", ({ times }) => this.set({ times: Number(times) }));
    press(".sl-swatches button", ({ surround }) => this.surround(surround));
    byId("sl-fit").addEventListener("click", () => this.fit());
    byId("sl-face").addEventListener("click", () => this.face());
    byId("sl-actual").addEventListener("click", () => this.zoomTo(window.devicePixelRatio || 1));
    byId("sl-steady").addEventListener("click", () => this.hold());
    byId("sl-outline").addEventListener("click", () => this.set({ outline: !this.outline }));
    this.wireStage();
    this.wireWipe();
    const resized = new ResizeObserver((changes) => {
      for (const { target } of changes) this.sizes[target.id] = measured(target);
      this.drawNow();
    });
    for (const id of Object.keys(this.sizes)) resized.observe(byId(id));
    this.set({});
  }

  wireStage() {
    const stage = byId("sl-stage");
    stage.addEventListener("wheel", (event) => {
      if (this.isPage || !this.picture.header) return;
      event.preventDefault();
      const { left, top } = stage.getBoundingClientRect();
      const ratio = window.devicePixelRatio || 1;
      const { scale, cx, cy } = zoomed(this.geometry(), (event.clientX - left) * ratio, (event.clientY - top) * ratio, event.deltaY);
      this.place(scale, [cx, cy]);
    }, { passive: false });
    let from = null;
    stage.addEventListener("pointerdown", (event) => {
      if (event.button || this.isPage || event.target !== byId("sl-canvas") || !this.picture.header) return;
      from = { x: event.clientX, y: event.clientY, ...this.geometry() };
      stage.setPointerCapture(event.pointerId);
      stage.classList.add("sl-panning");
    });
    stage.addEventListener("pointermove", (event) => {
      if (!from) return;
      const ratio = window.devicePixelRatio || 1;
      const { scale, cx, cy } = panned(from, (event.clientX - from.x) * ratio, (event.clientY - from.y) * ratio);
      this.place(scale, [cx, cy]);
    });
    const end = () => { from = null; stage.classList.remove("sl-panning"); };
    stage.addEventListener("pointerup", end);
    stage.addEventListener("pointercancel", end);
  }

  wireWipe() {
    wireWipeLine(byId("sl-wipe"), byId("sl-stage"), { now: () => this.wipe, move: (wipe) => this.set({ wipe }) });
  }

  set(changes) {
    Object.assign(this, changes);
    const pressed = (selector, on) => document.querySelectorAll(selector).forEach((b) => b.setAttribute("aria-pressed", String(on(b.dataset))));
    pressed("#sl-against button", ({ against }) => against === this.against);
    pressed("#sl-gain button", ({ gain }) => Number(gain) === this.gain);
    pressed("#sl-times button", ({ times }) => Number(times) === this.times);
    pressed("#sl-outline", () => this.outline);
    pressed("#sl-steady", () => this.steady);
    const line = byId("sl-wipe");
    line.style.left = `${100 * this.wipe}%`;
    line.setAttribute("aria-valuenow", String(Math.round(100 * this.wipe)));
    this.draw();
  }

  // How it is looked at, for `recall` after a reload.
  kept() {
    const { view, against, gain, wipe, outline, steady, times, scale, centre } = this;
    return { view, against, gain, wipe, outline, steady, times, scale, centre, surround: byId("sl-stage").dataset.surround };
  }

  // Takes what can be of it.
  recall({ view, against, gain, wipe, outline, steady, times, scale, centre, surround }) {
    const numbers = [wipe, scale, ...(Array.isArray(centre) ? centre : [NaN])];
    if (!numbers.every(Number.isFinite) || numbers.length !== 4 || ![2, 3, 4].includes(times)) return;
    const fits = GAINS.includes(gain) && ["original", "unblended"].includes(against) && SURROUNDS.includes(surround);
    if (!fits || !document.querySelector(`#sl-tabs [data-view="${CSS.escape(String(view))}"]`)) return;
    if (!PAGES.includes(view)) this.show(view);
    this.surround(surround);
    this.scale = scale && this.bounded(scale);
    this.centre = centre;
    this.set({ against, gain, wipe: Math.min(Math.max(wipe, 0), 1), outline: outline === true, steady: steady === true, times });
  }

  // Views that show something else than the frame.
  get isPage() {
    return PAGES.includes(this.view);
  }

  show(view) {
    if (byId("sl-tabs").querySelector(`[data-view="${view}"]`).dataset.reason) return;
    this.view = view;
    byId("sl-view").dataset.view = view;
    for (const tab of document.querySelectorAll("#sl-tabs button")) tab.setAttribute("aria-selected", String(tab.dataset.view === view));
    this.viewChanged(view);
    this.draw();
  }

  surround(name) {
    byId("sl-stage").dataset.surround = name;
    for (const b of document.querySelectorAll(".sl-swatches button")) b.setAttribute("aria-pressed", String(b.dataset.surround === name));
  }

  nextSurround() {
    const now = SURROUNDS.indexOf(byId("sl-stage").dataset.surround);
    this.surround(SURROUNDS[(now + 1) % SURROUNDS.length]);
  }

  stepGain(by) {
    const next = GAINS.indexOf(this.gain) + by;
    if (GAINS[next]) this.set({ gain: GAINS[next] });
  }

  // Of the face in the frame, or 0 where the view does not follow it.
  anchor() {
    const header = this.picture.header;
    if (!this.steady || !header) return [0, 0];
    return [header.chin[0], header.box[1] + header.box[2] / 2];
  }

  hold() {
    if (!this.picture.header) return;
    const { scale, cx, cy } = this.geometry();
    this.steady = !this.steady;
    this.place(scale, [cx, cy]);
    this.set({});
  }

  bounded(scale) {
    return bounded(scale);
  }

  place(scale, [cx, cy]) {
    const [ax, ay] = this.anchor();
    this.scale = scale;
    this.centre = [cx - ax, cy - ay];
    this.draw();
  }

  fit() {
    if (this.view === "renders") return this.pair.fit();
    this.scale = 0;
    this.steady = false;
    return this.set({});
  }

  face() {
    if (this.view === "renders") return this.pair.face();
    if (!this.picture.header) return undefined;
    const { scale, cx, cy } = onFace(this.stageSize(), this.picture.header.box);
    return this.place(scale, [cx, cy]);
  }

  // px of the screen for each of the frame.
  zoomTo(scale) {
    if (this.view === "renders") return this.pair.zoomTo(scale);
    if (!this.picture.header) return undefined;
    const { cx, cy } = this.geometry();
    return this.place(scale, [cx, cy]);
  }

  stageSize() {
    const [width, height] = this.sizes["sl-stage"];
    return { width, height };
  }

  geometry() {
    const whole = fitted(this.stageSize(), this.picture.header.size);
    const [ax, ay] = this.anchor();
    return this.scale ? { ...whole, scale: this.scale, cx: this.centre[0] + ax, cy: this.centre[1] + ay } : whole;
  }

  // Draws before the browser shows its next picture, once, however often it is asked.
  draw() {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => {
      this.asked = 0;
      this.drawNow();
    });
  }

  // At once, but no more than once a frame: what the hand moves does not wait for the browser's next turn.
  drawAtOnce() {
    if (this.asked || performance.now() - this.drawnAt < FRAME_MS) this.draw();
    else this.drawNow();
  }

  drawNow() {
    if (!this.picture.header || this.isPage) return;
    this.drawnAt = performance.now();
    this.beforeDraw?.();
    const geometry = this.geometry();
    const canvas = byId("sl-canvas");
    const context = sized(canvas, geometry.width, geometry.height);
    const plain = !this.picture.header.driven;
    const seen = this.view === "sweep" ? "result" : this.view; // the sheet lies over it
    const shown = this.held ? "original" : seen === "wipe" && plain ? "result" : seen;
    byId("sl-view").toggleAttribute("data-plain", plain);
    if (shown === "wipe") {
      const split = Math.round(this.wipe * geometry.width);
      this.paint(context, this.against, geometry, 0, split);
      this.paint(context, "result", geometry, split, geometry.width);
    } else this.paint(context, shown, geometry, 0, geometry.width);
    if (this.outline) this.paintOutline(context, geometry);
    this.caption(shown, geometry);
    this.drawCloseup(shown === "wipe" ? "result" : shown);
    this.afterDraw();
  }

  // Empty canvases, without a word on them.
  blank() {
    for (const id of ["sl-canvas", "sl-closeup"]) byId(id).getContext("2d").clearRect(0, 0, byId(id).width, byId(id).height);
    for (const id of ["sl-tag", "sl-tag-right", "sl-close-name"]) byId(id).textContent = "";
  }

  paint(context, view, place, from, to) {
    paintPlaced(context, this.picture.of(view, this), place, from, to);
  }

  paintOutline(context, { width, height, scale, cx, cy }) {
    const [x0, y0, side] = this.picture.header.box;
    const rim = RIM_SHARE * side;
    context.save();
    context.translate(width / 2 - cx * scale, height / 2 - cy * scale);
    context.lineWidth = 1;
    const frame = (inset, dash, style) => {
      context.setLineDash(dash);
      context.strokeStyle = style;
      const length = (side - 2 * inset) * scale;
      context.strokeRect(Math.round((x0 + inset) * scale) + 0.5, Math.round((y0 + inset) * scale) + 0.5, Math.round(length), Math.round(length));
    };
    frame(0, [], "rgba(0,0,0,.55)");
    frame(0, [6, 5], "rgba(255,255,255,.9)");
    frame(rim, [1, 4], "rgba(255,255,255,.9)");
    context.restore();
  }

  // What a view shows of a frame that is the plate, in words; "" where a mouth is generated.
  plain(view) {
    if (this.picture.header.driven) return "";
    return ["matte", "difference", "heat"].includes(view) ? `${view[0].toUpperCase()}${view.slice(1)}: ${PLAIN}` : `Plate: ${PLAIN}`;
  }

  caption(shown, { scale }) {
    byId("sl-legend-top").textContent = this.picture.heat ? `${this.picture.heat.white} and more` : "not measured in this frame";
    const ratio = window.devicePixelRatio || 1;
    const named = shown === "difference" ? `Result less ${this.against}, ×${this.gain}` : NAMES[shown];
    byId("sl-tag").textContent = this.held ? "Original (x held)" : this.plain(shown) || (shown === "wipe" ? NAMES[this.against] : named);
    byId("sl-tag-right").textContent = shown === "wipe" ? "Result" : "";
    byId("sl-scale").textContent = `${Math.round((100 * scale) / ratio)} %`;
  }

  drawCloseup(view) {
    const canvas = byId("sl-closeup");
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = this.sizes["sl-closeup"];
    if (!width || !height) return;
    const { chin, box } = this.picture.header;
    const scale = this.times * ratio;
    const context = sized(canvas, width, height);
    this.paint(context, view, { width, height, scale, cx: chin[0], cy: chin[1] + 0.06 * box[2] }, 0, width);
    const guest = this.held ? null : this.guest;
    if (guest) {
      const [x, y, wide, high] = guest.place;
      const at = (value, middle, whole) => (value - middle) * scale + whole / 2;
      context.drawImage(guest.image, at(x, chin[0], width), at(y, chin[1] + 0.06 * box[2], height), wide * scale, high * scale);
    }
    const own = this.picture.header.driven ? NAMES[view] || `Difference ×${this.gain}` : this.plain(view).split(":")[0];
    byId("sl-close-name").textContent = guest ? guest.name : `${own}, held on the chin`;
  }
}
