// Finished renders, newest first: two videos of them, blended or not, go to the compare player as A and B.

import { RULE, scoreColour } from "./inspect.js";
import { differences, forerunnerOf, rangeOf, span, timeOf } from "./pair.js";

const PLAIN = "/unblended";

// compare(pair) shows two videos, compare(null) none; offer(choices, { a, b }) fills the lists of the player.
export function renderHistory(root, { compare, offer, restore, say }) {
  root.innerHTML = `<div class="sl-list-head"><h3>Renders</h3><span class="sl-dim">A | B to compare</span>
    <button type="button" id="sl-drop-open" data-help="Puts back the settings of a video that Seamline rendered, and what else of its recipe is here: choose it, or drop it on the picture.">Open recipe</button></div>
    <ol class="sl-renders"></ol><p class="sl-none">A test render shows here, to compare with others.</p>`;
  const list = root.querySelector("ol");
  // What tests read. a, b: the id of the render shown there, with "/unblended" for its unblended video; "" for none.
  const state = { entries: [], a: "", b: "" };
  let listed = "";

  async function ask(address, options) {
    const answer = await fetch(address, options);
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error || "the studio refused this request");
    return told;
  }

  // newest: id of a render that was just finished; it is shown beside the one before, or its unblended video.
  async function refresh(newest = "") {
    let entries;
    try {
      entries = await ask("/studio/renders");
    } catch (error) {
      say(error.message);
      return;
    }
    const text = JSON.stringify(entries);
    if (text !== listed) {
      listed = text;
      state.entries = entries;
      if (state.a && !(entryOf(state.a) && entryOf(state.b))) close();
      draw();
    }
    const place = state.entries.findIndex(({ id }) => id === newest);
    if (place >= 0) choose(newest, forerunnerOf(state.entries.slice(place))?.id ?? "");
  }

  const entryOf = (choice) => state.entries.find(({ id }) => id === choice.replace(PLAIN, ""));
  const isPlain = (choice) => choice.endsWith(PLAIN);
  const videoOf = (id, plain = false) => `/studio/renders/${id}/video${plain ? "?unblended=true" : ""}`;

  // b "" is the unblended video of a.
  function choose(a, b) {
    const second = b || a.replace(PLAIN, "") + (isPlain(a) ? "" : PLAIN);
    const wrong = [a, second].map(whyNot).find(Boolean);
    if (wrong) {
      say(wrong);
      draw();
      return;
    }
    Object.assign(state, { a, b: second });
    compare(pairOf(a, second));
    draw();
  }

  // Another video on one side; the one of the other side changes places with it.
  function put(side, choice) {
    if (side === "a") choose(choice, choice === state.b ? state.a : state.b);
    else choose(choice === state.a ? state.b : state.a, choice);
  }

  function close() {
    Object.assign(state, { a: "", b: "" });
    compare(null);
  }

  // Why a video cannot be shown; "" where it can.
  function whyNot(choice) {
    const one = entryOf(choice);
    if (!one) return "This render is no longer there; choose another one.";
    if (!one.frames) return `${one.name} cannot be shown: ${one.notes.join("; ")}.`;
    if (isPlain(choice) && !one.unblended) return `${one.name} was rendered without its unblended video; choose another render as B.`;
    return "";
  }

  function pairOf(a, b) {
    const [one, other] = [entryOf(a), entryOf(b)];
    const common = span(one, other);
    const differing = one === other ? [] : differences(one, other, isPlain(a) || isPlain(b));
    return {
      a: sideOf(a, one, differing.map(([name, mine]) => `${name} ${mine}`)),
      b: sideOf(b, other, differing.map(([name, , its]) => `${name} ${its}`)),
      ...common, fps: one.frames / one.seconds, face: one.face || other.face, line: lineOf(one, other, common),
    };
  }

  function sideOf(choice, one, tells) {
    const plain = isPlain(choice);
    return {
      url: videoOf(one.id, plain), choice, tells: tells.join(", "), title: `${one.name}${plain ? ", unblended" : ""}`,
      score: plain ? one.seam_unblended : one.seam, against: one.seam_unblended,
      why: one.quality === "lossless" ? `This browser does not play ${one.name}: lossless is for other programs; render it in another quality.`
        : `${one.name} can no longer be read; render it again.`,
    };
  }

  // What is to be known of the two: frames, where they are not all, and the worst score.
  function lineOf(one, other, { first, frames, apart }) {
    const both = one === other ? [["", one]] : [["A ", one], ["B ", other]];
    const worst = both.filter(([, { seam }]) => seam !== null)
      .map(([side, entry]) => `${side}${entry.seam_worst.toFixed(2)} at ${entry.worst_frame}`);
    const said = worst.length ? [`Worst of every fifth frame: ${worst.join(", ")}`] : [];
    if (apart) said.push("They share no frame of the sound: each is shown from its start");
    else if (both.some(([, entry]) => entry.frames !== frames)) said.push(`Both show frames ${first} to ${first + frames - 1}`);
    return `${(said.length ? said : [one.name]).join(". ")}.`;
  }

  // [choice, text] of every video.
  const choices = () => state.entries.flatMap((one) => [[one.id, timeOf(one)], ...(one.unblended ? [[one.id + PLAIN, `${timeOf(one)} unblended`]] : [])]);

  function draw() {
    list.replaceChildren(...state.entries.map(row));
    root.querySelector(".sl-none").hidden = state.entries.length > 0;
    offer(choices(), state);
  }

  function element(name, className, text = "") {
    const made = document.createElement(name);
    made.className = className;
    made.textContent = text;
    return made;
  }

  // What is told of an element under the hand and under the focus.
  function explained(made, text) {
    made.title = text;
    made.dataset.help = text;
    return made;
  }

  function row(one, place) {
    const item = element("li", "");
    item.dataset.id = one.id;
    const picture = document.createElement("img");
    picture.src = `/studio/renders/${one.id}/thumbnail`;
    picture.alt = "";
    picture.loading = "lazy";
    const words = element("span", "sl-words");
    const before = state.entries[place + 1];
    const differing = before ? differences(one, before).map(([name, mine]) => `${name} ${mine}`).join(", ") || "as the one before" : one.base || "";
    words.append(element("span", "", [timeOf(one), rangeOf(one), one.quality].filter(Boolean).join(" ")), element("small", "sl-dim", differing));
    explained(words, [one.name, one.sound, before && `against the one before: ${differing}`, ...one.notes].filter(Boolean).join("\n"));
    const score = element("b", "", one.seam === null ? "–" : one.seam.toFixed(2));
    score.style.color = scoreColour(one.seam, one.seam_unblended);
    explained(score, one.seam === null ? "Its seam score is not known." : `Mean seam score of every fifth frame; the unblended paste has ${one.seam_unblended?.toFixed(2) ?? "an unknown one"}. ${RULE}`);
    item.append(picture, words, score, pick("a", one), pick("b", one), more(one));
    return item;
  }

  function pick(side, one) {
    const name = side.toUpperCase();
    const button = explained(element("button", "sl-pick", name), `Show this render as ${name}; once more: its unblended video.`);
    button.type = "button";
    const shown = state[side] && entryOf(state[side]) === one;
    button.setAttribute("aria-pressed", String(Boolean(shown)));
    button.setAttribute("aria-label", `show the render of ${timeOf(one)} as ${name}`);
    button.addEventListener("click", () => {
      const choice = state[side] === one.id && one.unblended ? one.id + PLAIN : one.id;
      const ofOne = state.b === state.a + PLAIN; // a render beside its own unblended video
      if (!state.a || (side === "a" && ofOne && !shown)) choose(one.id, "");
      else put(side, choice);
      list.querySelector(`[data-id="${one.id}"] [aria-label="${button.getAttribute("aria-label")}"]`)?.focus();
    });
    return button;
  }

  function more(one) {
    const menu = document.createElement("details");
    menu.className = "sl-menu";
    const summary = explained(element("summary", "", "…"), "Use its settings, save it, delete it.");
    summary.setAttribute("aria-label", `more of the render of ${timeOf(one)}`);
    menu.append(summary);
    const entries = element("div", "");
    const act = (text, help, call) => {
      const button = explained(element("button", "", text), help);
      button.type = "button";
      button.addEventListener("click", () => { menu.open = false; call(); });
      entries.append(button);
    };
    const link = (text, help, address) => {
      const anchor = explained(element("a", "", text), help);
      anchor.href = address;
      anchor.setAttribute("download", "");
      entries.append(anchor);
    };
    if (one.settings) act("Use its settings", "Puts its settings back into the controls.", async () => {
      try {
        restore(await ask(`/studio/renders/${one.id}/settings`), one);
      } catch (error) {
        say(error.message);
      }
    });
    link("Save the video", "Downloads the blended video, with its recipe inside.", `${videoOf(one.id)}?download=true`);
    if (one.unblended) link("Save unblended", "Downloads the video with the generated square pasted as it is.", `${videoOf(one.id, true)}&download=true`);
    if (one.settings) link("Save its recipe", "Downloads settings, model, clips and scores as JSON.", `/studio/renders/${one.id}/recipe`);
    const sure = explained(element("button", "sl-danger", "Delete"), "Removes both videos for good; asks once more.");
    sure.type = "button";
    sure.addEventListener("click", async () => {
      if (sure.textContent === "Delete") {
        sure.textContent = "Delete for good?";
        return;
      }
      menu.open = false;
      try {
        await ask(`/studio/renders/${one.id}`, { method: "DELETE" });
        refresh();
      } catch (error) {
        say(error.message);
      }
    });
    entries.append(sure);
    menu.append(entries);
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      menu.open = false;
      summary.focus();
    });
    // Above the list's own edge: it scrolls and would cut the menu off.
    menu.addEventListener("toggle", () => {
      const { top, right } = menu.getBoundingClientRect();
      entries.style.right = `${window.innerWidth - right}px`;
      entries.style.bottom = `${window.innerHeight - top + 2}px`;
      if (!menu.open) sure.textContent = "Delete";
    });
    return menu;
  }

  document.addEventListener("pointerdown", (event) => {
    for (const menu of root.querySelectorAll("details[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  // Another page of the same person may have rendered or deleted.
  const again = () => document.visibilityState === "visible" && refresh();
  window.addEventListener("focus", again);
  document.addEventListener("visibilitychange", again);
  return { refresh, choose, put, state };
}
