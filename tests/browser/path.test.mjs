// Chromium looks on through a path that is narrow for a while: the simulator's link as a relay of UDP, 3 Mbit/s to the
// browser, 300 kbit/s, and 3 Mbit/s again. The picture has to become small at once and large again soon, and the
// sound has to be whole all the time; by transport-wide feedback and by RFC 8888.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { Visitor, freePort, launchBrowser, startServer, until } from './visitors.mjs';

const [WIDE, NARROW] = [3_000, 300]; // kbit/s
const [FALL, RISE, END] = [45, 65, 85]; // s after the first datagram
const DOWN = 2; // s at most from the fall until smaller pictures are shown
const UP = 10; // s at most from the rise until the picture is as large as before
const CONCEALED = 0.01; // of all samples at most

const CCFB = '--force-fieldtrials=WebRTC-RFC8888CongestionControlFeedback/Enabled,offer:true/';
const root = fileURLToPath(new URL('../..', import.meta.url));
const target = process.env.CARGO_TARGET_DIR ?? path.join(root, 'target');
const program = process.env.RELAY ?? path.join(target, 'release', 'examples', 'relay');

// The relay before a server; its first line of figures comes a second after the first datagram.
function startRelay(listen, server) {
  const down = `${WIDE},${FALL}:${NARROW},${RISE}:${WIDE}`;
  const child = spawn(program, [`127.0.0.1:${listen}`, `127.0.0.1:${server}`,
    '--down', down, '--delay', '20', '--queue', '300'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = [];
  child.stdout.on('data', data => lines.push(...data.toString().split('\n').filter(Boolean)));
  child.once('error', error => { throw new Error(`cannot start ${program}: ${error.message}`); });
  return { lines, stop: () => child.kill() };
}

const look = visitor => visitor.page.evaluate(async () => {
  const stats = [...(await conference.peer.getStats()).values()];
  const inbound = kind => stats.find(s => s.type === 'inbound-rtp' && s.kind === kind && s.packetsReceived > 0) ?? {};
  const [video, audio] = [inbound('video'), inbound('audio')];
  return {
    at: Date.now(),
    height: video.frameHeight ?? 0,
    frames: video.framesDecoded ?? 0,
    freezes: video.freezeCount ?? 0,
    frozen: video.totalFreezesDuration ?? 0,
    samples: audio.totalSamplesReceived ?? 0,
    // Samples that stand for what was never sent, as in a pause, are no loss.
    concealed: (audio.concealedSamples ?? 0) - (audio.silentConcealedSamples ?? 0),
    lost: audio.packetsLost ?? 0,
  };
});

function narrowed(name, switches) {
  test(name, { timeout: 240_000 }, async t => {
    const [udp, listen] = [await freePort(), await freePort()];
    const browser = await launchBrowser(switches);
    const server = await startServer(0, ['--udp', `127.0.0.1:${udp}`, '--announce', `127.0.0.1:${listen}`,
      '--engines', '1', '--carriers', 'udp', ...(process.env.DECISIONS ? ['--decision-log', process.env.DECISIONS] : [])]);
    const relay = startRelay(listen, udp);
    try {
      const ada = await Visitor.arrive(browser, 'Ada', `${server.url}?video=720`);
      const bob = await Visitor.arrive(browser, 'Bob', `${await ada.create()}?audio=0&video=0`);
      // The relay's clock runs from the first datagram.
      await until('the relay has begun', () => relay.lines.length > 1);
      const began = Date.now() - 1_000;
      await bob.join();
      await bob.receives(['Ada']);
      const seen = [];
      while (Date.now() < began + END * 1_000) {
        const now = await look(bob);
        seen.push({ ...now, second: (now.at - began) / 1_000 });
        await sleep(200);
      }
      const within = (from, to) => seen.filter(({ second }) => from <= second && second < to);
      const [before] = within(FALL - 1, FALL).slice(-1);
      const smaller = within(FALL, RISE).find(({ height }) => height < before.height);
      const larger = within(RISE, END).find(({ height }) => height >= before.height);
      const share = (from, to) => {
        const [first, last] = [within(from, to)[0], within(from, to).at(-1)];
        return (last.concealed - first.concealed) / (last.samples - first.samples);
      };
      const concealed = share(FALL - 10, END);
      t.diagnostic(`${before.height} lines; smaller ${smaller && (smaller.second - FALL).toFixed(1)} s after the fall `
        + `(${smaller?.height}), as large ${larger && (larger.second - RISE).toFixed(1)} s after the rise; `
        + `${(100 * concealed).toFixed(2)} % of the sound concealed; frozen ${seen.at(-1).frozen.toFixed(1)} s in all`);
      assert.ok(before.height >= 360, `only ${before.height} lines before the fall`);
      assert.ok(smaller && smaller.second - FALL <= DOWN, 'smaller pictures soon after the fall');
      assert.ok(larger && larger.second - RISE <= UP, 'as large soon after the rise');
      assert.ok(concealed < CONCEALED, `${concealed} of the sound is concealed`);
      assert.deepEqual([ada, bob].flatMap(({ errors }) => errors), [], 'no errors on any page');
    } catch (error) {
      t.diagnostic(`the relay:\n${relay.lines.join('\n')}\nthe server's log:\n${server.log()}`);
      throw error;
    } finally {
      await browser.close();
      await server.stop();
      relay.stop();
    }
  });
}

narrowed('transport-wide feedback', []);
narrowed('reports by stream (RFC 8888)', [CCFB]);
