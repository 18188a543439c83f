// Faster joins: Chromium's DTLS in STUN (SPED) and its SCTP without a handshake (SNAP), both behind field trials, over a
// path of 200 ms there and back; read off the wire.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startRecorder } from './recorder.mjs';
import { Visitor, freePort, launchBrowser, startServer, until } from './visitors.mjs';

const DELAY = 100; // ms one way
const ROUND_TRIP = 2 * DELAY;
const [IN_STUN, SERVER_HELLO] = [0xc070, 2];
const SPED = 'WebRTC-IceHandshakeDtls/Enabled/';
const SNAP = 'WebRTC-Sctp-Snap/Enabled/';

// The DTLS that rides on a message of STUN, if some does.
function embedded(data) {
  if (data[0] > 3) return null;
  for (let at = 20; at + 4 <= data.length;) {
    const [kind, length] = [data.readUInt16BE(at), data.readUInt16BE(at + 2)];
    if (kind === IN_STUN) return data.subarray(at + 4, at + 4 + length);
    at += 4 + Math.ceil(length / 4) * 4;
  }
  return null;
}

const isHello = dtls => dtls?.length > 13 && dtls[0] === 22 && dtls[13] === SERVER_HELLO;
const isMedia = data => data[0] >= 128 && data[0] < 192 && !(data[1] >= 192 && data[1] < 224); // RFC 5761

// One page in a browser of its own creates a room; what its joining looks like.
async function join(t, trials) {
  const recorder = await startRecorder('127.0.0.1', DELAY);
  recorder.udp = await freePort();
  const server = await startServer(0, ['--udp', `127.0.0.1:${recorder.udp}`, '--announce', `127.0.0.1:${recorder.media}`,
    '--engines', '1', '--carriers', 'udp']);
  const browser = await launchBrowser(trials ? [`--force-fieldtrials=${trials}`] : []);
  try {
    const ada = await Visitor.arrive(browser, 'Ada', `${server.url}?video=360`);
    await ada.create();
    const [said, answer] = await until('it is connected, and the channels are open', () => ada.page.evaluate(async () => {
      const { peer } = conference;
      const channels = [...(await peer.getStats()).values()].filter(s => s.type === 'data-channel');
      const open = channels.length > 0 && channels.every(({ state }) => state === 'open');
      return peer.connectionState === 'connected' && open && [peer.localDescription.sdp, peer.remoteDescription.sdp];
    }));
    await until('media comes', () => recorder.timeline().some(({ up, data }) => up && isMedia(data)));
    const took = await until('the server knows', () => server.log().match(/took_ms=(\d+)/));
    const timeline = recorder.timeline();
    const since = ({ at }) => at - timeline[0].at;
    const seen = {
      said,
      answer,
      hello: timeline.some(({ up, data }) => !up && isHello(embedded(data))),
      embeds: timeline.some(({ data }) => embedded(data) !== null),
      media: since(timeline.find(({ up, data }) => up && isMedia(data))),
      connected: Number(took[1]),
      errors: ada.errors,
    };
    t.diagnostic(`${trials || 'usual'}: media leaves the page ${Math.round(seen.media)} ms after its first check, `
      + `the server is connected ${seen.connected} ms after it was asked`);
    assert.deepEqual(seen.errors, []);
    return seen;
  } catch (error) {
    t.diagnostic(`the server's log:\n${server.log()}`);
    throw error;
  } finally {
    await browser.close();
    await server.stop();
    recorder.stop();
  }
}

// The fastest of some: a loaded machine makes each slower than it is.
async function fastest(t, trials) {
  const seen = [];
  for (let run = 0; run < 3; run++) seen.push(await join(t, trials));
  return seen.reduce((best, one) => (one.media < best.media ? one : best));
}

test('the handshake rides on checks, and media leaves sooner', { timeout: 240_000 }, async t => {
  const usual = await fastest(t, '');
  assert.doesNotMatch(usual.answer, /sped|sctp-init/);
  assert.ok(!usual.embeds, 'nothing rides on checks where it was not offered');
  const sped = await fastest(t, SPED);
  assert.match(sped.said, /^a=ice-options:.*\bsped\b/m);
  assert.match(sped.answer, /^a=ice-options:.*\bsped\b/m);
  assert.ok(sped.hello, 'the ServerHello rides on the answer to a check');
  // A key exchange of two datagrams takes a check more, so it is less than a round trip.
  assert.ok(sped.media < usual.media - DELAY / 2, `${sped.media} and ${usual.media} ms`);
  assert.ok(sped.media < 2 * ROUND_TRIP, `${sped.media} ms`);
});

test('channels begin without a handshake of SCTP', { timeout: 120_000 }, async t => {
  const snap = await join(t, SNAP);
  assert.match(snap.said, /^a=sctp-init:/m);
  assert.match(snap.answer, /^a=sctp-init:/m);
});

test('both at once', { timeout: 120_000 }, async t => {
  const both = await join(t, SPED + SNAP);
  assert.ok(both.hello, 'the ServerHello rides on the answer to a check');
  assert.match(both.answer, /^a=sctp-init:/m);
});
