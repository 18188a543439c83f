// The tab of people: who is in the room, who waits, and what a moderator may do about them. Rows are kept as long
// as their people are there, so that the focus stays where it is.

import { $, copyOf, keep } from './dom.js';
import { confirmed } from './dialogs.js';
import { onLanguage, t } from './i18n.js';

export class People {
  #act;
  #own = null;
  #list = [];
  #waiting = [];
  #rows = new Map(); // id -> row, in the room
  #guests = new Map(); // the same, of those who wait

  // `act(name, more)` asks the server for something.
  constructor(act) {
    this.#act = act;
    $('admit-all').addEventListener('click', () => act('admit'));
    $('decline-all').addEventListener('click', async () => {
      if (await confirmed('confirmDecline', 'declineAll')) act('decline');
    });
    $('mute-all').addEventListener('click', () => act('mute'));
    $('rename').addEventListener('submit', event => {
      event.preventDefault();
      act('rename', { name: $('shown-name').value });
    });
    onLanguage(() => this.#show());
  }

  begin(own) {
    this.#own = own;
    this.#list = [];
    this.#waiting = [];
    this.#show();
  }

  participants(list) {
    const before = this.#list.find(({ id }) => id === this.#own)?.name;
    this.#list = list;
    const name = list.find(({ id }) => id === this.#own)?.name;
    if (name !== before) $('shown-name').value = name ?? '';
    this.#show();
  }

  waiting(list) {
    this.#waiting = list;
    this.#show();
  }

  #show() {
    const moderates = this.#list.some(({ id, moderator }) => id === this.#own && moderator);
    // Hands first, in their order.
    const order = [...this.#list].sort((a, b) => (a.hand ?? Infinity) - (b.hand ?? Infinity) || 0);
    keep($('people-list'), this.#rows, order, person => this.#makeRow(person), (row, person) => {
      this.#fill(row, person, moderates);
    });
    $('in-the-room').textContent = t('inTheRoom', { count: this.#list.length });
    $('mute-all').hidden = !moderates || this.#list.length < 2;
    const waiting = moderates ? this.#waiting : [];
    keep($('waiting-list'), this.#guests, waiting, guest => this.#makeGuest(guest), (row, { name }) => {
      row.querySelector('.name').textContent = name;
      row.querySelector('.admit').setAttribute('aria-label', t('admitOne', { name }));
      row.querySelector('.decline').setAttribute('aria-label', t('declineOne', { name }));
    });
    $('waiting').hidden = waiting.length === 0;
    const badge = $('panel-button').querySelector('.badge.waits');
    badge.hidden = waiting.length === 0;
    badge.querySelector('.count').textContent = waiting.length;
    badge.querySelector('.visually-hidden').textContent = t('waitingCount', { count: waiting.length });
  }

  #fill(row, { id, name, audio, hand, moderator }, moderates) {
    const own = id === this.#own;
    row.querySelector('.name').textContent = own ? t('you', { name }) : name;
    row.querySelector('.role').hidden = !moderator;
    row.querySelector('.muted').hidden = audio;
    row.querySelector('.hand').hidden = hand === null;
    row.querySelector('.hand .place').textContent = hand;
    row.querySelector('.hand .visually-hidden').textContent = t('handUp', { place: hand });
    row.querySelector('.actions').hidden = !moderates || own;
    row.querySelector('summary').setAttribute('aria-label', t('actionsFor', { name }));
    row.querySelector('[data-act=mute]').hidden = !audio;
    row.querySelector('[data-act=lower]').hidden = hand === null;
    row.querySelector('[data-act=promote]').hidden = moderator;
  }

  #makeRow({ id }) {
    const row = copyOf('person');
    row.addEventListener('click', async event => {
      const act = event.target.closest('[data-act]')?.dataset.act;
      if (!act) return;
      row.querySelector('details').open = false;
      row.querySelector('summary').focus();
      const name = this.#list.find(person => person.id === id)?.name;
      if (act !== 'remove' || await confirmed('confirmRemove', 'remove', { name })) this.#act(act, { id });
    });
    return row;
  }

  #makeGuest({ id }) {
    const row = copyOf('guest');
    row.querySelector('.admit').addEventListener('click', () => this.#act('admit', { id }));
    row.querySelector('.decline').addEventListener('click', () => this.#act('decline', { id }));
    return row;
  }
}
