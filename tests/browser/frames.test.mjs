// The worker of an encrypted meeting's frames, without browser: streams of frames go in and come out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from './modules.mjs';

const heard = {};
const said = [];
let report;
globalThis.addEventListener = (name, listener) => { heard[name] = listener; };
globalThis.postMessage = message => said.push(message);
const { setInterval } = globalThis;
globalThis.setInterval = tick => { report = tick; };
await load('frames.js');
globalThis.setInterval = setInterval;

const key = byte => new Uint8Array(32).fill(byte);
const kid = number => 1n << 32n | BigInt(number);
const [ADA, BOB] = [{ kid: kid(1), id: 'p1', key: key(1) }, { kid: kid(2), id: 'p2', key: key(2) }];
const tell = async message => {
  heard.message({ data: message });
  await new Promise(resolve => setTimeout(resolve, 50));
};

// A transform: `pass` puts frames in and resolves to what has come out.
function transform(options) {
  const [into, out] = [new TransformStream(), new TransformStream()];
  const requests = [];
  heard.rtctransform({ transformer: {
    readable: into.readable, writable: out.writable, options, sendKeyFrameRequest: async () => requests.push(1),
  } });
  const [writer, passed] = [into.writable.getWriter(), []];
  (async () => { for await (const frame of out.readable) passed.push(new Uint8Array(frame.data)); })();
  return {
    requests,
    async pass(...frames) {
      passed.length = 0;
      for (const frame of frames) await writer.write({ data: frame.slice().buffer });
      await new Promise(resolve => setTimeout(resolve, 50));
      return passed.slice();
    },
  };
}

const PLAIN = Array.from({ length: 5 }, (_, at) => new Uint8Array(100).fill(at));
const counts = line => {
  report();
  const { opened, refused } = said.at(-1).find(one => one.line === line);
  return [opened, refused];
};

test('frames of a line', async t => {
  const out = transform({});
  const line = transform({ line: 0 });

  await t.test('nothing passes without a key, in either direction', async () => {
    assert.deepEqual(await out.pass(...PLAIN), []);
    assert.deepEqual(await line.pass(...PLAIN), []);
    assert.deepEqual(counts(0), [0, 5]);
  });

  await t.test('they arrive as they were sent, none in clear', async () => {
    await tell({ keys: [ADA, BOB], own: ADA });
    await tell({ line: 0, from: 'p1' });
    assert.equal(line.requests.length, 1, 'what was missed is asked for');
    const sealed = await out.pass(...PLAIN);
    assert.equal(sealed.length, 5);
    for (const [at, frame] of sealed.entries()) assert.equal(Buffer.from(frame).includes(PLAIN[at].subarray(0, 16)), false);
    assert.deepEqual(await line.pass(...sealed), PLAIN);
    assert.deepEqual(counts(0), [5, 5]);
  });

  await t.test('none is taken twice, and the order may be another', async () => {
    const sealed = await out.pass(...PLAIN);
    assert.deepEqual(await line.pass(sealed[3], sealed[1]), [PLAIN[3], PLAIN[1]]);
    assert.deepEqual(await line.pass(...sealed), [PLAIN[0], PLAIN[2], PLAIN[4]]);
    // What is older than the window is not looked at any more.
    const [old, ...many] = await out.pass(...Array.from({ length: 1_100 }, () => PLAIN[0]));
    assert.equal((await line.pass(...many)).length, 1_099);
    assert.deepEqual(await line.pass(old), []);
  });

  await t.test('nobody\'s are shown for another\'s', async () => {
    const sealed = await out.pass(...PLAIN);
    await tell({ line: 0, from: 'p2' });
    assert.deepEqual(await line.pass(...sealed), []);
    await tell({ line: 0, from: null });
    assert.deepEqual(await line.pass(...sealed), []);
    await tell({ line: 0, from: 'p1' });
    assert.deepEqual(await line.pass(...sealed), PLAIN, 'refused ones do not count as seen');
  });

  await t.test('changed frames and those of a forgotten key are dropped', async () => {
    const [first, second] = await out.pass(...PLAIN);
    first[first.length - 1] ^= 1;
    assert.deepEqual(await line.pass(first, new Uint8Array(), second.subarray(0, 5)), []);
    await tell({ keys: [BOB], own: BOB });
    assert.deepEqual(await line.pass(second), []);
  });

  await t.test('a key that is used again goes on with its counters', async () => {
    await tell({ keys: [ADA, BOB], own: ADA });
    const one = await out.pass(PLAIN[0]);
    await tell({ keys: [ADA, BOB], own: BOB });
    await tell({ keys: [ADA, BOB], own: ADA });
    const other = await out.pass(PLAIN[0]);
    assert.notDeepEqual(one, other, 'no counter twice');
    await tell({ keys: [ADA, BOB], own: null });
    assert.deepEqual(await out.pass(...PLAIN), []);
  });
});
