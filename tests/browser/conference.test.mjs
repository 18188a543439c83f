// Three Chromium pages hold a conference through the built server, by the page's own buttons.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Visitor, launchBrowser, startServer, until, watch } from './visitors.mjs';

const SECONDS = 10;
const LEAST_FPS = 5; // far below the fake camera's 20, for machines that are busy

let browser;
before(async () => { browser = await launchBrowser(); });
after(async () => { await browser?.close(); });

// Everybody sees and hears both others for ten seconds.
async function assertTalking(t, visitors) {
  const others = visitor => visitors.map(({ name }) => name).filter(name => name !== visitor.name);
  await Promise.all(visitors.map(visitor => visitor.receives(others(visitor))));
  const seen = await watch(visitors, SECONDS);
  for (const { name, from, sent } of seen) {
    for (const { other, fps, size, freezes, energy, samples } of from) {
      t.diagnostic(`${name} receives ${other}: ${fps.toFixed(1)} frames/s of ${size}, ${freezes} freezes, `
        + `audio energy +${energy.toFixed(3)}, ${Math.round(samples / SECONDS)} samples/s`);
    }
    t.diagnostic(`${name} sends video of ${Math.round(sent / 1_000)} kbit/s`);
  }
  for (const { name, from } of seen) {
    assert.equal(from.length, visitors.length - 1, `${name} receives everybody else`);
    for (const { other, fps, energy, samples } of from) {
      assert.ok(fps >= LEAST_FPS, `${name} decodes video of ${other}: ${fps} frames/s`);
      assert.ok(energy > 0, `${name} hears ${other}: energy +${energy}`);
      assert.ok(samples > 0, `${name} gets samples of ${other}`);
    }
  }
}

test('three people talk, one leaves and comes back', async t => {
  const server = await startServer();
  t.after(() => server.stop());
  // The first one's camera is asked for 720 lines, whose rate shows whether feedback works; the
  // others send less, so that two cores carry all three.
  const ada = await Visitor.arrive(browser, 'Ada', `${server.url}?video=720`);
  const link = await ada.create();
  const bob = await Visitor.arrive(browser, 'Bob', `${link}?video=360`);
  await bob.join();
  const eve = await Visitor.arrive(browser, 'Eve', `${link}?video=360`);
  await eve.join();
  const all = [ada, bob, eve];
  t.after(() => Promise.all(all.map(({ page }) => page.close())));

  try {
    await assertTalking(t, all);
    await ada.picture('conference');

    const rate = await until('Ada sends more than 500 kbit/s', async () => {
      const [{ sent }] = await watch([ada], 2);
      return sent > 500_000 && sent;
    });
    t.diagnostic(`Ada's video rose to ${Math.round(rate / 1_000)} kbit/s`);

    await bob.leave();
    await Promise.all([ada.receives(['Eve']), eve.receives(['Ada'])]);
    await bob.join();
    await assertTalking(t, all);

    await eve.page.getByRole('button', { name: 'Microphone: on' }).click();
    await ada.page.locator('.tile', { hasText: 'Eve (microphone off)' }).waitFor();
    await eve.page.getByRole('button', { name: 'Camera: on' }).click();
    await ada.page.locator('.tile.dark', { hasText: 'Eve' }).waitFor();
    await eve.page.getByRole('button', { name: 'Camera: off' }).click();
    await ada.page.locator('.tile:not(.dark)', { hasText: 'Eve' }).waitFor();
    await ada.receives(['Bob', 'Eve']);
  } catch (error) {
    t.diagnostic(`the server's log:\n${server.log()}`);
    throw error;
  }
  assert.deepEqual(all.flatMap(({ errors }) => errors), [], 'no errors on any page');
});

test('a wrong code is told in words, and the page stays usable', async t => {
  const server = await startServer();
  t.after(() => server.stop());
  const ada = await Visitor.arrive(browser, 'Ada', `${server.url}#0000-0000-0000-0000`);
  t.after(() => ada.page.close());
  await ada.page.getByRole('button', { name: 'Join the room' }).click();
  await ada.page.getByRole('alert').getByText('There is no such room').waitFor();
  await ada.page.getByLabel('Code or link').fill('');
  assert.match(await ada.create(), /\/r\/[0-9a-z]{4}(-[0-9a-z]{4}){3}$/);
  assert.equal(await ada.page.getByRole('alert').isVisible(), false);
});

test('somebody without devices listens', async t => {
  const server = await startServer();
  t.after(() => server.stop());
  const ada = await Visitor.arrive(browser, 'Ada', `${server.url}?video=360`);
  t.after(() => ada.page.close());
  const link = await ada.create();
  const bob = await Visitor.arrive(browser, 'Bob', `${link}?audio=0&video=0`);
  t.after(() => bob.page.close());
  await bob.join();
  await bob.receives(['Ada']);
  // Turned on later, the camera asks for an offer of the page's own.
  await bob.page.getByRole('button', { name: 'Camera: off' }).click();
  await bob.page.getByRole('button', { name: 'Microphone: off' }).click();
  await ada.receives(['Bob']);
});

test('when the server was gone, pages come back to their room', async t => {
  const first = await startServer();
  const ada = await Visitor.arrive(browser, 'Ada', `${first.url}?video=360`);
  t.after(() => ada.page.close());
  const bob = await Visitor.arrive(browser, 'Bob', `${await ada.create()}?video=360`);
  t.after(() => bob.page.close());
  await bob.join();
  await ada.receives(['Bob']);

  assert.equal(await first.stop(), 0, 'it stops when told to');
  await until('Ada is told', async () => (await ada.status()).includes('cannot be reached'));
  const second = await startServer(new URL(first.url).port);
  t.after(() => second.stop());
  await Promise.all([ada.receives(['Bob']), bob.receives(['Ada'])]);
  assert.equal(await ada.status(), 'Connected.');
});
