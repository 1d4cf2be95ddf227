// The statistics of clips as lines over their frames: a block per clip, best first, all on one scale.

const LINES = ["#f0f0f0", "#e0b84c", "#7fb2e6"]; // told apart by brightness as well
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const HEIGHT = 100;

function element(name, className, text = "") {
  return Object.assign(document.createElement(name), { className, textContent: text });
}

function svg(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const numbers = (clips, part) => clips.flatMap((clip) => Object.values(clip[part]).flat()).filter((value) => value !== null);

// Lowest and highest of each chart over all clips, so that they can be compared.
function scalesOf(clips) {
  const turned = Math.max(10, ...numbers(clips, "pose").map(Math.abs));
  const light = numbers(clips, "light");
  const jitter = Math.max(1, ...clips.flatMap((clip) => clip.landmarks["jitter %"]).filter((value) => value !== null));
  return {
    pose: [-turned, turned],
    light: [Math.floor(Math.min(0, ...light) / 10) * 10, Math.ceil(Math.max(10, ...light) / 10) * 10],
    sure: [0, 1],
    "jitter %": [0, jitter],
  };
}

function chart(clip, part, scales) {
  const figure = element("figure", "");
  const caption = element("figcaption", "");
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${part} of ${clip.name}` });
  const across = (share) => 1 + share * (WIDTH - 2);
  Object.entries(clip[part]).forEach(([name, values], number) => {
    const [low, high] = scales[name] || scales[part];
    const up = (value) => HEIGHT - 2 - ((Math.min(Math.max(value, low), high) - low) / (high - low)) * (HEIGHT - 4);
    if (number === 0 && low < 0) drawing.append(svg("path", { d: `M0 ${up(0)}H${WIDTH}`, stroke: "#555" }));
    let pen = "M";
    const points = values.map((value, k) => {
      if (value === null) {
        pen = "M";
        return "";
      }
      const point = `${pen}${across(k / Math.max(values.length - 1, 1)).toFixed(1)} ${up(value).toFixed(1)}`;
      pen = "L";
      return point;
    });
    drawing.append(svg("path", { d: points.join(""), stroke: LINES[number], fill: "none" }));
    const range = part === "pose" ? ` ±${high.toFixed(0)}°` : ` ${low < 0 ? `−${-low} – ` : `${low}–`}${high.toFixed(high > 5 || high === 1 ? 0 : 1)}`;
    const key = element("span", "", number === 0 || part === "landmarks" ? `${name}${range}` : name);
    key.style.color = LINES[number];
    caption.append(key);
  });
  const at = (frame) => across(frame / Math.max(clip.frames - 1, 1)).toFixed(1);
  for (const frame of clip.odd) drawing.append(svg("path", { d: `M${at(frame)} ${HEIGHT}V${HEIGHT - 8}`, stroke: "#ff9a8a" }));
  if (clip.change !== null) drawing.append(svg("path", { d: `M${at(clip.change)} 0V${HEIGHT}`, stroke: "#ff9a8a" }));
  figure.append(caption, drawing);
  return figure;
}

function picture(source, title) {
  return Object.assign(new Image(), { src: source, alt: title, title });
}

function block(clip, place, scales) {
  const section = element("section", "");
  const head = element("header", "");
  head.append(element("b", "", `${place}.  ${clip.name}`));
  const facts = [clip.lead ? `${clip.kind}, lead` : clip.kind, `${clip.frames} frames`, `face ${clip.face_px} px`];
  if (clip.odd.length) facts.push(`${clip.odd.length} odd frame${clip.odd.length > 1 ? "s" : ""}`);
  head.append(element("span", "sl-dim", facts.join(", ")), element("span", "", `score ${clip.lost}`));
  const charts = element("div", "sl-charts");
  const loop = element("figure", "");
  loop.append(element("figcaption", clip.loops ? "" : "sl-open", clip.loops ? "loops" : "does not loop"), picture(clip.first, `first frame; the last is off by ${clip.loop}`), picture(clip.last, `last frame, off by ${clip.loop}`));
  charts.append(chart(clip, "pose", scales), chart(clip, "light", scales), chart(clip, "landmarks", scales), loop);
  section.append(head, charts);
  return section;
}

// told: what /studio/clips/plots answers.
export function drawPlots(root, told) {
  const scales = scalesOf(told.clips);
  const words = told.clips.length ? `${told.words} Light: of the skin, of its left side less its right, of the background (CIELAB L). Marks at the foot of a chart: frames that stand out.` : "No clip is preprocessed yet.";
  root.replaceChildren(...told.clips.map((clip, number) => block(clip, number + 1, scales)), element("p", "sl-dim", words));
}
