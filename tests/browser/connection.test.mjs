// People look rather than read: the tab of the connection, which says why pictures are as they are, and the page of who
// looks after the server; by keyboard, in both languages, for axe-core, on a phone.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { QUIET, assertAccessible, onPages as scene } from './scenes.mjs';
import { launchBrowser, startServer, until } from './visitors.mjs';

const TOKEN = 'adm1n-t0ken';

let browser;
let server;
before(async () => {
  browser = await launchBrowser();
  server = await startServer(0, ['--admin-token', TOKEN, '--engines', '1', '--log-format', 'json']);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const onPages = (name, body) => scene(() => ({ browser, server }), name, body);

const scrape = async () => {
  const answer = await fetch(`${server.url}metrics`, { headers: { authorization: `Bearer ${TOKEN}` } });
  assert.equal(answer.status, 200);
  const lines = (await answer.text()).split('\n').filter(line => line && !line.startsWith('#'));
  return new Map(lines.map(line => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]));
};

async function enter(page, name) {
  await page.locator('#name').fill(name);
  await page.locator('#name').press('Enter');
  await page.locator('#room').waitFor({ timeout: 20_000 });
}

// What a page and the server say to each other over the connections that it opens from now on.
function listen(page) {
  const said = { sent: [], received: [] };
  page.on('websocket', socket => {
    socket.on('framesent', ({ payload }) => said.sent.push(JSON.parse(payload)));
    socket.on('framereceived', ({ payload }) => said.received.push(JSON.parse(payload)));
  });
  return said;
}

// The path of a chart's first line by the chart's place.
const line = (page, at) => page.locator('.chart').nth(at).locator('path').first().getAttribute('d');

for (const language of ['en', 'fr']) {
  onPages(`the connection is shown live, with why pictures are as they are, in ${language}`, async open => {
    const options = { bypassCSP: true, locale: language };
    const ada = await open(`${server.url}?video=360`, options);
    await enter(ada, 'Ada');
    const bob = await open(await ada.locator('#link').getAttribute('href') + QUIET, options);
    const heard = listen(bob);
    await enter(bob, 'Bob');

    // To the tab by keyboard alone.
    await bob.locator('#panel-button').focus();
    await bob.keyboard.press('Enter');
    await bob.keyboard.press('End');
    assert.equal(await bob.evaluate(() => document.activeElement.id), 'tab-connection');
    await bob.keyboard.press('Tab');
    const video = bob.locator('#video-list li');
    await video.waitFor();
    await until('a picture is measured', async () => /× \d+, .*bit\/s/.test(await video.textContent()));
    assert.match(await video.textContent(), /Ada/);
    assert.equal(await bob.locator('#no-videos').isVisible(), false);

    // Charts move, and their words follow.
    const first = await line(bob, 0);
    await until('the chart moves', async () => await line(bob, 0) !== first);
    const words = () => bob.locator('.chart svg').first().getAttribute('aria-label');
    const said = await words();
    await until('the words follow', async () => await words() !== said, 15);
    assert.match(await words(), /(kbit|Mbit)\/s/);
    const charts = await bob.locator('.chart').count();
    assert.equal(charts, 5);
    await bob.locator('.chart summary').first().press('Enter');
    await until('a table', async () => await bob.locator('.chart').first().locator('tr').count() > 1);

    // What is wished is the reason.
    const why = (key, word) => until(`${key}: ${word}`, async () =>
      await video.getAttribute('data-why') === key && word.test(await video.textContent()));
    const wish = (height, paused) => bob.evaluate(([height, paused]) => {
      const [tile] = document.querySelectorAll('.tile:not(.own) video');
      conference.wish(tile.srcObject.getVideoTracks()[0], height, paused);
    }, [height, paused]);
    // The least there is: also a busy machine has room for it.
    await wish(90, false);
    await why('whyWish', language === 'fr' ? /Elle n’est pas affichée plus grande/ : /It is not shown larger/);
    await wish(null, true);
    await why('whyPaused', language === 'fr' ? /donc rien n’est envoyé/ : /so nothing is sent/);
    await wish(null, false);
    await until('it is not paused any more', async () => await video.getAttribute('data-why') !== 'whyPaused');

    // Only moderators see the others.
    assert.equal(await bob.locator('#other-links').isVisible(), false);
    await ada.locator('#tab-connection').click();
    await until('a line of Bob', async () => /Bob.*bit\/s/.test(await ada.locator('#other-list').textContent()));
    await assertAccessible(bob, `the connection in ${language}`);
    if (language === 'en') await assertAccessible(ada, 'a moderator\'s connection');

    // The other language at once, and nothing is asked for any more when nobody looks.
    await bob.locator('#language').click();
    await until('the title changes', async () =>
      (await bob.locator('.chart .title').first().textContent()) === (language === 'fr' ? 'To you' : 'Vers vous'));
    await bob.locator('#panel-close').click();
    const asked = () => heard.sent.filter(({ type }) => type === 'watch').map(({ on }) => on);
    await until('the page asks for no more', async () => asked().at(-1) === false);
    assert.ok(asked().includes(true));
    const told = () => heard.received.filter(({ type }) => type === 'connection').length;
    // One may be on its way; after that they would come once a second.
    await bob.waitForTimeout(1_500);
    const before = told();
    await bob.waitForTimeout(2_500);
    assert.ok(before > 0);
    assert.equal(told(), before);
    assert.equal(asked().at(-1), false);
    assert.deepEqual([...ada.errors, ...bob.errors], []);
  });

  onPages(`the server is shown to who has the token, in ${language}`, async open => {
    const options = { bypassCSP: true, locale: language };
    const [ada, admin] = [await open(`${server.url}?video=180`, options), await open(`${server.url}admin`, options)];
    await enter(ada, 'Adalbert');
    const link = await ada.locator('#link').getAttribute('href');
    await assertAccessible(admin, `the form in ${language}`);
    assert.equal(await admin.evaluate(() => document.activeElement.id), 'token');
    await admin.keyboard.type('wrong');
    await admin.keyboard.press('Enter');
    await admin.locator('#problem').waitFor();
    assert.match(await admin.locator('#problem').textContent(), language === 'fr' ? /pas le bon jeton/ : /not the token/);
    await admin.keyboard.type(TOKEN);
    await admin.keyboard.press('Enter');
    await admin.locator('#server').waitFor();
    assert.equal(await admin.locator('#problem').isVisible(), false);
    await until('packets come in', async () => {
      const words = await admin.locator('#charts .chart').nth(1).locator('.value').first().textContent();
      return /[1-9]/.test(words);
    });
    const first = await line(admin, 2);
    await until('the chart moves', async () => await line(admin, 2) !== first);
    assert.ok(await admin.locator('#rooms tbody tr').count() >= 1);
    const text = await admin.locator('body').textContent();
    assert.ok(!text.includes('Adalbert') && !text.includes(link.split('/').at(-1)), 'no names, no codes');
    assert.deepEqual(await admin.context().cookies(), []);
    assert.ok(!admin.url().includes(TOKEN));
    await assertAccessible(admin, `the server in ${language}`);
    await admin.locator('#language').click();
    await until('the other language', async () => await admin.title() === (language === 'fr' ? 'Server' : 'Serveur'));
    await admin.locator('#sign-out').click();
    await admin.locator('#door').waitFor();
    assert.deepEqual(admin.errors, []);
  });
}

onPages('metrics and the log tell of who connects', async open => {
  const before = await scrape();
  const connected = 'conference_join_seconds_count{engine="0"}';
  const page = await open(`${server.url}?video=180`);
  await enter(page, 'Zebedee');
  await page.getByText('Connected.').waitFor();
  const after = await until('the metrics follow', async () => {
    const now = await scrape();
    return now.get(connected) > before.get(connected) && now.get('estafette_media_packets_total{engine="0"}') > 0 && now;
  });
  for (const name of ['received_datagrams', 'received_bytes', 'sent_datagrams', 'sent_bytes', 'consumed_datagrams']) {
    const key = `estafette_${name}_total{engine="0"}`;
    assert.ok(after.get(key) > before.get(key), key);
  }
  assert.ok(after.get('conference_pages') >= 1);
  assert.ok(after.get('process_cpu_seconds_total') > 0);
  const code = new URL(page.url()).pathname.split('/').at(-1);
  const lines = server.log().trim().split('\n').map(line => JSON.parse(line));
  const told = lines.find(({ message, label }) => message === 'connected' && label !== undefined);
  assert.deepEqual([told.span.name, told.span.number, told.carrier], ['engine', 0, 'udp']);
  assert.ok(told.took_ms >= 0 && told.room >= 1);
  for (const word of ['Zebedee', code, TOKEN]) assert.ok(!server.log().includes(word), word);
});
