// Chromium looks on through a path that is narrow for a while: the simulator's link as a relay of UDP, 3 Mbit/s to the
// browser, 300 kbit/s, and 3 Mbit/s again. The picture has to become small at once and large again soon, and the
// sound has to be whole all the time; by transport-wide feedback and by RFC 8888.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { concealedShare, look, offer, startBehindRelay } from './relay.mjs';
import { Visitor, launchBrowser } from './visitors.mjs';

const [WIDE, NARROW] = [3_000, 300]; // kbit/s
const [FALL, RISE, END] = [45, 65, 85]; // s after the first datagram
const DOWN = 2; // s at most from the fall until smaller pictures are shown
// s at most from the rise until the picture is as large as before: seconds where the machine is quiet, while jitter of
// the browser's own hides what a small probe shows.
const UP = 20;
// Of all samples at most: what is under way at the fall is lost whatever the server does, and a loaded machine has gaps of
// its own.
const CONCEALED = 0.02;

const CCFB = '--force-fieldtrials=WebRTC-RFC8888CongestionControlFeedback/Enabled,offer:true/';

function narrowed(name, switches) {
  test(name, { timeout: 240_000 }, async t => {
    const browser = await launchBrowser(switches);
    const server = await startBehindRelay(`${WIDE},${FALL}:${NARROW},${RISE}:${WIDE}`);
    const seen = [];
    try {
      const ada = await Visitor.arrive(browser, 'Ada', `${server.url}?video=720`);
      const bob = await Visitor.arrive(browser, 'Bob', `${await ada.create()}?audio=0&video=0`);
      const began = await server.began();
      await bob.join();
      await bob.receives(['Ada']);
      while (Date.now() < began + END * 1_000) {
        const [now, offered] = [await look(bob), await offer(ada)];
        seen.push({ ...now, offered, second: (now.at - began) / 1_000 });
        await sleep(200);
      }
      const within = (from, to) => seen.filter(({ second }) => from <= second && second < to);
      const before = within(0, FALL).at(-1);
      const smaller = within(FALL, RISE).find(({ height }) => height < before.height);
      const larger = within(RISE, END).find(({ height }) => height >= before.height);
      const concealed = concealedShare(within(FALL - 10, END)[0], within(FALL - 10, END).at(-1));
      t.diagnostic(`${before.height} lines; smaller ${smaller && (smaller.second - FALL).toFixed(1)} s after the fall `
        + `(${smaller?.height}), as large ${larger && (larger.second - RISE).toFixed(1)} s after the rise; `
        + `${(100 * concealed).toFixed(2)} % of the sound concealed; frozen ${seen.at(-1).frozen.toFixed(1)} s in all`);
      assert.ok(before.height >= 360, `only ${before.height} lines before the fall`);
      assert.ok(smaller && smaller.second - FALL <= DOWN, 'smaller pictures soon after the fall');
      assert.ok(larger && larger.second - RISE <= UP, 'as large soon after the rise');
      assert.ok(concealed < CONCEALED, `${concealed} of the sound is concealed`);
      assert.deepEqual([ada, bob].flatMap(({ errors }) => errors), [], 'no errors on any page');
    } catch (error) {
      // Whether it is the camera that sends no larger picture, and why, or the server that passes none on.
      const story = seen.map(({ second, height, offered }) => `${second.toFixed(1)} s: ${height} of ${offered.lines} lines, ${offered.why}`);
      t.diagnostic(`${story.join('\n')}\n${server.log()}`);
      throw error;
    } finally {
      await browser.close();
      await server.stop();
    }
  });
}

narrowed('transport-wide feedback', []);
narrowed('reports by stream (RFC 8888)', [CCFB]);
