// A clip or a video of one's own by upload: sent and prepared with progress, cancelled at any time, usable at once.

const KINDS = {
  clip: { what: "Core clip", address: "/studio/clips", check: "/studio/clips/name", help: "Joins the model's clips, for everybody: talk in its name is for speech, silence for pauses. mp4, up to 2 minutes." },
  own: { what: "Own video", address: "/studio/clips/own", check: "/studio/own_videos/name", help: "Yours alone, as the base: shown there and back under the whole speech. Any video, up to 2 minutes; forgotten when unused for 30 days." },
};

// model(): whose clips are shown; added(): a base is new; choose(base): use it.
export function clipAdding(form, { model, added, choose }) {
  form.innerHTML = `<div><span class="sl-tabs" role="radiogroup" aria-label="what it becomes">${Object.entries(KINDS).map(([kind, { what, help }]) =>
    `<button type="button" role="radio" data-kind="${kind}" data-help="${help}">${what}</button>`).join("")}</span>
      <label class="sl-file">Choose a video<input type="file" accept="video/*"></label><span class="sl-chosen"></span>
      <input type="text" name="name" maxlength="60" placeholder="name" aria-label="name" autocomplete="off">
      <button type="submit">Add</button><button type="button" data-do="stop" hidden>Cancel</button></div>
    <p class="sl-bar" hidden><i></i></p><div><output></output><button type="button" data-do="use" hidden>Use it as the base</button></div>`;
  const one = (selector) => form.querySelector(selector);
  // What tests read. message: what the person reads; base: the one that was added last.
  const state = { kind: "clip", busy: false, message: "", base: "" };
  let named = ""; // the name that was filled in from a file
  let sending = null;

  // The line below says what the chosen kind is for, until there is something to say.
  function show(kind = state.kind) {
    state.kind = kind;
    for (const button of form.querySelectorAll("[data-kind]")) button.setAttribute("aria-pressed", String(button.dataset.kind === kind));
    for (const button of form.querySelectorAll("[data-kind]")) button.setAttribute("aria-checked", String(button.dataset.kind === kind));
    if (!state.message) one("output").textContent = KINDS[kind].help;
  }

  function tell(message, { bad = false, share = null, base = "" } = {}) {
    Object.assign(state, { message, base });
    one("output").textContent = message || KINDS[state.kind].help;
    one("output").classList.toggle("sl-wrong", bad);
    one(".sl-bar").hidden = share === null;
    one(".sl-bar i").style.width = `${share ?? 0}%`;
    one("[data-do=use]").hidden = !base;
  }

  function busy(on) {
    state.busy = on;
    one("[type=submit]").hidden = on;
    one("[data-do=stop]").hidden = !on;
    for (const input of form.querySelectorAll("input, [data-kind]")) input.disabled = on;
  }

  async function add(event) {
    event.preventDefault();
    const file = one("input[type=file]").files[0];
    const name = one("input[name=name]").value.trim();
    if (state.busy) return;
    if (!file || !name) {
      tell(file ? "The name is empty: give it one." : "Choose a video first, at the left.", { bad: true });
      return;
    }
    const { address, check } = KINDS[state.kind];
    const of = new URLSearchParams({ model: model(), name });
    busy(true);
    tell(`Sending ${file.name}`, { share: 0 });
    try {
      const free = await fetch(`${check}?${of}`); // before all of the file is sent
      if (!free.ok) throw new Error((await free.json()).error || "the studio refused this name");
      of.set("file", file.name);
      const base = await sent(`${address}?${of}`, file);
      form.reset();
      named = "";
      chosen();
      await added();
      tell(`${base} is ready.`, { base });
    } catch (error) {
      tell(error.message, { bad: true });
    } finally {
      busy(false);
      sending = null;
    }
  }

  // Sends the file and reads one line of JSON per state; the base that it became. A fetch tells no progress of sending.
  function sent(address, file) {
    return new Promise((resolve, reject) => {
      const request = sending = new XMLHttpRequest();
      let read = 0;
      let base = "";
      request.upload.onprogress = ({ loaded, total }) => tell(`Sending ${file.name}: ${Math.floor((100 * loaded) / total)} %`, { share: (100 * loaded) / total });
      request.onprogress = () => {
        if (request.status !== 200) return;
        const end = request.responseText.lastIndexOf("\n") + 1;
        for (const text of request.responseText.slice(read, end).split("\n").filter(Boolean)) {
          const step = JSON.parse(text);
          if (step.error) return reject(new Error(step.error));
          if (step.clip) base = step.clip;
          else if (step.waiting) tell("Waiting: another video is being prepared", { share: 0 });
          else if (step.frames) tell(`Finding the face: ${step.done} of ${step.frames} frames`, { share: (100 * step.done) / step.frames });
          else tell("Looking at the video", { share: 0 });
        }
        read = end;
      };
      request.onload = () => {
        request.onprogress();
        if (base) resolve(base);
        else reject(new Error(wordsOf(request.responseText) || "the studio did not finish with this video; add it again"));
      };
      request.onerror = () => reject(new Error("the studio does not answer; nothing was added"));
      request.onabort = () => reject(new Error("Cancelled; nothing was added."));
      request.open("POST", address);
      request.send(file);
    });
  }

  function wordsOf(text) {
    try {
      return JSON.parse(text).error;
    } catch {
      return "";
    }
  }

  function chosen() {
    const file = one("input[type=file]").files[0];
    const name = one("input[name=name]");
    one(".sl-chosen").textContent = one(".sl-chosen").title = file?.name || "";
    if (file && (!name.value || name.value === named)) name.value = named = file.name.replace(/\.[^.]*$/, "").slice(0, 50);
    if (file) tell("");
  }

  one("input[type=file]").addEventListener("change", chosen);
  for (const button of form.querySelectorAll("[data-kind]")) {
    button.addEventListener("click", () => {
      tell("");
      show(button.dataset.kind);
    });
  }
  one("[data-do=stop]").addEventListener("click", () => sending?.abort());
  one("[data-do=use]").addEventListener("click", () => choose(state.base));
  form.addEventListener("submit", add);
  return { show, state };
}
