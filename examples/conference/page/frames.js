// The worker through which all frames of an encrypted meeting go: what is sent is encrypted by SFrame (RFC 9605), what is
// received decrypted, what cannot be is dropped. Nothing passes in clear, whatever happens.
//
// In: { keys: [{ kid, id, key }], own: { kid, key } | null }, all that are in use; { line, from }: whose frames may come on
// a line. Out, once a second: lines, a list of { line, opened, refused }, frames since the start.

import { Receiver, Sender, SUITES, decodeHeader } from './sframe.js';

const SUITE = SUITES.AES_128_GCM_SHA256_128;
const REPLAYS = 1_024n; // frames of a sender, some seconds of all its streams, among which none comes twice

const receiver = new Receiver(SUITE);
const known = new Map(); // kid -> { id, seen }
const senders = new Map(); // kid -> sender; there is never a second one of a key, which would use its counters again
const lines = new Map(); // line -> { from, opened, refused, gap, transformer }
let own = null; // kid
let work = Promise.resolve();

// Which of a sender's counters have been.
class Seen {
  #highest = -1n;
  #bits = 0n; // the lowest for the highest counter

  // Whether it is the first time.
  take(counter) {
    const ahead = counter - this.#highest;
    if (ahead > 0n) {
      this.#bits = ahead < REPLAYS ? (this.#bits << ahead | 1n) & (1n << REPLAYS) - 1n : 1n;
      this.#highest = counter;
      return true;
    }
    const bit = 1n << -ahead;
    if (-ahead >= REPLAYS || (this.#bits & bit) !== 0n) return false;
    this.#bits |= bit;
    return true;
  }
}

function lineOf(line) {
  if (!lines.has(line)) lines.set(line, { from: null, opened: 0, refused: 0, gap: false, transformer: null });
  return lines.get(line);
}

async function setKeys(keys, next) {
  for (const kid of known.keys()) {
    if (keys.some(key => key.kid === kid)) continue;
    known.delete(kid);
    receiver.forgetKey(kid);
  }
  for (const { kid, id, key } of keys) {
    if (known.has(kid)) continue;
    known.set(kid, { id, seen: new Seen() });
    await receiver.setKey(kid, key);
  }
  if (next && !senders.has(next.kid)) senders.set(next.kid, await Sender.create(SUITE, next.kid, next.key));
  own = next?.kid ?? null;
  // What was dropped for want of a key leaves a picture that cannot go on.
  for (const line of lines.values()) {
    if (line.gap) line.transformer?.sendKeyFrameRequest().catch(() => {}); // sound has no key frames
    line.gap = false;
  }
}

async function seal(frame) {
  const sender = senders.get(own);
  if (!sender) return false;
  frame.data = (await sender.encrypt(new Uint8Array(frame.data))).buffer;
  return true;
}

async function open(frame, line) {
  try {
    const data = new Uint8Array(frame.data);
    const { kid, counter } = decodeHeader(data);
    const key = known.get(kid);
    const plain = await receiver.decrypt(data);
    // Nobody's frames are shown for another's, and none twice.
    if (key.id !== line.from || !key.seen.take(counter)) throw new Error('not this line\'s');
    frame.data = plain.buffer;
    line.opened += 1;
    return true;
  } catch {
    line.refused += 1;
    line.gap = true;
    return false;
  }
}

addEventListener('rtctransform', ({ transformer }) => {
  const { readable, writable, options } = transformer;
  const line = options.line === undefined ? null : lineOf(options.line);
  if (line) line.transformer = transformer;
  const pass = async (frame, controller) => {
    if (await (line ? open(frame, line) : seal(frame))) controller.enqueue(frame);
  };
  // It ends with its line.
  readable.pipeThrough(new TransformStream({ transform: pass })).pipeTo(writable).catch(() => {});
});

addEventListener('message', ({ data }) => {
  if (data.keys) work = work.then(() => setKeys(data.keys, data.own));
  else lineOf(data.line).from = data.from;
});

setInterval(() => {
  postMessage([...lines].map(([line, { opened, refused }]) => ({ line, opened, refused })));
}, 1_000);
