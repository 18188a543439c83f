// What Chromium and Firefox agree on with the server by default: DTLS 1.3 with the hybrid key exchange, read from the
// ServerHello as it went over the wire, and AEAD_AES_128_GCM, as each browser tells.
import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import { startRecorder } from '../browser/recorder.mjs';
import { freePort } from '../browser/visitors.mjs';
import { startServer, until } from './call.mjs';
import { Visitor, launchChromium, launchFirefox } from './pages.mjs';

// Firefox sends nothing to a loopback address.
const host = Object.values(networkInterfaces()).flat()
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1';

const X25519MLKEM768 = 0x11ec;
const [HANDSHAKE, SERVER_HELLO, KEY_SHARE] = [22, 2, 51];

// The handshake messages of a type in datagrams, put together from their pieces (RFC 9147, section 5.2).
function messages(datagrams, wanted) {
  const whole = new Map();
  for (const datagram of datagrams) {
    for (let at = 0; at + 13 <= datagram.length && datagram[at] === HANDSHAKE;) {
      const end = at + 13 + datagram.readUInt16BE(at + 11);
      for (let piece = at + 13; piece + 12 <= end;) {
        const [total, number, offset, length] = [datagram.readUIntBE(piece + 1, 3), datagram.readUInt16BE(piece + 4),
          datagram.readUIntBE(piece + 6, 3), datagram.readUIntBE(piece + 9, 3)];
        if (datagram[piece] === wanted) {
          const key = `${number} ${total}`;
          if (!whole.has(key)) whole.set(key, Buffer.alloc(total));
          datagram.copy(whole.get(key), offset, piece + 12, piece + 12 + length);
        }
        piece += 12 + length;
      }
      at = end;
    }
  }
  return [...whole.values()];
}

// The group of a ServerHello's share (RFC 8446, sections 4.1.3 and 4.2.8).
function groupOf(hello) {
  let at = 2 + 32;
  at += 1 + hello[at] + 2 + 1 + 2; // session, suite, compression, the extensions' length
  while (at + 4 <= hello.length) {
    if (hello.readUInt16BE(at) === KEY_SHARE) return hello.readUInt16BE(at + 4);
    at += 4 + hello.readUInt16BE(at + 2);
  }
  return null;
}

for (const [name, launch] of [['Chromium', launchChromium], ['Firefox', launchFirefox]]) {
  test(`${name} gets DTLS 1.3, X25519MLKEM768 and AEAD_AES_128_GCM`, { timeout: 90_000 }, async t => {
    const recorder = await startRecorder(host);
    recorder.udp = await freePort();
    const server = await startServer('--udp', `127.0.0.1:${recorder.udp}`, '--announce', `${host}:${recorder.media}`,
      '--engines', '1', '--carriers', 'udp');
    const browser = await launch();
    try {
      const room = await server.room();
      const visitor = await Visitor.enter(browser, 'Ada', new URL(room.page, server.url));
      const transport = await until('it is connected', async () => {
        const now = await visitor.transport();
        return now?.cipher && now;
      });
      t.diagnostic(JSON.stringify(transport));
      assert.deepEqual([transport.tls, transport.cipher], ['FEFC', 'SRTP_AEAD_AES_128_GCM']);
      const groups = messages(recorder.traffic(), SERVER_HELLO).map(groupOf);
      assert.ok(groups.length > 0 && groups.every(group => group === X25519MLKEM768), `groups ${groups}`);
    } catch (error) {
      t.diagnostic(`the server's log:\n${server.log().slice(-4_000)}`);
      throw error;
    } finally {
      await browser.close();
      await server.stop();
      recorder.stop();
    }
  });
}
