// Each foreign client publishes into a room in which Chromium's page is, and views what that page
// publishes: the page decodes the client, and the client decodes the page.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import { Peer, startServer, until } from './call.mjs';
import { Caller, Visitor, launchChromium, launchFirefox } from './pages.mjs';

const LEAST_FPS = 4; // of 15 to 30: machines are busy
const LOUD = 20; // of 32,768: well above silence

let chromium;
let server;
let room;
let ada;

before(async () => {
  server = await startServer();
  room = await server.room();
  chromium = await launchChromium();
  ada = await Visitor.enter(chromium, 'Ada', new URL(room.page, server.url));
}, { timeout: 60_000 });

after(async () => {
  await chromium?.close();
  await server?.stop();
});

// A test whose peers are gone after it; when it fails, what they and the server said is shown.
function client(name, body) {
  test(name, { timeout: 90_000 }, async t => {
    const peers = [];
    const start = peer => {
      peers.push(peer);
      return peer;
    };
    try {
      await body(t, start);
    } catch (error) {
      for (const peer of peers) if (peer.log) t.diagnostic(`the peer: ${peer.log}`);
      t.diagnostic(`the server's log:\n${server.log().slice(-4_000)}`);
      throw error;
    } finally {
      await Promise.all(peers.map(peer => peer.leave()));
    }
  });
}

// The page decodes picture and sound of a participant.
async function assertSeen(t, name, label = name) {
  const { fps, energy } = await ada.watch(name);
  t.diagnostic(`Ada decodes ${label}: ${fps.toFixed(1)} frames/s, audio energy +${energy.toFixed(4)}`);
  assert.ok(fps >= LEAST_FPS, `Ada decodes the video of ${label}: ${fps} frames/s`);
  assert.ok(energy > 0, `Ada hears ${label}`);
}

// The peer decodes picture and sound of the page.
async function assertViews(t, peer, label) {
  await until(`${label} decodes Ada`, () => peer.stats.video > 0 && peer.stats.audio > 0, 30);
  const start = { ...peer.stats, at: performance.now() };
  let loudest = 0;
  await until(`${label} hears Ada's beeps`, () => {
    loudest = Math.max(loudest, peer.stats.level);
    return performance.now() - start.at > 4_000 && loudest > LOUD;
  }, 15);
  const fps = (peer.stats.video - start.video) / (performance.now() - start.at) * 1_000;
  t.diagnostic(`${label} decodes Ada: ${fps.toFixed(1)} frames/s, sound up to ${loudest.toFixed(0)} of 32768, `
    + `SRTP ${peer.stats.cipher ?? 'not told'}`);
  assert.ok(fps >= LEAST_FPS, `${label} decodes Ada's video: ${fps} frames/s`);
}

function foreign(name, make) {
  client(`${name} publishes by WHIP and views by WHEP`, async (t, start) => {
    const publisher = start(make('publish'));
    await publisher.join(server, room.whip);
    await assertSeen(t, 'WHIP guest', name);
    await publisher.leave();
    await until('the guest is gone', () => ada.page.evaluate(() => !document.body.textContent.includes('WHIP guest')));
    const viewer = start(make('view'));
    await viewer.join(server, room.whep);
    await assertViews(t, viewer, name);
  });
}

foreign('aiortc', part => Peer.aiortc(part));
foreign('node\'s libwebrtc', part => Peer.wrtc(part));

// With a certificate of P-256; its own has an RSA key.
const scratch = await mkdtemp(path.join(os.tmpdir(), 'clients-'));
after(() => rm(scratch, { recursive: true }));
const pem = path.join(scratch, 'peer.pem');
execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
  '-subj', '/CN=peer', '-days', '7', '-keyout', pem, '-out', path.join(scratch, 'certificate.pem')], { stdio: 'ignore' });
execFileSync('sh', ['-c', 'cat "$1" >> "$2"', 'sh', path.join(scratch, 'certificate.pem'), pem]);
foreign('GStreamer\'s webrtcbin', part => Peer.gstreamer(part, pem));

foreign('GStreamer with its own certificate of RSA', part => Peer.gstreamer(part, 'rsa'));

client('Chromium publishes by WHIP and views by WHEP', async (t, start) => {
  const publisher = start(await Caller.open(chromium, server));
  await publisher.join(room.whip, 'publish');
  await assertSeen(t, 'WHIP guest', 'Chromium');
  const viewer = start(await Caller.open(chromium, server));
  await viewer.join(room.whep, 'view');
  const first = await until('it decodes', async () => {
    const sample = await viewer.sample();
    return sample.frames > 0 && sample.energy > 0 && sample;
  });
  const sample = await until('more frames and sound', async () => {
    const sample = await viewer.sample();
    return sample.frames > first.frames + 3 * LEAST_FPS && sample.energy > first.energy && sample;
  });
  t.diagnostic(`Chromium views: ${sample.frames} frames, energy ${sample.energy.toFixed(4)}, TLS ${sample.tls}, ${sample.cipher}`);
});

client('Firefox talks by the page', async (t, start) => {
  const firefox = await launchFirefox();
  start({ leave: () => firefox.close() });
  const bob = await Visitor.enter(firefox, 'Bob', new URL(room.page, server.url));
  await assertSeen(t, 'Bob', 'Firefox');
  const { fps, energy } = await bob.watch('Ada');
  t.diagnostic(`Firefox decodes Ada: ${fps.toFixed(1)} frames/s, audio energy +${energy.toFixed(4)}, `
    + JSON.stringify(await bob.transport()));
  assert.ok(fps >= LEAST_FPS && energy > 0, `Firefox sees and hears Ada: ${fps} frames/s, energy ${energy}`);
});
