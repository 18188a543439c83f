import { startServer, launchBrowser, Visitor, until } from './visitors.mjs';
import { setTimeout as sleep } from 'node:timers/promises';
const s = await startServer(); const b = await launchBrowser();
const a = await Visitor.arrive(b, 'Ada', s.url); const link = await a.create();
await sleep(6000);
console.log(await a.page.evaluate(async () => { const pc = conference.peer; return JSON.stringify({ ice: pc?.iceConnectionState, conn: pc?.connectionState, sig: pc?.signalingState, local: pc?.localDescription?.sdp.slice(0,1500), remote: pc?.remoteDescription?.sdp, stats: [...(await pc.getStats()).values()].filter(x=>['transport','candidate-pair'].includes(x.type)) }, null, 1); }));
console.log(a.errors); console.log(s.log());
await b.close(); await s.stop();
