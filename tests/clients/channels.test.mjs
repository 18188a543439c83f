// Data channels of Chromium (dcSCTP) and Firefox (usrsctp) through the conference server: messages of every kind
// and size reach the others in the room, with their sender's name before them, and nobody else.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startServer, until } from './call.mjs';
import { Visitor, launchChromium, launchFirefox } from './pages.mjs';

let server;
let browsers;
let visitors;

before(async () => {
  server = await startServer();
  const room = await server.room();
  const link = new URL(room.page, server.url);
  browsers = [await launchChromium(), await launchFirefox()];
  visitors = [
    await Visitor.enter(browsers[0], 'Ada', link),
    await Visitor.enter(browsers[1], 'Fay', link),
    await Visitor.enter(browsers[0], 'Cid', link),
  ];
}, { timeout: 120_000 });

after(async () => {
  await Promise.all((browsers ?? []).map(browser => browser.close()));
  await server?.stop();
});

// Opens a channel in a page and keeps what comes on it: who sent it, text or the length and first byte.
async function open(visitor, label, options = {}) {
  await visitor.page.evaluate(([name, init]) => {
    const channel = conference.peer.createDataChannel(name, init);
    channel.binaryType = 'arraybuffer';
    const kept = { channel, got: [] };
    channel.onmessage = ({ data }) => {
      const text = typeof data === 'string';
      const bytes = text ? null : new Uint8Array(data);
      const length = text ? data.charCodeAt(0) : bytes[0];
      const from = text ? data.slice(1, 1 + length) : String.fromCharCode(...bytes.slice(1, 1 + length));
      const rest = text ? data.slice(1 + length) : bytes.slice(1 + length);
      kept.got.push(text ? { from, text: rest } : { from, bytes: rest.length, first: rest[0] ?? null });
    };
    (window.channels ??= new Map()).set(name, kept);
  }, [label, options]);
  await until(`${visitor.name} has ${label}`, async () => await state(visitor, label) === 'open');
}

const state = (visitor, label) =>
  visitor.page.evaluate(label => window.channels?.get(label)?.channel.readyState, label);

const got = (visitor, label) => visitor.page.evaluate(label => window.channels.get(label).got, label);

const say = (visitor, label, text) =>
  visitor.page.evaluate(([label, text]) => window.channels.get(label).channel.send(text), [label, text]);

// Sends so many bytes, all of the same value.
const give = (visitor, label, bytes, value) =>
  visitor.page.evaluate(([label, bytes, value]) =>
    window.channels.get(label).channel.send(new Uint8Array(bytes).fill(value)), [label, bytes, value]);

test('messages of every size reach the others in order, with their sender', { timeout: 120_000 }, async () => {
  for (const visitor of visitors) await open(visitor, 'talk');
  const ids = await Promise.all(visitors.map(({ page }) =>
    page.evaluate(() => document.querySelector('.tile.own').dataset.participant.slice(1))));
  const sizes = [0, 1, 63, 1_000, 1_200, 16_384, 65_536 - 16];
  for (const [index, visitor] of visitors.entries()) {
    await say(visitor, 'talk', `grüß Gott, ${visitor.name}`);
    await say(visitor, 'talk', '');
    for (const size of sizes) await give(visitor, 'talk', size, 7 + index);
  }
  for (const visitor of visitors) {
    await until(`${visitor.name} has all`, async () => (await got(visitor, 'talk')).length === 2 * (2 + sizes.length));
    const messages = await got(visitor, 'talk');
    for (const [index, other] of visitors.entries()) {
      const of = messages.filter(({ from }) => from === ids[index]);
      const expected = other === visitor ? [] : [
        { from: ids[index], text: `grüß Gott, ${other.name}` },
        { from: ids[index], text: '' },
        ...sizes.map(bytes => ({ from: ids[index], bytes, first: bytes ? 7 + index : null })),
      ];
      assert.deepEqual(of, expected, `${visitor.name} of ${other.name}`);
    }
  }
});

test('channels of other kinds work, and messages go to those of the same name alone', { timeout: 90_000 }, async () => {
  const [ada, fay, cid] = visitors;
  const kinds = { loose: { ordered: false, maxRetransmits: 0 }, timed: { ordered: false, maxPacketLifeTime: 500 } };
  for (const [label, options] of Object.entries(kinds)) {
    await open(ada, label, options);
    await open(fay, label, options);
    for (let at = 0; at < 20; at++) await say(at % 2 ? ada : fay, label, `${at}`);
    for (const visitor of [ada, fay]) {
      await until(`${visitor.name} has its half of ${label}`, async () => (await got(visitor, label)).length === 10);
    }
  }
  assert.equal(await state(cid, 'loose'), undefined);
  assert.equal((await got(cid, 'talk')).filter(({ text }) => text === '0').length, 0);
});

test('a channel that is closed can be opened again', { timeout: 60_000 }, async () => {
  const [ada, fay] = visitors;
  for (let round = 0; round < 3; round++) {
    await open(ada, 'again');
    await open(fay, 'again');
    await say(ada, 'again', `round ${round}`);
    await until('Fay hears it', async () => (await got(fay, 'again')).at(-1)?.text === `round ${round}`);
    for (const visitor of [ada, fay]) {
      await visitor.page.evaluate(() => window.channels.get('again').channel.close());
      await until('it is closed', async () => await state(visitor, 'again') === 'closed');
    }
  }
});

test('what is longer than the server takes is refused by the browser', { timeout: 30_000 }, async () => {
  for (const visitor of visitors) {
    const [most, refused] = await visitor.page.evaluate(() => {
      const { channel } = window.channels.get('talk');
      try {
        channel.send(new Uint8Array(65_537));
        return [conference.peer.sctp.maxMessageSize, false];
      } catch {
        return [conference.peer.sctp.maxMessageSize, true];
      }
    });
    assert.deepEqual([most, refused], [65_536, true], visitor.name);
    assert.equal(await state(visitor, 'talk'), 'open');
  }
});
