// Three Chromium pages hold a conference through the built server, by the page's own buttons.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Visitor, launchBrowser, startServer, until, watch } from './visitors.mjs';

const SECONDS = 10;
const LEAST_FPS = 5; // far below the fake camera's 20, for machines that are busy

let browser;
before(async () => { browser = await launchBrowser(); });
after(async () => { await browser?.close(); });

// A test with servers and visitors that are gone after it; when it fails, the servers' logs tell more.
function conference(name, body) {
  test(name, { timeout: 240_000 }, async t => {
    const servers = [];
    const visitors = [];
    const serve = async port => {
      servers.push(await startServer(port));
      return servers.at(-1);
    };
    const arrive = async (who, url) => {
      visitors.push(await Visitor.arrive(browser, who, url));
      return visitors.at(-1);
    };
    try {
      await body(t, serve, arrive);
    } catch (error) {
      for (const visitor of visitors) t.diagnostic(`${visitor.name}'s page says: ${await visitor.status()}`);
      for (const server of servers) t.diagnostic(`the server's log:\n${server.log()}`);
      throw error;
    } finally {
      await Promise.all(visitors.map(({ page }) => page.close()));
      await Promise.all(servers.map(server => server.stop()));
    }
  });
}

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

conference('three people talk, one leaves and comes back', async (t, serve, arrive) => {
  const server = await serve();
  // The first one's camera is asked for 720 lines, whose rate shows whether feedback works; the
  // others send less, so that two cores carry all three.
  const ada = await arrive('Ada', `${server.url}?video=720`);
  const link = await ada.create();
  const bob = await arrive('Bob', `${link}?video=360`);
  await bob.join();
  const eve = await arrive('Eve', `${link}?video=360`);
  await eve.join();
  const all = [ada, bob, eve];

  await assertTalking(t, all);
  await ada.picture('conference');

  // The encoder raises the size step by step once feedback has raised the estimate.
  const rate = await until('Ada sends more than 500 kbit/s', async () => {
    const [{ sent }] = await watch([ada], 2);
    return sent > 500_000 && sent;
  }, 60);
  t.diagnostic(`Ada's video rose to ${Math.round(rate / 1_000)} kbit/s`);

  await bob.leave();
  await Promise.all([ada.receives(['Eve']), eve.receives(['Ada'])]);
  await bob.join();
  await assertTalking(t, all);

  await eve.page.getByRole('button', { name: 'Microphone: on' }).click();
  await ada.page.locator('.tile', { hasText: 'Eve' }).locator('.muted').waitFor();
  await eve.page.getByRole('button', { name: 'Camera: on' }).click();
  await ada.page.locator('.tile.dark', { hasText: 'Eve' }).waitFor();
  await eve.page.getByRole('button', { name: 'Camera: off' }).click();
  await ada.page.locator('.tile:not(.dark)', { hasText: 'Eve' }).waitFor();
  await ada.receives(['Bob', 'Eve']);
  assert.deepEqual(all.flatMap(({ errors }) => errors), [], 'no errors on any page');
});

conference('a wrong code is told in words, and the page stays usable', async (t, serve, arrive) => {
  const server = await serve();
  const ada = await arrive('Ada', `${server.url}#0000-0000-0000-0000`);
  await ada.page.getByRole('button', { name: 'Join the room' }).click();
  await ada.page.getByRole('alert').getByText('There is no such room').waitFor();
  await ada.page.getByLabel('Code or link').fill('');
  assert.match(await ada.create(), /\/r\/[0-9a-z]{4}(-[0-9a-z]{4}){3}$/);
  assert.equal(await ada.page.getByRole('alert').isVisible(), false);
});

conference('somebody without devices listens', async (t, serve, arrive) => {
  const server = await serve();
  const ada = await arrive('Ada', `${server.url}?video=360`);
  const link = await ada.create();
  const bob = await arrive('Bob', `${link}?audio=0&video=0`);
  await bob.join();
  await bob.receives(['Ada']);
  // Turned on later, the camera asks for an offer of the page's own.
  await bob.page.getByRole('button', { name: 'Camera: off' }).click();
  await bob.page.getByRole('button', { name: 'Microphone: off' }).click();
  await ada.receives(['Bob']);
});

conference('when the server was gone, pages come back to their room', async (t, serve, arrive) => {
  const first = await serve();
  const ada = await arrive('Ada', `${first.url}?video=360`);
  const bob = await arrive('Bob', `${await ada.create()}?video=360`);
  await bob.join();
  await ada.receives(['Bob']);

  assert.equal(await first.stop(), 0, 'it stops when told to');
  await until('Ada is told', async () => (await ada.status()).includes('cannot be reached'));
  const second = await serve(new URL(first.url).port);
  await Promise.all([ada.receives(['Bob']), bob.receives(['Ada'])]);
  assert.equal(await ada.status(), 'Connected.');
});

conference('what cannot be understood ends its own connection, nobody else\'s', async (t, serve, arrive) => {
  const server = await serve();
  const ada = await arrive('Ada', `${server.url}?video=360`);
  const link = await ada.create();
  const bob = await arrive('Bob', `${link}?video=360`);
  // Says these things to the server, one after the other; resolves to what it said last, and how it
  // closed the connection.
  const say = messages => bob.page.evaluate(messages => new Promise(resolve => {
    const socket = new WebSocket('/ws');
    let last = null;
    socket.onopen = () => messages.forEach(message => socket.send(message));
    socket.onmessage = ({ data }) => { last = JSON.parse(data).type; };
    socket.onclose = ({ code }) => resolve({ last, code });
  }), messages);
  const join = JSON.stringify({ type: 'join', code: link.split('/r/')[1], name: 'Mallory' });
  assert.deepEqual(await say(['nonsense']), { last: null, code: 1008 });
  assert.deepEqual(await say(['{"type":"offer","sdp":"v=0"}']), { last: null, code: 1008 });
  assert.deepEqual(await say(['{"type":"join","code":"guess","name":"Mallory"}']), { last: 'refused', code: 1000 });
  assert.deepEqual(await say([join, '{"type":"offer","sdp":"nonsense"}']), { last: 'ended', code: 1000 });
  assert.deepEqual(await say([join, '{"type":"answer","sdp":"v=0"}']), { last: 'ended', code: 1000 });
  assert.equal((await say([join, 'x'.repeat(1_000_000)])).code, 1006);
  // Wishes for what is not there are no mistake, other than those that name nothing or never end.
  const wishes = list => JSON.stringify({ type: 'wishes', list });
  const nobodys = { track: 'p4294967295/s0', maxHeight: 180 };
  const end = '{"type":"offer","sdp":"nonsense"}';
  assert.deepEqual(await say([join, wishes([nobodys, { track: 'p1/s99', paused: true }]), end]), { last: 'ended', code: 1000 });
  assert.equal((await say([join, wishes([{ track: 'Ada' }]), end])).code, 1008);
  assert.equal((await say([join, wishes(Array(257).fill(nobodys)), end])).code, 1008);

  await bob.join();
  await Promise.all([ada.receives(['Bob']), bob.receives(['Ada'])]);
});
