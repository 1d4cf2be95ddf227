// Asks the studio for frames: by WebSocket, or by fetch where there is none. One request is under way, the latest waits.

const TIMEOUT_MS = 60_000;
const RETRY_MS = 3000;

export async function explained(answer) {
  try {
    const told = await answer.json();
    return told.error || (typeof told.detail === "string" ? told.detail : "the studio refused this request");
  } catch {
    return `the studio answered with status ${answer.status}; reload the page`;
  }
}

export async function fetchFrame(request, signal) {
  const answer = await fetch("/studio/preview", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(request), signal,
  });
  if (!answer.ok) throw new Error(await explained(answer));
  return unpack(await answer.arrayBuffer());
}

// { header, blobs: [{ name, kind, bytes }] } of an answer; see studio/preview.py.
export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let offset = 4 + length;
  const blobs = header.layers.map(({ name, kind, bytes }) => {
    offset += bytes;
    return { name, kind, bytes: new Uint8Array(buffer, offset - bytes, bytes) };
  });
  return { header, blobs };
}

// Pictures among the blobs, by name.
export async function picturesOf(blobs) {
  const found = {};
  await Promise.all(blobs.filter(({ kind }) => kind === "png" || kind === "jpeg").map(async ({ name, kind, bytes }) => {
    found[name] = await createImageBitmap(new Blob([bytes], { type: `image/${kind}` }), { colorSpaceConversion: "none" });
  }));
  return found;
}

export class Channel {
  // answered({ header, blobs }, request) and failed(message, request) are called for the newest request only, or for
  // one that newer ones have not overtaken yet.
  constructor({ live, answered, failed }) {
    Object.assign(this, { live, answered, failed, seq: 0, done: 0, waiting: null, underway: null, socket: null, timer: 0 });
    if (live && window.WebSocket) this.connect();
  }

  get kind() {
    return this.socket?.readyState === 1 ? "socket" : "fetch";
  }

  connect() {
    const address = new URL("/studio/live", window.location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => { this.socket = socket; };
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") {
        const { seq, error } = JSON.parse(data);
        this.finish(seq, null, error);
      } else {
        const answer = unpack(data);
        this.finish(answer.header.seq, answer, "");
      }
    };
    socket.onclose = () => {
      if (this.socket !== socket) return; // never opened: fetch it is
      this.socket = null;
      const lost = this.underway;
      this.underway = null;
      if (lost && !this.waiting) this.waiting = lost;
      this.pump();
      setTimeout(() => this.connect(), RETRY_MS);
    };
    socket.onerror = () => {};
  }

  ask(request) {
    this.seq += 1;
    this.waiting = { ...request, seq: this.seq };
    this.pump();
  }

  // Nothing that was asked for is wanted any more.
  forget() {
    this.waiting = null;
    this.done = this.seq;
  }

  pump() {
    if (this.underway || !this.waiting) return;
    const request = this.waiting;
    this.waiting = null;
    this.underway = request;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.finish(request.seq, null, "the studio does not answer; is it still running?"), TIMEOUT_MS);
    const { asked, ...sent } = request;
    if (this.kind === "socket") this.socket.send(JSON.stringify(sent));
    else {
      fetchFrame(sent).then(
        (answer) => this.finish(request.seq, answer, ""),
        (error) => this.finish(request.seq, null, error instanceof TypeError ? "the studio cannot be reached; is it still running?" : error.message),
      );
    }
  }

  finish(seq, answer, error) {
    const request = this.underway;
    if (!request || (seq !== null && seq !== request.seq)) return;
    clearTimeout(this.timer);
    this.underway = null;
    const wanted = request.seq > this.done;
    if (wanted) this.done = request.seq;
    this.pump();
    if (!wanted) return;
    if (answer) this.answered(answer, request);
    else this.failed(error, request);
  }
}
