// Meetings that are encrypted end to end: those who have the whole link see, hear and read each other, through a server
// that opens nothing; whoever lacks the link's end is there and gets nothing of it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { QUIET, assertAccessible, onPages, onVisitors, openTab, press } from './scenes.mjs';
import { launchBrowser, startServer, until, watch } from './visitors.mjs';

const SMALL = '?video=360'; // so that several of them fit on one machine

let browser;
let server; // of the test that looks at the page alone
before(async () => {
  browser = await launchBrowser();
  server = await startServer();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

// A test with people in an encrypted meeting; `meet(names, query)` resolves to them and the link.
function encrypted(name, body) {
  onVisitors(() => browser, name, async ({ arrive, server, serve }) => {
    const meet = async (names, query) => {
      const first = await arrive(names[0], server.url + query);
      await first.page.getByLabel('Encrypt end to end').check();
      const link = await first.create();
      const people = [first];
      for (const name of names.slice(1)) people.push(await join(name, link, query));
      await Promise.all(people.map(keyed));
      return { people, link };
    };
    const join = async (name, link, query, prepare) => {
      const visitor = await arrive(name, withQuery(link, query), prepare);
      await visitor.join();
      return visitor;
    };
    await body({ meet, join, arrive, server, serve });
  });
}

const withQuery = (link, query) => Object.assign(new URL(link), { search: query }).href;
const withoutKey = link => link.replace(/#.*/, '');
const withOtherKey = link => link.replace(/#.*/, `#key=${'A'.repeat(22)}`);

const keyed = visitor => until(`${visitor.name} has the key`, () =>
  visitor.page.locator('#phrase').evaluate(element => element.textContent !== ''));
const phraseOf = ({ page }) => page.locator('#phrase').textContent();
const samePhrase = visitors => until('all have one phrase', async () => {
  const phrases = new Set(await Promise.all(visitors.map(phraseOf)));
  return phrases.size === 1 && !phrases.has('') && [...phrases][0];
});
// What a page has decrypted of all that came, and shown.
const decoded = ({ page }) => page.evaluate(async () => {
  const stats = [...(await conference.peer.getStats()).values()].filter(({ type }) => type === 'inbound-rtp');
  const sum = key => stats.reduce((sum, one) => sum + (one[key] ?? 0), 0);
  return { frames: sum('framesDecoded'), energy: sum('totalAudioEnergy'), packets: sum('packetsReceived') };
});

async function say(visitor, text) {
  await openTab(visitor, 'Chat');
  await visitor.page.getByLabel('Your message').fill(text);
  await visitor.page.getByLabel('Your message').press('Enter');
}
const chatOf = ({ page }) => page.locator('.said .text').allTextContents();
const reads = (visitor, lines) => until(`${visitor.name} reads ${lines}`, async () =>
  JSON.stringify(await chatOf(visitor)) === JSON.stringify(lines));
const notes = ({ page }) => page.locator('#notes-text');
const has = (visitor, text) => until(`${visitor.name} has ${JSON.stringify(text)}`, async () =>
  await notes(visitor).inputValue() === text);

encrypted('three see and hear each other, layers are switched, and who has no key gets noise', async ({ meet, join }) => {
  const { people: [ada, bob, eve], link } = await meet(['Ada', 'Bob', 'Eve'], SMALL);
  assert.match(link, /#key=[\w-]{22}$/);
  await Promise.all([ada.receives(['Bob', 'Eve']), bob.receives(['Ada', 'Eve']), eve.receives(['Ada', 'Bob'])]);
  for (const { name, from } of await watch([ada, bob, eve], 4)) {
    for (const { other, fps, energy } of from) {
      assert.ok(fps > 2 && energy > 0, `${name} gets ${fps} frames/s and ${energy} of sound from ${other}`);
    }
  }
  assert.match(await samePhrase([ada, bob, eve]), /^(\d{5} ){5}\d{5}$/);
  for (const { page } of [ada, bob, eve]) {
    await page.locator('#encrypted').getByText('End-to-end encrypted').waitFor();
    assert.equal(await page.locator('.tile .shut:visible').count(), 0);
  }
  await openTab(ada, 'Meeting');
  await ada.picture('encrypted');

  // By the dependency descriptor, as nothing else can be read.
  for (const height of [180, 360, 180]) {
    await bob.page.evaluate(height => {
      const tile = [...document.querySelectorAll('.tile:not(.own)')].find(one => one.textContent.includes('Ada'));
      conference.wish(tile.querySelector('video').srcObject.getVideoTracks()[0], height);
    }, height);
    await until(`Bob sees ${height} lines`, async () => (await bob.sample()).from.Ada?.size.endsWith(`x${height}`), 60);
    const { frames } = (await bob.sample()).from.Ada;
    await until('they go on', async () => (await bob.sample()).from.Ada.frames > frames + 5);
  }

  // A fourth without the end of the link, and a fifth with another one.
  for (const [name, address] of [['Mallory', withoutKey(link)], ['Trudy', withOtherKey(link)]]) {
    const stranger = await join(name, address, SMALL);
    const words = name === 'Mallory' ? 'You have no key to this meeting' : 'Nobody else here has the same key as you';
    await stranger.page.locator('#no-key').getByText(words).waitFor();
    await until('packets arrive', async () => (await decoded(stranger)).packets > 100);
    await until('it is said', async () => await stranger.page.locator('.tile .shut:visible').count() === 3);
    const { frames, energy } = await decoded(stranger);
    assert.deepEqual([frames, energy], [0, 0], `${name} sees and hears nothing`);
    assert.notEqual(await phraseOf(stranger), await phraseOf(ada));
    await ada.page.locator('.tile', { hasText: name }).waitFor();
    await until('the others are told', async () => (await ada.page.locator('#encryption-without').textContent()) === `Without the key: ${name}.`);
    assert.equal((await ada.sample()).from[name]?.frames ?? 0, 0);
    await stranger.picture(`encrypted-${name.toLowerCase()}`);
    await stranger.leave();
  }
  for (const { other, fps } of (await watch([ada], 3))[0].from) assert.ok(fps > 2, `${other} is still seen`);
});

encrypted('who speaks is noticed, though nothing of it is read', async ({ meet }) => {
  const { people: [ada, ...others] } = await meet(['Ada', 'Bob', 'Eve', 'Kim', 'Dan'], '?video=0');
  // She takes nobody's place.
  await press(ada, 'Microphone: on');
  // Of whom sound comes: three at a time, whom the engine chooses by the level beside the sound.
  const counts = () => ada.page.evaluate(async () => Object.fromEntries(await Promise.all(
    [...document.querySelectorAll('.tile:not(.own)')].map(async tile => {
      const [track] = tile.querySelector('video').srcObject?.getAudioTracks() ?? [];
      const receiver = conference.peer.getReceivers().find(receiver => receiver.track === track);
      const stats = [...(await receiver?.getStats() ?? new Map()).values()].find(({ type }) => type === 'inbound-rtp');
      return [tile.querySelector('.name').textContent, stats?.packetsReceived ?? 0];
    }))));
  const WINDOW = 1_500; // ms, in which each who is heard all the time sends 75 packets
  const ONE = WINDOW / 20;
  const story = [];
  const heard = async () => {
    const before = await counts();
    await sleep(WINDOW);
    const now = await counts();
    const came = Object.fromEntries(Object.keys(now).map(name => [name, now[name] - (before[name] ?? 0)]));
    story.push(JSON.stringify(came));
    return came;
  };
  const sooner = (what, probe) => until(what, probe).catch(error => { throw new Error(`${error.message}\n${story.join('\n')}`); });
  // Four make sounds by turns, and the places change hands with them: never more than three are heard at once.
  await sooner('three are heard', async () => {
    const packets = Object.values(await heard());
    const sum = packets.reduce((sum, one) => sum + one, 0);
    return packets.length === 4 && sum > 2.5 * ONE && sum < 3.5 * ONE;
  });
  const [quiet, ...speaking] = others;
  await press(quiet, 'Microphone: on');
  await sooner(`the others are heard all the time, and ${quiet.name} is not`, async () => {
    const came = await heard();
    return speaking.every(({ name }) => came[name] > 0.85 * ONE) && came[quiet.name] < 0.1 * ONE;
  });
});

encrypted('chat and notes, and who comes later has them', async ({ meet, join }) => {
  const { people: [ada, bob, eve], link } = await meet(['Ada', 'Bob', 'Eve'], QUIET);
  for (const visitor of [ada, bob, eve]) await openTab(visitor, 'Chat');
  await say(ada, 'first');
  await reads(bob, ['first']);
  await say(bob, 'second');
  for (const visitor of [ada, bob, eve]) await reads(visitor, ['first', 'second']);
  for (const visitor of [ada, bob, eve]) await openTab(visitor, 'Notes');
  const long = 'A line of the notes, and another one of them.\n'.repeat(2_000);
  await notes(bob).evaluate((field, text) => {
    field.value = text;
    field.dispatchEvent(new Event('input'));
  }, long);
  await has(ada, long);
  await has(eve, long);
  await notes(ada).focus();
  await notes(ada).evaluate(field => field.setSelectionRange(0, 0));
  await ada.page.keyboard.type('Ada: ');
  await has(bob, `Ada: ${long}`);
  await bob.page.getByText('Ada is writing in line 1').waitFor();

  const kim = await join('Kim', link, QUIET);
  await keyed(kim);
  await openTab(kim, 'Notes');
  await has(kim, `Ada: ${long}`);
  await openTab(kim, 'Chat');
  await reads(kim, ['first', 'second']);
  assert.equal(await kim.page.locator('.unread:visible').count(), 0, 'what was before is not news');
  const [download] = await Promise.all([kim.page.waitForEvent('download'), press(kim, 'Save the chat')]);
  assert.match(download.suggestedFilename(), /^chat-/);

  const mallory = await join('Mallory', withoutKey(link), QUIET);
  await openTab(mallory, 'Chat');
  await say(ada, 'third');
  await reads(kim, ['first', 'second', 'third']);
  await until('it is counted', async () => /[1-9]\d* messages/.test(await mallory.page.locator('#encryption-refused').textContent()));
  assert.deepEqual([await chatOf(mallory), await notes(mallory).inputValue()], [[], '']);

  // Whoever led goes: somebody else tells who comes then.
  await press(ada, 'Leave');
  await ada.page.getByRole('dialog').getByRole('button', { name: 'Leave' }).click();
  const dan = await join('Dan', link, QUIET);
  await keyed(dan);
  await openTab(dan, 'Chat');
  await reads(dan, ['first', 'second', 'third']);
  await openTab(dan, 'Notes');
  await has(dan, `Ada: ${long}`);
  await samePhrase([bob, eve, kim, dan]);
});

encrypted('a server that starts again gets an encrypted room, and the notes are still there', async ({ meet, server, serve }) => {
  const { people: [ada, bob] } = await meet(['Ada', 'Bob'], QUIET);
  const before = await samePhrase([ada, bob]);
  for (const visitor of [ada, bob]) await openTab(visitor, 'Notes');
  await notes(ada).fill('before ');
  await has(bob, 'before ');
  const { port } = new URL(server.url);
  await server.stop();
  await bob.page.getByText('Trying again').waitFor();
  await notes(bob).press('End');
  await bob.page.keyboard.type('and meanwhile');
  await serve(port);
  await Promise.all([ada, bob].map(({ page }) => page.getByText('Connected.', { exact: true }).waitFor()));
  await has(ada, 'before and meanwhile');
  assert.notEqual(await samePhrase([ada, bob]), before, 'with other keys');
  await until('both have the key', async () => await ada.page.locator('#encryption-without').textContent() === '');
});

encrypted('a screen and its sound', async ({ meet }) => {
  const { people: [ada, bob] } = await meet(['Ada', 'Bob'], QUIET);
  await ada.page.evaluate(() => {
    // There is no screen on a machine of tests.
    navigator.mediaDevices.getDisplayMedia = async () => {
      const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
      const paint = canvas.getContext('2d');
      setInterval(() => {
        paint.fillStyle = `hsl(${Date.now() / 10 % 360} 80% 50%)`;
        paint.fillRect(0, 0, 640, 360);
      }, 50);
      const context = new AudioContext();
      const tone = context.createOscillator();
      const out = context.createMediaStreamDestination();
      tone.connect(out);
      tone.start();
      return new MediaStream([...canvas.captureStream().getTracks(), ...out.stream.getTracks()]);
    };
  });
  await press(ada, 'Share screen');
  await bob.page.locator('.screen').waitFor();
  await until('Bob sees and hears it', async () => {
    const { frames, energy } = await decoded(bob);
    return frames > 10 && energy > 0;
  });
});

encrypted('nothing is sent in clear: not by a browser that cannot, nor to a server that says so', async ({ meet, arrive, server }) => {
  const { people: [ada], link } = await meet(['Ada'], QUIET);
  const old = await arrive('Old', withQuery(link, SMALL), page => page.addInitScript(() => { delete window.RTCRtpScriptTransform; }));
  assert.equal(await old.page.getByLabel('Encrypt end to end').isVisible(), false);
  await old.page.getByRole('button', { name: 'Join the room' }).click();
  await old.page.locator('#problem').getByText('which this browser cannot do').waitFor();
  assert.equal(await old.page.evaluate(() => conference.peer), null);
  await ada.page.locator('.tile:not(.own)').waitFor({ state: 'detached' });

  // A room of another code, which the server says is not encrypted.
  const open = await arrive('Open', server.url + QUIET);
  const clear = await open.create();
  const bob = await arrive('Bob', `${withQuery(clear, SMALL)}#key=${'A'.repeat(22)}`);
  await bob.page.getByRole('button', { name: 'Join the room' }).click();
  await bob.page.locator('#problem').getByText('the server says that it is not encrypted').waitFor();
  assert.equal(await bob.page.evaluate(() => conference.peer), null);
});

for (const locale of ['en', 'fr']) {
  onPages(() => ({ browser, server }), `axe-core finds nothing in an encrypted meeting, in ${locale}`, async open => {
    const ada = await open(server.url + SMALL, { bypassCSP: true, locale });
    await ada.locator('#want-encryption').check();
    await ada.locator('#create').click();
    await ada.locator('#room').waitFor();
    const link = await ada.locator('#link').getAttribute('href');
    await ada.locator('#phrase:not(:empty)').waitFor();
    await assertAccessible(ada, 'with the key');
    const bob = await open(withQuery(withoutKey(link), QUIET), { bypassCSP: true, locale });
    await bob.locator('#join').click();
    await bob.locator('.tile .shut:visible').waitFor();
    await bob.locator('#panel-button').click();
    await bob.locator('#tab-meeting').click();
    await bob.locator('#no-key').waitFor();
    await assertAccessible(bob, 'without the key');
  });
}
