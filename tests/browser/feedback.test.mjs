// Chromium under each kind of congestion control feedback: it is agreed on, and by it a publisher's estimate and
// video rise well above the 300 kbit/s that Chromium starts with, and the server's estimate of the path to who looks on
// as well.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTab } from './scenes.mjs';
import { Visitor, launchBrowser, startServer, until } from './visitors.mjs';

const RISEN = 500_000; // bit/s
const RAMP = 60; // s

const CCFB = '--force-fieldtrials=WebRTC-RFC8888CongestionControlFeedback/Enabled,offer:true/';
const NUMBERS = 'draft-holmer-rmcat-transport-wide-cc-extensions-01';

// The page's descriptions say nothing of transport-wide feedback, as those of a client that has none.
const hideTransportWide = page => page.addInitScript(() => {
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (data) {
    const hidden = /a=(rtcp-fb:\d+ transport-cc|extmap:\d+ \S*transport-wide-cc\S*)\r\n/g;
    const message = JSON.parse(data);
    if (message.sdp) message.sdp = message.sdp.replace(hidden, '');
    send.call(this, JSON.stringify(message));
  };
});

const look = visitor => visitor.page.evaluate(async () => {
  const stats = [...(await conference.peer.getStats()).values()];
  const sent = stats.filter(s => s.type === 'outbound-rtp' && s.kind === 'video');
  const transport = stats.find(s => s.type === 'transport') ?? {};
  // Of several that were nominated one is used.
  const pair = stats.find(s => s.id === transport.selectedCandidatePairId);
  return {
    at: performance.now(),
    bytes: sent.reduce((sum, s) => sum + s.bytesSent + s.headerBytesSent, 0),
    available: pair?.availableOutgoingBitrate ?? 0,
    ccfbReceived: transport.ccfbMessagesReceived,
    answer: conference.peer.remoteDescription.sdp,
  };
});

// Ada publishes, Bob looks on; `agreed` is asked of the answer's text and of what was seen at last.
function feedback(name, switches, prepare, agreed) {
  test(name, { timeout: 180_000 }, async t => {
    const browser = await launchBrowser(switches);
    const server = await startServer();
    let estimate = 0; // what the server believes of the path to Bob
    let last; // what was seen of Ada
    try {
      const ada = await Visitor.arrive(browser, 'Ada', `${server.url}?video=720`, prepare);
      const bob = await Visitor.arrive(browser, 'Bob', `${await ada.create()}?audio=0&video=0`, async page => {
        await prepare(page);
        page.on('websocket', socket => socket.on('framereceived', ({ payload }) => {
          estimate = JSON.parse(payload).own?.estimate ?? estimate;
        }));
      });
      // So large that the largest picture is asked for, which takes more than RISEN.
      await bob.page.setViewportSize({ width: 2_000, height: 760 });
      await bob.join();
      await bob.receives(['Ada']);
      let before = await look(ada);
      const first = before.available;
      const risen = await until('Ada\'s estimate and video rise', async () => {
        const now = last = await look(ada);
        if (now.at - before.at < 2_000) return false;
        const sent = (now.bytes - before.bytes) * 8_000 / (now.at - before.at);
        before = now;
        return now.available > RISEN && sent > RISEN && { ...now, sent };
      }, RAMP);
      t.diagnostic(`from ${Math.round(first / 1_000)} to ${Math.round(risen.available / 1_000)} kbit/s, `
        + `of which ${Math.round(risen.sent / 1_000)} are sent; `
        + `${risen.ccfbReceived ?? 0} reports by stream`);
      await openTab(bob, 'Connection');
      await until('the server\'s estimate of the path to Bob rises', () => estimate > RISEN, RAMP);
      t.diagnostic(`the server believes in ${Math.round(estimate / 1_000)} kbit/s to who looks on`);
      agreed(risen.answer, risen, (await look(bob)).answer);
      assert.deepEqual([ada, bob].flatMap(({ errors }) => errors), [], 'no errors on any page');
    } catch (error) {
      t.diagnostic(`the server believes in ${estimate} bit/s to Bob, Ada in ${last?.available}`);
      t.diagnostic(`the server's log:\n${server.log()}`);
      throw error;
    } finally {
      await browser.close();
      await server.stop();
    }
  });
}

feedback('reports by stream (RFC 8888)', [CCFB], () => {}, (answer, ada, toBob) => {
  // The browser has spread it to all payload types.
  for (const description of [answer, toBob]) {
    assert.match(description, /^a=rtcp-fb:(\*|\d+) ack ccfb\r?$/m);
    assert.doesNotMatch(description, /transport-cc|goog-remb/);
    assert.ok(!description.includes(NUMBERS));
  }
  // Chromium counts those that come, not those that it sends.
  assert.ok(ada.ccfbReceived > 0, `${ada.ccfbReceived} reports came`);
});

feedback('transport-wide feedback', [], () => {}, answer => {
  assert.match(answer, /transport-cc/);
  assert.doesNotMatch(answer, /ccfb|goog-remb/);
});

feedback('the receiver\'s estimate (REMB)', [], hideTransportWide, answer => {
  assert.match(answer, /goog-remb/);
  assert.doesNotMatch(answer, /ccfb|transport-cc/);
});
