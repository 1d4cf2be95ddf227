// What two renders have in common and what differs, from the entries of /studio/renders.

const ABOUT = ["model", "base", "sound", "quality", "range"];
const known = (value) => value !== null && value !== undefined;
const two = (number) => String(number).padStart(2, "0");

// Time of day; the day before it where it is another one.
export function timeOf({ date }, now = new Date()) {
  const at = new Date(date);
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
  return at.toDateString() === now.toDateString() ? time : `${at.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${time.slice(0, 5)}`;
}

export const rangeOf = ({ range, seconds }) => (range ? `${range[0]}–${range[1] - 1}` : known(seconds) ? `${seconds.toFixed(1)} s` : "");

// Settings are called what they are called in the panel.
const labelOf = (name) => (window.seamline.labels[name] ?? name).toLowerCase();

// [name, value of one, value of the other] of what is known of both and differs; plain: settings do not count.
export function differences(one, other, plain = false) {
  const told = (entry) => ({
    ...Object.fromEntries(ABOUT.map((name) => [name, name === "range" ? entry.range && rangeOf(entry) : entry[name]])),
    ...(plain ? {} : entry.settings),
  });
  const [mine, others] = [told(one), told(other)];
  const whole = (name, value) => (name === "range" && !value ? "whole" : value);
  return Object.keys(mine)
    .map((name) => [labelOf(name), whole(name, mine[name]), whole(name, others[name])])
    .filter(([, a, b]) => known(a) && known(b) && a !== b);
}

// The render that a new one, the first of the list, is to be seen beside: the last one of the same frames of the same
// sound that a browser plays, with other settings, model or base. Undefined: its unblended video tells more.
export function forerunnerOf([one, ...before]) {
  const frames = ({ sound, range, frames: count }) => JSON.stringify([sound, range?.[0] ?? 0, count]);
  return before.find((other) => known(one.sound) && frames(one) === frames(other) && other.quality !== "lossless" && differences(one, other).length);
}

// Frames of the sound that both show: the first, how many, and how many each video has before it. Where there is none,
// each is shown from its start, and `apart` is true.
export function span(a, b) {
  const [startA, startB] = [a, b].map(({ range }) => (range ? range[0] : 0));
  const first = Math.max(startA, startB);
  const frames = Math.min(startA + a.frames, startB + b.frames) - first;
  if (frames > 0) return { first, frames, skip: { a: first - startA, b: first - startB }, apart: false };
  return { first: startA, frames: Math.min(a.frames, b.frames), skip: { a: 0, b: 0 }, apart: true };
}
