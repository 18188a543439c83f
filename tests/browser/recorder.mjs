// What a server and its clients say to each other, as bytes.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';

// Passes TCP and UDP on to a server, and keeps all bytes of both directions. Media is taken at `host`, and is under way
// for `delay` milliseconds.
export async function startRecorder(host = '127.0.0.1', delay = 0) {
  const streams = []; // the bytes of each direction of each connection
  const datagrams = []; // with when each came and whether it goes to the server
  const after = send => (delay ? setTimeout(send, delay) : send());
  const recorder = { tcp: 0, udp: 0 };
  const listener = net.createServer(client => {
    const server = net.connect(recorder.tcp, '127.0.0.1');
    for (const [from, to] of [[client, server], [server, client]]) {
      const stream = [];
      streams.push(stream);
      from.on('data', data => {
        stream.push(data);
        to.write(data);
      });
      from.on('close', () => to.destroy());
      from.on('error', () => to.destroy());
    }
  });
  listener.listen(0, '127.0.0.1');
  const front = createSocket('udp4').bind(0, host);
  const ways = new Map(); // a client -> the socket that speaks for it
  front.on('message', (data, { address, port }) => {
    datagrams.push({ at: performance.now(), up: true, data });
    const client = `${address} ${port}`;
    if (!ways.has(client)) {
      const way = createSocket('udp4').bind(0, '127.0.0.1');
      way.on('message', answer => {
        datagrams.push({ at: performance.now(), up: false, data: answer });
        after(() => front.send(answer, port, address));
      });
      ways.set(client, way);
    }
    after(() => ways.get(client).send(data, recorder.udp, '127.0.0.1'));
  });
  await Promise.all([once(listener, 'listening'), once(front, 'listening')]);
  return Object.assign(recorder, {
    port: listener.address().port,
    media: front.address().port,
    // Every connection as a whole, every datagram.
    traffic: () => [...streams.map(stream => Buffer.concat(stream)), ...datagrams.map(({ data }) => data)],
    datagrams: () => datagrams.length,
    timeline: () => datagrams,
    stop() {
      listener.close();
      front.close();
      for (const way of ways.values()) way.close();
    },
  });
}
