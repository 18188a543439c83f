// Meetings as offices hold them: by invitation, with a lobby, moderators and shared screens.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { QUIET, onVisitors, openTab, press } from './scenes.mjs';
import { launchBrowser, until } from './visitors.mjs';

let browser;
before(async () => { browser = await launchBrowser(['--auto-accept-this-tab-capture', '--auto-select-desktop-capture-source=Meetings']); });
after(async () => { await browser?.close(); });

const meeting = (name, body) => onVisitors(() => browser, name, body);

const button = (visitor, name) => visitor.page.getByRole('button', { name, exact: true });
const hears = (visitor, text) => visitor.page.locator('#notices').getByText(text).waitFor();

// What a moderator does about somebody, by the menu in the list of people.
async function about(visitor, name, act) {
  await openTab(visitor, 'People');
  await visitor.page.locator('#people-list .row', { hasText: name }).locator('summary').click();
  await visitor.page.locator('#people-list .row', { hasText: name }).getByRole('button', { name: act }).click();
}

async function asks(visitor) {
  await visitor.page.getByRole('button', { name: 'Join the room' }).click();
  await visitor.page.locator('#lobby').waitFor();
}

const people = visitor => visitor.page.locator('#people-list .name').allTextContents();
const sees = (visitor, names) =>
  until(`${visitor.name} sees ${names}`, async () => (await people(visitor)).sort().join() === [...names].sort().join());
const isIn = visitor => visitor.page.locator('#room').waitFor();
const isOut = (visitor, words) => visitor.page.getByRole('alert').getByText(words).waitFor();

async function createWithLobby(visitor) {
  await visitor.page.getByLabel('Guests wait until I admit them').check();
  return visitor.create();
}

meeting('guests wait, are admitted or refused, and see nothing before', async ({ server, arrive }) => {
  const ada = await arrive('Ada', server.url + QUIET);
  const link = await createWithLobby(ada);
  const [bob, eve] = [await arrive('Bob', link + QUIET), await arrive('Eve', link + QUIET)];
  await asks(bob);
  await bob.page.getByText('The moderators have been told').waitFor();
  await hears(ada, 'Bob waits to be let in.');
  assert.equal(await bob.page.evaluate(() => conference.peer), null, 'no media');
  assert.deepEqual(await people(bob), []);
  await asks(eve);
  await openTab(ada, 'People');
  await press(ada, 'Admit Bob');
  await isIn(bob);
  await sees(bob, ['Ada', 'Bob (you)']);
  await press(ada, 'Refuse Eve');
  await isOut(eve, 'A moderator did not let you in.');
  await sees(ada, ['Ada (you)', 'Bob']);
  assert.equal(await ada.page.locator('#waiting').isVisible(), false);

  // Who was admitted comes back without waiting; the others are told whether a moderator is there.
  await asks(eve);
  await ada.page.close();
  await eve.page.getByText('No moderator is here yet.').waitFor();
  await bob.page.reload();
  await bob.join();
  await press(eve, 'Stop waiting');
  await eve.page.locator('#door').waitFor();
});

meeting('an invitation opens the room until it is taken back', async ({ server, arrive }) => {
  const ada = await arrive('Ada', server.url + QUIET);
  const link = await createWithLobby(ada);
  await openTab(ada, 'Meeting');
  await ada.page.getByLabel('It is good for').selectOption('one hour');
  await ada.page.getByLabel('How many guests').fill('2');
  await ada.page.getByLabel('Leads past the lobby').check();
  await press(ada, 'Make an invitation');
  const ticket = ada.page.locator('#tickets li');
  await ticket.getByText('2 left, past the lobby').waitFor();
  const invitation = await ticket.locator('a').getAttribute('href');
  assert.notEqual(invitation, link);

  const bob = await arrive('Bob', invitation + QUIET);
  await bob.join();
  await ticket.getByText('1 left').waitFor();
  assert.ok(!(await bob.page.content()).includes(link), 'the guest does not learn the code');
  await ticket.getByRole('button', { name: 'Take back' }).click();
  await ticket.waitFor({ state: 'detached' });
  const eve = await arrive('Eve', invitation + QUIET);
  const asked = Date.now();
  await eve.page.getByRole('button', { name: 'Join the room' }).click();
  await isOut(eve, 'There is no such room');
  assert.ok(Date.now() - asked >= 1_000, 'a refusal is slow');
  // Bob is there, and comes back to his place.
  await bob.page.reload();
  await bob.join();
  await sees(ada, ['Ada (you)', 'Bob']);
});

meeting('names, hands and requests to mute', async ({ server, arrive }) => {
  const ada = await arrive('Ada', `${server.url}?video=0`);
  const bob = await arrive('Bob', `${await ada.create()}?video=0`);
  await bob.join();
  await hears(ada, 'Bob has come in.');
  await openTab(bob, 'People');
  await bob.page.getByLabel('Name that others see').fill('  Robert   Hooke ');
  await press(bob, 'Change');
  await sees(ada, ['Ada (you)', 'Robert Hooke']);
  await ada.page.locator('.tile', { hasText: 'Robert Hooke' }).waitFor();

  await press(bob, 'Raise hand');
  await hears(ada, 'Robert Hooke raises a hand.');
  await ada.page.locator('.tile', { hasText: 'Robert Hooke' }).locator('.hand').waitFor();
  await about(ada, 'Robert', 'Lower the hand');
  await button(bob, 'Raise hand').waitFor();

  await about(ada, 'Robert', 'Ask to mute');
  await bob.page.getByText('Ada asks you to mute your microphone.').waitFor();
  assert.equal(await button(bob, 'Microphone: on').count(), 1, 'it is his to decide');
  await press(bob, 'Mute');
  await ada.page.locator('.tile', { hasText: 'Robert Hooke' }).locator('.muted').waitFor();
  await press(bob, 'Microphone: off');
  await press(ada, 'Ask everybody to mute');
  await bob.page.getByText('Ada asks you to mute').waitFor();
  await press(bob, 'Not now');
  assert.equal(await bob.page.locator('#asked').isVisible(), false);
  assert.equal(await ada.page.locator('#asked').isVisible(), false, 'who asks is not asked');
});

meeting('who is taken out comes back only when admitted', async ({ server, arrive }) => {
  const ada = await arrive('Ada', `${server.url}?video=360`);
  const bob = await arrive('Bob', `${await ada.create()}?video=360`);
  await bob.join();
  await Promise.all([ada.receives(['Bob']), bob.receives(['Ada'])]);
  await about(ada, 'Bob', 'Remove');
  await ada.page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await isOut(bob, 'A moderator took you out of the meeting.');
  assert.equal(await bob.page.evaluate(() => conference.peer), null);
  await ada.receives([]);
  await asks(bob);
  // Nor by what a page of his own would send.
  const said = await bob.page.evaluate(code => new Promise(resolve => {
    const socket = new WebSocket('/ws');
    const seat = JSON.parse(sessionStorage.getItem(`seat:${code}`));
    socket.onopen = () => socket.send(JSON.stringify({ type: 'join', code, seat, name: 'Bob', resume: true }));
    let said = null;
    socket.onmessage = ({ data }) => { said = JSON.parse(data).type; socket.close(); };
    socket.onclose = () => resolve(said);
  }), new URL(bob.page.url()).pathname.split('/')[2]);
  assert.equal(said, 'waits');
  await ada.page.locator('#waiting-list .row').nth(1).waitFor({ state: 'detached' });
  await press(ada, 'Admit Bob');
  await Promise.all([ada.receives(['Bob']), bob.receives(['Ada'])]);
});

meeting('a lock, another moderator, and the end for all', async ({ server, arrive }) => {
  const ada = await arrive('Ada', server.url + QUIET);
  const link = await ada.create();
  const [bob, eve] = [await arrive('Bob', link + QUIET), await arrive('Eve', link + QUIET)];
  await bob.join();
  assert.equal(await bob.page.locator('#end').isVisible(), false, 'not for guests');
  await about(ada, 'Bob', 'Make a moderator');
  await hears(bob, 'You are a moderator now.');
  await openTab(bob, 'Meeting');
  await bob.page.getByLabel('Locked').check();
  await hears(ada, 'The meeting is locked.');
  await eve.page.getByRole('button', { name: 'Join the room' }).click();
  await isOut(eve, 'There is no such room');
  await bob.page.getByLabel('Locked').uncheck();
  await hears(ada, 'The meeting is open again.');
  await eve.join();
  // Who made the room stays.
  await about(bob, 'Ada', 'Remove');
  await bob.page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await hears(bob, 'Who created the meeting cannot be taken out.');
  await openTab(bob, 'Meeting');
  await press(bob, 'End the meeting for all');
  await bob.page.getByRole('dialog').getByRole('button', { name: 'End' }).click();
  await Promise.all([ada, bob, eve].map(visitor => isOut(visitor, 'The meeting has ended.')));
  await eve.page.getByRole('button', { name: 'Join the room' }).click();
  await isOut(eve, 'There is no such room');
});

meeting('a moderator keeps the role over a reload and a restart of the server', async ({ server, arrive, serve }) => {
  const ada = await arrive('Ada', server.url + QUIET);
  const link = await createWithLobby(ada);
  assert.ok(!link.includes(await ada.page.evaluate(() => JSON.parse(localStorage.meetings)[0].secret)));
  await ada.page.reload();
  await ada.page.getByText('You are a moderator of this meeting.').waitFor();
  await ada.join();
  await openTab(ada, 'Meeting');
  await ada.page.getByLabel('Guests wait until a moderator admits them').uncheck();
  await press(ada, 'Make an invitation');
  await ada.page.locator('#tickets li').waitFor();
  const invitation = await ada.page.locator('#tickets a').getAttribute('href');
  const [bob, eve] = [await arrive('Bob', link + QUIET), await arrive('Eve', invitation + QUIET)];
  await bob.join();
  await eve.join();

  await server.stop();
  await Promise.all([ada, bob].map(visitor =>
    until(`${visitor.name} is told`, async () => (await visitor.status()).includes('cannot be reached'))));
  await serve(new URL(server.url).port);
  await sees(ada, ['Ada (you)', 'Bob', 'Eve']);
  assert.equal(await ada.page.locator('#end').isVisible(), true, 'still a moderator');
  assert.equal(await ada.page.locator('#tickets a').getAttribute('href'), invitation);
  assert.equal(await bob.page.locator('#end').isVisible(), false);
});

meeting('a second tab takes over, and the first one does not fight for its place', async ({ server, arrive }) => {
  const ada = await arrive('Ada', server.url + QUIET);
  const link = await ada.create();
  const seat = await ada.page.evaluate(code => sessionStorage[`seat:${code}`], link.split('/r/')[1]);
  const other = await arrive('Ada', link + QUIET);
  await other.page.evaluate(([key, seat]) => { sessionStorage[key] = seat; }, [`seat:${link.split('/r/')[1]}`, seat]);
  await other.join();
  await isOut(ada, 'You have joined this meeting from another tab.');
  await sleep(1_500);
  await sees(other, ['Ada (you)']);
  assert.equal(await ada.page.locator('#door').isVisible(), true);
});

meeting('a shared screen is seen by another as a picture of its own', async ({ server, arrive }) => {
  const ada = await arrive('Ada', `${server.url}?video=360`);
  const link = await ada.create();
  const bob = await arrive('Bob', `${link}?video=360`);
  await bob.join();
  await bob.receives(['Ada']);
  const look = visitor => visitor.page.evaluate(async () => {
    const video = document.querySelector('.screen video');
    const stats = [...(await conference.peer.getStats()).values()];
    const of = track => stats.find(s => s.type === 'inbound-rtp' && s.trackIdentifier === track?.id) ?? {};
    const [audio, picture] = [video?.srcObject?.getAudioTracks()[0], video?.srcObject?.getVideoTracks()[0]];
    return { frames: of(picture).framesDecoded, width: video?.videoWidth, energy: of(audio).totalAudioEnergy };
  });
  for (const stop of ['button', 'browser']) {
    await press(ada, 'Share screen');
    await button(ada, 'Stop sharing').waitFor();
    await bob.page.locator('.screen', { hasText: 'Screen of Ada' }).waitFor();
    await until('Bob sees and hears the screen', async () => {
      const { frames, width, energy } = await look(bob);
      return frames > 0 && width > 0 && energy > 0;
    });
    await bob.receives(['Ada']);
    await bob.picture(`screen-${stop}`);
    // Who comes later sees it too.
    if (stop === 'button') {
      const eve = await arrive('Eve', link + QUIET);
      await eve.join();
      await eve.page.locator('.screen', { hasText: 'Screen of Ada' }).waitFor();
      await eve.leave();
      await press(ada, 'Stop sharing');
    } else {
      await ada.page.evaluate(() => {
        const [line] = conference.peer.getTransceivers().filter(({ sender }) => sender.track?.contentHint === 'detail');
        line.sender.track.stop();
        line.sender.track.dispatchEvent(new Event('ended'));
      });
    }
    await bob.page.locator('.screen').waitFor({ state: 'detached' });
    await bob.receives(['Ada']);
  }
  await press(ada, 'Share screen');
  await bob.page.locator('.screen').waitFor();
  await ada.leave();
  await bob.page.locator('.screen').waitFor({ state: 'detached' });
});
