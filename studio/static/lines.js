// Lines of JSON that the studio sends while it works; {"error"} in one of them, or a refusal, is thrown as an Error.

import { explained } from "./channel.js";

export async function* linesOf(address, body, signal) {
  const answer = await fetch(address, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal,
  });
  if (!answer.ok) throw new Error(await explained(answer));
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let left = "";
  for (;;) {
    const { value, done } = await reader.read();
    left += decoder.decode(value, { stream: !done });
    const whole = left.split("\n");
    left = whole.pop();
    for (const line of whole) {
      const step = JSON.parse(line);
      if (step.error) throw new Error(step.error);
      yield step;
    }
    if (done) return;
  }
}

// What to say of a failure: a lost connection has no words of its own.
export const inWords = (error) => (error instanceof TypeError ? "the studio cannot be reached; is it still running?" : error.message);
