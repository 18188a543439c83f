// What a server knows of an encrypted meeting: its memory and its traffic are searched for the link's secret, for all
// keys that the pages made, and for what they said, wrote and showed. The same search finds what has to be there, the
// room's code, and all of that in a meeting that is not encrypted.
import assert from 'node:assert/strict';
import { open, readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { startRecorder } from './recorder.mjs';
import { QUIET, openTab } from './scenes.mjs';
import { Visitor, freePort, launchBrowser, startServer, until } from './visitors.mjs';

const PIECE = 1 << 20; // bytes of memory read at a time
const LONGEST = 4_096; // bytes of what is searched for, at most
const TRACE = 64; // bytes of a frame by which it is found

const readable = await readFile('/proc/self/mem').then(() => true, error => error.code === 'EIO');

let browser;
before(async () => { browser = await launchBrowser(); });
after(async () => { await browser?.close(); });

// Everything a process can read of itself, piece by piece.
async function* memoryOf(pid) {
  const maps = await readFile(`/proc/${pid}/maps`, 'utf8');
  const memory = await open(`/proc/${pid}/mem`);
  try {
    for (const line of maps.split('\n')) {
      const [, from, to] = line.match(/^([0-9a-f]+)-([0-9a-f]+) r/) ?? [];
      if (!from) continue;
      const [start, end] = [from, to].map(address => Number(`0x${address}`));
      // Pieces overlap, so that nothing is cut by their ends.
      for (let at = start; at < end; at += PIECE) {
        const buffer = Buffer.alloc(Math.min(PIECE + LONGEST, end - at));
        // Mappings of the kernel's own are not for us, and others may have gone meanwhile.
        const read = await memory.read(buffer, 0, buffer.length, at).catch(() => null);
        if (read) yield buffer.subarray(0, read.bytesRead);
      }
    }
  } finally {
    await memory.close();
  }
}

// Which of the needles ({ what, bytes }) are in the pieces.
async function found(pieces, needles) {
  const names = new Set();
  for await (const piece of pieces) {
    for (const { what, bytes } of needles) if (!names.has(what) && piece.includes(bytes)) names.add(what);
  }
  return [...names].sort();
}

// Has a page tell all bytes of its keys: whatever is imported as one or derived.
const keysInReach = page => page.addInitScript(() => {
  window.keys = new Set();
  const { subtle } = crypto;
  const { importKey, deriveBits } = SubtleCrypto.prototype;
  const hex = data => [...new Uint8Array(data.buffer ?? data, data.byteOffset ?? 0, data.byteLength)]
    .map(byte => byte.toString(16).padStart(2, '0')).join('');
  const keep = data => { if (data.byteLength >= 16) window.keys.add(hex(data)); };
  SubtleCrypto.prototype.importKey = function (format, data, algorithm, ...rest) {
    // The others' public keys are no secrets.
    if (format === 'raw' && algorithm.name !== 'X25519') keep(data);
    return importKey.call(subtle, format, data, algorithm, ...rest);
  };
  SubtleCrypto.prototype.deriveBits = async function (...parameters) {
    const bits = await deriveBits.apply(subtle, parameters);
    keep(bits);
    return bits;
  };
});

// What a worker says before anything else, so that frames are known as their encoders made them: a part from the middle
// of each, where none is like another.
const TAP = `
  const channel = new BroadcastChannel('plain');
  const tell = data => {
    const bytes = new Uint8Array(data);
    if (bytes.length > 3 * ${TRACE}) channel.postMessage(bytes.slice(${TRACE}, 2 * ${TRACE}));
  };
`;
// In the page's own worker: whatever it encrypts.
const SEALING = `${TAP}
  const { encrypt } = SubtleCrypto.prototype;
  SubtleCrypto.prototype.encrypt = function (algorithm, key, data) {
    tell(data.buffer ?? data);
    return encrypt.call(this, algorithm, key, data);
  };
`;
// In one where the page has none: whatever it passes on.
const PASSING = `${TAP}
  addEventListener('rtctransform', ({ transformer: { readable, writable } }) => {
    const pass = (frame, controller) => {
      tell(frame.data);
      controller.enqueue(frame);
    };
    readable.pipeThrough(new TransformStream({ transform: pass })).pipeTo(writable);
  });
`;

async function framesInReach(page, encrypted) {
  const script = body => ({ contentType: 'text/javascript', body });
  await page.route('**/frames.js', async route => {
    const original = await route.fetch();
    await route.fulfill(script(SEALING + await original.text()));
  });
  await page.route('**/passing.js', route => route.fulfill(script(PASSING)));
  await page.addInitScript(encrypted => {
    window.plain = [];
    new BroadcastChannel('plain').onmessage = ({ data }) => window.plain.push([...data]);
    if (encrypted) return;
    const { addTransceiver } = RTCPeerConnection.prototype;
    RTCPeerConnection.prototype.addTransceiver = function (...parameters) {
      const transceiver = addTransceiver.apply(this, parameters);
      window.passing ??= new Worker('/passing.js', { type: 'module' });
      transceiver.sender.transform = new RTCRtpScriptTransform(window.passing, {});
      return transceiver;
    };
  }, encrypted);
}

const CHAT = 'The cat of the Queen of Sheba sleeps on 41 cushions.';
const NOTES = 'Minutes: nobody may know of the submarine in the pond.';

// Three in a meeting chat, write, see and hear each other; resolves to what the server's memory and traffic have of it.
async function lookInto(encrypted) {
  const recorder = await startRecorder();
  recorder.udp = await freePort();
  const server = await startServer(0, ['--udp', `127.0.0.1:${recorder.udp}`, '--announce', `127.0.0.1:${recorder.media}`,
    '--engines', '1', '--carriers', 'udp']);
  recorder.tcp = Number(new URL(server.url).port);
  const contexts = [];
  try {
    const arrive = async (name, address, query) => {
      const url = new URL(address);
      [url.port, url.search] = [recorder.port, query];
      contexts.push(await browser.newContext());
      return Visitor.arrive(contexts.at(-1), name, url.href, async page => {
        await keysInReach(page);
        await framesInReach(page, encrypted);
      });
    };
    const ada = await arrive('Ada', server.url, '?video=360');
    if (encrypted) await ada.page.getByLabel('Encrypt end to end').check();
    const link = await ada.create();
    const people = [ada];
    for (const name of ['Bob', 'Eve']) {
      people.push(await arrive(name, link, QUIET));
      await people.at(-1).join();
    }
    for (const visitor of people) {
      await openTab(visitor, 'Chat');
      await visitor.page.getByText('Connected.', { exact: true }).waitFor();
    }
    const [, bob, eve] = people;
    const say = async () => {
      await ada.page.getByLabel('Your message').fill(CHAT);
      await ada.page.getByLabel('Your message').press('Enter');
      return await bob.page.getByText(CHAT).count() > 0;
    };
    await until('Bob reads it', say);
    await openTab(bob, 'Notes');
    await bob.page.locator('#notes-text').fill(NOTES);
    await openTab(eve, 'Notes');
    await until('Eve reads it', async () => await eve.page.locator('#notes-text').inputValue() === NOTES);
    await until('Bob sees Ada', async () => bob.page.evaluate(async () => {
      const stats = [...(await conference.peer.getStats()).values()];
      return stats.some(({ framesDecoded }) => framesDecoded > 20);
    }));
    const code = new URL(link).pathname.slice(3);
    const secret = link.match(/#key=(.+)/)?.[1];
    const text = (what, text) => ({ what, bytes: Buffer.from(text) });
    const needles = [text('code', code), text('chat', CHAT), text('notes', NOTES)];
    if (secret) needles.push(text('secret', secret), { what: 'secret in bytes', bytes: Buffer.from(secret, 'base64url') });
    const keys = new Set((await Promise.all(people.map(({ page }) => page.evaluate(() => [...window.keys])))).flat());
    for (const key of keys) {
      const bytes = Buffer.from(key, 'hex');
      needles.push({ what: `key ${key}`, bytes }, text(`key ${key} as text`, bytes.toString('base64url')));
    }
    // The latest, which the server has not forgotten yet.
    const plain = await ada.page.evaluate(() => window.plain.slice(-50));
    for (const [at, frame] of plain.entries()) needles.push({ what: `frame ${at}`, bytes: Buffer.from(frame) });
    const memory = await found(memoryOf(server.pid), needles);
    const traffic = await found(recorder.traffic(), needles);
    return { memory, traffic, keys: keys.size, frames: plain.length, datagrams: recorder.datagrams() };
  } catch (error) {
    error.message += `\n${server.log()}`;
    throw error;
  } finally {
    await Promise.all(contexts.map(context => context.close()));
    await server.stop();
    recorder.stop();
  }
}

const skip = !readable && 'the memory of processes may not be read here (/proc/<pid>/mem)';

test('of an encrypted meeting neither memory nor traffic have a key or anything in clear', { skip, timeout: 240_000 }, async t => {
  const { memory, traffic, keys, frames, datagrams } = await lookInto(true);
  t.diagnostic(`${keys} keys and ${frames} frames looked for in memory and in ${datagrams} datagrams`);
  assert.ok(keys > 10 && frames === 50 && datagrams > 100, 'there is something to look for');
  assert.deepEqual({ memory, traffic }, { memory: ['code'], traffic: ['code'] });
});

test('the same search finds what is said, written and shown in a meeting that is not encrypted', { skip, timeout: 240_000 }, async t => {
  const { memory, traffic, frames } = await lookInto(false);
  const shown = memory.filter(what => what.startsWith('frame ')).length;
  t.diagnostic(`${shown} of ${frames} frames found`);
  assert.ok(shown > 5, `${shown} frames`);
  for (const what of ['chat', 'code', 'notes']) assert.ok(memory.includes(what), `${what} in ${memory}`);
  assert.deepEqual(traffic, ['code'], 'on its way it is encrypted to the server');
});
