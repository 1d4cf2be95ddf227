// Where a picture lies in a pane. A place is { width, height, scale, cx, cy }: the pane in device px, device px per
// picture px, and the point of the picture in the pane's middle. Pure functions of it, and the one way to paint by it.

const LEAST = 0.1;
const MOST = 32;
const WHEEL = 400;
const FACE_SHARE = 1.4; // of the square's side, that the pane's shorter side shows

export const bounded = (scale) => Math.min(Math.max(scale, LEAST), MOST);

// The whole picture.
export function fitted({ width, height }, [wide, high]) {
  return { width, height, scale: Math.min(width / wide, height / high), cx: wide / 2, cy: high / 2 };
}

// A turn of the wheel at (x, y) of the pane, in device px: what is there stays there.
export function zoomed(place, x, y, turned) {
  const { width, height, scale, cx, cy } = place;
  const next = bounded(scale * Math.exp(-turned / WHEEL));
  const share = 1 / scale - 1 / next;
  return { ...place, scale: next, cx: cx + (x - width / 2) * share, cy: cy + (y - height / 2) * share };
}

// A drag by (x, y) device px.
export const panned = (place, x, y) => ({ ...place, cx: place.cx - x / place.scale, cy: place.cy - y / place.scale });

// The face, from left, top and side of its square.
export function onFace({ width, height }, [x0, y0, side]) {
  return { width, height, scale: bounded(Math.min(width, height) / (FACE_SHARE * side)), cx: x0 + side / 2, cy: y0 + 0.42 * side };
}

// Columns `from` to `to` of the pane; size: of the picture, where another one than its own is wanted.
export function paintPlaced(context, image, { width, height, scale, cx, cy }, from, to, size = [image.width, image.height]) {
  if (to <= from) return;
  context.save();
  context.beginPath();
  context.rect(from, 0, to - from, height);
  context.clip();
  context.imageSmoothingEnabled = scale < 2 && scale !== 1;
  context.imageSmoothingQuality = scale < 0.7 ? "high" : "low"; // high costs five times as much, and shows below only
  context.translate(width / 2 - cx * scale, height / 2 - cy * scale);
  context.scale(scale, scale);
  context.drawImage(image, 0, 0, ...size);
  context.restore();
}

export function sized(canvas, width, height) {
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  return context;
}

// The line of a wipe: dragged over `around`, moved by arrows, Home and End. now(): its share from the left; move(share).
export function wireWipeLine(line, around, { now, move }) {
  const to = (share) => move(Math.min(Math.max(share, 0), 1));
  let dragging = false;
  line.addEventListener("pointerdown", (event) => {
    dragging = true;
    line.setPointerCapture(event.pointerId);
    event.preventDefault();
    event.stopPropagation();
    line.focus();
  });
  line.addEventListener("pointermove", (event) => {
    const { left, width } = around.getBoundingClientRect();
    if (dragging) to((event.clientX - left) / width);
  });
  for (const end of ["pointerup", "pointercancel"]) line.addEventListener(end, () => { dragging = false; });
  line.addEventListener("keydown", (event) => {
    const share = { ArrowLeft: now() - 0.02, ArrowRight: now() + 0.02, Home: 0, End: 1 }[event.key];
    if (share === undefined) return;
    event.preventDefault();
    to(share);
  });
}
