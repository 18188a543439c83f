// What is limited and why: by an administrator or a moderator while a call of three runs, by one's own choice, and by a
// path that carries sound alone. Each page says it in words.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { concealedShare, look, startBehindRelay } from './relay.mjs';
import { assertAccessible, onPages } from './scenes.mjs';
import { Visitor, launchBrowser, startServer, until } from './visitors.mjs';

const TOKEN = 'adm1n-t0ken';
const CAMERA = '?video=360';

let browser;
let server;
before(async () => {
  browser = await launchBrowser();
  server = await startServer(0, ['--admin-token', TOKEN, '--engines', '1']);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

// Each scene begins without limits of the server.
const scene = (name, body) => onPages(() => ({ browser, server }), name, async open => {
  assert.equal(await put('/admin/limits', {}), 204);
  await body(open);
});

async function enter(page, name) {
  await page.locator('#name').fill(name);
  await page.locator('#name').press('Enter');
  await page.locator('#room').waitFor({ timeout: 20_000 });
}

// A meeting of as many as there are names, the first one its moderator.
async function meeting(open, names, options = {}) {
  const [first, ...others] = names;
  const pages = [await open(server.url + CAMERA, options)];
  await enter(pages[0], first);
  const link = await pages[0].locator('#link').getAttribute('href');
  for (const name of others) {
    pages.push(await open(link + CAMERA, options));
    await enter(pages.at(-1), name);
  }
  return pages;
}

async function openTab(page, id) {
  if (!await page.locator('#panel').isVisible()) await page.locator('#panel-button').click();
  await page.locator(id).click();
}

// What a page receives of each other participant, by id: the lines and bytes of its picture; and of all the sound.
const received = page => page.evaluate(async () => {
  const stats = [...(await conference.peer.getStats()).values()].filter(({ type }) => type === 'inbound-rtp');
  const videos = {};
  for (const tile of document.querySelectorAll('.tile:not(.own)')) {
    const track = tile.querySelector('video').srcObject?.getVideoTracks()[0];
    const video = stats.find(({ kind, trackIdentifier }) => kind === 'video' && trackIdentifier === track?.id);
    videos[tile.dataset.participant] = { height: video?.frameHeight ?? 0, bytes: video?.bytesReceived ?? 0 };
  }
  const sound = stats.filter(({ kind }) => kind === 'audio');
  const sum = key => sound.reduce((all, one) => all + (one[key] ?? 0), 0);
  return { videos, samples: sum('totalSamplesReceived'), energy: sum('totalAudioEnergy') };
});

const heights = async page => Object.values((await received(page)).videos).map(({ height }) => height);

// Whose pictures come to any of these pages within two seconds, and whether all of them hear sound.
async function flowing(pages) {
  const first = await Promise.all(pages.map(received));
  await sleep(2_000);
  const last = await Promise.all(pages.map(received));
  const senders = new Set(last.flatMap(({ videos }, at) =>
    Object.keys(videos).filter(id => videos[id].bytes > (first[at].videos[id]?.bytes ?? 0))));
  const sound = last.every(({ samples, energy }, at) => samples > first[at].samples + 48_000 && energy > first[at].energy);
  return { senders, sound };
}

// The largest size there is comes to a page of all others.
const whole = (page, count) => until('the pictures are whole', async () => {
  const all = await heights(page);
  return all.length === count && all.every(height => height === 360);
}, 60);

const says = (page, words) => until(`it says ${words}`, async () => {
  const strip = page.locator('#limited');
  return await strip.isVisible() && words.test(await strip.textContent());
});
// Of what people decided: a busy machine may carry too little at any time.
const DECIDED = /moderator|administrator|choice/;
const decided = async page => DECIDED.test(await page.locator('#limited').textContent());
const saysNothing = page => until('nothing is said', async () => !await decided(page));

const put = async (path, limits, token = TOKEN) => {
  const headers = { authorization: `Bearer ${token}` };
  return (await fetch(new URL(path, server.url), { method: 'PUT', headers, body: JSON.stringify(limits) })).status;
};

scene('limits are changed while three are in a call', async open => {
  const pages = await meeting(open, ['Ada', 'Bob', 'Cyd']);
  const [ada, bob, cyd] = pages;
  await whole(bob, 2);

  // A moderator, by keyboard alone.
  await openTab(ada, '#tab-meeting');
  await ada.locator('#limit-height').focus();
  await ada.keyboard.type('180');
  await ada.keyboard.press('Enter');
  await until('the pictures are small', async () => (await heights(bob)).every(height => height === 180));
  for (const page of pages) await says(page, /A moderator: pictures of at most 180 lines\./);
  // However small the tiles are beside the panel.
  await bob.evaluate(() => {
    for (const video of document.querySelectorAll('.tile:not(.own) video')) {
      conference.wish(video.srcObject.getVideoTracks()[0], null);
    }
  });
  await openTab(bob, '#tab-connection');
  await bob.locator('#video-list').getByText('No larger picture is allowed. A moderator decided that.').first().waitFor();
  assert.match(await bob.locator('#limited-here').textContent(), /A moderator/);
  await bob.locator('#panel-close').click();
  await ada.locator('#limit-height').fill('');
  await ada.locator('#limit-height').press('Enter');
  await whole(bob, 2);
  await saysNothing(bob);

  // An administrator, for the whole server.
  const admin = await open(`${server.url}admin`);
  await admin.locator('#token').fill(TOKEN);
  await admin.keyboard.press('Enter');
  await admin.locator('#server').waitFor();
  await admin.locator('#limit-senders').fill('1');
  await admin.locator('#limit-senders').press('Enter');
  await admin.getByText('The limits are set.').waitFor();
  await until('one camera is left', async () => (await flowing(pages)).senders.size === 1, 60);
  await says(cyd, /An administrator, for all meetings: cameras shown at once: 1/);
  const dark = page => page.locator('.tile.dark', { hasText: 'not among the cameras shown' }).count();
  await until('tiles say why', async () => (await Promise.all(pages.map(dark))).every(count => count >= 1));
  const heldBack = page => page.locator('#limited', { hasText: 'Your camera is not shown at the moment' }).count();
  await until('two are told of their own', async () =>
    (await Promise.all(pages.map(heldBack))).filter(count => count === 1).length === 2);

  // For this meeting, sound alone.
  assert.equal(await put('/admin/limits', {}), 204);
  await admin.locator('#limits-for').selectOption({ index: 1 });
  await admin.locator('#limit-audio').check();
  await admin.locator('#limits button').click();
  for (const page of pages) {
    await says(page, /An administrator, for this meeting: sound only, no pictures\./);
    await page.getByRole('button', { name: 'Camera: off (Your camera is off because the meeting is limited to sound)' }).waitFor();
  }
  const { senders, sound } = await flowing(pages);
  assert.deepEqual([[...senders], sound], [[], true], 'no pictures, and sound goes on');
  // Who tries is told why.
  await bob.locator('#camera').click();
  assert.match(await bob.locator('#notices').textContent(), /limited to sound/);
  await admin.locator('#limit-audio').uncheck();
  await admin.locator('#limits button').click();
  for (const page of pages) await saysNothing(page);
  // A camera is switched on by nobody but who sits before it.
  assert.equal(await bob.getByRole('button', { name: 'Camera: off' }).count(), 1);
  await bob.locator('#camera').click();
  await until('Bob is seen again', async () => (await flowing([ada, cyd])).senders.size === 1, 60);
});

scene('limits are for who may set them, and possible ones', async open => {
  const [ada, bob] = await meeting(open, ['Ada', 'Bob']);
  assert.equal(await put('/admin/limits', { maxHeight: 180 }, 'guess'), 401);
  assert.equal(await put('/admin/limits', { maxHeight: 1 }), 400);
  assert.equal(await put('/admin/rooms/4294967296/limits', { maxHeight: 180 }), 404);
  await openTab(bob, '#tab-meeting');
  assert.equal(await bob.locator('#limits').isVisible(), false, 'not for everybody');
  // As a page could that does not keep to it.
  const deny = (page, limits) => page.evaluate(limits => conference.act('limits', limits), limits);
  await deny(bob, { audioOnly: true });
  await bob.locator('#notices').getByText('That is for moderators.').waitFor();
  await deny(ada, { maxHeight: 1 });
  await ada.locator('#notices').getByText('One of these limits is not possible.').waitFor();
  assert.deepEqual([await decided(ada), await decided(bob)], [false, false]);
});

scene('somebody chooses less, and the page keeps to it', async open => {
  const [ada, bob] = await meeting(open, ['Ada', 'Bob']);
  await whole(bob, 1);
  const own = await bob.locator('.tile.own').getAttribute('data-participant');

  // By keyboard: to the tab, and down to the last one.
  await openTab(bob, '#tab-connection');
  await bob.locator('[name=choice][value=all]').focus();
  await bob.keyboard.press('ArrowUp');
  await until('the last one is chosen', () => bob.locator('[name=choice][value=audio]').isChecked());
  await says(bob, /Your own choice: sound only; your camera is off\./);
  await bob.getByRole('button', { name: 'Camera: off (Your camera is off because you chose sound only)' }).waitFor();
  await until('no picture goes or comes', async () => (await flowing([ada, bob])).senders.size === 0);
  assert.equal((await flowing([ada, bob])).sound, true);
  await bob.locator('.tile.dark', { hasText: 'sound only, as you chose' }).waitFor();
  await bob.locator('#video-list').getByText('You chose sound only.').waitFor();

  await bob.locator('[name=choice][value=low]').check();
  await bob.locator('#camera').click();
  await says(bob, /Your own choice: small pictures, also of you\./);
  await until('small pictures both ways', async () =>
    (await heights(bob))[0] === 180 && (await received(ada)).videos[own].height === 180 && (await flowing([ada, bob])).senders.size === 2, 60);
  await bob.locator('#video-list').getByText('You chose a low bandwidth.').waitFor();
  const active = await bob.evaluate(() => conference.peer.getSenders()
    .find(({ track }) => track?.kind === 'video').getParameters().encodings.map(({ active }) => active));
  assert.deepEqual(active, [true, false, false], 'what nobody needs is not sent');

  // It is remembered.
  await bob.reload();
  await enter(bob, 'Bob');
  await says(bob, /Your own choice: small pictures/);
  await until('small again', async () => (await heights(bob))[0] === 180, 60);
  await openTab(bob, '#tab-connection');
  await bob.locator('[name=choice][value=all]').check();
  await whole(bob, 1);
  await saysNothing(bob);
  await until('Bob is large again', async () => (await heights(ada)).includes(360), 60);
});

for (const language of ['en', 'fr']) {
  scene(`limits and choices are said in ${language}, to everybody`, async open => {
    const options = { bypassCSP: true, locale: language };
    const [ada, bob] = await meeting(open, ['Ada', 'Bob'], options);
    await openTab(ada, '#tab-meeting');
    await ada.locator('#limit-height').fill('180');
    await ada.locator('#limit-senders').fill('0');
    await ada.locator('#limit-ceiling').fill('500');
    await ada.locator('#limits button').click();
    const words = language === 'fr'
      ? /Un animateur : images de 180 lignes au plus\..*Un animateur : pas de caméras.*Un animateur : 500 kbit\/s au plus/
      : /A moderator: pictures of at most 180 lines\..*A moderator: no cameras.*A moderator: at most 500 kbit\/s/;
    await says(bob, words);
    await bob.locator('.tile.dark', { hasText: language === 'fr' ? 'pas parmi les caméras montrées' : 'not among the cameras shown' }).waitFor();
    await openTab(bob, '#tab-connection');
    await bob.locator('#limited-here').waitFor();
    await assertAccessible(ada, `a moderator's limits in ${language}`);
    await assertAccessible(bob, `choices in ${language}`);
    await bob.locator('#language').click();
    await says(bob, language === 'fr' ? /A moderator/ : /Un animateur/);

    const admin = await open(`${server.url}admin`, options);
    await admin.locator('#token').fill(TOKEN);
    await admin.keyboard.press('Enter');
    await admin.locator('#policy li').first().waitFor();
    assert.match(await admin.locator('#policy').textContent(), language === 'fr' ? /30 kbit\/s pour les images/ : /30 kbit\/s left for pictures/);
    await assertAccessible(admin, `an administrator's limits in ${language}`);
  });
}

const [FALL, RISE, END] = [20, 50, 80]; // s after the first datagram
const NARROW = 75; // kbit/s

test('a path that carries sound alone ends the pictures, not the sound, and they come back', { timeout: 240_000 }, async t => {
  const path = await startBehindRelay(`3000,${FALL}:${NARROW},${RISE}:3000`);
  const own = await launchBrowser();
  try {
    const ada = await Visitor.arrive(own, 'Ada', path.url + CAMERA);
    const bob = await Visitor.arrive(own, 'Bob', `${await ada.create()}?audio=0&video=0`);
    const began = await path.began();
    await bob.join();
    await bob.receives(['Ada']);
    const at = async second => {
      await sleep(Math.max(0, began + second * 1_000 - Date.now()));
      return look(bob);
    };
    const wide = await at(FALL - 2);
    assert.ok(wide.height >= 180, `${wide.height} lines before the fall`);
    const settled = await at(RISE - 12);
    const narrow = await at(RISE - 1);
    assert.match(await bob.page.locator('#limited').textContent(), /Your connection: only sound reaches you/);
    assert.equal(await bob.page.locator('.tile.dark', { hasText: 'no room on your connection' }).count(), 1);
    assert.equal(narrow.frames, settled.frames, 'no pictures');
    const back = await until('pictures come back', async () => {
      const now = await look(bob);
      return now.frames > narrow.frames + 10 && now;
    }, END - RISE);
    await bob.page.locator('#limited').waitFor({ state: 'hidden' });
    // What was on its way at the fall is lost or late; once that is over nothing is.
    const [all, late] = [concealedShare(wide, await look(bob)), concealedShare(settled, narrow)];
    t.diagnostic(`back ${((back.at - began) / 1_000 - RISE).toFixed(1)} s after the rise; `
      + `${(100 * all).toFixed(2)} % of the sound concealed, ${(100 * late).toFixed(2)} % on the settled narrow path`);
    assert.ok(all <= 0.03, `${all} of the sound is concealed`);
    assert.ok(late <= 0.01, `${late} of the sound is concealed after all has settled`);
    assert.deepEqual([ada, bob].flatMap(({ errors }) => errors), [], 'no errors on any page');
  } catch (error) {
    t.diagnostic(path.log());
    throw error;
  } finally {
    await own.close();
    await path.stop();
  }
});
