// Where a seam score is not good: what would lower it, as the studio measured it on this frame.

import { scoreGrade } from "./inspect.js";

const REST_MS = 500;
const byId = (id) => document.getElementById(id);

export function adviceInWords({ score, name, label, value, better }) {
  if (score === null) return "";
  if (name === null) return "Tried: no single step does better here.";
  return `Tried: ${label} ${typeof value === "number" ? +value.toFixed(2) : value} gives ${better.toFixed(2)}.`;
}

// use(name, value) takes the advice.
export function adviser(use) {
  let timer = 0;
  let looked = ""; // what the advice is of
  let stop = new AbortController();

  function tell(words, taken) {
    byId("sl-advice").hidden = !words;
    byId("sl-advice-words").textContent = words;
    byId("sl-advice-use").hidden = !taken;
    byId("sl-advice-use").onclick = taken;
  }

  function forget() {
    looked = "";
    clearTimeout(timer);
    stop.abort();
    tell("", null);
  }

  // Of the picture whose header is given; asked again of the same one, as when its floor comes, it stays.
  function look({ token, frame, settings }, { score, unblended_score: unblended, floor }) {
    if (["none", "good"].includes(scoreGrade(score, unblended, floor))) {
      forget();
      return;
    }
    const body = JSON.stringify({ token, frame, settings });
    if (body === looked) return;
    forget();
    looked = body;
    stop = new AbortController();
    timer = setTimeout(ask, REST_MS, body, stop.signal);
  }

  async function ask(body, signal) {
    try {
      const answer = await fetch("/studio/advice", { method: "POST", headers: { "Content-Type": "application/json" }, body, signal });
      if (!answer.ok) throw new Error((await answer.json()).error);
      const told = await answer.json();
      if (signal.aborted) return;
      tell(adviceInWords(told), told.name && (() => use(told.name, told.value)));
    } catch (error) {
      if (!signal.aborted) tell(`What would do better could not be measured: ${error.message}`, null);
    }
  }

  return { look, forget };
}
