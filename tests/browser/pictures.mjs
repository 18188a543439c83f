// The README's pictures of the page, taken by hand: `node pictures.mjs`, with the server built. Three people, each
// drawn, in a meeting with a chat and notes.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import os from 'node:os';
import path from 'node:path';
import { DESKTOP, PHONE } from './scenes.mjs';
import { launchBrowser, startServer, until } from './visitors.mjs';

const OUT = fileURLToPath(new URL('../../examples/pictures/', import.meta.url));
const TOKEN = 'pictures';
const TALL = { width: 1100, height: 1140 };
const HISTORY = 45_000; // ms that charts show something of

const PEOPLE = [
  { name: 'Ada', language: 'en', viewport: DESKTOP, wall: [190, 118, 140], coat: [90, 150, 110], skin: [180, 108, 152] },
  { name: 'Basile', language: 'fr', viewport: DESKTOP, wall: [205, 130, 122], coat: [70, 120, 160], skin: [120, 112, 148] },
  { name: 'Chloé', language: 'fr', viewport: PHONE, wall: [175, 140, 118], coat: [110, 105, 190], skin: [205, 110, 146] },
];

// A film of somebody before a wall who nods (YUV4MPEG2, half the colours each way); colours are luma and two chromas.
function film({ wall, coat, skin }, width = 640, height = 360, frames = 30) {
  const colour = (x, y, nod) => {
    const within = (atX, atY, radiusX, radiusY) => ((x - atX) / radiusX) ** 2 + ((y - atY) / radiusY) ** 2 < 1;
    if (within(0.5, 0.4 + nod, 0.095, 0.21)) return skin;
    return within(0.5, 1, 0.25, 0.36) ? coat : wall;
  };
  const plane = (channel, step, nod) => Uint8Array.from({ length: width / step * height / step }, (_, at) => {
    const [x, y] = [at % (width / step), Math.floor(at / (width / step))];
    return colour(x * step / width, y * step / height, nod)[channel];
  });
  const film = [Buffer.from(`YUV4MPEG2 W${width} H${height} F15:1 Ip C420jpeg\n`)];
  for (let at = 0; at < frames; at += 1) {
    const nod = 0.01 * Math.sin(at / frames * 2 * Math.PI);
    film.push(Buffer.from('FRAME\n'), plane(0, 1, nod), plane(1, 2, nod), plane(2, 2, nod));
  }
  return Buffer.concat(film);
}

// Somebody's page, in a browser that takes the film for its camera.
async function arrive(person, folder, url) {
  const file = path.join(folder, `${person.name}.y4m`);
  await writeFile(file, film(person));
  const browser = await launchBrowser([`--use-file-for-fake-video-capture=${file}`]);
  const page = await browser.newPage({ viewport: person.viewport, locale: person.language, colorScheme: 'light' });
  await page.goto(url);
  await page.locator('#name').fill(person.name);
  await page.locator('#name').press('Enter');
  await page.locator('#room').waitFor();
  return { ...person, browser, page };
}

async function openTab({ page }, tab) {
  if (!await page.locator('#panel').isVisible()) await page.locator('#panel-button').click();
  await page.locator(`#tab-${tab}`).click();
}

async function say(visitor, text) {
  await openTab(visitor, 'chat');
  await visitor.page.locator('#chat-text').fill(text);
  await visitor.page.keyboard.press('Enter');
  await visitor.page.locator('#chat-log').getByText(text).waitFor();
}

async function write(visitor, text) {
  await openTab(visitor, 'notes');
  await visitor.page.locator('#notes-text').focus();
  await visitor.page.keyboard.press('Control+End');
  await visitor.page.keyboard.type(text);
}

async function take(page, name) {
  // Notices go by themselves.
  await until('no notice', async () => await page.locator('#notices > *').count() === 0);
  await page.screenshot({ path: path.join(OUT, `${name}.png`), animations: 'disabled' });
}

const folder = await mkdtemp(path.join(os.tmpdir(), 'pictures-'));
const server = await startServer(0, ['--admin-token', TOKEN, '--engines', '1']);
const visitors = [];
try {
  await mkdir(OUT, { recursive: true });
  let link = server.url;
  for (const person of PEOPLE) {
    visitors.push(await arrive(person, folder, link));
    link = await visitors[0].page.locator('#link').getAttribute('href');
  }
  const [ada, basile, chloe] = visitors;
  const playing = ({ page }) => page.evaluate(() =>
    [...document.querySelectorAll('.tile:not(.own) video')].filter(video => video.videoWidth > 0).length);
  for (const visitor of visitors) {
    await until(`${visitor.name} sees the others`, async () => await playing(visitor) === PEOPLE.length - 1);
  }
  await say(ada, 'Good morning! Shall we go through the budget first?');
  await say(basile, 'Bonjour à toutes les deux. Oui, volontiers.');
  await say(chloe, 'Je suis dans le train, je vous entends bien.');
  await say(ada, 'Then I write the notes, please add what I miss.');
  await write(ada, '# Budget 2027\n\n- Travel: 12,000 €, as this year\n');
  await write(basile, '- Matériel : deux postes à remplacer\n');
  await write(chloe, '- Formation : à voir en mars');

  await openTab(ada, 'chat');
  await take(ada.page, 'meeting');
  await openTab(basile, 'notes');
  await take(basile.page, 'meeting-fr');
  await chloe.page.locator('#panel-close').click();
  await take(chloe.page, 'phone-fr');

  const admin = await visitors[0].browser.newPage({ viewport: DESKTOP, locale: 'en', colorScheme: 'light' });
  await admin.goto(`${server.url}admin`);
  await admin.locator('#token').fill(TOKEN);
  await admin.locator('#token').press('Enter');
  await admin.locator('#server').waitFor();
  await ada.page.setViewportSize(TALL);
  await openTab(ada, 'connection');
  await sleep(HISTORY);
  await take(ada.page, 'connection');
  await admin.screenshot({ path: path.join(OUT, 'admin.png') });
} finally {
  await Promise.all(visitors.map(({ browser }) => browser.close()));
  await server.stop();
  await rm(folder, { recursive: true });
}
