// What a meeting writes: its chat and its notes, on data channels.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { PHONE, QUIET, onVisitors, openTab, press } from './scenes.mjs';
import { launchBrowser, until } from './visitors.mjs';

let browser;
before(async () => { browser = await launchBrowser(); });
after(async () => { await browser?.close(); });


// As many visitors in one room as there are names, connected, and its link.
function together(name, body) {
  onVisitors(() => browser, name, async ({ arrive: arriveAt, ...scene }) => {
    const arrive = (who, url, prepare) => arriveAt(who, url + QUIET, prepare);
    const meet = async names => {
      const first = await arrive(names[0], scene.server.url);
      const link = await first.create();
      const others = [];
      for (const name of names.slice(1)) {
        others.push(await arrive(name, link));
        await others.at(-1).join();
      }
      await Promise.all([first, ...others].map(connected));
      return [first, ...others, link];
    };
    await body({ ...scene, arrive, meet });
  });
}

const connected = ({ page }) => page.getByText('Connected.', { exact: true }).waitFor();

async function say({ page }, text) {
  await page.getByLabel('Your message').fill(text);
  await page.getByLabel('Your message').press('Enter');
}

// The chat as somebody sees it: `name: text`.
const chatOf = ({ page }) => page.locator('.said').evaluateAll(rows => rows.map(row =>
  `${row.querySelector('.name').textContent}: ${row.querySelector('.text').textContent}`));
const reads = (visitor, lines) => until(`${visitor.name} reads ${lines}`, async () => {
  const chat = await chatOf(visitor);
  return chat.length === lines.length && chat.every((line, at) => line === lines[at]);
}).catch(async error => { throw new Error(`${error.message}, but ${await chatOf(visitor)}`); });

const notes = ({ page }) => page.locator('#notes-text');
// At once, as a paste is: typing long texts takes the browser its time.
const put = (visitor, text) => notes(visitor).evaluate((field, text) => {
  field.value = text;
  field.dispatchEvent(new Event('input'));
}, text);
const textOf = visitor => notes(visitor).inputValue();
const has = (visitor, text) => until(`${visitor.name} has ${JSON.stringify(text)}`, async () => await textOf(visitor) === text)
  .catch(async error => { throw new Error(`${error.message}, but ${JSON.stringify(await textOf(visitor))}`); });

// The data channel of a page by its name, as its own script has it.
const channelsInReach = page => page.addInitScript(() => {
  const make = RTCPeerConnection.prototype.createDataChannel;
  window.made = {};
  RTCPeerConnection.prototype.createDataChannel = function (name, options) {
    return window.made[name] = make.call(this, name, options);
  };
});

together('three chat, by their names, and nobody speaks for another', async ({ meet }) => {
  const [ada, bob, eve] = await meet(['Ada', 'Bob', 'Eve']);
  for (const visitor of [ada, bob]) await openTab(visitor, 'Chat');
  await say(ada, 'Hello');
  await reads(bob, ['Ada: Hello']);
  await eve.page.locator('#notices').getByText('Ada writes: Hello').waitFor();
  assert.match(await eve.page.locator('#panel-button').textContent(), /1 unread/);
  await openTab(eve, 'Chat 1');
  await until('all is read', async () => !await eve.page.locator('.unread:visible').count());

  // Several lines, links, and what looks like a page's own language.
  await bob.page.getByLabel('Your message').pressSequentially('See https://example.org/a?b=1.');
  await bob.page.keyboard.press('Shift+Enter');
  await bob.page.keyboard.type('<img src=x onerror=alert(1)> javascript:alert(1)');
  await bob.page.keyboard.press('Enter');
  const text = 'See https://example.org/a?b=1.\n<img src=x onerror=alert(1)> javascript:alert(1)';
  await reads(ada, ['Ada (you): Hello', `Bob: ${text}`]);
  const links = await ada.page.locator('.said a').evaluateAll(all => all.map(({ href, rel, target }) => [href, rel, target]));
  assert.deepEqual(links, [['https://example.org/a?b=1', 'noopener noreferrer nofollow', '_blank']]);
  assert.equal(await ada.page.locator('.said img').count(), 0);
  assert.equal(await bob.page.locator('.said.own').count(), 1);

  await say(eve, '{"type":"said","from":"p1","name":"Ada","time":1,"text":"I resign"}');
  await until('it is Eve who said so', async () => (await chatOf(ada)).at(-1)?.startsWith('Eve: {'));
  // By the new name from now on.
  await openTab(eve, 'People');
  await eve.page.getByLabel('Name that others see').fill('Evelyn');
  await press(eve, 'Change');
  await ada.page.locator('.tile', { hasText: 'Evelyn' }).waitFor();
  await openTab(eve, 'Chat');
  await say(eve, 'Sorry');
  await until('it is Evelyn', async () => (await chatOf(ada)).at(-1) === 'Evelyn: Sorry');
});

together('who comes later finds the chat and the notes', async ({ arrive, meet }) => {
  const [ada, bob, link] = await meet(['Ada', 'Bob']);
  await openTab(ada, 'Chat');
  await say(ada, 'first');
  await say(ada, 'second');
  await openTab(bob, 'Notes');
  // Longer than one message may be.
  const long = 'A line of the notes, and another one of them.\n'.repeat(2_000);
  await put(bob, long);
  await openTab(ada, 'Notes');
  await has(ada, long);
  const eve = await arrive('Eve', link);
  await eve.join();
  await connected(eve);
  await openTab(eve, 'Chat');
  await reads(eve, ['Ada: first', 'Ada: second']);
  assert.equal(await eve.page.locator('.unread:visible').count(), 0, 'what was before is not news');
  await openTab(eve, 'Notes');
  await has(eve, long);
});

together('three write the notes at the same time and have the same', async ({ meet }) => {
  const all = await meet(['Ada', 'Bob', 'Eve']).then(met => met.slice(0, 3));
  const [ada, bob, eve] = all;
  for (const visitor of all) await openTab(visitor, 'Notes');
  await notes(ada).fill('top\nmiddle\nbottom');
  await has(bob, 'top\nmiddle\nbottom');
  await has(eve, 'top\nmiddle\nbottom');
  // Each in a line of its own.
  const at = async ({ page }, place) => {
    await page.locator('#notes-text').focus();
    await page.locator('#notes-text').evaluate((field, place) => field.setSelectionRange(place, place), place);
  };
  await at(ada, 3);
  await at(bob, 10);
  await at(eve, 17);
  const written = { Ada: ' of Ada', Bob: ' of Böb 😀', Eve: ' of Eve' };
  await Promise.all(all.map(({ name, page }) => page.keyboard.type(written[name], { delay: 40 })));
  const expected = 'top of Ada\nmiddle of Böb 😀\nbottom of Eve';
  for (const visitor of all) await has(visitor, expected);

  // All in one place, with letters alike, and deleting.
  for (const visitor of all) await at(visitor, 3);
  await Promise.all(all.map(({ page }) => page.keyboard.type('aaaaaaaaaa', { delay: 15 })));
  await Promise.all(all.map(async ({ page }) => { for (let n = 0; n < 4; n += 1) await page.keyboard.press('Backspace'); }));
  const same = async () => new Set(await Promise.all(all.map(textOf))).size === 1;
  await until('all have the same', same);
  assert.equal((await textOf(ada)).length, expected.length + 30 - 12);
  // While Bob composes a word they do not have the same.
  const composition = type => notes(bob).evaluate((field, type) => field.dispatchEvent(new Event(type)), type);
  await composition('compositionstart');
  await at(ada, 0);
  await ada.page.keyboard.type('x');
  await until('Eve has it', async () => (await textOf(eve)).startsWith('x'));
  assert.equal(await same(), false);
  await composition('compositionend');
  await until('all have the same', same);

  // One's own is undone, not what others did.
  await at(bob, 0);
  await bob.page.keyboard.type('BOB ');
  await until('Ada has it', async () => (await textOf(ada)).startsWith('BOB '));
  await at(ada, 0);
  await ada.page.keyboard.type('ADA ');
  await until('Bob has it', async () => (await textOf(bob)).includes('ADA '));
  await notes(bob).focus();
  await bob.page.keyboard.press('Control+z');
  await until('Bob has undone', async () => !/BOB/.test(await textOf(ada)) && /ADA/.test(await textOf(ada)));
  await until('all have the same', same);
});

together('the others\' carets are seen, with their names', async ({ meet }) => {
  const [ada, bob, eve] = await meet(['Ada', 'Bob', 'Eve']);
  for (const visitor of [ada, bob, eve]) await openTab(visitor, 'Notes');
  await notes(ada).fill('one\ntwo\nthree');
  await has(bob, 'one\ntwo\nthree');
  await notes(ada).press('End');
  await bob.page.getByRole('list', { name: 'Who is writing where' }).getByText('Ada is writing in line 3').waitFor();
  const caret = bob.page.locator('.caret', { hasText: 'Ada' });
  const [before, field] = [await caret.boundingBox(), await notes(bob).boundingBox()];
  assert.ok(before.x > field.x && before.y > field.y && before.y < field.y + 100, 'in the field');
  await bob.picture('notes-caret');
  // It moves with the text around it.
  await notes(bob).evaluate(field => field.setSelectionRange(0, 0));
  await notes(bob).focus();
  await bob.page.keyboard.type('zero');
  await bob.page.keyboard.press('Enter');
  await bob.page.getByText('Ada is writing in line 4').waitFor();
  await ada.page.getByText('Bob is writing in line 2').waitFor();
  // Who goes elsewhere has none.
  await eve.page.locator('#notes-save').focus();
  await ada.page.locator('#notes-save').focus();
  await bob.page.locator('.caret').waitFor({ state: 'detached' });
});

together('chat and notes are saved as files, and who leaves is warned', async ({ meet }) => {
  const [ada, bob] = await meet(['Ada', 'Bob']);
  await openTab(bob, 'Chat');
  await say(bob, 'Grüße\nfrom Bob');
  await openTab(ada, 'Chat');
  await reads(ada, ['Bob: Grüße\nfrom Bob']);
  const saved = async label => {
    const [download] = await Promise.all([ada.page.waitForEvent('download'), press(ada, label)]);
    return { name: download.suggestedFilename(), text: await readFile(await download.path(), 'utf8') };
  };
  const chat = await saved('Save the chat');
  assert.match(chat.name, /^chat-\d{4}-\d\d-\d\d\.txt$/);
  assert.match(chat.text, /^\[.+\] Bob: Grüße\nfrom Bob\n$/);
  await openTab(ada, 'Notes');
  await notes(ada).fill('# Minutes\n\n* é');
  await press(ada, 'Leave');
  await ada.page.getByRole('dialog').getByText('You have not saved its notes, which vanish with the meeting.').waitFor();
  await press(ada, 'Cancel');
  const kept = await saved('Save the notes');
  assert.match(kept.name, /^notes-\d{4}-\d\d-\d\d\.md$/);
  assert.equal(kept.text, '# Minutes\n\n* é');
  await ada.leave();
});

together('megabytes are refused, by the page and by the server, and the meeting goes on', async ({ arrive, meet, server }) => {
  const [ada, , link] = await meet(['Ada', 'Bob']);
  const eve = await arrive('Eve', link, channelsInReach);
  await eve.join();
  await connected(eve);
  await openTab(ada, 'Chat');
  await ada.page.evaluate(() => {
    const field = document.getElementById('chat-text');
    field.focus();
    const dataTransfer = new DataTransfer();
    dataTransfer.setData('text/plain', 'x'.repeat(4_000_000));
    field.dispatchEvent(new InputEvent('beforeinput', { inputType: 'insertFromPaste', dataTransfer, cancelable: true }))
      && (field.value = dataTransfer.getData('text/plain'));
  });
  await ada.page.getByText('That is too long for the chat.').waitFor();
  assert.equal(await ada.page.getByLabel('Your message').inputValue(), '');
  await ada.page.getByLabel('Your message').evaluate(field => { field.value = 'é'.repeat(2_000_000); });
  await ada.page.getByLabel('Your message').press('Enter');
  await ada.page.getByText('That is too long for the chat.').waitFor();
  await openTab(ada, 'Notes');
  await notes(ada).fill('kept');
  await put(ada, 'x'.repeat(3_000_000));
  await ada.page.getByText('That is too long for the notes').waitFor();
  assert.equal(await textOf(ada), 'kept');

  // A page that asks nobody.
  const said = await eve.page.evaluate(async () => {
    const { chat, text, cursors } = window.made;
    const answers = [];
    const heard = new Promise(resolve => chat.addEventListener('message', ({ data }) => {
      answers.push(JSON.parse(data));
      if (answers.length === 2) resolve();
    }));
    chat.send('x'.repeat(60_000));
    chat.send(new Uint8Array([255, 254]));
    await heard;
    text.send(new Uint8Array([2, 1, 1, 1, 0, 8, 1, 5, 110, 111, 116, 101, 115, 1, ...Array(40_000).fill([117, 1]).flat().slice(0, 50_000)]));
    for (const bytes of [[], [0], [1, 2, 3], Array(500).fill(255)]) cursors.send(new Uint8Array(bytes));
    return answers.map(({ type, why }) => `${type} ${why}`);
  });
  assert.deepEqual(said, ['refused long', 'refused long']);
  await until('the server has refused her change', () => /a change of the text is refused/.test(server.log()));
  await has(eve, 'kept');
  await openTab(ada, 'Chat');
  await say(ada, 'Still here');
  await openTab(eve, 'Chat');
  await reads(eve, ['Ada: Still here']);
  await openTab(eve, 'Notes');
  await notes(eve).focus();
  await eve.page.keyboard.type('too ');
  await until('Ada has what Eve writes', async () => /too/.test(await textOf(ada)));
});

together('a server that starts again gets the notes back', async ({ server, meet, serve, arrive }) => {
  const [ada, bob, link] = await meet(['Ada', 'Bob']);
  for (const visitor of [ada, bob]) await openTab(visitor, 'Notes');
  await notes(ada).fill('before ');
  await has(bob, 'before ');
  await openTab(ada, 'Chat');
  await say(ada, 'hello');
  await reads(bob, ['Ada: hello']);
  const { port } = new URL(server.url);
  await server.stop();
  await bob.page.getByText('Trying again').waitFor();
  // What is written meanwhile is not lost.
  await notes(bob).press('End');
  await bob.page.keyboard.type('and meanwhile');
  await serve(port);
  await Promise.all([ada, bob].map(connected));
  await has(ada, 'before and meanwhile');
  assert.deepEqual(await chatOf(bob), ['Ada: hello'], 'still on the page');
  const eve = await arrive('Eve', link);
  await eve.join();
  await openTab(eve, 'Notes');
  await has(eve, 'before and meanwhile');
});

together('all is gone with the room', async ({ arrive, meet }) => {
  const [ada, bob, link] = await meet(['Ada', 'Bob']);
  await openTab(ada, 'Chat');
  await say(ada, 'secret');
  await reads(bob, ['Ada: secret']);
  await openTab(bob, 'Notes');
  await notes(bob).fill('secret');
  for (const visitor of [ada, bob]) {
    await press(visitor, 'Leave');
    await visitor.page.getByRole('dialog').getByRole('button', { name: 'Leave' }).click();
    await visitor.page.locator('#door').waitFor();
  }
  assert.deepEqual(await chatOf(ada), []);
  assert.equal(await textOf(bob), '');
  await ada.page.goto(link + QUIET);
  await ada.page.getByLabel('Your name').fill('Ada');
  await ada.join();
  await connected(ada);
  await openTab(ada, 'Chat');
  await say(ada, 'anybody?');
  await reads(ada, ['Ada (you): anybody?']);
  const eve = await arrive('Eve', link);
  await eve.join();
  await connected(eve);
  await reads(eve, ['Ada: anybody?']);
  assert.equal(await textOf(eve), '');
});

together('a page without data channels meets all the same', async ({ arrive, meet }) => {
  const [ada, link] = await meet(['Ada']);
  const old = await arrive('Old', link, page => page.addInitScript(() => { delete RTCPeerConnection.prototype.createDataChannel; }));
  await old.join();
  await connected(old);
  await ada.page.locator('.tile', { hasText: 'Old' }).waitFor();
  await openTab(old, 'Chat');
  await say(old, 'hello');
  await old.page.getByText('There is no connection at the moment.').waitFor();
  await openTab(ada, 'Chat');
  await say(ada, 'hello');
  await reads(ada, ['Ada (you): hello']);
});

together('what was said too often goes back into the field', async ({ meet }) => {
  const [ada] = await meet(['Ada']);
  await openTab(ada, 'Chat');
  await ada.page.getByLabel('Your message').evaluate(field => {
    for (let number = 0; number < 12; number += 1) {
      field.value = `number ${number}`;
      field.form.requestSubmit();
    }
  });
  await until('the field has what was refused', async () => /^number \d+/.test(await ada.page.getByLabel('Your message').inputValue()));
  const said = await chatOf(ada);
  const kept = (await ada.page.getByLabel('Your message').inputValue()).split('\n');
  assert.deepEqual(kept.filter(text => said.includes(`Ada (you): ${text}`)), [], 'only what was not said');
  await until('she may again', async () => {
    await ada.page.getByLabel('Your message').press('Enter');
    return await ada.page.getByLabel('Your message').inputValue() === '';
  });
});

together('a channel that is closed is opened again, and the server asked again that had no time', async ({ arrive, meet }) => {
  const [ada, link] = await meet(['Ada']);
  const bob = await arrive('Bob', link, async page => {
    await channelsInReach(page);
    // The first is closed before it was open.
    await page.addInitScript(() => {
      const make = RTCPeerConnection.prototype.createDataChannel;
      RTCPeerConnection.prototype.createDataChannel = function (name, options) {
        const first = name === 'text' && !window.made.text;
        const channel = make.call(this, name, options);
        if (first) channel.close();
        return channel;
      };
    });
  });
  await bob.join();
  await connected(bob);
  for (const visitor of [ada, bob]) await openTab(visitor, 'Notes');
  await notes(ada).fill('one');
  await has(bob, 'one');
  await bob.page.evaluate(() => window.made.text.close());
  await notes(bob).press('End');
  await bob.page.keyboard.type(' two');
  await has(ada, 'one two');

  const asked = await bob.page.evaluate(async () => {
    const { text } = window.made;
    const kinds = [];
    text.send = function (message) {
      kinds.push(message[0]);
      return RTCDataChannel.prototype.send.call(this, message);
    };
    const often = new Uint8Array([3, ...new TextEncoder().encode('often')]).buffer;
    text.dispatchEvent(new MessageEvent('message', { data: often }));
    const atOnce = kinds.length;
    await new Promise(resolve => { setTimeout(resolve, 3_000); });
    return { atOnce, then: kinds[0], problem: document.getElementById('notes-problem').textContent };
  });
  assert.deepEqual(asked, { atOnce: 0, then: 0, problem: '' });
  await notes(ada).fill('three');
  await has(bob, 'three');
});

together('chat and notes on a phone', async ({ meet }) => {
  const [ada, bob] = await meet(['Ada', 'Bob']);
  await bob.page.setViewportSize(PHONE);
  await openTab(bob, 'Chat');
  await openTab(ada, 'Chat');
  await say(ada, 'x'.repeat(500));
  await reads(bob, [`Ada: ${'x'.repeat(500)}`]);
  await bob.picture('chat-phone');
  await openTab(bob, 'Notes');
  await notes(bob).fill('a long line of the notes that is wrapped on a phone\n'.repeat(30));
  await openTab(ada, 'Notes');
  await notes(ada).focus();
  await bob.page.getByText('Ada is writing in line').waitFor();
  await bob.picture('notes-phone');
  const wide = () => bob.page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  assert.equal(await wide(), false);
  await bob.page.evaluate(() => { document.querySelector('header').style.minWidth = '500px'; });
  assert.equal(await wide(), true, 'what is too wide is seen to be');
});
