// What a reload of this tab brings back beside the settings, which stand in the address: how things are looked at.

const KEY = "seamline-view";

// parts: { name: { read(): value as JSON, or null; write(value) } }. write checks what it is given: another version of
// the page may have left it.
export function remember(parts) {
  let kept = null;
  try {
    kept = JSON.parse(sessionStorage.getItem(KEY));
  } catch {
    kept = null; // not ours
  }
  for (const [name, { write }] of Object.entries(parts)) if (kept?.[name] !== null && typeof kept?.[name] === "object") write(kept[name]);
  const save = () => sessionStorage.setItem(KEY, JSON.stringify(Object.fromEntries(Object.entries(parts).map(([name, { read }]) => [name, read()]))));
  window.addEventListener("pagehide", save);
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && save());
}
