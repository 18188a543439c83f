// What is limited in the meeting, and by whom: by an administrator or the moderators, by one's own choice, or by the
// network. Moderators set theirs here; everybody chooses what to receive.

import { $, cell } from './dom.js';
import { onLanguage, t } from './i18n.js';
import { limitTexts, limitsIn, putLimits, strictest } from './limitfields.js';
import { recall, remember } from './memory.js';
import { notify } from './notices.js';

const NONE = { maxHeight: null, maxSenders: null, audioOnly: false, ceiling: null };
const WHO = { server: 'whoServer', meeting: 'whoMeeting', moderators: 'whoModerators' };
const CHOICES = ['all', 'low', 'audio'];

// The engine's reasons that are the network's.
const NETWORK = ['budget', 'threshold', 'waiting'];
const DARK = { senders: 'darkSenders', limit: 'darkLimit', ceiling: 'darkCeiling' };

export class Limits {
  choice = CHOICES.includes(recall('choice')) ? recall('choice') : 'all';
  #imposed = { server: NONE, meeting: NONE, moderators: NONE };
  #withheld = { pictures: [], own: false };
  #barred = null;
  #on;

  // `on`: what follows from it:
  //   act(name, more): a moderator's limits for the server
  //   choose(choice): what is to be received
  //   bar(why): whether pictures may be sent, with the key of the words why not
  //   dark(pictures, all): of which pictures nothing is shown: a Map of `id` or `id/screen` to the key of the words why;
  //     `all` is that key for all of others, or null
  constructor(on) {
    this.#on = on;
    for (const radio of document.querySelectorAll('[name=choice]')) {
      radio.checked = radio.value === this.choice;
      radio.addEventListener('change', () => this.#choose(radio.value));
    }
    $('limits').addEventListener('submit', event => {
      event.preventDefault();
      on.act('limits', limitsIn($('limits')));
    });
    onLanguage(() => this.#show());
  }

  // In no meeting.
  clear() {
    this.#imposed = { server: NONE, meeting: NONE, moderators: NONE };
    this.#withheld = { pictures: [], own: false };
    putLimits($('limits'), NONE);
    this.#apply();
  }

  // What the moderators decided, which makes the meeting again.
  get moderators() {
    return this.#imposed.moderators;
  }

  message(message) {
    if (message.type === 'limits') {
      const { server, meeting, moderators } = message;
      const imposed = { server, meeting, moderators };
      // Back in the meeting, it is told again.
      if (JSON.stringify(imposed) !== JSON.stringify(this.#imposed)) notify('limitsChanged');
      this.#imposed = imposed;
      putLimits($('limits'), moderators);
      this.#apply();
    } else if (message.type === 'withheld') {
      const before = this.#soundAlone;
      this.#withheld = message;
      if (this.#soundAlone !== before) notify(this.#soundAlone ? 'soundAlone' : 'picturesBack');
      this.#apply();
    } else if (message.type === 'denied') {
      // What was not agreed to is not shown as if it were.
      putLimits($('limits'), this.moderators);
    }
  }

  // Who set the limit of this name that counts, in words.
  who(name) {
    const values = Object.entries(this.#imposed).map(([who, limits]) => [who, limits[name]]);
    const set = values.filter(([, value]) => value !== null && value !== false);
    const [who] = set.sort(([, a], [, b]) => a - b)[0] ?? ['server'];
    return t(WHO[who]);
  }

  // The words on why a picture is not larger, where a limit or one's own choice is the reason.
  why({ why, sent }) {
    if (this.choice === 'audio') return t('whyChoiceAudio');
    if (this.choice === 'low' && ['wish', 'ceiling'].includes(why)) return t('whyChoiceLow');
    if (why === 'senders') return t('whySenders', { who: this.who('maxSenders') });
    if (why === 'limit' && !sent) return t('whyLimitAudio', { who: this.who('audioOnly') });
    if (why === 'limit') return t('whyLimitBy', { who: this.who('maxHeight') });
    if (why === 'ceiling') return t('whyCeilingBy', { who: this.who('ceiling') });
    return null;
  }

  get #strictest() {
    return Object.values(this.#imposed).reduce(strictest);
  }

  // Whether the network is why there are no pictures.
  get #soundAlone() {
    const { pictures } = this.#withheld;
    return pictures.length > 0 && pictures.every(({ why }) => NETWORK.includes(why));
  }

  #choose(choice) {
    this.choice = choice;
    remember('choice', choice);
    this.#on.choose(choice);
    this.#apply();
  }

  #apply() {
    const barred = this.choice === 'audio' ? 'barredByChoice' : this.#strictest.audioOnly ? 'barredByLimit' : null;
    if (barred !== this.#barred) {
      if (this.#barred) notify('unbarred');
      this.#barred = barred;
      this.#on.bar(barred);
    }
    const dark = new Map(this.#withheld.pictures.map(({ track, screen, why }) => {
      const [id] = track.split('/');
      return [screen ? `${id}/screen` : id, DARK[why] ?? 'darkNetwork'];
    }));
    this.#on.dark(dark, this.choice === 'audio' ? 'darkChoice' : null);
    this.#show();
  }

  // A line for each limit that counts: who set it, and what it is.
  #show() {
    const counts = this.#strictest;
    const lines = Object.entries(this.#imposed).flatMap(([who, limits]) =>
      limitTexts(limits, counts).map(what => t('limitedBy', { who: t(WHO[who]), what })));
    if (this.choice !== 'all') {
      lines.push(t('limitedBy', { who: t('whoYou'), what: t(this.choice === 'low' ? 'choiceIsLow' : 'choiceIsAudio') }));
    }
    if (this.#soundAlone) lines.push(t('limitedBy', { who: t('whoNetwork'), what: t('networkSoundAlone') }));
    if (this.#withheld.own) lines.push(t('ownHeldBack', { who: this.who('maxSenders') }));
    for (const id of ['limited', 'limited-here']) {
      $(id).replaceChildren(...lines.map(line => cell('li', line)));
      $(id).hidden = lines.length === 0;
    }
  }
}
