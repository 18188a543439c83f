// End-to-end encryption on the page: keys (keys.js), frames (frames.js, in a worker), chat and notes (talk.js) put
// together, anew for each connection, and what is shown of it.

import { trackNames } from './call.js';
import { prefer } from './camera.js';
import { unstamp } from './channels.js';
import { $ } from './dom.js';
import { onLanguage, t } from './i18n.js';
import { Keyring, newSecret } from './keys.js';
import { secretOf } from './secret.js';

const TICK = 250; // ms

// By what server and receiver know a frame's layer, and whether it is a key frame, where nothing of it can be read.
const DEPENDENCIES = 'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension';

// The one codec of all browsers whose packets are made without reading the frame.
const CODEC = 'VP8';

// What is said of the keys.
const WORDS = { none: 'keysNone', waiting: 'keysWaiting', ready: 'keysReady', stranger: 'keysStranger' };
const ALARMING = ['none', 'stranger'];

export class Encryption {
  #channels;
  #talk;
  #onShut;
  #code = null;
  #ring = null; // null where nothing is encrypted
  #keyless = false; // one came without the secret
  #worker = null;
  #lines = new Map(); // transceiver -> { line, from, opened, refused, shut }
  #people = [];
  #phrase = null;
  #timer = 0;

  // Whether this browser can: without, nobody comes into an encrypted meeting.
  static get available() {
    return 'RTCRtpScriptTransform' in window;
  }

  // `onShut(ids)` is told of whom frames come that cannot be decrypted.
  constructor(channels, talk, onShut) {
    [this.#channels, this.#talk, this.#onShut] = [channels, talk, onShut];
    onLanguage(() => this.#show());
  }

  // Whether the meeting is encrypted.
  get on() {
    return this.#ring !== null;
  }

  // In the room, as the server says. By nothing that it says a page that has a secret goes on in clear. Returns which words
  // tell why one cannot stay, or null.
  begin({ code, id, encrypted }) {
    const [secret, fresh] = [secretOf(code), code !== this.#code];
    this.#stop();
    this.#code = code;
    if (secret && !encrypted) return 'notEncrypted';
    if (encrypted && !Encryption.available) return 'cannotEncrypt';
    if (encrypted) this.#start(id, secret);
    this.#talk.begin(this.#ring, () => this.#people.find(one => one.id === id)?.name ?? '', fresh);
    this.#show();
    return null;
  }

  // Back at the door.
  end() {
    this.#stop();
    this.#code = null;
    this.#talk.begin(null, null, true);
    this.#show();
  }

  participants(list) {
    this.#people = list;
    this.#ring?.participants(Date.now(), list);
    this.#show();
  }

  // Puts a transform on each line of a connection before anything is agreed on for it, and tells whose frames may come on
  // it.
  cover(peer) {
    if (!this.#ring) return;
    const names = trackNames(peer);
    for (const transceiver of peer.getTransceivers()) {
      if (!this.#lines.has(transceiver)) this.#coverLine(transceiver);
      const line = this.#lines.get(transceiver);
      line.from = names.get(transceiver.receiver.track)?.split('/')[0] ?? null;
      this.#worker.postMessage({ line: line.line, from: line.from });
    }
  }

  #coverLine(transceiver) {
    const line = this.#lines.size;
    this.#lines.set(transceiver, { line, from: null, opened: 0, refused: 0, shut: false });
    transceiver.sender.transform = new RTCRtpScriptTransform(this.#worker, {});
    transceiver.receiver.transform = new RTCRtpScriptTransform(this.#worker, { line });
    if (transceiver.receiver.track.kind !== 'video') return;
    if (transceiver.mid === null) prefer(transceiver, CODEC);
    // Where a page has no say in it (Firefox), the browser offers it by itself.
    const extensions = transceiver.getHeaderExtensionsToNegotiate?.();
    if (!extensions) return;
    for (const extension of extensions) if (extension.uri === DEPENDENCIES) extension.direction = 'sendrecv';
    transceiver.setHeaderExtensionsToNegotiate(extensions);
  }

  // A page without the secret draws one: it is as good as a wrong one, and nothing of it is in clear.
  #start(id, secret) {
    this.#keyless = secret === null;
    this.#worker = new Worker('/frames.js', { type: 'module' });
    this.#worker.onmessage = ({ data }) => this.#count(data);
    const ring = new Keyring(id, secret ?? newSecret(), {
      send: text => this.#channels.isOpen('keys') && this.#channels.send('keys', new TextEncoder().encode(text)),
      changed: () => this.#changed(ring),
    });
    this.#ring = ring;
    this.#channels.on.keys = {
      opened: () => ring.opened(Date.now()),
      message: message => {
        const { from, rest } = unstamp(message);
        ring.receive(Date.now(), from, new TextDecoder().decode(rest));
      },
    };
    this.#timer = setInterval(() => ring.tick(Date.now()), TICK);
  }

  #stop() {
    clearInterval(this.#timer);
    this.#worker?.terminate();
    delete this.#channels.on.keys;
    [this.#ring, this.#worker, this.#phrase, this.#people] = [null, null, null, []];
    this.#lines.clear();
    this.#onShut([]);
  }

  async #changed(ring) {
    if (ring !== this.#ring) return;
    const { keys, own } = await ring.media(Date.now());
    if (ring !== this.#ring) return;
    this.#worker.postMessage({ keys, own });
    this.#talk.keysChanged(Date.now());
    const phrase = await ring.phrase();
    if (ring !== this.#ring) return;
    this.#phrase = phrase;
    this.#show();
  }

  // Of whom frames come and none is opened, nothing is seen or heard.
  #count(counts) {
    const shut = new Map();
    for (const line of this.#lines.values()) {
      const { opened, refused } = counts.find(count => count.line === line.line) ?? line;
      const fails = opened === line.opened && (refused > line.refused || line.shut);
      Object.assign(line, { opened, refused, shut: fails && refused > line.refused });
      if (line.from !== null && refused + opened > 0) shut.set(line.from, (shut.get(line.from) ?? true) && fails);
    }
    this.#onShut([...shut].filter(([, is]) => is).map(([id]) => id));
    this.#show();
  }

  #show() {
    $('encrypted').hidden = $('encryption').hidden = !this.on;
    const state = this.#keyless ? 'none' : this.#ring?.state;
    $('no-key').hidden = !this.on || !ALARMING.includes(state);
    if (!this.on) return;
    $('no-key').textContent = $('encryption-state').textContent = t(WORDS[state]);
    const holders = this.#ring.holders;
    const without = this.#people.filter(({ id }) => !holders.includes(id)).map(({ name }) => name);
    $('encryption-without').textContent = state === 'ready' && without.length > 0
      ? t('keysWithout', { names: without.join(', ') }) : '';
    $('phrase').textContent = state === 'ready' ? this.#phrase : '';
    $('phrase-part').hidden = $('phrase').textContent === '';
    const frames = [...this.#lines.values()].reduce((sum, { refused }) => sum + refused, 0);
    const messages = this.#talk.refused + this.#ring.refused;
    $('encryption-refused').textContent = frames + messages > 0 ? t('keysRefused', { frames, messages }) : '';
  }
}
