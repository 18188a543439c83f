// The room and its lobby: takes what the server says of the meeting to the parts that show it.

import { tellChanges, tellOptions, tellWaiting } from './changes.js';
import { Chat } from './chat.js';
import { confirmed } from './dialogs.js';
import { $ } from './dom.js';
import { onLanguage, t } from './i18n.js';
import { Meeting } from './meeting.js';
import { dropSecret, keepMeeting, keepSeat } from './memory.js';
import { Notes } from './notes.js';
import { notify } from './notices.js';
import { closePanel, openPanel } from './panel.js';
import { People } from './people.js';
import { fragmentOf } from './secret.js';
import { Tiles } from './tiles.js';

const DENIED = { moderators: 'deniedModerators', full: 'deniedFull', range: 'deniedRange', owner: 'deniedOwner' };

// What is asked of who leaves, by what has not been saved.
const LOST = [
  { chat: true, notes: true, question: 'confirmLeaveBoth' },
  { chat: true, notes: false, question: 'confirmLeaveChat' },
  { chat: false, notes: true, question: 'confirmLeaveNotes' },
];

export class Room {
  tiles;
  #devices;
  #act;
  #people;
  #meeting;
  #limits;
  #chat;
  #notes;
  #code = null;
  #secret = null; // the moderator's, until the code is known
  #own = null;
  #list = null; // null before the first
  #waiting = [];
  #settled = false; // the options are those of this room
  #asks = null; // who asks to mute
  #moderated = false; // whether a moderator is there, while waiting

  // `act(name, more)` asks the server for something; `leave` ends the call.
  constructor(devices, wishes, channels, limits, act, leave) {
    this.#devices = devices;
    this.#limits = limits;
    this.#act = act;
    this.tiles = new Tiles(devices.stream, wishes);
    this.#people = new People(act);
    this.#meeting = new Meeting(act);
    this.#chat = new Chat(channels);
    this.#notes = new Notes(channels);
    $('stop-waiting').addEventListener('click', leave);
    $('leave').addEventListener('click', async () => {
      const lost = LOST.find(({ chat, notes }) => chat === this.#chat.unsaved && notes === this.#notes.unsaved);
      if (!lost || await confirmed(lost.question, 'leave')) leave();
    });
    $('hand').addEventListener('click', () => this.toggleHand());
    $('mute-now').addEventListener('click', () => {
      devices.mute();
      this.#answerAsked();
    });
    $('not-now').addEventListener('click', () => this.#answerAsked());
    onLanguage(() => this.#show());
  }

  // In the room, for the first time or again.
  joined({ code, id, seat, invited }) {
    // A moderator's secret comes before, when the code is not known yet.
    if (this.#secret) keepMeeting(code, { secret: this.#secret });
    const fresh = this.#code !== code;
    [this.#code, this.#own, this.#secret] = [code, id, null];
    [this.#list, this.#settled] = [null, false];
    keepSeat(code, seat);
    this.tiles.begin(id);
    this.#people.begin(id);
    this.#meeting.begin(code, invited);
    this.#chat.begin(id, fresh);
    if (fresh) this.#notes.clear();
    history.replaceState(null, '', `/r/${code}${location.search}${fragmentOf(code)}`);
    $('code').value = code;
    $('door').hidden = $('lobby').hidden = true;
    if ($('room').hidden) {
      $('room').hidden = false;
      if (fresh) $('room-title').focus();
    }
    this.#devices.show();
  }

  message(message) {
    switch (message.type) {
      case 'secret':
        this.#secret = message.secret;
        break;
      case 'waits':
        this.#wait(message.moderator);
        break;
      case 'participants':
        tellChanges(this.#list, message.list, this.#own);
        this.#list = message.list;
        this.#people.participants(message.list);
        this.tiles.participants(message.list);
        this.#notes.participants(message.list);
        // Who has the right one is a moderator.
        if (this.#self && !this.#self.moderator) dropSecret(this.#code);
        this.#show();
        break;
      case 'meeting':
        if (this.#settled) tellOptions(this.#meeting.options, message);
        this.#settled = true;
        this.#meeting.setOptions(message);
        this.#keepPlan();
        break;
      case 'limits':
        this.#keepPlan();
        break;
      case 'waiting':
        tellWaiting(this.#waiting, message.list);
        this.#waiting = message.list;
        this.#people.waiting(message.list);
        break;
      case 'invitations':
        this.#meeting.setTickets(message.list);
        this.#keepPlan();
        break;
      case 'mute':
        if (this.#devices.isOn('audio')) this.#asks = message.by;
        this.#show();
        break;
      case 'denied':
        notify(DENIED[message.why]);
        this.#meeting.setOptions();
        break;
    }
  }

  // Back at the door.
  close() {
    [this.#code, this.#own, this.#list, this.#waiting, this.#asks] = [null, null, null, [], null];
    this.tiles.clear();
    this.#chat.clear();
    this.#notes.clear();
    closePanel();
    $('room').hidden = $('lobby').hidden = true;
    $('door').hidden = false;
  }

  toggleHand() {
    if (this.#self) this.#act('hand', { up: this.#self.hand === null });
  }

  // A microphone that is off needs no answer.
  devicesChanged() {
    if (!this.#devices.isOn('audio')) this.#asks = null;
    this.#show();
  }

  get #self() {
    return this.#list?.find(({ id }) => id === this.#own) ?? null;
  }

  #wait(moderated) {
    this.#moderated = moderated;
    const arrives = $('lobby').hidden;
    $('door').hidden = $('room').hidden = true;
    $('lobby').hidden = false;
    if (arrives) $('lobby-title').focus();
    this.#show();
  }

  #answerAsked() {
    this.#asks = null;
    this.#show();
    $('microphone').focus();
  }

  // A moderator's page knows how to make the meeting again.
  #keepPlan() {
    if (this.#self?.moderator) keepMeeting(this.#code, { plan: { ...this.#meeting.plan(), limits: this.#limits.moderators } });
  }

  #show() {
    const raised = (this.#self?.hand ?? null) !== null;
    $('hand').classList.toggle('active', raised);
    $('hand').querySelector('.label').textContent = t(raised ? 'lowerHand' : 'raiseHand');
    this.#meeting.moderates(this.#self?.moderator ?? false);
    $('lobby-text').textContent = t(this.#moderated ? 'lobbyModerated' : 'lobbyUnmoderated');
    $('asked').hidden = this.#asks === null;
    if (this.#asks !== null) $('asked-text').textContent = t('askedBy', { name: this.#asks });
  }

  // Who made the room sees its link first, where there is space for it.
  showLink() {
    if (matchMedia('(min-width: 60rem)').matches) openPanel('tab-meeting');
  }
}
