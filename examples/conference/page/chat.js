// The tab of the chat: what is said, by whom and when, and what one says oneself.

import { CHAT_MESSAGE } from './channels.js';
import { $, copyOf } from './dom.js';
import { onLanguage, t, timeText } from './i18n.js';
import { notify } from './notices.js';
import { isShown, onPanel } from './panel.js';
import { save } from './save.js';

const MOST = 2_000; // messages on the page; what is older is no longer shown
const PREVIEW = 80; // characters of a message in a notice
const LINK = /https?:\/\/[^\s<>"]+[^\s<>"'.,;:!?)\]]/g;

export class Chat {
  #channels;
  #own = new Set(); // all ids one has had in this meeting
  #messages = new Map(); // by their id, or by time where no two have it in common
  #old = true; // what comes was said before one came
  #unread = 0;
  #saved = true;
  #unanswered = []; // texts that the server has not answered, which it does in order

  constructor(channels) {
    this.#channels = channels;
    channels.on.chat = {
      message: data => this.#receive(JSON.parse(data)),
      closed: () => { this.#unanswered = []; },
    };
    $('chat-form').addEventListener('submit', event => {
      event.preventDefault();
      this.#say();
    });
    $('chat-text').addEventListener('keydown', event => {
      // Enter may also end a word that is being composed.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#say();
    });
    // What does not fit is not even put into the field, where megabytes would hold up the page.
    $('chat-text').addEventListener('beforeinput', event => {
      const text = event.data ?? event.dataTransfer?.getData('text/plain') ?? '';
      if (text.length <= CHAT_MESSAGE) return;
      event.preventDefault();
      this.#problem('chatLong');
    });
    $('chat-text').addEventListener('input', () => this.#problem(null));
    $('chat-save').addEventListener('click', () => {
      save('chatFile', this.#asText(), 'text/plain');
      this.#saved = true;
    });
    onPanel(() => this.#show());
    document.addEventListener('visibilitychange', () => this.#show());
    onLanguage(() => this.#show());
  }

  // There is something that would be lost.
  get unsaved() {
    return !this.#saved;
  }

  // In the room, as the participant of this id; `fresh` if it is another room than before.
  begin(own, fresh) {
    if (fresh) this.clear();
    this.#own.add(own);
  }

  clear() {
    this.#own.clear();
    this.#messages.clear();
    [this.#old, this.#unread, this.#saved] = [true, 0, true];
    $('chat-log').replaceChildren();
    $('chat-text').value = '';
    this.#problem(null);
    this.#show();
  }

  #say() {
    const text = $('chat-text').value;
    if (text.trim() === '') return;
    if (new TextEncoder().encode(text).length > CHAT_MESSAGE) return this.#problem('chatLong');
    if (!this.#channels.isOpen('chat')) return this.#problem('chatClosed');
    this.#channels.say(text);
    this.#unanswered.push(text);
    $('chat-text').value = '';
    this.#problem(null);
  }

  #receive(message) {
    if (message.type === 'now') this.#old = false;
    if (message.type === 'refused') this.#refused(message.why);
    // After a lost connection all comes again.
    const key = message.id ?? message.time;
    if (message.type !== 'said' || this.#messages.has(key)) return;
    this.#messages.set(key, message);
    this.#saved = false;
    this.#append(message);
    if (!this.#old && this.#own.has(message.from)) this.#unanswered.shift();
    if (this.#isRead || this.#old || this.#own.has(message.from)) return;
    this.#unread += 1;
    this.#show();
    const characters = [...message.text.replace(/\s+/g, ' ')];
    const text = characters.slice(0, PREVIEW).join('') + (characters.length > PREVIEW ? '…' : '');
    notify('chatSaid', { name: message.name, text });
  }

  // What was not said goes back to where it was written, before what has been written since.
  #refused(why) {
    const field = $('chat-text');
    field.value = [this.#unanswered.shift(), field.value].filter(Boolean).join('\n');
    this.#problem(why === 'long' ? 'chatLong' : 'chatOften');
  }

  #append({ from, name, time, text }) {
    const log = $('chat-log');
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    const row = copyOf('said');
    const own = this.#own.has(from);
    row.classList.toggle('own', own);
    row.querySelector('.name').textContent = own ? t('you', { name }) : name;
    row.querySelector('time').dateTime = new Date(time).toISOString();
    row.querySelector('time').textContent = timeText(new Date(time));
    row.querySelector('.text').append(...withLinks(text));
    log.append(row);
    if (log.children.length > MOST) log.firstElementChild.remove();
    if (atEnd || own) log.scrollTop = log.scrollHeight;
  }

  get #isRead() {
    return isShown('chat') && document.visibilityState === 'visible';
  }

  #problem(key) {
    $('chat-problem').textContent = key ? t(key) : '';
  }

  #show() {
    if (this.#isRead) {
      this.#unread = 0;
      $('chat-log').scrollTop = $('chat-log').scrollHeight;
    }
    for (const badge of document.querySelectorAll('.unread')) {
      badge.hidden = this.#unread === 0;
      badge.querySelector('.count').textContent = this.#unread;
      badge.querySelector('.visually-hidden').textContent = t('chatUnread', { count: this.#unread });
    }
  }

  #asText() {
    const line = ({ name, time, text }) => `[${new Date(time).toLocaleString()}] ${name}: ${text}\n`;
    return [...this.#messages.values()].map(line).join('');
  }
}

// The text in pieces, its addresses as links. What others write is never more than text and links.
function withLinks(text) {
  const pieces = [];
  let at = 0;
  for (const { 0: address, index } of text.matchAll(LINK)) {
    pieces.push(text.slice(at, index), linkTo(address));
    at = index + address.length;
  }
  return [...pieces, text.slice(at)];
}

function linkTo(address) {
  if (!URL.canParse(address)) return address;
  const link = document.createElement('a');
  [link.href, link.textContent, link.target, link.rel] = [address, address, '_blank', 'noopener noreferrer nofollow'];
  return link;
}
