// The keys of an encrypted meeting, and chat and notes under them, among pages without browser, network and clock: what
// one says is handed to the others by a server that does as the test wants.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from './modules.mjs';

const { Keyring, SealError, fromText, newSecret, toText } = await load('keys.js');
const { Receiver, Sender, SUITES } = await load('sframe.js');
const { Talk } = await load('talk.js');
const { stamp } = await load('channels.js');

const SECRET = newSecret();
const SUITE = SUITES.AES_128_GCM_SHA256_128;
const bytes = text => new TextEncoder().encode(text);
const refused = reason => error => error instanceof SealError && error.reason === reason;

// Pages in a room, and its server.
class Meeting {
  now = 1_000;
  pages = [];
  said = []; // all that was said: { from, text }
  deliver = () => true; // whether a message comes through: (from, to, text)
  #queue = [];

  // Somebody comes, with the link's secret unless another is given.
  async come(id, { moderator = false, secret = SECRET } = {}) {
    const page = { id, moderator };
    page.ring = new Keyring(id, secret, {
      send: text => {
        this.said.push({ from: id, text });
        this.#queue.push({ from: id, text });
      },
      changed: () => {},
    });
    this.pages.push(page);
    await this.tellWho();
    await page.ring.opened(this.now);
    return page;
  }

  async leave(page) {
    this.pages.splice(this.pages.indexOf(page), 1);
    await this.tellWho();
  }

  async tellWho() {
    const list = this.pages.map(({ id, moderator }) => ({ id, moderator }));
    for (const { ring } of this.pages) await ring.participants(this.now, list);
  }

  // Time passes, in which all that is said arrives.
  async pass(ms = 3_000) {
    for (const end = this.now + ms; this.now < end; this.now += 50) {
      for (const { from, text } of this.#queue.splice(0)) {
        for (const { id, ring } of this.pages) {
          if (id !== from && this.deliver(from, id, text)) await ring.receive(this.now, from, text);
        }
      }
      for (const { ring } of this.pages) await ring.tick(this.now);
    }
  }

  // Everybody opens what everybody else seals.
  async assertWorks(pages = this.pages) {
    for (const one of pages) {
      assert.equal(one.ring.state, 'ready', one.id);
      const sealed = await one.ring.seal('chat', bytes(`from ${one.id}`));
      for (const other of pages) {
        if (other === one) continue;
        const opened = await other.ring.open('chat', one.id, sealed);
        assert.equal(new TextDecoder().decode(opened), `from ${one.id}`);
      }
    }
  }
}

// A frame of a page, as its worker would send it.
async function frameOf({ ring }, now, text) {
  const { own } = await ring.media(now);
  return (await Sender.create(SUITE, own.kid, own.key)).encrypt(bytes(text));
}

// Whether a page's keys open it.
async function opens({ ring }, now, frame) {
  const receiver = new Receiver(SUITE);
  for (const { kid, key } of (await ring.media(now)).keys) await receiver.setKey(kid, key);
  return receiver.decrypt(frame).then(() => true, () => false);
}

const phrases = pages => Promise.all(pages.map(({ ring }) => ring.phrase()));

test('pages that come one after the other have one key and one phrase', async () => {
  const meeting = new Meeting();
  const ada = await meeting.come('p1', { moderator: true });
  await meeting.pass();
  const alone = await ada.ring.phrase();
  const bob = await meeting.come('p2');
  const eve = await meeting.come('p3');
  await meeting.pass();
  await meeting.assertWorks();
  const three = await phrases([ada, bob, eve]);
  assert.match(three[0], /^(\d{5} ){5}\d{5}$/);
  assert.equal(new Set(three).size, 1);
  assert.notEqual(three[0], alone, 'it tells who is there');
  assert.equal(bob.ring.leader, 'p1');
  const frame = await frameOf(bob, meeting.now, 'picture');
  assert.ok(await opens(ada, meeting.now, frame) && await opens(eve, meeting.now, frame));
});

test('many who come at once are few epochs', async () => {
  const meeting = new Meeting();
  for (let n = 1; n <= 12; n += 1) await meeting.come(`p${n}`, { moderator: n === 5 });
  await meeting.pass(6_000);
  await meeting.assertWorks();
  assert.ok(meeting.pages.every(({ ring }) => ring.leader === 'p5'));
  const grants = meeting.said.filter(({ text }) => JSON.parse(text).type === 'grant');
  assert.ok(grants.length < 12, `${grants.length} grants`);
});

test('who comes cannot open what was before', async () => {
  const meeting = new Meeting();
  const ada = await meeting.come('p1', { moderator: true });
  const bob = await meeting.come('p2');
  await meeting.pass();
  const [frame, chat] = [await frameOf(ada, meeting.now, 'before'), await ada.ring.seal('chat', bytes('before'))];
  assert.ok(await opens(bob, meeting.now, frame));
  const eve = await meeting.come('p3');
  await meeting.pass();
  await meeting.assertWorks();
  assert.equal(await opens(eve, meeting.now, frame), false);
  await assert.rejects(eve.ring.open('chat', 'p1', chat), refused('unknown-key'));
  assert.ok(await opens(bob, meeting.now, frame), 'who was there still can, for a while');
  await meeting.pass(20_000);
  assert.equal(await opens(bob, meeting.now, frame), false);
});

test('the key after somebody has come follows from the one before; the one after somebody has gone does not', async () => {
  const draws = [];
  const { getRandomValues } = globalThis.crypto;
  globalThis.crypto.getRandomValues = function (array) {
    if (array.length === 32) draws.push(array);
    return getRandomValues.call(this, array);
  };
  try {
    const meeting = new Meeting();
    await meeting.come('p1', { moderator: true });
    await meeting.pass();
    assert.equal(draws.length, 1);
    const bob = await meeting.come('p2');
    await meeting.pass();
    assert.equal(draws.length, 1, 'ratcheted');
    await meeting.leave(bob);
    await meeting.pass();
    assert.equal(draws.length, 2, 'drawn');
  } finally {
    globalThis.crypto.getRandomValues = getRandomValues;
  }
});

test('who has gone cannot open what follows', async () => {
  const meeting = new Meeting();
  const ada = await meeting.come('p1', { moderator: true });
  const bob = await meeting.come('p2');
  const eve = await meeting.come('p3');
  await meeting.pass();
  await meeting.leave(eve);
  // All that is said goes on reaching her.
  for (let n = 0; n < 20; n += 1) {
    const before = meeting.said.length;
    await meeting.pass(200);
    for (const { from, text } of meeting.said.slice(before)) await eve.ring.receive(meeting.now, from, text);
    await eve.ring.tick(meeting.now);
  }
  await meeting.assertWorks();
  const [frame, chat] = [await frameOf(ada, meeting.now, 'after'), await ada.ring.seal('chat', bytes('after'))];
  assert.ok(await opens(bob, meeting.now, frame));
  assert.equal(await opens(eve, meeting.now, frame), false);
  await assert.rejects(eve.ring.open('chat', 'p1', chat), refused('unknown-key'));
});

test('when who leads goes, another one does; and when a moderator comes', async () => {
  const meeting = new Meeting();
  const ada = await meeting.come('p1', { moderator: true });
  const bob = await meeting.come('p2');
  const eve = await meeting.come('p3');
  await meeting.pass();
  await meeting.leave(ada);
  await meeting.pass();
  await meeting.assertWorks();
  assert.deepEqual([bob, eve].map(({ ring }) => ring.leader), ['p2', 'p2']);
  const frame = await frameOf(bob, meeting.now, 'after');
  assert.equal(await opens(ada, meeting.now, frame), false);
  const kim = await meeting.come('p4', { moderator: true });
  await meeting.pass(6_000);
  await meeting.assertWorks();
  assert.deepEqual([bob, eve, kim].map(({ ring }) => ring.leader), ['p4', 'p4', 'p4']);
  // Nobody hears who comes just as who leads goes.
  const dan = await meeting.come('p5');
  await meeting.leave(kim);
  await meeting.pass(6_000);
  await meeting.assertWorks();
  assert.equal(dan.ring.leader, 'p2');
});

test('what is lost is said again', async () => {
  const meeting = new Meeting();
  await meeting.come('p1', { moderator: true });
  await meeting.pass();
  let lost = 0;
  meeting.deliver = () => { lost += 1; return lost > 3; };
  const bob = await meeting.come('p2');
  await meeting.come('p3');
  await meeting.pass(10_000);
  assert.ok(lost > 3);
  await meeting.assertWorks();
  // A channel that was closed misses what is said meanwhile.
  meeting.deliver = (from, to) => to !== 'p2';
  const dan = await meeting.come('p4');
  await meeting.pass();
  assert.equal(await opens(bob, meeting.now, await frameOf(dan, meeting.now, 'new')), false);
  meeting.deliver = () => true;
  await bob.ring.opened(meeting.now);
  for (const page of meeting.pages) if (page.id === 'p1') await page.ring.opened(meeting.now);
  await meeting.pass();
  await meeting.assertWorks();
});

test('a moderator without the secret does not lead', async () => {
  const meeting = new Meeting();
  const mallory = await meeting.come('p1', { moderator: true, secret: newSecret() });
  const bob = await meeting.come('p2');
  const eve = await meeting.come('p3');
  await meeting.pass(8_000);
  await meeting.assertWorks([bob, eve]);
  assert.equal(eve.ring.leader, 'p2');
  assert.deepEqual(eve.ring.holders, ['p2', 'p3']);
  assert.equal(mallory.ring.state, 'stranger');
  assert.equal(await mallory.ring.phrase(), null);
  for (const purpose of ['chat', 'text']) {
    const sealed = await bob.ring.seal(purpose, bytes('secret'));
    await assert.rejects(mallory.ring.open(purpose, 'p2', sealed), refused('unknown-key'));
  }
  assert.equal(await opens(mallory, meeting.now, await frameOf(bob, meeting.now, 'picture')), false);
  assert.equal(await opens(bob, meeting.now, await frameOf(mallory, meeting.now, 'picture')), false);
});

test('a grant of who does not lead is not taken', async () => {
  const meeting = new Meeting();
  const ada = await meeting.come('p1', { moderator: true });
  const bob = await meeting.come('p2');
  const eve = await meeting.come('p3');
  await meeting.pass();
  // Bob is told that he leads, nobody else is.
  await bob.ring.participants(meeting.now, ['p2', 'p1', 'p3'].map(id => ({ id, moderator: false })));
  await meeting.pass();
  assert.deepEqual([ada, bob, eve].map(({ ring }) => ring.leader), ['p1', 'p2', 'p1']);
  await meeting.assertWorks([ada, eve]);
});

test('two who have different secrets both see that', async () => {
  const meeting = new Meeting();
  const ada = await meeting.come('p1');
  const bob = await meeting.come('p2', { secret: newSecret() });
  await meeting.pass(8_000);
  assert.deepEqual([ada.ring.state, bob.ring.state], ['stranger', 'stranger']);
});

test('nothing that is forged or said again gives a page a key', async () => {
  const meeting = new Meeting();
  const ada = await meeting.come('p1', { moderator: true });
  const bob = await meeting.come('p2');
  await meeting.pass();
  const eve = await meeting.come('p3');
  await meeting.pass();
  await meeting.leave(eve);
  await meeting.pass();
  await meeting.assertWorks();
  const { own } = await bob.ring.media(meeting.now);
  const grants = meeting.said.filter(({ text }) => JSON.parse(text).type === 'grant');
  const announcements = meeting.said.filter(({ text }) => JSON.parse(text).type === 'announce');
  const same = async what => {
    await meeting.pass(5_000);
    assert.equal((await bob.ring.media(meeting.now)).own.kid, own.kid, what);
    await meeting.assertWorks();
  };
  for (const { from, text } of grants) {
    await bob.ring.receive(meeting.now, from, text);
    await same('a grant again');
  }
  for (const { text } of announcements) {
    for (const from of ['p1', 'p2', 'p3']) {
      await bob.ring.receive(meeting.now, from, text);
      await ada.ring.receive(meeting.now, from, text);
    }
  }
  await same('announcements again, also as another\'s');

  // Another page of the secret, under Bob's id.
  const impostor = [];
  const other = new Keyring('p2', SECRET, { send: text => impostor.push(text), changed: () => {} });
  await other.participants(meeting.now, [{ id: 'p1', moderator: true }, { id: 'p2', moderator: false }]);
  await other.opened(meeting.now);
  assert.equal(JSON.parse(impostor[0]).type, 'announce');
  await ada.ring.receive(meeting.now, 'p2', impostor[0]);
  await same('an impostor\'s announcement');

  // Made by who has not the secret: its own key under Ada's name, and Ada's grants changed.
  const mallory = new Meeting();
  const forger = await mallory.come('p1', { moderator: true, secret: newSecret() });
  await mallory.come('p2', { secret: newSecret() });
  await mallory.pass();
  assert.equal(forger.ring.leader, 'p1');
  for (const { from, text } of mallory.said) {
    await bob.ring.receive(meeting.now, from, text);
    await ada.ring.receive(meeting.now, from, text);
  }
  await same('another meeting\'s');
  const last = JSON.parse(grants.at(-1).text);
  const head = JSON.parse(last.head);
  const changed = [
    { ...last, head: JSON.stringify({ ...head, number: head.number + 1 }) },
    { ...last, head: JSON.stringify({ ...head, number: head.number + 1, roster: head.roster.slice(0, 1) }) },
    { ...last, head: JSON.stringify({ ...head, number: head.number + 1 }), boxes: ['', toText(new Uint8Array(60))] },
    { ...last, head: '{}' }, { ...last, head: 7 }, { type: 'grant' }, { type: 'announce' }, null, 7, [],
    { ...last, head: JSON.stringify({ number: 1e9, roster: [[1, 2, 3], null] }) },
  ];
  for (const message of changed) await bob.ring.receive(meeting.now, 'p1', JSON.stringify(message));
  await bob.ring.receive(meeting.now, 'p1', 'no JSON');
  await same('changed ones');
  assert.ok(bob.ring.refused > 0, 'they are counted');
});

test('a key is not given to, nor taken together with, somebody who is not in the room', async () => {
  const meeting = new Meeting();
  const ada = await meeting.come('p1', { moderator: true });
  const bob = await meeting.come('p2');
  await meeting.pass();
  const { own } = await bob.ring.media(meeting.now);
  // With the secret, but seen by Ada alone.
  const ghost = await meeting.come('p3');
  const seen = [{ id: 'p1', moderator: true }, { id: 'p2', moderator: false }];
  await bob.ring.participants(meeting.now, seen);
  await meeting.pass();
  assert.deepEqual(ada.ring.holders, ['p1', 'p2', 'p3']);
  assert.equal((await bob.ring.media(meeting.now)).own.kid, own.kid);
  assert.notDeepEqual(await ghost.ring.phrase(), await bob.ring.phrase());
  await meeting.tellWho();
  await meeting.pass();
  await meeting.assertWorks();
});

test('the server in the middle, even with the secret, changes the phrase', async () => {
  const [left, right] = [new Meeting(), new Meeting()];
  const ada = await left.come('p1', { moderator: true });
  await left.come('p2');
  await right.come('p1', { moderator: true });
  const bob = await right.come('p2');
  await left.pass();
  await right.pass();
  assert.deepEqual([ada.ring.state, bob.ring.state], ['ready', 'ready']);
  assert.notEqual(await ada.ring.phrase(), await bob.ring.phrase());
});

test('messages are one\'s own: changed, said by another or for another purpose they are not opened', async () => {
  const meeting = new Meeting();
  const ada = await meeting.come('p1', { moderator: true });
  const bob = await meeting.come('p2');
  await meeting.come('p3');
  await meeting.pass();
  const sealed = await ada.ring.seal('chat', bytes('hello'));
  await assert.rejects(bob.ring.open('chat', 'p3', sealed), refused('tampered'));
  await assert.rejects(bob.ring.open('text', 'p1', sealed), refused('tampered'));
  for (let at = 0; at < sealed.length; at += 1) {
    const changed = sealed.slice();
    changed[at] ^= 1;
    await assert.rejects(bob.ring.open('chat', 'p1', changed), refused(at < 4 ? 'unknown-key' : 'tampered'), `byte ${at}`);
    await assert.rejects(bob.ring.open('chat', 'p1', sealed.subarray(0, at)), SealError, `${at} bytes`);
  }
  assert.notDeepEqual(await ada.ring.seal('chat', bytes('hello')), sealed, 'never twice alike');
});

test('no two pages and no two epochs have a key in common', async () => {
  const meeting = new Meeting();
  for (const id of ['p1', 'p2', 'p3']) await meeting.come(id);
  await meeting.pass();
  await meeting.come('p4');
  await meeting.pass(1_000);
  const { keys } = await meeting.pages[0].ring.media(meeting.now);
  assert.ok(keys.length >= 7, 'two epochs');
  assert.equal(new Set(keys.map(({ key }) => toText(key))).size, keys.length);
  assert.equal(new Set(keys.map(({ kid }) => kid)).size, keys.length);
});

test('secrets have 128 bits and no two are alike', () => {
  const secrets = Array.from({ length: 100 }, newSecret);
  assert.equal(new Set(secrets).size, 100);
  assert.ok(secrets.every(secret => /^[\w-]{22}$/.test(secret) && fromText(secret).length === 16));
});

// Gives a page its talk, over channels that are an array.
function speak(page, wires) {
  const channels = { on: {}, isOpen: () => true, send: (name, data) => wires.push({ name, from: page.id, data }) };
  [page.channels, page.talk, page.heard] = [channels, new Talk(channels), []];
  page.talk.on = {
    chat: { message: text => page.heard.push(JSON.parse(text)) },
    text: { opened: () => page.heard.push('ask'), message: data => page.heard.push(data) },
    cursors: { message: data => page.heard.push(data) },
  };
  page.talk.begin(page.ring, () => `Name of ${page.id}`, true);
}

async function talking(meeting) {
  const wires = [];
  for (const page of meeting.pages) speak(page, wires);
  // Hands on what is sent until nothing comes any more.
  const settle = async () => {
    for (const { talk } of meeting.pages) talk?.keysChanged(Date.now());
    for (let quiet = 0; quiet < 15; quiet += 1) {
      await new Promise(resolve => setTimeout(resolve, 20));
      for (const { name, from, data } of wires.splice(0)) {
        quiet = 0;
        for (const { id, channels } of meeting.pages) {
          if (id !== from) channels?.on[name].message(stamp(from, data));
        }
      }
    }
  };
  await settle();
  return { wires, settle };
}

const saidOf = ({ heard }) => heard.filter(({ type }) => type === 'said').map(({ from, text }) => `${from}: ${text}`);

test('chat goes to all, once each, and to who comes later', async () => {
  const meeting = new Meeting();
  meeting.now = Date.now();
  const ada = await meeting.come('p1', { moderator: true });
  const bob = await meeting.come('p2');
  await meeting.pass();
  const { wires, settle } = await talking(meeting);
  ada.talk.say('hello');
  bob.talk.say('good day');
  const sent = [];
  const { push } = wires;
  wires.push = wire => { sent.push(wire); return push.call(wires, wire); };
  await settle();
  assert.deepEqual(saidOf(bob).sort(), ['p1: hello', 'p2: good day']);
  assert.deepEqual(saidOf(ada).sort(), ['p1: hello', 'p2: good day']);
  assert.equal(bob.heard.find(({ text }) => text === 'hello').name, 'Name of p1');
  // Said again by the server, and as another's.
  for (const { name, data } of sent) for (const from of ['p1', 'p2']) bob.channels.on[name].message(stamp(from, data));
  await settle();
  assert.equal(saidOf(bob).length, 2);
  assert.ok(bob.talk.refused > 0);

  const eve = await meeting.come('p3');
  await meeting.pass();
  speak(eve, wires);
  await settle();
  assert.deepEqual(saidOf(eve).sort(), ['p1: hello', 'p2: good day']);
  assert.ok(eve.heard.some(({ type }) => type === 'now'));
});

test('who was not asked is not believed what others said', async () => {
  const meeting = new Meeting();
  meeting.now = Date.now();
  const ada = await meeting.come('p1', { moderator: true });
  const bob = await meeting.come('p2');
  await meeting.pass();
  const { settle } = await talking(meeting);
  await settle();
  const list = [{ id: 'x', from: 'p1', name: 'Ada', time: 1, text: 'I resign' }];
  const told = JSON.stringify({ type: 'told', to: 'p1', list, end: true });
  const sealed = await bob.ring.seal('chat', bytes(told));
  ada.channels.on.chat.message(stamp('p2', sealed));
  await settle();
  assert.deepEqual([saidOf(ada), ada.talk.refused], [[], 1]);
});

test('a text of any length goes to all, and what is asked to who leads', async () => {
  const meeting = new Meeting();
  meeting.now = Date.now();
  const ada = await meeting.come('p1', { moderator: true });
  const bob = await meeting.come('p2');
  const eve = await meeting.come('p3');
  await meeting.pass();
  const { settle } = await talking(meeting);
  for (const page of [ada, bob, eve]) page.heard.length = 0;
  const long = new Uint8Array(200_000).map((_, at) => at);
  bob.talk.sendText(2, long);
  eve.talk.sendText(2, bytes('short'));
  await settle();
  assert.deepEqual(ada.heard.map(({ length }) => length).sort((a, b) => a - b), [6, 200_001]);
  assert.deepEqual(ada.heard.find(({ length }) => length > 10).subarray(1), long);
  for (const page of [ada, bob, eve]) page.heard.length = 0;
  eve.talk.sendText(0, bytes('vector'));
  await settle();
  assert.deepEqual([ada.heard.length, bob.heard.length], [2, 0], 'who leads asks back and is asked, nobody else');
  assert.equal(ada.heard[0], 'ask');
});

test('a message of an epoch to come waits for it', async () => {
  const meeting = new Meeting();
  meeting.now = Date.now();
  const ada = await meeting.come('p1', { moderator: true });
  const bob = await meeting.come('p2');
  await meeting.pass();
  const { settle } = await talking(meeting);
  // Bob does not hear of the next one yet.
  meeting.deliver = (from, to) => to !== 'p2';
  await meeting.come('p3');
  await meeting.pass(1_500);
  const message = new TextEncoder().encode(JSON.stringify({ type: 'said', id: '1', name: 'Ada', time: 1, text: 'early' }));
  const sealed = await ada.ring.seal('chat', message);
  bob.channels.on.chat.message(stamp('p1', sealed));
  await settle();
  assert.deepEqual(saidOf(bob), []);
  meeting.deliver = () => true;
  for (const { from, text } of meeting.said.slice(-2)) await bob.ring.receive(meeting.now, from, text);
  await meeting.pass();
  await settle();
  assert.deepEqual(saidOf(bob), ['p1: early']);
});
