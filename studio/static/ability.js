// What cannot act now is greyed but can be reached; it says why under the hand, and when it is pressed.

const byId = (id) => document.getElementById(id);

// reasons: { id of a control: why it cannot act, "" where it can }.
export function tellAbility(reasons) {
  for (const [id, reason] of Object.entries(reasons)) {
    const control = byId(id);
    if (control.dataset.reason === reason) continue;
    control.setAttribute("aria-disabled", String(Boolean(reason)));
    control.dataset.reason = control.title = reason;
  }
}

export const reasonOf = (id) => byId(id)?.dataset.reason || "";

// told(reason) shows it.
export function wireAbility(told) {
  document.addEventListener("click", (event) => {
    const held = event.target.closest?.('[aria-disabled="true"][data-reason]');
    if (!held) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    told(held.dataset.reason);
  }, true);
}
