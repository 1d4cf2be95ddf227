// The speech block: the recorder takes the player's place while it is wanted; the speech that is there stays. Files that
// are dropped, or chosen in the empty block, go the way of Replace: what cannot be used leaves the block as it is.

const byId = (id) => document.getElementById(id);

function showRecorder(on) {
  byId("sl-sound").toggleAttribute("data-recording", on);
  byId("sl-record").textContent = on ? "Back" : "Record";
}

export const closeRecorder = () => showRecorder(false);

function send(files) {
  const input = document.querySelector("#sl-sources input[type=file]");
  input.files = files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

export function wireSound() {
  const block = byId("sl-sound");
  block.addEventListener("click", (event) => {
    if (!event.target.closest("#sl-audio .upload-container")) return;
    event.stopPropagation();
    byId("sl-replace").click();
  }, true);
  for (const kind of ["dragenter", "dragover", "drop"]) {
    block.addEventListener(kind, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      event.stopPropagation();
      if (kind === "drop" && event.dataTransfer.files.length) send(event.dataTransfer.files);
    }, true);
  }
  byId("sl-record").addEventListener("click", () => showRecorder(!byId("sl-sound").hasAttribute("data-recording")));
}
