// The engine's alpha blend of one generated square, from the layers that studio/layers.py describes: the same formula
// as blending/mask.py, texture.py and composite.py. tests/browser/test_browser_blend.py holds both within two levels.

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const smoothstep = (t) => t * t * (3 - 2 * t);

// Value of a table over 0..1 at a colour amount.
function along(table, amount) {
  const place = clamp(amount, 0, 1) * (table.length - 1);
  const first = Math.min(Math.floor(place), table.length - 2);
  return table[first] + (place - first) * (table[first + 1] - table[first]);
}

// What the settings come to in this frame, px of the square.
export function shapeOf(numbers, settings) {
  const { side } = numbers;
  const follows = settings.adapt === "on" && settings.feather_unit === "adaptive";
  const share = (table) => (follows ? along(table, settings.colour_amount) : 1);
  const asked = settings.feather_unit === "px" ? settings.feather_amount : numbers.adaptive_px * settings.feather_amount;
  const feather = asked * share(numbers.feather_shares);
  const plain = ((settings.expansion_ratio - 1) * side) / 2;
  const ramp = Math.hypot(feather, 1);
  return {
    feather,
    ramp,
    reach: plain + settings.outward_share * feather,
    moreDown: plain * (settings.down_share * share(numbers.reach_shares) - 1),
    moreAside: plain * (settings.side_share - 1),
    fall: Math.max(numbers.mouth_gap_px - numbers.mouth_margin_px, 1),
    rooms: numbers.edge_gaps_px.map((gap) => Math.min(ramp, Math.max(gap - numbers.rim_px, 1))),
  };
}

// (reach - distance) / ramp on the coarse grid, the reach grown towards the neck and the cheeks.
function riseGrid(layers, shape, out) {
  const { cells, side, middle } = layers.numbers;
  const [middleX, middleY] = middle.map((px) => (px + 0.5) * (cells / side) - 0.5);
  const distance = layers.distance;
  for (let row = 0, k = 0; row < cells; row += 1) {
    const y = row - middleY;
    const below = y > 0 ? shape.moreDown * y * y : 0;
    for (let column = 0; column < cells; column += 1, k += 1) {
      const x = column - middleX;
      const more = (below + shape.moreAside * x * x) / Math.max(x * x + y * y, 1e-6);
      out[k] = (shape.reach + more - distance[k]) / shape.ramp;
    }
  }
  return out;
}

// Rim ramps of columns, then of rows, (2 * side,).
function rimRamps(numbers, shape, ramps) {
  const { side } = numbers;
  ramps.fill(1);
  for (let edge = 0; edge < 4; edge += 1) {
    const start = (edge % 2) * side;
    for (let i = 0; i < side; i += 1) {
      ramps[start + (edge < 2 ? i : side - 1 - i)] *= smoothstep(clamp((i - numbers.rim_px) / shape.rooms[edge], 0, 1));
    }
  }
  return ramps;
}

// How much texture each coarse cell takes; null for none.
function textureGrid(layers, settings) {
  const { numbers } = layers;
  const n = numbers.texture_cells;
  const share = n ? settings.texture * along(numbers.texture_shares, settings.colour_amount) : 0;
  if (!share) return null;
  const agreed = new Float32Array(n * n);
  for (let k = 0; k < n * n; k += 1) {
    const off = [0, 1, 2].map((c) => {
      const none = layers.off[3 * k + c];
      return none + settings.colour_amount * (layers.off[3 * (n * n + k) + c] - none);
    });
    const grey = 0.299 * off[0] + 0.587 * off[1] + 0.114 * off[2];
    const red = off[0] - off[1];
    agreed[k] = 1 / (1 + (grey * grey) / numbers.agree_grey2 + (red * red) / numbers.agree_red2);
  }
  const mirror = (i) => (i < 0 ? -i : i >= n ? 2 * n - 2 - i : i);
  const weights = new Float32Array(n * n);
  for (let row = 0; row < n; row += 1) {
    for (let column = 0; column < n; column += 1) {
      let sum = 0;
      for (let dy = -1; dy <= 1; dy += 1) {
        for (let dx = -1; dx <= 1; dx += 1) sum += agreed[mirror(row + dy) * n + mirror(column + dx)];
      }
      weights[row * n + column] = (sum / 9) * share * layers.texture[row * n + column];
    }
  }
  return weights;
}

// Where each of `side` pixels lies among n cells: the cell before it, and how far on; and a line of cells to work in.
const PLACES_KEPT = 16;
const placesKept = new Map();
function placesOf(n, side) {
  const key = n * 65536 + side;
  if (placesKept.has(key)) return placesKept.get(key);
  const places = { first: new Int32Array(side), part: new Float32Array(side), line: new Float32Array(n) };
  for (let i = 0; i < side; i += 1) {
    const place = clamp((i + 0.5) * (n / side) - 0.5, 0, n - 1);
    places.first[i] = Math.min(Math.floor(place), n - 2);
    places.part[i] = place - places.first[i];
  }
  if (placesKept.size >= PLACES_KEPT) placesKept.clear();
  placesKept.set(key, places);
  return places;
}

// Bilinear reading of a coarse grid at every pixel, pixel centres as OpenCV has them.
function spread(grid, n, side, out) {
  const { first, part, line } = placesOf(n, side);
  for (let row = 0, k = 0; row < side; row += 1) {
    const start = first[row] * n;
    for (let i = 0; i < n; i += 1) line[i] = grid[start + i] + part[row] * (grid[start + n + i] - grid[start + i]);
    for (let column = 0; column < side; column += 1, k += 1) {
      const left = line[first[column]];
      out[k] = left + part[column] * (line[first[column] + 1] - left);
    }
  }
  return out;
}

const square = (side) => ({ rgba: new Uint8ClampedArray(4 * side * side), matte: new Uint8ClampedArray(side * side) });

// Without WebGL. Both blenders: blend(settings) -> { rgba, matte }, side x side; the arrays are used again.
export class PlainBlender {
  constructor(layers) {
    const { numbers } = layers;
    this.layers = layers;
    this.out = square(numbers.side);
    this.rise = new Float32Array(numbers.cells ** 2);
    this.risen = new Float32Array(numbers.side ** 2);
    this.ramps = new Float32Array(2 * numbers.side);
    this.guard = spread(layers.mouth, numbers.mouth_cells, numbers.side, new Float32Array(numbers.side ** 2));
    const fall = Math.max(numbers.mouth_gap_px - numbers.mouth_margin_px, 1);
    for (let k = 0; k < this.guard.length; k += 1) this.guard[k] = 1 + (numbers.mouth_margin_px - this.guard[k]) / fall;
    this.drawn = new Uint8ClampedArray(3 * numbers.side ** 2);
    this.drawnFor = "";
  }

  // The square with colour correction and texture, rounded after each as the engine does.
  colour(settings) {
    const key = `${settings.colour_amount} ${settings.texture}`;
    if (key === this.drawnFor) return this.drawn;
    this.drawnFor = key;
    const { generated, correction, detail, numbers } = this.layers;
    const { drawn } = this;
    const step = settings.colour_amount / numbers.correction_steps;
    if (!correction || !step) drawn.set(generated);
    else for (let k = 0; k < drawn.length; k += 1) drawn[k] = Math.floor(clamp(generated[k] + step * correction[k], 0, 255) + 0.5);
    const grid = textureGrid(this.layers, settings);
    if (grid) {
      const weight = spread(grid, numbers.texture_cells, numbers.side, new Float32Array(numbers.side ** 2));
      for (let k = 0, c = 0; k < weight.length; k += 1) {
        const more = weight[k] * detail[k];
        for (let end = c + 3; c < end; c += 1) drawn[c] = Math.floor(clamp(drawn[c] + more, 0, 255) + 0.5);
      }
    }
    return drawn;
  }

  blend(settings) {
    const { layers, guard, risen } = this;
    const { side, cells } = layers.numbers;
    const { plate, kept } = layers;
    const { rgba, matte } = this.out;
    const shape = shapeOf(layers.numbers, settings);
    const drawn = this.colour(settings);
    spread(riseGrid(layers, shape, this.rise), cells, side, risen);
    const ramps = rimRamps(layers.numbers, shape, this.ramps);
    for (let row = 0, k = 0; row < side; row += 1) {
      const ramp = ramps[side + row];
      for (let column = 0; column < side; column += 1, k += 1) {
        const t = clamp(Math.max(risen[k], guard[k]), 0, 1);
        let alpha = t * t * (3 - 2 * t) * ramp * ramps[column];
        if (kept) alpha *= kept[k] / 255;
        matte[k] = alpha * 255;
        const from = 3 * k;
        const to = 4 * k;
        const red = plate[from];
        const green = plate[from + 1];
        const blue = plate[from + 2];
        rgba[to] = (red + alpha * (drawn[from] - red) + 0.5) | 0; // never below 0: | 0 rounds down
        rgba[to + 1] = (green + alpha * (drawn[from + 1] - green) + 0.5) | 0;
        rgba[to + 2] = (blue + alpha * (drawn[from + 2] - blue) + 0.5) | 0;
        rgba[to + 3] = 255;
      }
    }
    return this.out;
  }
}

const VERTEX = `#version 300 es
void main() { gl_Position = vec4(vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0), 0.0, 1.0); }`;

const FRAGMENT = `#version 300 es
precision highp float; precision highp int; precision highp sampler2D; precision highp isampler2D;
uniform sampler2D plate, generated, kept, rise, mouth, weight, ramps;
uniform isampler2D correction, detail;
uniform float side, amount, margin, fall;
uniform bool hasKept, hasCorrection, hasTexture;
out vec4 mixed;
float grid(sampler2D map, ivec2 here) {
  vec2 n = vec2(textureSize(map, 0));
  vec2 place = clamp((vec2(here) + 0.5) * (n / side) - 0.5, vec2(0.0), n - 1.0);
  ivec2 first = min(ivec2(floor(place)), ivec2(n) - 2);
  vec2 part = place - vec2(first);
  float a = texelFetch(map, first, 0).r, b = texelFetch(map, first + ivec2(1, 0), 0).r;
  float c = texelFetch(map, first + ivec2(0, 1), 0).r, d = texelFetch(map, first + ivec2(1, 1), 0).r;
  a += part.y * (c - a); b += part.y * (d - b);
  return a + part.x * (b - a);
}
void main() {
  ivec2 here = ivec2(gl_FragCoord.xy);
  vec3 below = floor(texelFetch(plate, here, 0).rgb * 255.0 + 0.5);
  vec3 drawn = floor(texelFetch(generated, here, 0).rgb * 255.0 + 0.5);
  if (hasCorrection) drawn = floor(clamp(drawn + amount * vec3(texelFetch(correction, here, 0).rgb), 0.0, 255.0) + 0.5);
  if (hasTexture) drawn = floor(clamp(drawn + grid(weight, here) * float(texelFetch(detail, here, 0).r), 0.0, 255.0) + 0.5);
  float t = clamp(max(grid(rise, here), 1.0 + (margin - grid(mouth, here)) / fall), 0.0, 1.0);
  float alpha = t * t * (3.0 - 2.0 * t);
  alpha *= texelFetch(ramps, ivec2(here.y, 1), 0).r * texelFetch(ramps, ivec2(here.x, 0), 0).r;
  if (hasKept) alpha *= texelFetch(kept, here, 0).r;
  mixed = vec4(floor(below + alpha * (drawn - below) + 0.5) / 255.0, alpha);
}`;

// With WebGL2; throws where there is none. One context serves every frame.
export class GpuBlender {
  static context = null;

  constructor(layers, options = {}) {
    this.layers = layers;
    this.out = square(layers.numbers.side);
    this.pixels = new Uint8Array(4 * layers.numbers.side ** 2);
    this.rise = new Float32Array(layers.numbers.cells ** 2);
    this.ramps = new Float32Array(2 * layers.numbers.side);
    GpuBlender.context ||= prepare(options);
    this.load();
  }

  load() {
    const { layers } = this;
    const { gl } = GpuBlender.context;
    const { side, cells, mouth_cells: mouthCells } = layers.numbers;
    GpuBlender.context.loaded = this;
    gl.canvas.width = gl.canvas.height = side;
    gl.viewport(0, 0, side, side);
    const one = (name, inside, outside, type, values, width = side, height = width) => {
      gl.activeTexture(gl.TEXTURE0 + SAMPLERS.indexOf(name));
      gl.texImage2D(gl.TEXTURE_2D, 0, inside, width, height, 0, outside, type, values);
    };
    one("plate", gl.RGB8, gl.RGB, gl.UNSIGNED_BYTE, layers.plate);
    one("generated", gl.RGB8, gl.RGB, gl.UNSIGNED_BYTE, layers.generated);
    one("rise", gl.R32F, gl.RED, gl.FLOAT, layers.distance, cells);
    one("mouth", gl.R32F, gl.RED, gl.FLOAT, layers.mouth, mouthCells);
    if (layers.kept) one("kept", gl.R8, gl.RED, gl.UNSIGNED_BYTE, layers.kept);
    if (layers.correction) one("correction", gl.RGB16I, gl.RGB_INTEGER, gl.SHORT, layers.correction);
    if (layers.detail) one("detail", gl.R8I, gl.RED_INTEGER, gl.BYTE, layers.detail);
    this.one = one;
  }

  blend(settings) {
    const { gl, at } = GpuBlender.context;
    if (GpuBlender.context.loaded !== this) this.load();
    const { layers } = this;
    const { numbers } = layers;
    const { side } = numbers;
    const shape = shapeOf(numbers, settings);
    this.one("rise", gl.R32F, gl.RED, gl.FLOAT, riseGrid(layers, shape, this.rise), numbers.cells);
    this.one("ramps", gl.R32F, gl.RED, gl.FLOAT, rimRamps(numbers, shape, this.ramps), side, 2);
    const weights = textureGrid(layers, settings);
    if (weights) this.one("weight", gl.R32F, gl.RED, gl.FLOAT, weights, numbers.texture_cells);
    gl.uniform1f(at.side, side);
    gl.uniform1f(at.amount, settings.colour_amount / numbers.correction_steps);
    gl.uniform1f(at.margin, numbers.mouth_margin_px);
    gl.uniform1f(at.fall, shape.fall);
    gl.uniform1i(at.hasKept, Number(Boolean(layers.kept)));
    gl.uniform1i(at.hasCorrection, Number(Boolean(layers.correction)));
    gl.uniform1i(at.hasTexture, Number(Boolean(weights)));
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.readPixels(0, 0, side, side, gl.RGBA, gl.UNSIGNED_BYTE, this.pixels);
    if (gl.isContextLost()) throw new Error("the graphics card lost its context");
    const { rgba, matte } = this.out;
    rgba.set(this.pixels);
    for (let k = 0; k < matte.length; k += 1) {
      matte[k] = rgba[4 * k + 3];
      rgba[4 * k + 3] = 255;
    }
    return this.out;
  }
}

const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;

const SAMPLERS = ["plate", "generated", "kept", "rise", "mouth", "weight", "ramps", "correction", "detail"];

function prepare(options) {
  const canvas = document.createElement("canvas");
  const gl = canvas.getContext("webgl2", { alpha: true, premultipliedAlpha: false, antialias: false, failIfMajorPerformanceCaveat: !options.software });
  if (!gl) throw new Error("there is no WebGL2");
  const renderer = gl.getExtension("WEBGL_debug_renderer_info");
  if (!options.software && renderer && SOFTWARE.test(gl.getParameter(renderer.UNMASKED_RENDERER_WEBGL))) {
    throw new Error("this WebGL2 runs on the processor");
  }
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) || "no shader");
  gl.useProgram(program);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  gl.disable(gl.DITHER);
  SAMPLERS.forEach((name, unit) => {
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, side, gl.NEAREST);
    const whole = name === "correction" || name === "detail";
    if (whole) gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8I, 1, 1, 0, gl.RED_INTEGER, gl.BYTE, new Int8Array(1));
    else gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, 1, 1, 0, gl.RED, gl.UNSIGNED_BYTE, new Uint8Array(1));
    gl.uniform1i(gl.getUniformLocation(program, name), unit);
  });
  const at = Object.fromEntries(
    ["side", "amount", "margin", "fall", "hasKept", "hasCorrection", "hasTexture"].map((name) => [name, gl.getUniformLocation(program, name)]),
  );
  return { gl, at, loaded: null };
}

const TYPES = { uint8: Uint8Array, int8: Int8Array, int16: Int16Array, float32: Float32Array };

// Layers of an answer: its "local" numbers and the raw blobs named local_*.
export function layersOf(numbers, blobs) {
  const layers = { numbers };
  for (const { name, kind, bytes } of blobs) {
    if (name.startsWith("local_")) layers[name.slice(6)] = new TYPES[kind](bytes.slice().buffer);
  }
  return layers;
}

// The fastest blender there is; gpu = false for the plain one. A software WebGL is slower than plain code: refused.
export function blenderOf(layers, { gpu = true } = {}) {
  if (gpu && !GpuBlender.missing) {
    try {
      return new GpuBlender(layers);
    } catch {
      GpuBlender.missing = true;
    }
  }
  return new PlainBlender(layers);
}
