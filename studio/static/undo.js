// Steps back and forth, and two slots of settings, A and B. Each slot has its own steps; a gesture of the hand is one.

const MOST = 100;
const QUIET_MS = 350;
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

// Settings before, now and, where one went back, after. Knows no page.
export class Steps {
  constructor(present) {
    Object.assign(this, { past: [], present, future: [] });
  }

  // Whether it is a step.
  add(settings) {
    if (same(settings, this.present)) return false;
    this.past = [...this.past, this.present].slice(-MOST);
    Object.assign(this, { present: settings, future: [] });
    return true;
  }

  back() {
    if (!this.past.length) return null;
    this.future.push(this.present);
    this.present = this.past.pop();
    return this.present;
  }

  forth() {
    if (!this.future.length) return null;
    this.past.push(this.present);
    this.present = this.future.pop();
    return this.present;
  }
}

// put(settings) puts them onto the controls and the picture.
export function undoAndSlots(root, { put }) {
  root.innerHTML = `
    <button type="button" data-do="undo" title="Undo (Ctrl+Z)" aria-label="undo" data-help="Takes the last change of settings back (Ctrl+Z): a drag, a preset, a reset is one step. A and B have their own; those from before a reload are not kept.">&#8630;</button>
    <button type="button" data-do="redo" title="Redo (Ctrl+Shift+Z)" aria-label="redo" data-help="Brings back what was undone (Ctrl+Shift+Z or Ctrl+Y).">&#8631;</button>
    <div class="sl-tabs sl-ab" role="group" aria-label="slot of settings">
      <button type="button" data-slot="A" title="Settings A (a: the other slot)" data-help="Settings A. Changes go to the slot that is lit; a flips between both, at once with method alpha.">A</button>
      <button type="button" data-slot="B" title="Settings B (a: the other slot)" data-help="Settings B: at first those the page opened with. Changes go to the slot that is lit; a flips between both.">B</button>
    </div>
    <button type="button" data-do="copy"></button>`;
  const one = (what) => root.querySelector(`[data-do=${what}]`);
  // What tests read.
  const state = { slot: "A", past: 0, future: 0, open: false };
  let slots = null; // Steps by name, once there are settings
  let open = null; // what a gesture that has not ended came to
  let timer = 0;
  let dragging = false;
  let touched = false; // before a hand moves, what arrives is what the page opens with
  let kept = null; // slots of before a reload

  const other = () => (state.slot === "A" ? "B" : "A");
  const steps = () => slots[state.slot];

  function changed(settings) {
    if (!slots) begin(settings);
    else if (touched) open = settings;
    else if (kept || !same(slots.A.present, slots.B.present)) steps().present = settings;
    else slots.A.present = slots.B.present = settings;
    clearTimeout(timer);
    if (open && !dragging) timer = setTimeout(end, QUIET_MS);
    draw();
  }

  function begin(settings) {
    const names = Object.keys(settings);
    const fits = kept && ["A", "B"].includes(kept.slot) && names.every((name) => typeof kept.other?.[name] === typeof settings[name]);
    if (!fits) kept = null;
    else state.slot = kept.slot;
    slots = { A: new Steps(settings), B: new Steps(settings) };
    if (fits) slots[other()] = new Steps(Object.fromEntries(names.map((name) => [name, kept.other[name]])));
  }

  // The gesture has ended: it is a step.
  function end() {
    clearTimeout(timer);
    if (open) steps().add(open);
    open = null;
    if (slots) draw();
  }

  function move(direction) {
    if (!slots || dragging) return;
    end();
    const settings = steps()[direction]();
    draw();
    if (settings) put(settings);
  }

  function choose(slot) {
    if (!slots || dragging || slot === state.slot) return;
    end();
    state.slot = slot;
    draw();
    put(steps().present);
  }

  // What is shown goes to the other slot, where it is a step.
  function copy() {
    if (!slots || dragging) return;
    end();
    slots[other()].add(steps().present);
    draw();
  }

  function draw() {
    const { past, future, present } = steps();
    const unended = Boolean(open) && !same(open, present);
    Object.assign(state, { past: past.length + Number(unended), future: unended ? 0 : future.length, open: unended });
    one("undo").disabled = !state.past;
    one("redo").disabled = !state.future;
    for (const button of root.querySelectorAll("[data-slot]")) button.setAttribute("aria-pressed", String(button.dataset.slot === state.slot));
    one("copy").textContent = `${state.slot}→${other()}`;
    one("copy").title = `Copy ${state.slot} to ${other()}`;
    one("copy").dataset.help = `Copies the settings of ${state.slot} to ${other()}.`;
    one("copy").disabled = same(unended ? open : present, slots[other()].present);
  }

  const undo = () => move("back");
  const redo = () => move("forth");
  const flip = () => choose(other());

  function onKey(event) {
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
    const key = event.key.toLowerCase();
    const act = key === "z" ? (event.shiftKey ? redo : undo) : key === "y" ? redo : null;
    if (!act || document.querySelector("dialog[open]")) return;
    // A text that is being written has its own undo; the numbers beside the sliders are settings.
    if (event.target.matches("textarea, [contenteditable], input:not([type=range]):not([type=checkbox]):not([type=radio]):not([type=number])")) return;
    event.preventDefault();
    act();
  }

  one("undo").addEventListener("click", undo);
  one("redo").addEventListener("click", redo);
  one("copy").addEventListener("click", copy);
  for (const button of root.querySelectorAll("[data-slot]")) button.addEventListener("click", () => choose(button.dataset.slot));
  document.addEventListener("keydown", onKey);
  for (const hand of ["keydown", "drop"]) document.addEventListener(hand, () => { touched = true; }, true);
  document.addEventListener("pointerdown", (event) => {
    touched = true;
    end(); // what the hand did before is a step of its own
    dragging = Boolean(event.target.closest("#sl-controls"));
  }, true);
  document.addEventListener("focusin", end, true);
  const lift = () => {
    if (!dragging) return;
    dragging = false;
    clearTimeout(timer);
    if (open) timer = setTimeout(end, QUIET_MS);
  };
  for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, lift, true);
  window.addEventListener("blur", lift);

  return {
    changed, undo, redo, flip, copy, state,
    // For a reload: which slot is shown, and what the other one holds.
    read: () => slots && { slot: state.slot, other: slots[other()].present },
    write(told) { kept = told; },
  };
}
