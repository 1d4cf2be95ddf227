// The speech block: the recorder takes the player's place while it is wanted; the speech that is there stays.

const byId = (id) => document.getElementById(id);

function showRecorder(on) {
  byId("sl-sound").toggleAttribute("data-recording", on);
  byId("sl-record").textContent = on ? "Back" : "Record";
}

export const closeRecorder = () => showRecorder(false);

export function wireSound() {
  byId("sl-record").addEventListener("click", () => showRecorder(!byId("sl-sound").hasAttribute("data-recording")));
}
