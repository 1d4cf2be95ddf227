// Finished renders, newest first: two of them (or one and its unblended video) go to the compare player as A and B.
export function renderHistory(root, { compare, restore, say }) {
  const GOOD = 0.5;
  const BAD = 1.0;
  root.innerHTML = `<div class="sl-list-head"><h3>Renders</h3><span class="sl-dim">A | B to compare</span>
    <button type="button" id="sl-drop-open" data-help="Puts back the settings of a video that Seamline rendered, and what else of its recipe is here: choose it, or drop it on the picture.">Open recipe</button></div>
    <ol class="sl-renders"></ol><p class="sl-none">A test render shows here, to compare with others.</p>`;
  const list = root.querySelector("ol");
  // What tests read.
  const state = { entries: [], a: "", b: "" };

  async function ask(address, options) {
    const answer = await fetch(address, options);
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error || "the studio refused this request");
    return told;
  }

  // newest: the render that was just finished is shown beside its unblended video.
  async function refresh(newest = false) {
    try {
      state.entries = await ask("/studio/renders");
    } catch (error) {
      say(error.message);
      return;
    }
    if (newest && state.entries.length) choose(state.entries[0].id, "");
    draw();
  }

  const entry = (id) => state.entries.find((one) => one.id === id);
  const video = (id, plain = false) => `/studio/renders/${id}/video${plain ? "?unblended=true" : ""}`;

  // b "" is the unblended video of a.
  function choose(a, b) {
    const first = entry(a);
    if (!first) return;
    const second = entry(b);
    if (!second && !first.unblended) {
      say(`${first.name} was rendered without its unblended video; choose another render as B.`);
      state.a = a;
      draw();
      return;
    }
    Object.assign(state, { a, b: second ? b : "" });
    const frames = second ? Math.min(first.frames, second.frames) : first.frames;
    compare(
      { url: video(a), label: second ? `A  ${title(first)}` : "Blended", entry: first },
      second ? { url: video(b), label: `B  ${title(second)}`, entry: second } : { url: video(a, true), label: "Unblended", entry: first },
      frames,
    );
    if (second && first.frames !== second.frames) say(`The two videos have ${first.frames} and ${second.frames} frames; the first ${frames} are compared.`);
    draw();
  }

  function title(one) {
    const s = one.settings;
    return s ? [s.compositor, s.expansion_ratio, s.feather_amount].join(" · ") : one.name;
  }

  function draw() {
    list.replaceChildren(...state.entries.map(row));
    root.querySelector(".sl-none").hidden = state.entries.length > 0;
  }

  function element(name, className, text = "") {
    const made = document.createElement(name);
    made.className = className;
    made.textContent = text;
    return made;
  }

  function row(one) {
    const item = element("li", "");
    item.dataset.id = one.id;
    item.title = [one.name, one.sound, one.base, ...one.notes].filter(Boolean).join("\n");
    const picture = document.createElement("img");
    picture.src = `/studio/renders/${one.id}/thumbnail`;
    picture.alt = "";
    picture.loading = "lazy";
    const score = element("b", one.seam === null ? "sl-dim" : one.seam < GOOD ? "sl-good" : one.seam < BAD ? "sl-mid" : "sl-bad",
      one.seam === null ? "-" : one.seam.toFixed(2));
    const words = element("span", "sl-words");
    const when = new Date(one.date).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    words.append(element("span", "", title(one)), element("small", "sl-dim", [one.base, one.seconds === null ? "" : `${one.seconds.toFixed(1)} s`, when].filter(Boolean).join("  ")));
    item.append(picture, score, words, pick("A", one), pick("B", one), more(one));
    return item;
  }

  function pick(side, one) {
    const button = element("button", "sl-pick", side);
    button.type = "button";
    button.title = side === "A" ? "show as A" : "compare A with this";
    button.setAttribute("aria-pressed", String(side === "A" ? state.a === one.id : state.b === one.id));
    button.addEventListener("click", () => {
      if (side === "A") choose(one.id, state.b === one.id ? "" : state.b);
      else if (!state.a || state.a === one.id) choose(one.id, "");
      else choose(state.a, state.b === one.id ? "" : one.id);
    });
    return button;
  }

  function more(one) {
    const menu = document.createElement("details");
    menu.className = "sl-menu";
    menu.append(element("summary", "", "…"));
    const entries = element("div", "");
    const act = (text, call) => {
      const button = element("button", "", text);
      button.type = "button";
      button.addEventListener("click", () => { menu.open = false; call(); });
      entries.append(button);
    };
    const link = (text, address) => {
      const anchor = element("a", "", text);
      anchor.href = address;
      anchor.setAttribute("download", "");
      entries.append(anchor);
    };
    if (one.settings) act("Use its settings", async () => {
      try {
        restore(await ask(`/studio/renders/${one.id}/settings`), one);
      } catch (error) {
        say(error.message);
      }
    });
    link("Save the video", `${video(one.id)}?download=true`);
    if (one.unblended) link("Save unblended", `${video(one.id, true)}&download=true`);
    if (one.settings) link("Save its recipe", `/studio/renders/${one.id}/recipe`);
    const sure = element("button", "sl-danger", "Delete");
    sure.type = "button";
    sure.addEventListener("click", async () => {
      if (sure.textContent === "Delete") {
        sure.textContent = "Delete for good?";
        return;
      }
      menu.open = false;
      try {
        await ask(`/studio/renders/${one.id}`, { method: "DELETE" });
        if (state.a === one.id || state.b === one.id) Object.assign(state, { a: "", b: "" });
        refresh();
      } catch (error) {
        say(error.message);
      }
    });
    entries.append(sure);
    menu.append(entries);
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
  return { refresh, choose, state };
}
