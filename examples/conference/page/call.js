// A call: the WebSocket to the server, the peer connection beside it, and coming back when either
// is lost.
//
// Offers may cross. This side is the impolite one of WebRTC's "perfect negotiation": it ignores an
// offer that arrives while its own is under way, and the server offers again later.

import { encodings, prefer, resize } from './camera.js';

const FIRST_WAIT = 500; // ms before the first attempt to come back
const LONGEST_WAIT = 10_000;
const SCREEN = 2_500_000; // bit/s at most

// Of an answer that nobody may come in: a room that was made again may lack its moderator for a while.
const PATIENCE = 12; // attempts

export class Call {
  #code;
  #name;
  #options;
  #keys;
  #on;
  #socket = null;
  #peer = null;
  #lines = {}; // this side's own transceivers, by kind
  #screenLines = {}; // and those of its screen
  #offering = false;
  #attempts = 0;
  #joined = false; // once at least
  #invited = false; // by a code that is not the room's, which makes no room again
  // Which words tell why the connection ended.
  #why = 'lost';
  #timer = 0;
  #over = false;
  #stream = new MediaStream(); // names our tracks to the server as one participant's
  #screenStream = new MediaStream();
  #tracks = { audio: null, video: null };
  #screen = null;
  #camera;
  #channels;
  #cover;
  #wished = new Map(); // what the server knows already, by track
  #watched = false; // whether the connection is to be told of
  #choice; // what is received and sent at most

  // `code`: a room's or an invitation's, or null for a new room with these `options`. `camera`: its `codec` and
  // `mode`, as `encodings` takes them. `channels`: the data channels. `cover(peer)` is called whenever a connection has new
  // lines, before they are agreed on, and when it is told whose they are. `choice`: as `choose` takes it. `keys()`: the
  // `secret`, `seat` and `plan` for the code, as far as there are any. `on`: the functions called when something happens:
  //   phase(name): connecting, waiting, joined, connected, unstable, lost, blocked, ended or shut
  //   joined(message): in the room, as the server says it
  //   received(tracks): the tracks of camera and screen by participant
  //   refused(), closed(why): the call is over
  //   message(message): everything else the server says
  constructor({ code, name, options, camera, channels, cover, choice, keys }, on) {
    this.#code = code;
    this.#name = name;
    this.#options = options;
    this.#keys = keys;
    this.#camera = camera;
    this.#channels = channels;
    this.#cover = cover;
    this.#choice = choice;
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
    socket.onopen = () => socket.send(JSON.stringify(this.#hello()));
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

  #hello() {
    if (this.#code === null) return { type: 'create', name: this.#name, ...this.#options };
    const known = this.#keys(this.#code);
    return { type: 'join', code: this.#code, name: this.#name, resume: this.#joined && !this.#invited, ...known };
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
    if (kind === 'video') await resize(line.sender, track, this.#choice === 'low');
    if (track && line.direction === 'recvonly') {
      line.sender.setStreams(this.#stream);
      line.direction = this.#direction(kind); // which asks for a new offer
    }
  }

  // Shares this stream from now on; null nothing. Its lines are used again for the next one.
  async setScreen(stream) {
    this.#screen = stream;
    this.#sendState();
    if (!this.#peer) return;
    for (const kind of ['video', 'audio']) {
      const track = stream?.getTracks().find(track => track.kind === kind) ?? null;
      const line = this.#screenLines[kind];
      if (line) {
        await line.sender.replaceTrack(track);
        line.direction = track ? 'sendonly' : 'inactive';
      } else if (track) {
        this.#screenLines[kind] = this.#peer.addTransceiver(track, {
          direction: 'sendonly',
          streams: [this.#screenStream],
          sendEncodings: kind === 'video' ? [{ maxBitrate: SCREEN }] : undefined,
        });
        this.#cover(this.#peer);
      }
    }
  }

  // Asks for something in the room: an act of the server's `message.rs`.
  act(act, more = {}) {
    if (act === 'rename') this.#name = more.name;
    this.#send({ type: 'act', act, ...more });
  }

  // Tells the others after a track was enabled or disabled.
  stateChanged() {
    this.#sendState();
  }

  // Receives and sends no more than this from now on: `all`, `low` (small pictures) or `audio`.
  async choose(choice) {
    this.#choice = choice;
    this.#send({ type: 'choose', choice });
    const line = this.#lines.video;
    if (line) await resize(line.sender, this.#tracks.video, choice === 'low');
  }

  // Has the server tell of the connection, or not any more.
  watch(on) {
    this.#watched = on;
    this.#send({ type: 'watch', on });
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
        this.#code = message.code;
        this.#joined = true;
        this.#invited = message.invited;
        this.#on.joined(message);
        if (this.#over) break;
        this.#on.phase('joined');
        await this.#open();
        this.#sendState();
        break;
      case 'waits':
        this.#attempts = 0;
        this.#on.phase('waiting');
        this.#on.message(message);
        break;
      case 'offer':
        await this.#answer(message);
        break;
      case 'answer':
        await this.#peer.setRemoteDescription({ type: 'answer', sdp: message.sdp });
        this.#cover(this.#peer);
        this.#received(message.screens);
        break;
      case 'refused':
        if (this.#joined && this.#attempts < PATIENCE) {
          this.#why = 'shut';
          break;
        }
        this.leave();
        this.#on.refused();
        break;
      case 'closed':
        this.leave();
        this.#on.closed(message.why);
        break;
      case 'ended':
        console.info('The server ended the media:', message.reason);
        this.#why = 'ended';
        break;
      default:
        this.#on.message(message);
    }
  }

  async #open() {
    const peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.#peer = peer;
    peer.onnegotiationneeded = () => this.#offer(peer);
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
        sendEncodings: kind === 'video' ? encodings(this.#camera, track, this.#choice === 'low') : undefined,
      });
    }
    if (this.#camera.codec) prefer(this.#lines.video, this.#camera.codec);
    this.#cover(peer);
    this.#channels.begin(peer);
    if (this.#screen) await this.setScreen(this.#screen);
    if (this.#watched) this.watch(true);
    if (this.#choice !== 'all') await this.choose(this.#choice);
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
      if (peer === this.#peer) this.#send({ type: 'offer', sdp: this.#description(peer) });
    } catch (error) {
      if (peer === this.#peer) this.#fail(socket, error);
    } finally {
      if (peer === this.#peer) this.#offering = false;
    }
  }

  // Our description, in which a screen's lines say that they are (RFC 4796).
  #description(peer) {
    const mids = Object.values(this.#screenLines).map(({ mid }) => mid);
    const marked = (line, mid) => (mids.includes(mid) ? `${line}a=content:slides\r\n` : line);
    return peer.localDescription.sdp.replace(/^a=mid:(\S+)\r\n/gm, marked);
  }

  async #answer({ sdp, screens }) {
    const peer = this.#peer;
    if (this.#offering || peer.signalingState !== 'stable') return;
    await peer.setRemoteDescription({ type: 'offer', sdp });
    this.#cover(peer);
    await peer.setLocalDescription();
    if (peer === this.#peer) this.#send({ type: 'answer', sdp: this.#description(peer) });
    this.#received(screens);
  }

  // Tells what is received of whom. `screens` names the tracks that are a screen's.
  #received(screens) {
    const tracks = new Map();
    for (const [track, name] of trackNames(this.#peer)) {
      if (name === undefined) continue;
      const [id] = name.split('/');
      if (!tracks.has(id)) tracks.set(id, { camera: [], screen: [] });
      tracks.get(id)[screens.includes(name) ? 'screen' : 'camera'].push(track);
    }
    this.#on.received(tracks);
  }

  #sendState() {
    const on = track => track !== null && track.enabled;
    const [audio, video] = [on(this.#tracks.audio), on(this.#tracks.video)];
    this.#send({ type: 'state', audio, video, screen: this.#screen !== null });
  }

  #send(message) {
    // Before `joined` only the greeting is understood.
    if (this.#peer && this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #fail(socket, error) {
    if (socket !== this.#socket || this.#over) return;
    console.warn('The call failed and is made again:', error);
    socket.close();
  }

  #close() {
    this.#channels.end();
    this.#peer?.close();
    this.#peer = null;
    this.#lines = {};
    this.#screenLines = {};
    this.#wished.clear();
    this.#offering = false;
    this.#socket = null;
  }

  #lost(socket) {
    if (socket !== this.#socket || this.#over) return;
    this.#close();
    this.#on.received(new Map());
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
export function trackNames(peer) {
  const names = new Map();
  for (const section of peer?.remoteDescription?.sdp.split(/^(?=m=)/m) ?? []) {
    const mid = section.match(/^a=mid:(\S+)/m)?.[1];
    const [, stream, track] = section.match(/^a=msid:(\S+) (\S+)/m) ?? [];
    if (track && /^a=send/m.test(section)) names.set(mid, `${stream}/${track}`);
  }
  return new Map(peer?.getTransceivers().map(({ mid, receiver }) => [receiver.track, names.get(mid)]));
}
