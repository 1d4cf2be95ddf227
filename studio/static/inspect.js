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

const SCORE_COLOURS = { good: "#9fd49a", fair: "#e6c767", poor: "#ff9a8a", none: "#9a9a9a" };
const VISIBLE = 0.5; // of a seam score: from here on a blend is noticed at the size of the page,
const STRONG = 1; // and from here on at once
const AT_FLOOR = 1.1;
const NO_BETTER = 1.05;

const known = (value) => typeof value === "number";
export const isAtFloor = (score, floor) => known(floor) && score <= AT_FLOOR * floor;
export const isNoBetter = (score, unblended) => known(unblended) && NO_BETTER * score >= unblended;

// Grade of a seam score, the one rule of the page: good, fair or poor by its size; at the clip's own noise it is good,
// and no better than the unblended paste it is not. "none" without a score; unblended and floor may be unknown.
export function scoreGrade(score, unblended, floor) {
  if (!known(score)) return "none";
  if (isAtFloor(score, floor)) return "good";
  if (score >= STRONG) return "poor";
  return score >= VISIBLE || isNoBetter(score, unblended) ? "fair" : "good";
}

export const scoreColour = (score, unblended, floor) => SCORE_COLOURS[scoreGrade(score, unblended, floor)];

function verdict(header) {
  const { score, floor, unblended_score: paste } = header;
  if (isAtFloor(score, floor)) return "At the clip's own noise: cannot be told from no seam.";
  const less = isNoBetter(score, paste) ? "no better than the unblended paste" : `${(paste / score).toFixed(1)} times less than the unblended paste`;
  const worst = Object.entries(header.sectors).reduce((a, b) => (b[1] > a[1] ? b : a));
  return `${less[0].toUpperCase()}${less.slice(1)}. Strongest at the ${SECTORS[worst[0]].toLowerCase()}.`;
}

export function tellScore(header, age = "of the settings before") {
  const panel = byId("sl-score");
  const scored = header?.driven && header.score !== undefined;
  panel.dataset.state = !scored ? "none" : header.old ? "old" : "now";
  byId("sl-score-age").textContent = scored && header.old ? age : "";
  byId("sl-number").textContent = scored ? header.score.toFixed(2) : "–";
  byId("sl-number").style.color = scoreColour(scored ? header.score : null, header?.unblended_score, header?.floor);
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
