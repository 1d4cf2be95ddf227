// One line of help for what is under the hand, in a place of its own; the sheet of keys.

const byId = (id) => document.getElementById(id);
const EMPTY = "Point at a control to read what it does. ? shows all keys.";
const OTHERS = {
  "sl-replace": "Choose another sound or video file. The speech that is there stays until the new one is read.",
  "sl-record": "Record speech with the microphone, or go back to the speech that is there.",
  "sl-recorder": "Record, then Stop: the recording takes the place of the speech.",
  "sl-audio": "Speech that the mouth follows: any sound or video file, or a recording, of an hour at most.",
  "sl-model": "The network that draws the mouth.",
  "sl-base": "What stands under the face: one clip, or core clips, which puts talk clips under speech and the silence clip under pauses.",
  "sl-preset": "A set of settings by name; a dot: changed since. classic is the documented recipe, to compare with.",
  "sl-keep": "Saves these settings under a name, renames or deletes a preset of your own; for every model, this one, or this clip.",
  "sl-quality": "How the test video is encoded. lossless is for other programs: browsers do not play it.",
  "sl-range": "What is rendered: all of the sound, or the frames of the loop around the present one (its length stands beside Loop).",
  "sl-reset": "Puts every setting back to what the preset says.",
  "sl-render": "Writes the blended and the unblended video of the range, and shows them side by side.",
  "sl-cancel": "Stops the render; nothing is left of it.",
  "sl-more": "Rarer settings: what adapts by itself, registration, and where the matte reaches further or less far.",
  "sl-wipe": "The line between before and after: drag it, or move it with the arrows, Home and End.",
  "sl-timeline": "Thumbnails, seam score, speech, clips and sureness of the face in every frame: drag, or use the arrows. n goes to the next worst.",
  "sl-frame": "Frame of the video to be. What is shown here is what is rendered.",
};

function helpOf(element) {
  const held = element.closest("[data-reason]")?.dataset.reason;
  if (held) return held;
  const own = element.closest("[data-help]");
  if (own) return own.dataset.help;
  const info = element.closest("#sl-left .block:not(#sl-more)")?.querySelector(".info-text");
  if (info) return info.textContent.trim();
  const known = element.closest(Object.keys(OTHERS).map((id) => `#${id}`).join(","));
  return known ? OTHERS[known.id] : "";
}

// urgent: the answer to something that was just tried.
export function tellHint(words, urgent = false) {
  byId("sl-hint-text").textContent = words;
  byId("sl-hint").classList.toggle("sl-urgent", urgent);
}

export function wireHelp() {
  const tell = (event) => tellHint((event.target.closest && helpOf(event.target)) || EMPTY);
  document.addEventListener("pointerover", tell);
  document.addEventListener("focusin", tell);
  tellHint(EMPTY);
  byId("sl-ask").addEventListener("click", sheet);
  byId("sl-sheet-close").addEventListener("click", sheet);
  byId("sl-sheet").addEventListener("click", (event) => { if (event.target === byId("sl-sheet")) sheet(); });
}

export function sheet() {
  const dialog = byId("sl-sheet");
  if (dialog.open) dialog.close();
  else dialog.showModal();
}

// Gradio heads what it has no title for with "Error"; a person reads what follows.
export function plainToasts() {
  new MutationObserver(() => {
    for (const title of document.querySelectorAll(".toast-title")) {
      if (title.textContent.trim() === "Error") title.textContent = "That did not work";
    }
  }).observe(document.body, { childList: true, subtree: true });
}
