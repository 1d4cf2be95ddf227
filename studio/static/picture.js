// One frame as the views need it: canvases of the whole frame, derived when a view is first drawn.

const TINT = [255, 64, 64];
const TINT_SHARE = 0.5;
const DIM = 0.45;

// Inferno, as polynomials of degree 6 (fit by M. Zucker, CC0).
const INFERNO = [
  [0.0002189403691192265, 0.001651004631001012, -0.01948089843709184],
  [0.1065134194856116, 0.5639564367884091, 3.932712388889277],
  [11.60249308247187, -3.972853965665698, -15.9423941062914],
  [-41.70399613139459, 17.43639888205313, 44.35414519872813],
  [77.162935699427, -33.40235894210092, -81.80730925738993],
  [-71.31942824499214, 32.62606426397723, 73.20951985803202],
  [25.13112622477341, -12.24266895238567, -23.07032500287172],
];
const HEAT_COLOURS = Uint8ClampedArray.from({ length: 256 * 3 }, (_, k) => {
  const t = Math.floor(k / 3) / 255;
  return 255 * INFERNO.reduceRight((sum, row) => sum * t + row[k % 3], 0);
});

export const heatColour = (level) => HEAT_COLOURS.subarray(3 * level, 3 * level + 3);

export class Picture {
  constructor() {
    this.canvases = {};
    this.versions = {};
    this.version = 0; // of the blend
    this.heatVersion = 0; // of plate and seam map
    this.header = null;
    this.matte = null;
    this.heat = null;
  }

  // Nothing is open.
  clear() {
    this.header = this.matte = this.heat = null;
    this.heatVersion += 1;
  }

  canvas(name, width, height) {
    const canvas = this.canvases[name] || (this.canvases[name] = document.createElement("canvas"));
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    return canvas.getContext("2d", { willReadFrequently: true });
  }

  // Pictures of an answer; the plate stays what it was where the answer has none.
  take(header, images) {
    const [width, height] = header.size;
    const [x, y, wide, high] = header.roi;
    this.header = header;
    if (images.plate) {
      this.canvas("original", width, height).drawImage(images.plate, 0, 0);
      const plain = this.canvas("unblended", width, height);
      plain.drawImage(images.plate, 0, 0);
      plain.drawImage(images.unblended, x, y);
      this.canvas("result", width, height).drawImage(images.plate, 0, 0);
      this.heat = null;
    }
    this.canvas("result", width, height).drawImage(images.composite, x, y);
    const matte = this.canvas("alpha", wide, high);
    matte.drawImage(images.matte, 0, 0);
    const bytes = matte.getImageData(0, 0, wide, high).data;
    this.matte = new Uint8ClampedArray(wide * high);
    for (let k = 0; k < this.matte.length; k += 1) this.matte[k] = bytes[4 * k];
    if (images.heat) this.heat = { image: images.heat, ...header.heat };
    if (!header.driven) this.heat = null;
    if (images.heat || images.plate) this.heatVersion += 1;
    this.version += 1;
  }

  // A square blended on this page.
  put({ rgba, matte }, side) {
    const { roi, box, size } = this.header;
    const [x, y, wide, high] = roi;
    const [left, top] = [x - box[0], y - box[1]];
    this.canvas("result", ...size).putImageData(new ImageData(rgba, side, side), box[0], box[1], left, top, wide, high);
    for (let row = 0; row < high; row += 1) {
      const start = (top + row) * side + left;
      this.matte.set(matte.subarray(start, start + wide), row * wide);
    }
    this.version += 1;
  }

  square() {
    return this.canvases.result.getContext("2d").getImageData(...this.header.roi).data;
  }

  // The canvas of a view, brought up to date.
  of(view, { gain, against }) {
    const derive = { matte: "fillMatte", overlay: "fillOverlay", difference: "fillDifference", heat: "fillHeat" }[view];
    const key = view === "heat" ? `${this.heatVersion}` : `${this.version} ${view === "difference" ? `${gain} ${against}` : ""}`;
    if (derive && this.versions[view] !== key) {
      this.versions[view] = key;
      this[derive](gain, against);
    }
    return this.canvases[view];
  }

  // Fills a view's part of the frame, pixel by pixel; around it lies `around` (a canvas, or black).
  fill(name, around, colour) {
    const [width, height] = this.header.size;
    const [x, y, wide, high] = this.header.roi;
    const context = this.canvas(name, width, height);
    if (around) context.drawImage(around, 0, 0);
    else {
      context.fillStyle = "#000";
      context.fillRect(0, 0, width, height);
    }
    const pixels = context.getImageData(x, y, wide, high);
    colour(pixels.data);
    context.putImageData(pixels, x, y);
  }

  fillMatte() {
    this.fill("matte", null, (data) => {
      for (let k = 0; k < this.matte.length; k += 1) data[4 * k] = data[4 * k + 1] = data[4 * k + 2] = this.matte[k];
    });
  }

  fillOverlay() {
    this.fill("overlay", this.canvases.original, (data) => {
      for (let k = 0; k < this.matte.length; k += 1) {
        const share = (this.matte[k] / 255) * TINT_SHARE;
        for (let c = 0; c < 3; c += 1) data[4 * k + c] += share * (TINT[c] - data[4 * k + c]);
      }
    });
  }

  fillDifference(gain, against) {
    const before = this.canvases[against].getContext("2d").getImageData(...this.header.roi).data;
    const after = this.square();
    this.fill("difference", null, (data) => {
      for (let k = 0; k < data.length; k += 1) if (k % 4 < 3) data[k] = gain * Math.abs(after[k] - before[k]);
    });
  }

  // The seam map over a dimmed grey plate; where nothing is measured yet only the plate.
  fillHeat() {
    const [width, height] = this.header.size;
    const context = this.canvas("heat", width, height);
    context.filter = `grayscale(1) brightness(${DIM})`;
    context.drawImage(this.canvases.original, 0, 0);
    context.filter = "none";
    if (!this.heat) return;
    const { image, roi } = this.heat;
    const small = this.canvas("heatSmall", image.width, image.height);
    small.drawImage(image, 0, 0);
    const pixels = small.getImageData(0, 0, image.width, image.height);
    for (let k = 0; k < pixels.data.length; k += 4) {
      const level = pixels.data[k];
      pixels.data.set(heatColour(level), k);
      pixels.data[k + 3] = Math.min(255, level * 6);
    }
    small.putImageData(pixels, 0, 0);
    context.drawImage(this.canvases.heatSmall, roi[0], roi[1], roi[2], roi[2]);
  }
}
