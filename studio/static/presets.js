// Presets of one's own: saved, renamed and deleted in a small sheet; the list itself is Gradio's.

// now(): { name, settings, model, clip }: what is chosen; listed(name): the list changed, show this one.
const SHIPPED = ["default", "classic"];

export function presetSheet(dialog, { now, listed }) {
  dialog.innerHTML = `<form method="dialog"><h2>Preset</h2>
    <label>Name <input name="name" maxlength="60" required></label>
    <label>For <select name="scope"><option value="all">every model</option><option value="model"></option><option value="clip"></option></select></label>
    <p role="status"></p>
    <div><button type="button" data-do="save">Save</button><button type="button" data-do="rename">Rename</button>
      <button type="button" data-do="delete">Delete</button><button value="close">Close</button></div></form>`;
  const one = (selector) => dialog.querySelector(selector);
  const state = { message: "" };
  let before = null;

  async function post(address, body) {
    const answer = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error || "the studio refused this name");
    return told;
  }

  function place(name) {
    const scope = one("select").value;
    return { name, model: scope === "all" ? null : before.model, clip: scope === "clip" ? before.clip : null };
  }

  async function act(call, done) {
    try {
      const name = await call();
      state.message = done;
      one("p").textContent = done;
      listed(name);
    } catch (error) {
      state.message = error.message;
      one("p").textContent = error.message;
    }
  }

  function open() {
    before = now();
    one("input").value = SHIPPED.includes(before.name) ? "" : before.name;
    one("[value=model]").textContent = before.model;
    const clip = one("[value=clip]");
    clip.hidden = clip.disabled = !before.clip;
    clip.textContent = before.clip || "";
    one("select").value = "all";
    one("p").textContent = "";
    dialog.showModal();
    one("input").select();
  }

  const name = () => one("input").value.trim();
  let sure = "";
  one("[data-do=save]").addEventListener("click", () => {
    const replace = sure === name();
    sure = name();
    act(async () => (await post("/studio/presets", { ...place(name()), settings: before.settings, replace })).name, "Saved.");
  });
  one("[data-do=rename]").addEventListener("click", () =>
    act(async () => (await post("/studio/presets/rename", { ...place(before.name), new: name() })).name, "Renamed."));
  one("[data-do=delete]").addEventListener("click", () =>
    act(async () => {
      await post("/studio/presets/delete", place(name()));
      return "default";
    }, "Deleted."));
  return { open, state };
}
