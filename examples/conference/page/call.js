// A call: the WebSocket to the server, the peer connection beside it, and coming back when either
// is lost.
//
// Offers may cross. This side is the impolite one of WebRTC's "perfect negotiation": it ignores an
// offer that arrives while its own is under way, and the server offers again later.

import { encodings, prefer, resize } from './camera.js';

const FIRST_WAIT = 500; // ms before the first attempt to come back
const LONGEST_WAIT = 10_000;

export class Call {
  #hello;
  #name;
  #on;
  #socket = null;
  #peer = null;
  #lines = {}; // this side's own transceivers, by kind
  #offering = false;
  #attempts = 0;
  // Which words tell why the connection ended.
  #why = 'lost';
  #timer = 0;
  #over = false;
  #stream = new MediaStream(); // names our tracks to the server as one participant's
  #tracks = { audio: null, video: null };
  #camera;
  #wished = new Map(); // what the server knows already, by track

  // `room`: a code, or null for a new room. `camera`: its `codec` and `mode`, as `encodings` takes
  // them. `on`: the functions called when something happens:
  //   phase(name): connecting, joined, connected, unstable or lost
  //   joined(code, id), participants(list), stream(stream)
  //   reset(): all remote streams are gone
  //   refused(): no such room, or no place in it; the call is over
  constructor(room, name, camera, on) {
    this.#hello = room === null ? { type: 'create' } : { type: 'join', code: room };
    this.#name = name;
    this.#camera = camera;
    this.#on = on;
    this.retryNow = this.retryNow.bind(this);
    addEventListener('online', this.retryNow);
  }

  get peer() {
    return this.#peer;
  }

  start() {
    this.#on.phase('connecting');
    const address = new URL('/ws', location.href);
    address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(address);
    this.#socket = socket;
    socket.onopen = () => this.#send({ ...this.#hello, name: this.#name });
    socket.onclose = () => this.#lost(socket);
    // One message after the other: each may take several asynchronous steps. The queue is this
    // socket's own, because steps on a closed peer connection never end.
    let work = Promise.resolve();
    socket.onmessage = event => {
      work = work
        .then(() => socket === this.#socket && this.#receive(JSON.parse(event.data)))
        .catch(error => this.#fail(socket, error));
    };
  }

  leave() {
    this.#over = true;
    clearTimeout(this.#timer);
    removeEventListener('online', this.retryNow);
    this.#socket?.close();
    this.#close();
  }

  // Sends this track from now on; null sends nothing.
  async setTrack(kind, track) {
    this.#tracks[kind] = track;
    this.#sendState();
    const line = this.#lines[kind];
    if (!line) return;
    await line.sender.replaceTrack(track);
    if (kind === 'video') await resize(line.sender, track);
    if (track && line.direction === 'recvonly') {
      line.sender.setStreams(this.#stream);
      line.direction = this.#direction(kind); // which asks for a new offer
    }
  }

  // Tells the others after a track was enabled or disabled.
  stateChanged() {
    this.#sendState();
  }

  // Says what is wanted of received tracks: a Map of `{ maxHeight, paused }`, whose height is null for
  // any. What the server knows already is not said again.
  wish(wishes) {
    const names = trackNames(this.#peer);
    const list = [];
    for (const [track, { maxHeight, paused }] of wishes) {
      const name = names.get(track);
      const text = paused ? 'paused' : `${maxHeight}`;
      if (name === undefined || (this.#wished.get(name) ?? 'null') === text) continue;
      this.#wished.set(name, text);
      list.push({ track: name, maxHeight, paused });
    }
    if (list.length > 0) this.#send({ type: 'wishes', list });
  }

  retryNow() {
    if (this.#timer === 0) return;
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.start();
  }

  async #receive(message) {
    switch (message.type) {
      case 'joined':
        // From now on the code is known to be right, also to a server that has forgotten it.
        this.#hello = { type: 'join', code: message.code, resume: true };
        this.#on.joined(message.code, message.id);
        this.#on.phase('joined');
        this.#open();
        this.#sendState();
        break;
      case 'participants':
        this.#on.participants(message.list);
        break;
      case 'offer':
        await this.#answer(message.sdp);
        break;
      case 'answer':
        await this.#peer.setRemoteDescription({ type: 'answer', sdp: message.sdp });
        break;
      case 'refused':
        this.leave();
        this.#on.refused();
        break;
      case 'ended':
        console.info('The server ended the media:', message.reason);
        this.#why = 'ended';
        break;
    }
  }

  #open() {
    const peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.#peer = peer;
    peer.onnegotiationneeded = () => this.#offer(peer);
    peer.ontrack = event => event.streams.forEach(stream => this.#on.stream(stream));
    peer.onconnectionstatechange = () => {
      if (peer !== this.#peer) return;
      const state = peer.connectionState;
      if (state === 'connected') {
        this.#attempts = 0;
        this.#on.phase('connected');
      } else if (state === 'disconnected') {
        this.#on.phase('unstable');
      } else if (state === 'failed') {
        this.#why = 'blocked';
        this.#socket?.close(); // and come back
      }
    };
    for (const kind of ['audio', 'video']) {
      const track = this.#tracks[kind];
      this.#lines[kind] = peer.addTransceiver(track ?? kind, {
        direction: track ? this.#direction(kind) : 'recvonly',
        streams: track ? [this.#stream] : [],
        sendEncodings: kind === 'video' ? encodings(this.#camera, track) : undefined,
      });
    }
    if (this.#camera.codec) prefer(this.#lines.video, this.#camera.codec);
  }

  // A line that is kept to one codec does not receive: what others send may have another.
  #direction(kind) {
    return kind === 'video' && this.#camera.codec ? 'sendonly' : 'sendrecv';
  }

  // No candidates are waited for or sent: the server's addresses are in its answer, and it learns
  // ours from our checks.
  async #offer(peer) {
    const socket = this.#socket;
    try {
      this.#offering = true;
      await peer.setLocalDescription();
      if (peer === this.#peer) this.#send({ type: 'offer', sdp: peer.localDescription.sdp });
    } catch (error) {
      if (peer === this.#peer) this.#fail(socket, error);
    } finally {
      if (peer === this.#peer) this.#offering = false;
    }
  }

  async #answer(sdp) {
    const peer = this.#peer;
    if (this.#offering || peer.signalingState !== 'stable') return;
    await peer.setRemoteDescription({ type: 'offer', sdp });
    await peer.setLocalDescription();
    if (peer === this.#peer) this.#send({ type: 'answer', sdp: peer.localDescription.sdp });
  }

  #sendState() {
    const on = track => track !== null && track.enabled;
    this.#send({ type: 'state', audio: on(this.#tracks.audio), video: on(this.#tracks.video) });
  }

  #send(message) {
    const ready = this.#socket?.readyState === WebSocket.OPEN;
    // Before `joined` only the greeting is understood.
    if (ready && (this.#peer || message.name !== undefined)) this.#socket.send(JSON.stringify(message));
  }

  #fail(socket, error) {
    if (socket !== this.#socket || this.#over) return;
    console.warn('The call failed and is made again:', error);
    socket.close();
  }

  #close() {
    this.#peer?.close();
    this.#peer = null;
    this.#lines = {};
    this.#wished.clear();
    this.#offering = false;
    this.#socket = null;
  }

  #lost(socket) {
    if (socket !== this.#socket || this.#over) return;
    this.#close();
    this.#on.reset();
    this.#on.phase(this.#why);
    this.#why = 'lost';
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#attempts);
    this.#attempts += 1;
    // Scattered, so that a room does not come back all at once.
    this.#timer = setTimeout(this.retryNow, wait * (0.5 + Math.random() / 2));
  }
}

// What the server calls the tracks it sends: stream and track of the msid (RFC 8830) on each one's
// line. The ids of the tracks themselves are the browser's affair.
function trackNames(peer) {
  const names = new Map();
  for (const section of peer?.remoteDescription?.sdp.split(/^(?=m=)/m) ?? []) {
    const mid = section.match(/^a=mid:(\S+)/m)?.[1];
    const [, stream, track] = section.match(/^a=msid:(\S+) (\S+)/m) ?? [];
    if (track) names.set(mid, `${stream}/${track}`);
  }
  return new Map(peer?.getTransceivers().map(({ mid, receiver }) => [receiver.track, names.get(mid)]));
}
