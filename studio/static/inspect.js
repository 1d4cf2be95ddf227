// The inspection column: seam score in figures and words, its heat, what is to be known of the frame.

import { heatColour } from "./picture.js";

const byId = (id) => document.getElementById(id);
const SECTORS = { left_cheek: "Left cheek", chin: "Chin", neck: "Neck", right_cheek: "Right cheek" };

// Sentences of the frame: clip, feather, texture, limits, notes of the session.
export function sentences(header, session) {
  const said = [`${header.clip}, clip frame ${header.clip_frame}`];
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

const SCORE_COLOURS = { good: "#8fc49a", fair: "#d9a441", poor: "#e0604c", none: "#9a9a9a" };
const VISIBLE = 0.5; // of a seam score: from here on a blend is noticed at the size of the page,
export const STRONG = 1; // and from here on at once
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

export const RULE = `Green: below ${VISIBLE} and lower than the unblended paste, or at the clip's floor. Amber: below ${STRONG}, or no lower than the paste. Red: higher.`;

export const scoreColour = (score, unblended, floor) => SCORE_COLOURS[scoreGrade(score, unblended, floor)];

function verdict(header) {
  const { score, floor, unblended_score: paste } = header;
  if (isAtFloor(score, floor)) return "At the clip's own noise: cannot be told from no seam.";
  const less = isNoBetter(score, paste) ? "No better than the unblended paste" : `${(paste / score).toFixed(1)} times less than the unblended paste`;
  const [worst] = Object.entries(header.sectors).filter(([, value]) => known(value)).sort((a, b) => b[1] - a[1]);
  return worst ? `${less}. Strongest at the ${SECTORS[worst[0]].toLowerCase()}.` : `${less}.`;
}

// Why there is no figure.
function whyNone(header) {
  if (!header) return "Nothing is open.";
  return header.driven ? "Measured when the hand rests." : "Nothing is generated in this frame: there is no seam.";
}

const ROWS = [["Unblended paste", ({ unblended_score: paste }) => paste], ["Floor: the clip's own noise", ({ floor }) => floor],
  ...Object.entries(SECTORS).map(([key, name]) => [name, ({ sectors }) => sectors[key]])];

// In short beside the score, in full in the sheet of keys.
export function tellRule() {
  const grades = [["good", `below ${VISIBLE}`], ["fair", `below ${STRONG}`], ["poor", "above"]];
  byId("sl-score-rule").replaceChildren(...grades.map(([grade, text]) => {
    const mark = Object.assign(document.createElement("span"), { textContent: text });
    mark.style.color = SCORE_COLOURS[grade];
    return mark;
  }));
  byId("sl-rule").textContent = `Colour of a seam score: ${RULE[0].toLowerCase()}${RULE.slice(1)}`;
}

export function tellScore(header, age = "of the settings before") {
  const panel = byId("sl-score");
  const scored = Boolean(header?.driven && header.score !== undefined);
  panel.dataset.state = !scored ? "none" : header.old ? "old" : "now";
  byId("sl-score-age").textContent = scored && header.old ? age : "";
  byId("sl-number").textContent = scored ? header.score.toFixed(2) : "–";
  byId("sl-number").style.color = scoreColour(scored ? header.score : null, header?.unblended_score, header?.floor);
  byId("sl-verdict").textContent = scored ? verdict(header) : whyNone(header);
  const rows = ROWS.map(([name, valueOf]) => [name, scored ? valueOf(header) : null]);
  const top = Math.max(...rows.map(([, value]) => value || 0), 1e-6);
  byId("sl-figures").replaceChildren(...rows.map(([name, value]) => {
    const row = document.createElement("tr");
    row.innerHTML = "<th></th><td class='sl-meter'><i></i></td><td></td>";
    row.children[0].textContent = name;
    row.children[1].firstChild.style.width = `${(100 * (value || 0)) / top}%`;
    row.children[2].textContent = value === undefined ? "measuring" : known(value) ? value.toFixed(2) : "–";
    if (scored && value === null) row.dataset.help = `${name}: not measured, since no part of the blend lies there or it is out of the picture.`;
    return row;
  }));
}

// The heat of the seam around the face, small.
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
