// The page for everybody: by keyboard alone, by screen reader (as far as axe-core finds), in both languages, in light
// and dark, and on a phone.
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { QUIET, assertAccessible, onPages as scene } from './scenes.mjs';
import { launchBrowser, startServer, until } from './visitors.mjs';

const page = new URL('../../examples/conference/page/', import.meta.url);

let browser;
let server;
before(async () => {
  browser = await launchBrowser(['--auto-accept-this-tab-capture', '--auto-select-desktop-capture-source=Meetings']);
  server = await startServer();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const onPages = (name, body) => scene(() => ({ browser, server }), name, body);

test('both languages have the same texts, and each is used', async () => {
  const names = (await readdir(page)).filter(name => /\.(js|html)$/.test(name));
  const files = new Map(await Promise.all(names.map(async name => [name, await readFile(new URL(name, page), 'utf8')])));
  const source = files.get('i18n.js').replace(/^import .*$/gm, '');
  const { TEXTS } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
  files.delete('i18n.js');
  const used = [...files.values()].join('\n');

  const keys = Object.keys(TEXTS.en);
  assert.deepEqual(Object.keys(TEXTS.fr), keys);
  for (const key of keys) {
    const values = text => (text.match(/\{\w+\}/g) ?? []).sort();
    assert.deepEqual(values(TEXTS.fr[key]), values(TEXTS.en[key]), `the values of ${key}`);
    assert.ok(TEXTS.en[key] !== '' && TEXTS.fr[key] !== '', key);
    const named = [`'${key}'`, `"${key}"`].some(name => used.includes(name));
    assert.ok(named || key === 'title', `${key} is not used`);
  }
  const asked = used.matchAll(/(?:\bt\(|confirmed\(|notify\(|status\(|data-t(?:-\w+)?=)['"](\w+)['"]/g);
  for (const [, key] of asked) assert.ok(key in TEXTS.en, `${key} has no text`);
});

for (const language of ['en', 'fr']) {
  onPages(`axe-core finds nothing, in ${language}`, async open => {
    const options = { bypassCSP: true, locale: language };
    const ada = await open(server.url, options);
    await ada.locator('#name').fill('Ada');
    assert.equal(await ada.locator('html').getAttribute('lang'), language);
    await assertAccessible(ada, 'the door');
    await ada.locator('#help').click();
    await assertAccessible(ada, 'the help');
    await ada.keyboard.press('Escape');

    await ada.locator('#want-lobby').check();
    await ada.locator('#create').click();
    await ada.locator('#room').waitFor();
    const bob = await open(await ada.locator('#link').getAttribute('href') + QUIET, options);
    await bob.locator('#name').fill('Bob');
    await bob.locator('#join').click();
    await bob.locator('#lobby').waitFor();
    await assertAccessible(bob, 'the lobby');
    await ada.locator('#tab-people').click();
    await assertAccessible(ada, 'the room with somebody who waits');
    await ada.locator('#admit-all').click();
    await bob.locator('#room').waitFor();
    await bob.locator('#hand').click();
    await ada.locator('#people-list .hand:visible').waitFor();
    await ada.locator('#people-list summary:visible').click();
    await assertAccessible(ada, 'the room with people and a menu');
    await ada.locator('[data-act=promote]:visible').click();
    await ada.locator('#tab-meeting').click();
    await ada.locator('#invite button').click();
    await ada.locator('#tickets li').waitFor();
    await assertAccessible(ada, 'the room with the meeting');
    await ada.locator('#end').click();
    await assertAccessible(ada, 'a question');
    await ada.keyboard.press('Escape');
    await bob.locator('#panel-button').click();
    await bob.locator('#tab-chat').click();
    await bob.getByText(/Connected\.|Connecté\./).waitFor();
    await bob.locator('#chat-text').fill('See https://example.org');
    await bob.locator('#chat-text').press('Enter');
    await ada.locator('.unread:visible').first().waitFor();
    await assertAccessible(ada, 'the room with an unread message');
    await ada.locator('#tab-chat').click();
    await ada.locator('#chat-text').fill('x');
    await ada.locator('#chat-text').press('Enter');
    await ada.locator('.said.own').waitFor();
    await assertAccessible(ada, 'the chat');
    await bob.locator('#tab-notes').click();
    await ada.locator('#tab-notes').click();
    await ada.locator('#notes-text').fill('one\ntwo');
    await bob.locator('#notes-text').focus();
    await bob.locator('.caret').waitFor();
    await assertAccessible(bob, 'the notes with a caret');
    await bob.locator('#panel-close').click();
    await ada.locator('#panel-close').click();
    await ada.locator('#share').click();
    await bob.locator('.screen').waitFor();
    await assertAccessible(bob, 'the room with a screen');
    await assertAccessible(ada, 'the room of who shares');
    await bob.locator('#panel-button').click();
    await bob.locator('#tab-people').click();
    await bob.locator('#mute-all').click();
    await ada.locator('#asked').waitFor();
    await assertAccessible(ada, 'a request to mute');
    await ada.locator('#leave').click();
    await assertAccessible(ada, 'a question before leaving');
    await ada.locator('#confirm-yes').click();
    await ada.locator('#code').fill('0000-0000-0000-0000');
    await ada.locator('#join').click();
    await ada.locator('#problem').waitFor();
    await assertAccessible(ada, 'the door with a problem');
  });
}

onPages('the language is the browser\'s, the address\'s or the one chosen', async open => {
  const page = await open(server.url, { locale: 'fr-FR' });
  const says = text => page.getByRole('button', { name: text, exact: true }).waitFor();
  await says('Créer une salle');
  assert.equal(await page.title(), 'Réunions');
  await page.getByRole('button', { name: 'English' }).click();
  await says('Create a room');
  assert.equal(await page.locator('html').getAttribute('lang'), 'en');
  await page.reload();
  await says('Create a room');
  await page.goto(`${server.url}?lang=fr`);
  await says('Créer une salle');
  // What is said later, and what stands there already, change as well.
  await page.goto(server.url + QUIET);
  await page.getByLabel('Your name').fill('Ada');
  await page.getByRole('button', { name: 'Create a room' }).click();
  await page.getByText('Connected.').waitFor();
  await page.getByRole('button', { name: 'Microphone: off' }).waitFor();
  await page.getByRole('button', { name: 'Français' }).click();
  await page.getByText('Connecté.').waitFor();
  await page.getByRole('button', { name: 'Micro : coupé' }).waitFor();
  await page.locator('.tile', { hasText: 'Ada (vous)' }).waitFor();

  const other = await open(server.url, { locale: 'de-DE' });
  await other.getByRole('button', { name: 'Create a room' }).waitFor();
});

// Moves on with the Tab key until the focus is on what has this name.
async function tabTo(page, name) {
  const seen = [];
  for (let presses = 0; presses < 40; presses += 1) {
    await page.keyboard.press('Tab');
    const focus = page.locator(':focus');
    const here = await focus.count() === 1
      ? await focus.evaluate(element => element.ariaLabel ?? element.labels?.[0]?.textContent ?? element.textContent)
      : '';
    seen.push(here.trim());
    if (here.trim() === name) return;
  }
  throw new Error(`no ${name} among ${seen.join(', ')}`);
}

onPages('everything is done by the keyboard alone', async open => {
  const ada = await open(server.url);
  const focused = id => until(`the focus is on #${id}`, () => ada.evaluate(id => document.activeElement.id === id, id));
  await focused('name');
  await ada.keyboard.type('Ada');
  await tabTo(ada, 'Create a room');
  await ada.keyboard.press('Enter');
  await ada.locator('#room').waitFor();
  await focused('room-title');

  const bob = await open(await ada.locator('#link').getAttribute('href') + QUIET);
  await bob.keyboard.type('Bob');
  await bob.keyboard.press('Enter');
  await bob.locator('#room').waitFor();
  const sign = sign => bob.locator('.tile', { hasText: 'Ada' }).locator(sign);

  await tabTo(ada, 'Microphone: on');
  await ada.keyboard.press('Space');
  await sign('.muted').waitFor();
  await focused('microphone');
  await ada.keyboard.press('m');
  await sign('.muted').waitFor({ state: 'hidden' });
  await ada.keyboard.press('v');
  await bob.locator('.tile.dark', { hasText: 'Ada' }).waitFor();
  await ada.keyboard.press('h');
  await sign('.hand').waitFor();
  await tabTo(ada, 'Lower hand');
  await ada.keyboard.press('Enter');
  await sign('.hand').waitFor({ state: 'hidden' });

  // The panel: into it, along its tabs, and back.
  await ada.keyboard.press('p');
  await ada.locator('#panel').waitFor({ state: 'hidden' });
  await ada.keyboard.press('p');
  await focused('tab-meeting');
  await ada.keyboard.press('ArrowLeft');
  await focused('tab-people');
  await ada.locator('#people-list').waitFor();
  await tabTo(ada, 'Name that others see');
  await ada.keyboard.press('Control+a');
  await ada.keyboard.type('Maha');
  await ada.keyboard.press('Enter');
  await bob.locator('.tile', { hasText: 'Maha' }).waitFor();
  assert.equal(await ada.locator('#microphone').getAttribute('aria-label'), 'Microphone: on', 'letters in a field are text');
  assert.equal(await bob.locator('.tile .hand:visible').count(), 0);
  await ada.keyboard.press('Escape');
  await focused('panel-button');

  // The help: into it and back; its keys can be turned off.
  await ada.keyboard.press('?');
  await ada.getByRole('dialog').waitFor();
  assert.equal(await ada.evaluate(() => document.activeElement.closest('dialog')?.id), 'help-dialog');
  await tabTo(ada, 'Use these keys');
  await ada.keyboard.press('Space');
  await ada.keyboard.press('Escape');
  await focused('panel-button');
  await ada.keyboard.press('h');
  await ada.waitForTimeout(500);
  assert.equal(await ada.locator('#hand').textContent().then(text => text.trim()), 'Raise hand');

  await tabTo(ada, 'Leave');
  await ada.keyboard.press('Enter');
  await focused('name');
  await tabTo(ada, 'Code or link of a room');
  await ada.keyboard.press('Enter');
  await ada.locator('#room').waitFor();
});

onPages('what happens is read out', async open => {
  const ada = await open(server.url + QUIET);
  await ada.locator('#create').click();
  await ada.locator('#room').waitFor();
  const log = ada.getByRole('log');
  assert.equal(await log.getAttribute('aria-live'), 'polite');
  const bob = await open(await ada.locator('#link').getAttribute('href') + QUIET);
  await bob.locator('#name').fill('Bob');
  await bob.locator('#join').click();
  await log.getByText('Bob has come in.').waitFor();
  await bob.locator('#hand').click();
  await log.getByText('Bob raises a hand.').waitFor();
  await bob.locator('#leave').click();
  await log.getByText('Bob has left.').waitFor();
});

onPages('who wants little motion gets none', async open => {
  const page = await open(server.url, { reducedMotion: 'reduce' });
  const moves = () => page.evaluate(() => {
    const notice = document.getElementById('notices').appendChild(document.createElement('p'));
    const { animationName } = getComputedStyle(notice);
    notice.remove();
    return animationName !== 'none';
  });
  assert.equal(await moves(), false);
  await page.emulateMedia({ reducedMotion: 'no-preference' });
  assert.equal(await moves(), true, 'others get it');
});

onPages('a code is taken as people write it, and a moderator\'s link with its secret', async open => {
  const ada = await open(server.url + QUIET);
  await ada.locator('#create').click();
  await ada.locator('#room').waitFor();
  const link = await ada.locator('#link').getAttribute('href');
  const secret = await ada.evaluate(() => JSON.parse(localStorage.meetings)[0].secret);
  // Whoever makes such a link does not take the meeting from its moderator.
  await ada.goto(`${link}${QUIET}#moderator=0000-0000-0000-0000`);
  assert.equal(await ada.evaluate(() => JSON.parse(localStorage.meetings)[0].secret), secret);
  assert.equal(await ada.evaluate(() => location.hash), '');

  const bob = await open(server.url + QUIET);
  await bob.locator('#code').fill(`${link}#moderator=0000-0000-0000-0000`);
  await bob.locator('#moderates:visible').waitFor();
  await bob.locator('#join').click();
  await bob.locator('#room').waitFor();
  await bob.locator('#panel-button').click();
  await bob.locator('#tab-meeting').click();
  await bob.locator('#link').waitFor();
  assert.equal(await bob.locator('#end').isVisible(), false, 'a wrong secret is none');
  await bob.locator('#leave').click();
  assert.equal(await bob.locator('#moderates').isVisible(), false, 'and is forgotten');
  await bob.locator('#code').fill(`${link}#moderator=${secret}`);
  await bob.locator('#join').click();
  await bob.locator('#panel-button').click();
  await bob.locator('#tab-meeting').click();
  await bob.locator('#end').waitFor();
  await bob.locator('#leave').click();
  await bob.locator('#code').fill(link.split('/r/')[1].toUpperCase().replace(/-/g, ' ').replace(/0/g, 'O').replace(/1/g, 'I'));
  await bob.locator('#moderates:visible').waitFor();
  await bob.locator('#join').click();
  await bob.locator('#room').waitFor();
});

onPages('where the browser keeps nothing, the page does as long as it is open', async open => {
  const ada = await open(server.url);
  await ada.addInitScript(() => { Storage.prototype.setItem = () => { throw new DOMException('', 'QuotaExceededError'); }; });
  await ada.goto(server.url + QUIET);
  await ada.locator('#create').click();
  await ada.locator('#room').waitFor();
  await ada.locator('#leave').click();
  await ada.locator('#moderates:visible').waitFor();
  await ada.locator('#join').click();
  await ada.locator('#panel-button').click();
  await ada.locator('#tab-meeting').click();
  await ada.locator('#end').waitFor();
});

onPages('a camera that comes after one has left is closed again', async open => {
  const ada = await open(server.url);
  await ada.addInitScript(() => {
    const ask = MediaDevices.prototype.getUserMedia;
    window.late = [];
    MediaDevices.prototype.getUserMedia = async function (constraints) {
      const stream = await ask.call(this, constraints);
      window.late.push(stream);
      await new Promise(resolve => { window.allow = resolve; });
      return stream;
    };
  });
  await ada.goto(server.url + QUIET);
  await ada.locator('#create').click();
  await ada.locator('#room').waitFor();
  await ada.locator('#camera').click();
  await until('the camera is there', () => ada.evaluate(() => window.late.length === 1 && 'allow' in window));
  await ada.locator('#leave').click();
  await ada.locator('#door').waitFor();
  assert.equal(await ada.evaluate(() => window.late[0].getTracks()[0].readyState), 'live');
  await ada.evaluate(() => window.allow());
  await until('it is closed', () => ada.evaluate(() => window.late[0].getTracks()[0].readyState === 'ended'));
});

onPages('a plan that was kept says what is left of its invitations by now', async open => {
  const ada = await open(server.url);
  const invitations = await ada.evaluate(async () => {
    const { planNow } = await import('/meeting.js');
    const ticket = after => ({ code: `${after}`, seconds: 600, until: Date.now() + after * 1_000 });
    return planNow({ lobby: true, invitations: [ticket(60), ticket(-1)] }).invitations;
  });
  assert.deepEqual(invitations.map(({ code }) => code), ['60']);
  assert.ok(Math.abs(invitations[0].seconds - 60) <= 1, `${invitations[0].seconds} s`);
});
