// What a path or a handshake can be like besides the usual, each once: ICE-TCP, IPv6, each version of DTLS,
// AES_CM_128_HMAC_SHA1_80, restarts of ICE, trickled candidates.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Peer, startServer, until } from './call.mjs';
import { Caller, Visitor, launchChromium } from './pages.mjs';

const LEAST_FPS = 4;

let chromium;
before(async () => { chromium = await launchChromium('--allow-loopback-in-peer-connection'); }, { timeout: 30_000 });
after(async () => { await chromium?.close(); });

// A test with a server of its own, a room, and Ada in it.
function variant(name, options, body) {
  test(name, { timeout: 90_000 }, async t => {
    const server = await startServer(...options);
    const open = [];
    try {
      const room = await server.room();
      const enter = async name => {
        const visitor = await Visitor.enter(chromium, name, new URL(room.page, server.url));
        open.push(() => visitor.page.close());
        return visitor;
      };
      await body(t, { server, room, enter, later: undo => open.push(undo) });
    } catch (error) {
      t.diagnostic(`the server's log:\n${server.log().slice(-4_000)}`);
      throw error;
    } finally {
      await Promise.all(open.map(undo => undo().catch(() => {})));
      await server.stop();
    }
  });
}

// Two pages see and hear each other; resolves to the path of the second.
async function assertTalking(t, enter) {
  const ada = await enter('Ada');
  const bob = await enter('Bob');
  for (const [one, other] of [[ada, bob], [bob, ada]]) {
    const { fps, energy } = await one.watch(other.name, 2);
    t.diagnostic(`${one.name} decodes ${other.name}: ${fps.toFixed(1)} frames/s, audio energy +${energy.toFixed(4)}`);
    assert.ok(fps >= LEAST_FPS && energy > 0, `${one.name} sees and hears ${other.name}`);
  }
  const transport = await bob.transport();
  t.diagnostic(JSON.stringify(transport));
  return { ada, bob, transport };
}

variant('over ICE-TCP alone', ['--carriers', 'tcp'], async (t, { enter }) => {
  const { transport } = await assertTalking(t, enter);
  assert.equal(transport.protocol, 'tcp');
});

for (const [version, name] of [['1.2', 'FEFD'], ['1.3', 'FEFC'], ['auto', 'FEFC']]) {
  variant(`with DTLS ${version}`, ['--dtls', version], async (t, { enter }) => {
    const { transport } = await assertTalking(t, enter);
    assert.deepEqual([transport.tls, transport.cipher], [name, 'SRTP_AEAD_AES_128_GCM']);
  });
}

variant('over IPv6 alone', ['--listen', '[::1]:0', '--udp', '[::1]:0'], async (t, { enter }) => {
  const { transport } = await assertTalking(t, enter);
  assert.match(transport.remote, /::1/);
});

variant('ICE restarts while the page talks', [], async (t, { enter }) => {
  const { ada, bob, transport } = await assertTalking(t, enter);
  await bob.page.evaluate(() => conference.peer.restartIce());
  const after = await until('new credentials are in use', async () => {
    const now = await bob.transport();
    return now.ufrag !== transport.ufrag && now.remote && now;
  });
  const [seen, sees] = [await ada.watch('Bob', 2), await bob.watch('Ada', 2)];
  t.diagnostic(`after the restart: ${seen.fps.toFixed(1)} and ${sees.fps.toFixed(1)} frames/s, ${JSON.stringify(after)}`);
  assert.ok(seen.fps >= LEAST_FPS && sees.fps >= LEAST_FPS);
  assert.equal(await bob.status(), 'Connected.');
});

variant('candidates trickle and ICE restarts by PATCH', [], async (t, { server, room, enter, later }) => {
  const ada = await enter('Ada');
  const guest = await Caller.open(chromium, server);
  later(() => guest.page.close());
  await guest.join(room.whip, 'publish');
  const candidates = await until('candidates are gathered', async () => {
    const gathered = await guest.gathered();
    return gathered.length > 0 && gathered;
  });
  const lines = ['m=audio 9 UDP/TLS/RTP/SAVPF 0', 'a=mid:0', ...candidates.map(line => `a=${line}`)];
  assert.equal((await guest.patch(null, lines)).status, 204);
  assert.equal((await guest.patch('"another"', lines)).status, 412);
  await ada.watch('WHIP guest', 1);
  const before = await guest.sample();

  const reply = await guest.restart();
  const restarted = await until('the new credentials connect', async () => {
    const now = await guest.sample();
    return now.ufrag !== before.ufrag && now.pair !== before.pair && now.state === 'connected' && now;
  });
  const { fps, energy } = await ada.watch('WHIP guest', 3);
  t.diagnostic(`after the restart by PATCH: ${fps.toFixed(1)} frames/s, energy +${energy.toFixed(4)}, tag ${reply.tag}, `
    + `pair ${before.pair} then ${restarted.pair}`);
  assert.ok(fps >= LEAST_FPS && energy > 0);
  assert.equal(await guest.leave(), 200);
  await until('the guest is gone', () => ada.page.evaluate(() => !document.body.textContent.includes('WHIP guest')));
});

variant('a WHEP viewer that comes first sees who comes later', [], async (t, { server, room, enter, later }) => {
  const viewer = await Caller.open(chromium, server);
  later(() => viewer.page.close());
  await viewer.join(room.whep, 'view');
  await enter('Ada');
  const seen = await until('the viewer decodes Ada', async () => {
    const sample = await viewer.sample();
    return sample.frames > 5 * LEAST_FPS && sample.energy > 0 && sample;
  });
  t.diagnostic(`a viewer that came first: ${seen.frames} frames, energy ${seen.energy.toFixed(4)}`);
});

variant('AES_CM_128_HMAC_SHA1_80 alone', [], async (t, { server, room, enter, later }) => {
  const ada = await enter('Ada');
  const guest = Peer.aiortc('publish', 'cm');
  later(() => guest.leave());
  await guest.join(server, room.whip);
  const { fps, energy } = await ada.watch('WHIP guest', 2);
  t.diagnostic(`aiortc with AES_CM_128_HMAC_SHA1_80: ${fps.toFixed(1)} frames/s, energy +${energy.toFixed(4)}`);
  assert.ok(fps >= LEAST_FPS && energy > 0, guest.log);
});
