// Two Chromium pages that agree with the server on encrypted RTP headers (Cryptex, RFC 9335), and one
// that does not know of it, in one room. Pages have no way to see headers, so what is asserted is the
// agreement and that media arrives under it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Visitor, launchBrowser, startServer, watch } from './visitors.mjs';

const SECONDS = 5;

// One browser each: with this switch, which makes it know of Cryptex, Chromium 156 is not at its most
// stable.
const browsers = [];
before(async () => {
  for (const more of [['--enable-experimental-web-platform-features'], ['--enable-experimental-web-platform-features'], []]) {
    browsers.push(await launchBrowser(more));
  }
});
after(async () => { await Promise.all(browsers.map(browser => browser.close())); });

// Makes every connection of the page ask for encrypted headers.
const encryptHeaders = page => page.addInitScript(() => {
  const Plain = globalThis.RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Plain {
    constructor(config = {}) {
      super({ ...config, rtpHeaderEncryptionPolicy: 'negotiate' });
    }
  };
});

const descriptions = visitor => visitor.page.evaluate(() => ({
  ours: conference.peer.localDescription.sdp,
  theirs: conference.peer.remoteDescription.sdp,
}));

test('pictures and sound arrive where encrypted headers are agreed on, and where they are not', { timeout: 240_000 }, async t => {
  const server = await startServer();
  const visitors = [];
  try {
    const ada = await Visitor.arrive(browsers[0], 'Ada', `${server.url}?video=360`, encryptHeaders);
    visitors.push(ada);
    const link = await ada.create();
    const bob = await Visitor.arrive(browsers[1], 'Bob', `${link}?video=360`, encryptHeaders);
    visitors.push(bob);
    await bob.join();
    const eve = await Visitor.arrive(browsers[2], 'Eve', `${link}?video=360`);
    visitors.push(eve);
    await eve.join();
    await Promise.all([ada.receives(['Bob', 'Eve']), bob.receives(['Ada', 'Eve']), eve.receives(['Ada', 'Bob'])]);

    for (const visitor of visitors) {
      const { ours, theirs } = await descriptions(visitor);
      const asked = visitor !== eve;
      assert.equal(/^a=cryptex\r?$/m.test(ours), asked, `${visitor.name} asks for it`);
      assert.equal(/^a=cryptex\r?$/m.test(theirs), asked, `${visitor.name} is told that it is so`);
    }

    const seen = await watch(visitors, SECONDS);
    for (const { name, from } of seen) {
      assert.equal(from.length, 2, `${name} receives both others`);
      for (const { other, fps, energy } of from) {
        t.diagnostic(`${name} receives ${other}: ${fps.toFixed(1)} frames/s, audio energy +${energy.toFixed(3)}`);
        assert.ok(fps > 2, `${name} decodes video of ${other}: ${fps} frames/s`);
        assert.ok(energy > 0, `${name} hears ${other}: energy +${energy}`);
      }
    }
    assert.deepEqual(visitors.flatMap(({ errors }) => errors), [], 'no errors on any page');
  } catch (error) {
    t.diagnostic(`the server's log:\n${server.log()}`);
    throw error;
  } finally {
    await Promise.all(visitors.map(({ page }) => page.close()));
    await server.stop();
  }
});
