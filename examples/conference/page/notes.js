// The tab of the notes: one text that all write together. Yjs merges what they do; the field shows its text, and over
// it lies the same text unseen, in which the others' carets have their places.

import { concat } from './bytes.js';
import { LAST, MORE, REFUSED, VECTOR, unstamp } from './channels.js';
import { $, copyOf } from './dom.js';
import { onLanguage, t } from './i18n.js';
import { isShown, onPanel } from './panel.js';
import { save } from './save.js';
import * as Y from './vendor/yjs.js';

const LONGEST = 100_000; // characters
const PAUSE = 100; // ms between two words on where one's caret is
const REMIND = 5_000; // ms after which the same is said again, to those who have come or missed it
const AGAIN = 1_500; // ms before the server is asked again that has been asked too often
const FORGET = 12_000; // ms after which a caret is gone that nobody reminds of

export class Notes {
  #channels;
  #list = []; // participants
  #doc = null;
  #text = null;
  #undo = null;
  #shown = ''; // what the field had when it last agreed with the text
  #missed = []; // what others did while a word was being composed
  #composing = false;
  #synced = false; // the server has told what it knows, and hears what is done
  #parts = []; // of an update that has not come to its end
  #carets = new Map(); // participant's id -> { place, until }
  #told = { at: 0, timer: 0 };
  #saved = true;

  constructor(channels) {
    this.#channels = channels;
    channels.on.text = {
      opened: () => this.#ask(),
      message: message => this.#receive(message),
      closed: () => { this.#synced = false; },
    };
    channels.on.cursors = { message: message => this.#receiveCaret(unstamp(message)) };
    this.#begin();

    const field = $('notes-text');
    field.addEventListener('input', () => { if (!this.#composing) this.#edited(); });
    field.addEventListener('compositionstart', () => { this.#composing = true; });
    field.addEventListener('compositionend', () => {
      this.#composing = false;
      this.#edited();
    });
    field.addEventListener('beforeinput', event => {
      const undo = { historyUndo: () => this.#undo.undo(), historyRedo: () => this.#undo.redo() }[event.inputType];
      if (!undo) return;
      event.preventDefault();
      undo();
    });
    field.addEventListener('keydown', event => {
      // The browser's own history knows nothing of what others wrote.
      if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
      const key = event.key.toLowerCase();
      if (key !== 'z' && key !== 'y') return;
      event.preventDefault();
      if (key === 'y' || event.shiftKey) this.#undo.redo(); else this.#undo.undo();
    });
    $('notes-undo').addEventListener('click', () => this.#undo.undo());
    $('notes-redo').addEventListener('click', () => this.#undo.redo());
    $('notes-save').addEventListener('click', () => {
      save('notesFile', this.#shown, 'text/markdown');
      this.#saved = true;
    });
    document.addEventListener('selectionchange', () => {
      if (document.activeElement === field) this.#tell();
    });
    field.addEventListener('blur', () => this.#tell());
    field.addEventListener('scroll', () => this.#scroll());
    new ResizeObserver(() => this.#show()).observe(field);
    onPanel(() => this.#show());
    onLanguage(() => this.#show());
    setInterval(() => {
      if (document.activeElement === field) this.#tell();
      if (this.#carets.size > 0) this.#show();
    }, REMIND);
  }

  // There is something that would be lost.
  get unsaved() {
    return !this.#saved;
  }

  participants(list) {
    this.#list = list;
    this.#show();
  }

  // A text of its own, with nothing in it.
  clear() {
    this.#carets.clear();
    this.#begin();
    this.#saved = true;
    $('notes-problem').textContent = '';
  }

  #begin() {
    this.#doc?.destroy();
    [this.#doc, this.#parts, this.#missed, this.#synced, this.#shown] = [new Y.Doc(), [], [], false, ''];
    this.#text = this.#doc.getText('notes');
    this.#undo = new Y.UndoManager(this.#text, { trackedOrigins: new Set([this]) });
    this.#doc.on('update', (update, origin) => {
      this.#saved = this.#text.length === 0;
      // What is done before the server has asked for it is told with the answer.
      if (origin !== this.#channels && this.#synced) this.#channels.sendText(LAST, update);
    });
    this.#text.observe(({ delta, transaction }) => this.#changed(delta, transaction.origin));
    $('notes-text').value = '';
    this.#show();
  }

  // Tells the server what is known here, which it answers with the rest.
  #ask() {
    [this.#synced, this.#parts] = [false, []];
    this.#channels.sendText(VECTOR, Y.encodeStateVector(this.#doc));
  }

  #receive(message) {
    const rest = message.subarray(1);
    switch (message[0]) {
      case MORE:
        this.#parts.push(rest);
        break;
      case LAST: {
        const update = concat(...this.#parts, rest);
        this.#parts = [];
        Y.applyUpdate(this.#doc, update, this.#channels);
        break;
      }
      case VECTOR:
        this.#synced = true;
        this.#channels.sendText(LAST, Y.encodeStateAsUpdate(this.#doc, rest));
        break;
      case REFUSED:
        if (new TextDecoder().decode(rest) === 'often') {
          setTimeout(() => { if (this.#channels.isOpen('text')) this.#ask(); }, AGAIN);
          break;
        }
        // The server's text is what all others have, so it is begun anew with that.
        $('notes-problem').textContent = t('notesRefused');
        this.#begin();
        this.#ask();
        break;
    }
  }

  // The user changed the field. What is between the parts that are as they were is the change, and it ends at
  // the caret, so that of equal letters the right one is taken.
  #edited() {
    const [before, now] = [this.#shown, $('notes-text').value];
    const long = now.length > Math.max(LONGEST, before.length);
    $('notes-problem').textContent = long ? t('notesLong') : '';
    if (long) return this.#agree();
    const caret = $('notes-text').selectionEnd;
    let end = 0;
    while (end < Math.min(before.length, now.length - caret) && before.at(-1 - end) === now.at(-1 - end)) end += 1;
    let start = 0;
    while (start < Math.min(before.length, now.length) - end && before[start] === now[start]) start += 1;
    // No half of a pair is left behind.
    if (isHigh(before[start - 1]) || isHigh(now[start - 1])) start -= 1;
    if (end > 0 && (isLow(before.at(-end)) || isLow(now.at(-end)))) end -= 1;
    const from = this.#moved(start);
    const to = Math.max(from, this.#moved(before.length - end));
    const added = now.slice(start, now.length - end);
    this.#doc.transact(() => {
      if (to > from) this.#text.delete(from, to - from);
      if (added !== '') this.#text.insert(from, added);
    }, this);
    this.#agree();
  }

  // The text has changed, by others, by undoing, or by the field.
  #changed(delta, origin) {
    if (origin === this) return;
    this.#missed.push(delta);
    if (!this.#composing) this.#agree();
  }

  // Shows the text in the field, with the caret where it was between the same letters.
  #agree() {
    const field = $('notes-text');
    const text = this.#text.toString();
    if (field.value !== text) {
      const [start, end] = [this.#moved(field.selectionStart), this.#moved(field.selectionEnd)];
      const { scrollTop, selectionDirection } = field;
      field.value = text;
      field.setSelectionRange(start, end, selectionDirection);
      field.scrollTop = scrollTop;
    }
    this.#missed = [];
    this.#shown = text;
    this.#show();
  }

  // Where a place of the field is after what was missed.
  #moved(place) {
    for (const delta of this.#missed) {
      let at = 0;
      for (const { retain = 0, insert, delete: gone = 0 } of delta) {
        at += retain;
        if (at > place) break;
        if (insert !== undefined) {
          // What is inserted where the caret is comes behind it.
          if (at < place) place += insert.length;
          at += insert.length;
        }
        if (at < place) place = Math.max(at, place - gone);
      }
    }
    return place;
  }

  // Tells the others where one's caret is, not too often.
  #tell() {
    clearTimeout(this.#told.timer);
    const wait = this.#told.at + PAUSE - Date.now();
    if (wait > 0) {
      this.#told.timer = setTimeout(() => this.#tell(), wait);
      return;
    }
    this.#told.at = Date.now();
    const field = $('notes-text');
    const place = field.selectionDirection === 'backward' ? field.selectionStart : field.selectionEnd;
    const relative = () => Y.createRelativePositionFromTypeIndex(this.#text, Math.min(place, this.#text.length), -1);
    const writes = document.activeElement === field;
    this.#channels.sendCursor(writes ? Y.encodeRelativePosition(relative()) : new Uint8Array());
  }

  #receiveCaret({ from, rest: place }) {
    if (place.length === 0) this.#carets.delete(from);
    else this.#carets.set(from, { place, until: Date.now() + FORGET });
    this.#show();
  }

  // The carets of those who are there, in the order of the text.
  #places() {
    const places = [];
    for (const [id, { place, until }] of this.#carets) {
      const name = this.#list.find(person => person.id === id)?.name;
      if (name === undefined || until < Date.now()) {
        this.#carets.delete(id);
        continue;
      }
      const index = this.#indexOf(place);
      if (index !== null) places.push({ id, name, index });
    }
    return places.sort((a, b) => a.index - b.index);
  }

  // Where a place is by now; null if it is nowhere, or is not even a place.
  #indexOf(place) {
    try {
      const at = Y.createAbsolutePositionFromRelativePosition(Y.decodeRelativePosition(place), this.#doc);
      return at?.type === this.#text ? at.index : null;
    } catch {
      return null;
    }
  }

  #show() {
    $('notes-save').disabled = this.#shown === '';
    if (!isShown('notes')) return;
    const field = $('notes-text');
    const places = this.#places();
    const pieces = [];
    let at = 0;
    for (const { id, name, index } of places) {
      pieces.push(this.#shown.slice(at, index), caretOf(id, name));
      at = index;
    }
    // Nothing is laid out for nobody.
    $('notes-carets').replaceChildren(...(places.length > 0 ? [...pieces, `${this.#shown.slice(at)}\u200b`] : []));
    $('notes-carets').style.setProperty('width', `${field.clientWidth}px`);
    this.#scroll();
    const line = index => this.#shown.slice(0, index).split('\n').length;
    $('notes-writers').replaceChildren(...places.map(({ name, index }) => {
      const row = document.createElement('li');
      row.textContent = t('notesWriter', { name, line: line(index) });
      return row;
    }));
  }

  #scroll() {
    $('notes-carets').scrollTop = $('notes-text').scrollTop;
  }
}

function caretOf(id, name) {
  const caret = copyOf('caret');
  caret.style.setProperty('--hue', (Number(id.slice(1)) * 137) % 360);
  caret.firstElementChild.textContent = name;
  return caret;
}

const isHigh = unit => unit >= '\ud800' && unit <= '\udbff';
const isLow = unit => unit >= '\udc00' && unit <= '\udfff';
