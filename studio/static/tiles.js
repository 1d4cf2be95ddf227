// What the tiles of contact sheet and auto-tune share: values in words, and pictures.

export const shownValue = (value) => (typeof value === "number" ? String(Number(value.toFixed(3))) : value);

export function element(tag, className, text = "") {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

// Whether the settings have these values.
export function haveValues(settings, values) {
  return Object.entries(values).every(([name, value]) => (
    typeof value === "number" ? Math.abs(settings[name] - value) < 1e-6 : settings[name] === value
  ));
}

// A picture of an answer's line: PNG in base64.
export function pictureOf(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return createImageBitmap(new Blob([bytes], { type: "image/png" }), { colorSpaceConversion: "none" });
}
