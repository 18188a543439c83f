// The keys of an encrypted meeting. Its pages agree on them among themselves, over a server that only passes on what
// they say and may say anything itself.
//
// All pages know the link's secret. Each makes a key pair (X25519) for as long as it is in the room, and announces its
// public half, authenticated by the secret. One leads: among those who have announced themselves the moderator who has
// been there longest, without a moderator whoever has been there longest. It makes the meeting's key and hands it to
// everybody, sealed for each one's public key and the secret. Each such key begins an epoch. When somebody has come,
// the next key follows from the one before (HKDF), so that what was before stays closed to who came; when somebody has
// gone, and when another leads, it is drawn anew, so that what follows stays closed to who went.
//
// Everybody derives its own keys from the epoch's key and its own public key, so that no two use one key whatever the
// server calls them. Frames have them by the key id (RFC 9605, section 5): epoch in the upper 32 bits, the number in
// the participant's id in the lower ones.
//
// What travels, as JSON text to all:
//   announce: `key` and its `tag`, both of the sender
//   grant: `head`, a text of JSON with its `number`, which grows, and `roster`, a list of [id, key, tag];
//     `boxes` in the order of the roster: the epoch's key, sealed with the head for each
// A grant is taken from the page that leads, if all who get the key are in the room, once. An announcement said again
// changes nothing.
//
// Without clock and network: each step is told the time in milliseconds; `send` and `changed` are called.

import { concat } from './bytes.js';

const { subtle } = globalThis.crypto;

const AGAIN = 2_000; // ms between announcements while the leader's key is waited for
const PATIENCE = 1_500; // ms for which whoever is there already is waited for, before one leads oneself
const CALM = 250; // ms between two epochs, so that many who come at once are one change
const SETTLE = 500; // ms after which an epoch's key is used: the others have it by then
const KEPT = 10_000; // ms for which what was sent before an epoch may still arrive
const ROUNDS = 100_000; // of PBKDF2, which makes it dear to look for keys that have a wanted phrase
const SECRET = 16; // bytes
const [KEY, TAG, IV] = [32, 16, 12]; // bytes

const NONE = new Uint8Array();
const utf8 = text => new TextEncoder().encode(text);

export const newSecret = () => toText(crypto.getRandomValues(new Uint8Array(SECRET)));

// A message that is not opened. `reason`: `unknown-key`, which may still come, or `tampered`.
export class SealError extends Error {
  constructor(reason) {
    super(reason);
    this.name = 'SealError';
    this.reason = reason;
  }
}

export class Keyring {
  #id;
  #on;
  #pair;
  #own; // what one announces: { key, tag }
  #secret; // bytes
  #proof; // of announcements
  #order = []; // ids, whoever would lead first
  #members = new Map(); // id -> { key, tag }, proven
  #strangers = new Set(); // ids that prove to have another secret
  #grants = new Map(); // id -> text of the last one, until it is taken
  #numbers = new Map(); // public key -> number of the last grant taken from it
  #granted = null; // the text of one's own last grant
  #repeats = false; // somebody may have missed it
  #epochs = []; // { id, key, roster, from, at }, the newest last
  #opened = null; // since when one is heard
  #announced = -Infinity;
  #issued = -Infinity;
  #refused = 0;
  #work;
  #sending = null; // the id of the epoch in use
  #derived = new Map(); // keys for messages, by epoch, purpose and public key

  // `id` is one's own, `secret` as text; `send(text)` says something to all, `changed()` is called after an epoch has begun,
  // is used or forgotten, and when somebody proves to be a stranger.
  constructor(id, secret, on) {
    [this.#id, this.#secret, this.#on] = [id, fromText(secret), on];
    this.#work = this.#prepare();
  }

  async #prepare() {
    this.#pair = await subtle.generateKey({ name: 'X25519' }, false, ['deriveBits']);
    const proof = await derive(this.#secret, NONE, 'announce', KEY);
    this.#proof = await subtle.importKey('raw', proof, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
    const key = toText(await subtle.exportKey('raw', this.#pair.publicKey));
    this.#own = { key, tag: await this.#tag(this.#id, key) };
    this.#members.set(this.#id, this.#own);
  }

  // The channel to the others is open, for the first time or again.
  opened(now) {
    return this.#step(now, () => {
      this.#opened ??= now;
      this.#announced = -Infinity;
      // Who leads may have been missed.
      this.#repeats = true;
    });
  }

  // Who is in the room, in the order of coming: `{ id, moderator }`.
  participants(now, list) {
    const of = is => list.filter(({ moderator }) => moderator === is).map(({ id }) => id);
    return this.#step(now, () => {
      this.#order = [...of(true), ...of(false)];
      for (const ids of [this.#members, this.#strangers, this.#grants]) {
        for (const id of ids.keys()) if (id !== this.#id && !this.#order.includes(id)) ids.delete(id);
      }
    });
  }

  // Somebody, by the server's word, said this.
  receive(now, from, text) {
    return this.#step(now, async () => {
      const message = parse(text);
      if (message?.type === 'announce') await this.#hear(from, message);
      else if (message?.type === 'grant') this.#grants.set(from, message);
      else this.#refused += 1;
    });
  }

  // Time has passed.
  tick(now) {
    return this.#step(now, () => {});
  }

  get id() {
    return this.#id;
  }

  // Who leads, null while that is not known.
  get leader() {
    return this.#newest?.from ?? null;
  }

  // Who has the newest key, as ids.
  get holders() {
    return [...this.#newest?.roster.keys() ?? []];
  }

  // `waiting`: there is no key yet. `ready`: there is. `stranger`: there is, but the others have another secret.
  get state() {
    if (!this.#newest) return 'waiting';
    const alone = this.#newest.roster.size === 1 && this.#order.length > 1;
    return !alone ? 'ready' : this.#strangers.size > 0 ? 'stranger' : 'waiting';
  }

  // What was said about keys and is not true.
  get refused() {
    return this.#refused;
  }

  // The keys for frames: `keys`, a list of { kid, id, key } of all whose frames may come, and the one of `own` frames.
  async media(now) {
    const of = async ({ id: epoch, key, roster }, id) =>
      ({ kid: kidOf(epoch, id), id, key: await derive(key, fromText(roster.get(id)), 'media', KEY) });
    const all = this.#epochs.flatMap(epoch => [...epoch.roster.keys()].map(id => of(epoch, id)));
    const used = this.#used(now);
    return { keys: await Promise.all(all), own: used ? await of(used, this.#id) : null };
  }

  // Seals a message for the others. Of each purpose one has a key of its own. Unlike a frame it can wait for its epoch, so
  // the newest it is: who has just come has no other.
  async seal(purpose, message) {
    const epoch = this.#newest;
    if (!epoch) throw new SealError('unknown-key');
    const key = await this.#keyFor(epoch, purpose, this.#id);
    const iv = crypto.getRandomValues(new Uint8Array(IV));
    const sealed = await subtle.encrypt({ name: 'AES-GCM', iv, additionalData: utf8(purpose) }, key, message);
    return concat(uint32(epoch.id), iv, new Uint8Array(sealed));
  }

  // Opens what `from` has sealed for this purpose.
  async open(purpose, from, message) {
    const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
    const id = message.length >= 4 ? view.getUint32(0) : null;
    const epoch = this.#epochs.find(epoch => epoch.id === id);
    if (!epoch?.roster.has(from)) throw new SealError('unknown-key');
    const key = await this.#keyFor(epoch, purpose, from);
    const [iv, sealed] = [message.subarray(4, 4 + IV), message.subarray(4 + IV)];
    try {
      const parameters = { name: 'AES-GCM', iv, additionalData: utf8(purpose) };
      return new Uint8Array(await subtle.decrypt(parameters, key, sealed));
    } catch {
      throw new SealError('tampered');
    }
  }

  // Thirty digits that follow from the secret and the public keys of all who have the meeting's key. Whoever stands
  // between them has to put in keys of its own, and the digits differ. Null without a key.
  async phrase() {
    if (this.state !== 'ready') return null;
    this.#newest.phrase ??= this.#makePhrase();
    return this.#newest.phrase;
  }

  async #makePhrase() {
    const keys = [...this.#newest.roster.values()].sort().map(fromText);
    const secret = await subtle.importKey('raw', this.#secret, 'PBKDF2', false, ['deriveBits']);
    const salt = concat(utf8('phrase'), ...keys);
    const bits = await subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-256', salt, iterations: ROUNDS }, secret, 256);
    const number = new Uint8Array(bits).reduce((sum, byte) => sum << 8n | BigInt(byte), 0n);
    return `${number % 10n ** 30n}`.padStart(30, '0').match(/.{5}/g).join(' ');
  }

  get #newest() {
    return this.#epochs.at(-1) ?? null;
  }

  // The epoch whose key is used for frames.
  #used(now) {
    return this.#epochs.findLast(({ at }) => now - at >= SETTLE) ?? null;
  }

  // One after the other, because each may take several asynchronous steps.
  #step(now, step) {
    this.#work = this.#work.then(step).then(() => this.#due(now)).catch(error => {
      this.#refused += 1;
      console.warn('A step of the keys failed:', error);
    });
    return this.#work;
  }

  // Does what is due.
  async #due(now) {
    // What came before `SETTLE` is used still, so it counts from when it was not any more.
    const kept = this.#epochs.filter((_, at) => !(now - this.#epochs[at + 1]?.at > SETTLE + KEPT));
    const changed = kept.length < this.#epochs.length;
    this.#epochs = kept;
    let began = false;
    for (const [from, grant] of this.#grants) began = await this.#take(now, from, grant) || began;
    if (this.#leads(this.#members, now) === this.#id) began = await this.#lead(now) || began;
    this.#ask(now);
    const sending = this.#used(now)?.id ?? null;
    if (began || changed || sending !== this.#sending) {
      this.#sending = sending;
      this.#on.changed();
    }
  }

  // Whoever comes first of those who are known to have the secret. One who has just come does not know everybody yet.
  #leads(members, now) {
    const settled = this.#newest !== null || this.#order[0] === this.#id
      || (this.#opened !== null && now - this.#opened >= PATIENCE);
    return this.#order.find(id => (id === this.#id ? settled : members.has(id))) ?? null;
  }

  // Announces oneself as long as who leads has not answered by a key, and while one leads for want of somebody else.
  #ask(now) {
    const leader = this.#leads(this.#members, now);
    const answered = this.leader === leader && leader !== null && (leader !== this.#id || leader === this.#order[0]);
    if (answered || this.#opened === null || now - this.#announced < AGAIN) return;
    this.#announced = now;
    this.#on.send(JSON.stringify({ type: 'announce', ...this.#own }));
  }

  // Takes note of somebody's key, if it is proven.
  async #meet(from, { key, tag }) {
    const known = this.#members.get(from);
    // Who has a key keeps it as long as it is there.
    if (known ? known.key !== key : !await this.#proves(from, key, tag)) return false;
    this.#members.set(from, { key, tag });
    this.#strangers.delete(from);
    return true;
  }

  // An announcement. Who says it again has missed the answer.
  async #hear(from, announcement) {
    const known = this.#members.has(from);
    if (!await this.#meet(from, announcement)) this.#stranger(from);
    else if (known) this.#repeats = true;
  }

  #stranger(id) {
    this.#refused += 1;
    if (this.#members.has(id) || this.#strangers.has(id) || !this.#order.includes(id)) return;
    this.#strangers.add(id);
    // So that it hears of it as well.
    this.#repeats = true;
    this.#on.changed();
  }

  // Hands out a key if the one in use is not right any more.
  async #lead(now) {
    const roster = this.#order.filter(id => this.#members.has(id)).map(id => [id, this.#members.get(id)]);
    const last = this.#newest?.from === this.#id ? this.#newest : null;
    const same = ([id, { key }]) => last.roster.get(id) === key;
    const left = last && [...last.roster.keys()].some(id => !this.#order.includes(id));
    const came = last && !roster.every(same);
    if (now - this.#issued < CALM) return false;
    if (last && !left && !came) {
      if (this.#repeats && this.#opened !== null) this.#on.send(this.#granted);
      if (this.#repeats) this.#issued = now;
      this.#repeats = false;
      return false;
    }
    const fresh = !last || left;
    const key = fresh ? crypto.getRandomValues(new Uint8Array(KEY)) : await derive(last.key, NONE, 'ratchet', KEY);
    const number = (this.#numbers.get(this.#own.key) ?? 0) + 1;
    const head = JSON.stringify({ number, roster: roster.map(([id, { key, tag }]) => [id, key, tag]) });
    const box = async ([id, { key: theirs }]) => (id === this.#id ? '' : toText(await this.#box(theirs, head, key)));
    const boxes = await Promise.all(roster.map(box));
    this.#granted = JSON.stringify({ type: 'grant', head, boxes });
    [this.#issued, this.#repeats] = [now, false];
    this.#numbers.set(this.#own.key, number);
    await this.#begin(now, this.#id, key, new Map(roster.map(([id, { key }]) => [id, key])));
    this.#on.send(this.#granted);
    return true;
  }

  // Begins an epoch if the grant is the leader's, new, and for people who are there. One that is not may be so once it
  // is known who came or went; it is kept until then.
  async #take(now, from, { head, boxes }) {
    const { number, roster } = parse(head) ?? {};
    const whole = Number.isSafeInteger(number) && Array.isArray(roster) && Array.isArray(boxes)
      && roster.every(entry => Array.isArray(entry) && entry.length === 3 && entry.every(part => typeof part === 'string'));
    if (!whole) return this.#drop(from);
    const members = new Map(roster.map(([id, key, tag]) => [id, { key, tag }]));
    const at = roster.findIndex(([id]) => id === this.#id);
    const issuer = members.get(from);
    if (!issuer || !await this.#meet(from, issuer)) return this.#drop(from);
    // Not for oneself yet: the announcement was on its way.
    if (members.get(this.#id)?.key !== this.#own.key) return false;
    if (![...members.keys()].every(id => this.#order.includes(id))) return false;
    for (const [id, { key, tag }] of members) {
      const known = this.#members.get(id);
      if (known ? known.key !== key : !await this.#proves(id, key, tag)) return this.#drop(from);
    }
    if (this.#leads(new Map([...this.#members, ...members]), now) !== from) return false;
    this.#grants.delete(from);
    // Said before.
    if (number <= (this.#numbers.get(issuer.key) ?? 0)) return false;
    const key = await this.#unbox(issuer.key, head, boxes[at]);
    if (key === null) return this.#drop(from);
    this.#numbers.set(issuer.key, number);
    for (const [id, member] of members) this.#members.set(id, member);
    await this.#begin(now, from, key, new Map(roster.map(([id, key]) => [id, key])));
    return true;
  }

  #drop(from) {
    this.#grants.delete(from);
    this.#stranger(from);
    return false;
  }

  async #begin(now, from, key, roster) {
    const id = new DataView((await derive(key, NONE, 'epoch', 4)).buffer).getUint32(0);
    this.#epochs.push({ id, key, roster, from, at: now });
    for (const name of this.#derived.keys()) {
      if (!this.#epochs.some(epoch => name.startsWith(`${epoch.id} `))) this.#derived.delete(name);
    }
  }

  async #tag(id, key) {
    const tag = await subtle.sign('HMAC', this.#proof, utf8(JSON.stringify([id, key])));
    return toText(new Uint8Array(tag, 0, TAG));
  }

  // Whether this is the key of who has the secret. Tags are compared as text: how long that takes tells a guesser
  // about a tag of one announcement, which is of no use for the next.
  async #proves(id, key, tag) {
    if (typeof key !== 'string' || await this.#tag(id, key) !== tag) return false;
    return fromText(key).length === KEY;
  }

  async #box(theirs, head, key) {
    const cipher = await this.#shared(theirs, this.#own.key, theirs);
    const iv = crypto.getRandomValues(new Uint8Array(IV));
    return concat(iv, new Uint8Array(await subtle.encrypt({ name: 'AES-GCM', iv, additionalData: utf8(head) }, cipher, key)));
  }

  async #unbox(theirs, head, box) {
    try {
      const [cipher, bytes] = [await this.#shared(theirs, theirs, this.#own.key), fromText(box)];
      const parameters = { name: 'AES-GCM', iv: bytes.subarray(0, IV), additionalData: utf8(head) };
      return new Uint8Array(await subtle.decrypt(parameters, cipher, bytes.subarray(IV)));
    } catch {
      return null;
    }
  }

  // The key between the page that leads and another one, which needs both their private key and the link's secret.
  async #shared(theirs, leader, member) {
    const peer = await subtle.importKey('raw', fromText(theirs), { name: 'X25519' }, false, []);
    const shared = await subtle.deriveBits({ name: 'X25519', public: peer }, this.#pair.privateKey, 256);
    const key = await derive(new Uint8Array(shared), this.#secret, `box ${leader} ${member}`, KEY);
    return subtle.importKey('raw', key, 'AES-GCM', false, ['encrypt', 'decrypt']);
  }

  #keyFor({ id: epoch, key, roster }, purpose, id) {
    const name = `${epoch} ${purpose} ${roster.get(id)}`;
    if (!this.#derived.has(name)) {
      const raw = derive(key, fromText(roster.get(id)), purpose, KEY);
      const load = bytes => subtle.importKey('raw', bytes, 'AES-GCM', false, ['encrypt', 'decrypt']);
      this.#derived.set(name, raw.then(load));
    }
    return this.#derived.get(name);
  }
}

// The key id of a participant's frames in an epoch.
export const kidOf = (epoch, id) => BigInt(epoch) << 32n | BigInt(id.slice(1));

async function derive(secret, salt, purpose, length) {
  const key = await subtle.importKey('raw', secret, 'HKDF', false, ['deriveBits']);
  const info = utf8(`estafette conference ${purpose}`);
  return new Uint8Array(await subtle.deriveBits({ name: 'HKDF', hash: 'SHA-256', salt, info }, key, length * 8));
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// Bytes as text for links and JSON (base64url), and back; what is no such text has no bytes.
export function toText(bytes) {
  const text = btoa(String.fromCharCode(...new Uint8Array(bytes)));
  return text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

export function fromText(text) {
  try {
    return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), letter => letter.charCodeAt(0));
  } catch {
    return NONE;
  }
}

function uint32(number) {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}
