// The inspection column: seam score in figures and words, seam map, what is to be known of the frame.

import { heatColour } from "./picture.js";

const byId = (id) => document.getElementById(id);
const SECTORS = { left_cheek: "Left cheek", chin: "Chin", neck: "Neck", right_cheek: "Right cheek" };

// Sentences of the frame: clip, feather, texture, limits, notes of the session.
export function sentences(header, session) {
  const said = [`${header.clip}, frame ${header.clip_frame}`];
  if (header.driven && header.feather_px >= 1) said.push(featherInWords(header));
  if (header.driven && header.feather_px > 0 && header.texture_share !== null) said.push(textureInWords(header));
  return [...said, ...header.limits, ...session.notes].map((part) => `${part[0].toUpperCase()}${part.slice(1)}.`);
}

function textureInWords({ texture_share: share }) {
  return share > 0 ? `${Math.round(100 * share)} % of the plate's texture laid on`
    : "no texture laid on: the generated skin has as much";
}

function featherInWords({ feather_share: share, feather_px: px }) {
  const why = share < 0.9 ? ", narrowed since the picture comes close to the plate"
    : share > 1.1 ? ", widened since the picture stays far from the plate" : "";
  return `feather ${px.toFixed(0)} px${why}`;
}

export function say(lines, wrong = false) {
  const box = byId("sl-say");
  box.replaceChildren(...lines.map((line) => Object.assign(document.createElement("p"), { textContent: line })));
  box.classList.toggle("sl-wrong", wrong);
}

// How the score stands between the clip's own noise and the plain paste: 0 at the floor, 1 at the paste.
function standing({ score, floor, unblended_score: paste }) {
  return floor === undefined ? score / Math.max(paste, 1e-6) : (score - floor) / Math.max(paste - floor, 1e-6);
}

function verdict(header) {
  const { score, floor, unblended_score: paste } = header;
  if (floor !== undefined && score <= 1.1 * floor) return "At the clip's own noise: cannot be told from no seam.";
  const times = paste / Math.max(score, 0.01);
  const less = times >= 1.05 ? `${times.toFixed(1)} times less than the unblended paste` : "no better than the unblended paste";
  const worst = Object.entries(header.sectors).reduce((a, b) => (b[1] > a[1] ? b : a));
  return `${less[0].toUpperCase()}${less.slice(1)}. Strongest at the ${SECTORS[worst[0]].toLowerCase()}.`;
}

export function tellScore(header, age = "of the settings before") {
  const panel = byId("sl-score");
  const scored = header?.driven && header.score !== undefined;
  panel.dataset.state = !scored ? "none" : header.old ? "old" : "now";
  byId("sl-score-age").textContent = scored && header.old ? age : "";
  byId("sl-number").textContent = scored ? header.score.toFixed(2) : "–";
  byId("sl-number").dataset.grade = scored ? grade(standing(header)) : "";
  byId("sl-verdict").textContent = scored ? verdict(header) : !header ? "Nothing is open." : header.driven ? "Measured when the hand rests." : "Nothing is blended in this frame.";
  const rows = scored ? [["Unblended paste", header.unblended_score], ["Floor: the clip's own noise", header.floor], ...Object.entries(header.sectors).map(([name, value]) => [SECTORS[name], value])] : [];
  const top = Math.max(...rows.map(([, value]) => value || 0), 1e-6);
  byId("sl-figures").replaceChildren(...rows.map(([name, value]) => {
    const row = document.createElement("tr");
    row.innerHTML = "<th></th><td class='sl-meter'><i></i></td><td></td>";
    row.children[0].textContent = name;
    row.children[1].firstChild.style.width = `${(100 * (value || 0)) / top}%`;
    row.children[2].textContent = value === undefined ? "measuring" : value.toFixed(2);
    return row;
  }));
}

const grade = (share) => (share < 0.2 ? "good" : share < 0.5 ? "fair" : "poor");

// The seam map around the face, small.
export function drawHeat(picture) {
  const canvas = byId("sl-heat");
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (!picture.header) return;
  const [x, y, side] = picture.heat?.roi || picture.header.box;
  const heat = picture.of("heat", {});
  context.imageSmoothingQuality = "high";
  context.drawImage(heat, x, y, side, side, 0, 0, canvas.width, canvas.height);
}

export function legendColours() {
  const stops = Array.from({ length: 9 }, (_, k) => `rgb(${[...heatColour(Math.round((k * 255) / 8))].join(",")})`);
  return `linear-gradient(90deg, ${stops.join(",")})`;
}
