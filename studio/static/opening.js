// The stage while there is no picture: what is being done, step by step, over the plate alone; or what to do.

const POLL_MS = 400;
const byId = (id) => document.getElementById(id);

export function openingStage() {
  const view = byId("sl-view");
  const plate = byId("sl-first");
  let timer = 0;
  let turn = 0;

  function tell(words, steps = []) {
    byId("sl-blank-words").textContent = words;
    byId("sl-steps").replaceChildren(...steps.map(([text, state]) => {
      const item = Object.assign(document.createElement("li"), { textContent: text });
      item.dataset.state = state;
      return item;
    }));
  }

  function steps(model, at) {
    const names = [`Loading ${model}`, "Listening to the speech", "Drawing the first frame"];
    tell("Plate only", names.map((name, k) => [name, k < at ? "done" : k === at ? "now" : "next"]));
  }

  // The network is loaded by whoever needs it first; the studio knows whether it is.
  async function follow(model, mine) {
    const answer = await fetch(`/studio/loaded?model=${encodeURIComponent(model)}`).catch(() => null);
    const { loaded } = answer?.ok ? await answer.json() : { loaded: false };
    if (mine !== turn) return;
    steps(model, loaded ? 1 : 0);
    if (!loaded) timer = setTimeout(follow, POLL_MS, model, mine);
  }

  function begin(model, base) {
    turn += 1;
    clearTimeout(timer);
    view.dataset.stage = "waiting";
    const address = `/studio/plate?${new URLSearchParams({ model, base })}`;
    if (base && plate.getAttribute("src") !== address) plate.src = address;
    plate.hidden = !base; // a model without clips has none
    steps(model, 0);
    follow(model, turn);
  }

  // The session is there; its first frame is asked for.
  function drawing(model) {
    turn += 1;
    clearTimeout(timer);
    if (view.dataset.stage === "picture") return;
    view.dataset.stage = "waiting";
    steps(model, 2);
  }

  function end() {
    turn += 1;
    clearTimeout(timer);
    view.dataset.stage = "picture";
  }

  function empty(words) {
    end();
    view.dataset.stage = "empty";
    plate.hidden = true;
    tell(words);
  }

  return { begin, drawing, end, empty, get waits() { return view.dataset.stage !== "picture"; } };
}
