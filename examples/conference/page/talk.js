// Between chat and notes and their channels. In a meeting that is not encrypted all passes. In one that is, it does what
// the server's desk (desk.rs) does otherwise, which could read nothing: messages go from page to page, sealed for
// those who have the meeting's key, and who comes later is told by the page that leads.
//
//   chat: JSON. `said` with `id`, `name`, `time` and `text`; `ask` for what was said before, of the page named in `to`
//     or of the one that leads; its answer `told` with a `list` of what was said and by whom, and `end`
//   text: as with the desk, and ASK
//   cursors: a place
//
// What cannot be opened is dropped and counted. Only a message of an epoch that is not known yet waits for it.

import { concat } from './bytes.js';
import { CHAT_MESSAGE, LAST, MORE, PART, VECTOR, stamp, unstamp } from './channels.js';

const ASK = 4; // on `text`: say again what you know
const WAITING = 256; // messages that wait for their epoch
const WAIT = 10_000; // ms
const KEPT = 500; // messages of the chat for who comes later
const TEXT = 8 * 1024 * 1024; // bytes of an update that comes in parts
const EMPTY = 2; // bytes of an update in which nothing is

export class Talk {
  on = {}; // as that of Channels
  #channels;
  #ring = null; // the keys, null where nothing is encrypted
  #name = () => '';
  #said = []; // what is told to who comes later
  #parts = new Map(); // id -> the parts of an update that have come
  #leader = null; // the page that led when it was last looked at
  #asked = new Set(); // ids of who was asked what was said before: they alone are believed what others said
  #caughtUp = false; // what was said before is known
  #waiting = [];
  #refused = 0;
  #sealing = Promise.resolve();
  #opening = Promise.resolve();

  constructor(channels) {
    this.#channels = channels;
    for (const name of ['chat', 'text', 'cursors']) {
      channels.on[name] = {
        opened: () => this.#opened(name),
        message: data => this.#heard(name, data),
        closed: () => this.on[name].closed?.(),
      };
    }
  }

  // From now on with these keys, or without any; `name()` is what one is called. `fresh` if it is another meeting.
  begin(ring, name, fresh) {
    [this.#ring, this.#name, this.#leader, this.#waiting] = [ring, name, null, []];
    this.#parts.clear();
    this.#asked.clear();
    if (fresh) [this.#said, this.#caughtUp, this.#refused] = [[], false, 0];
  }

  // Messages that could not be opened.
  get refused() {
    return this.#refused;
  }

  isOpen(name) {
    return this.#channels.isOpen(name) && (this.#ring === null || this.#ring.state === 'ready');
  }

  // Says something in the chat.
  say(text) {
    if (this.#ring === null) return this.#channels.say(text);
    const said = { id: crypto.randomUUID(), name: this.#name(), time: Date.now(), text };
    this.#send('chat', json({ type: 'said', ...said }));
    this.#note({ ...said, from: this.#ring.id });
  }

  // As `Channels.sendText`.
  sendText(kind, bytes) {
    if (this.#ring === null) return this.#channels.sendText(kind, bytes);
    if (kind === LAST && bytes.length <= EMPTY) return;
    let at = 0;
    for (; bytes.length - at > PART; at += PART) this.#send('text', concat([MORE], bytes.subarray(at, at + PART)));
    this.#send('text', concat([kind], bytes.subarray(at)));
  }

  // As `Channels.sendCursor`.
  sendCursor(place) {
    if (this.#ring === null) this.#channels.sendCursor(place);
    else this.#send('cursors', place);
  }

  // Another epoch has begun.
  keysChanged(now) {
    const waiting = this.#waiting.splice(0);
    for (const { name, from, sealed, until } of waiting) {
      if (until > now) this.#receive(name, from, sealed, until); else this.#refused += 1;
    }
    const { state, leader } = this.#ring;
    if (state !== 'ready' || leader === this.#leader) return;
    this.#leader = leader;
    for (const name of ['chat', 'text']) if (this.#channels.isOpen(name)) this.#opened(name);
  }

  get #leads() {
    return this.#ring.leader === this.#ring.id;
  }

  #opened(name) {
    if (this.#ring === null) return this.on[name].opened?.();
    if (this.#ring.state !== 'ready') return;
    if (name === 'chat') {
      if (this.#leads) this.on.chat.message(JSON.stringify({ type: 'now' }));
      else this.#ask(this.#ring.leader);
    } else if (name === 'text') {
      if (this.#leads) this.#send('text', concat([ASK]));
      else this.on.text.opened();
    }
  }

  #ask(id) {
    this.#asked.add(id);
    this.#send('chat', json({ type: 'ask', to: id }));
  }

  // In the order in which it is said.
  #send(name, message) {
    const ring = this.#ring;
    this.#sealing = this.#sealing.then(async () => {
      const sealed = await ring.seal(name, message);
      if (ring === this.#ring && this.#channels.isOpen(name)) this.#channels.send(name, sealed);
    }).catch(error => console.warn('A message was not sent:', error));
  }

  #heard(name, data) {
    if (this.#ring === null) return this.on[name].message(data);
    const { from, rest } = unstamp(data);
    this.#receive(name, from, rest, Date.now() + WAIT);
  }

  #receive(name, from, sealed, until) {
    const ring = this.#ring;
    this.#opening = this.#opening.then(async () => {
      const message = await ring.open(name, from, sealed);
      if (ring === this.#ring) this.#take(name, from, message);
    }).catch(error => {
      if (ring !== this.#ring) return;
      if (error.reason === 'unknown-key' && this.#waiting.length < WAITING) {
        this.#waiting.push({ name, from, sealed, until });
      } else {
        this.#refused += 1;
      }
    });
  }

  #take(name, from, message) {
    if (name === 'chat') this.#takeChat(from, JSON.parse(new TextDecoder().decode(message)));
    else if (name === 'text') this.#takeText(from, message[0], message.subarray(1));
    else this.on.cursors.message(stamp(from, message));
  }

  #takeChat(from, { type, to, list, end, ...said }) {
    if (type === 'said') {
      this.#note({ ...said, from });
    } else if (type === 'ask' && to === this.#ring.id) {
      for (const [at, one] of this.#said.entries()) {
        this.#send('chat', json({ type: 'told', to: from, list: [one], end: at + 1 === this.#said.length }));
      }
      if (this.#said.length === 0) this.#send('chat', json({ type: 'told', to: from, list: [], end: true }));
      // Who leads without having been there asks whoever was.
      if (!this.#caughtUp && this.#leads) this.#ask(from);
    } else if (type === 'told' && to === this.#ring.id) {
      if (!this.#asked.has(from)) {
        this.#refused += 1;
        return;
      }
      for (const one of list) this.#note(one);
      if (!end) return;
      this.#asked.delete(from);
      this.#caughtUp = true;
      this.on.chat.message(JSON.stringify({ type: 'now' }));
    }
  }

  // Something was said. Again, it changes nothing.
  #note({ id, from, name, time, text }) {
    const sound = [id, from, name, text].every(part => typeof part === 'string') && Number.isFinite(time);
    if (!sound || text.length > CHAT_MESSAGE || this.#said.some(one => one.id === id)) return;
    this.#said.push({ id, from, name, time, text });
    if (this.#said.length > KEPT) this.#said.shift();
    this.on.chat.message(JSON.stringify({ type: 'said', id, from, name, time, text }));
  }

  #takeText(from, kind, rest) {
    const parts = [...this.#parts.get(from) ?? [], rest];
    this.#parts.delete(from);
    const leads = from === this.#ring.leader;
    if (kind === MORE) {
      if (parts.reduce((sum, { length }) => sum + length, 0) <= TEXT) this.#parts.set(from, parts);
    } else if (kind === LAST) {
      this.on.text.message(concat([LAST], ...parts));
    } else if (kind === ASK && leads) {
      this.on.text.opened();
    } else if (kind === VECTOR && (leads || this.#leads)) {
      // Each is told what it lacks; who leads asks back.
      if (this.#leads) this.on.text.opened();
      this.on.text.message(concat([VECTOR], rest));
    }
  }
}

const json = message => new TextEncoder().encode(JSON.stringify(message));
