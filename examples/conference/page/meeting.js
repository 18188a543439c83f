// The tab of the meeting: its link for all, and for moderators lobby, lock, invitations and the end.

import { $, copyOf } from './dom.js';
import { confirmed } from './dialogs.js';
import { dateText, onLanguage, t } from './i18n.js';
import { notify } from './notices.js';
import { fragmentOf } from './secret.js';

const linkTo = (code, meeting = code) => new URL(`/r/${code}${fragmentOf(meeting)}`, location.href).href;

export class Meeting {
  options = { lobby: false, locked: false };
  #tickets = []; // with `until`, a time of this page's clock
  #code = null;
  #act;

  // `act(name, more)` asks the server for something.
  constructor(act) {
    this.#act = act;
    for (const id of ['lobby', 'locked']) {
      $(`option-${id}`).addEventListener('change', event => {
        act('options', { ...this.options, [id]: event.target.checked });
      });
    }
    $('invite').addEventListener('submit', event => {
      event.preventDefault();
      const uses = $('uses').value === '' ? null : Number($('uses').value);
      act('invite', { minutes: Number($('duration').value), uses, direct: $('direct').checked });
    });
    $('copy').addEventListener('click', () => copy($('link').href, $('link')));
    $('end').addEventListener('click', async () => {
      if (await confirmed('confirmEnd', 'endForAll')) act('end');
    });
    onLanguage(() => this.#showTickets());
  }

  // In the room, by this code; who came by an invitation has nothing to hand on.
  begin(code, invited) {
    this.#code = code;
    $('link').href = $('link').textContent = linkTo(code);
    $('room-code').textContent = code;
    $('invitation').hidden = invited;
    this.#tickets = [];
    this.#showTickets();
  }

  moderates(is) {
    for (const part of document.querySelectorAll('.for-moderators')) part.hidden = !is;
  }

  // What the server has agreed to, also after it has not.
  setOptions({ lobby, locked } = this.options) {
    this.options = { lobby, locked };
    $('option-lobby').checked = lobby;
    $('option-locked').checked = locked;
  }

  setTickets(list) {
    const now = Date.now();
    this.#tickets = list.map(ticket => ({ ...ticket, until: now + ticket.seconds * 1_000 }));
    this.#showTickets();
  }

  // What makes the meeting again after the server has forgotten it, to be kept; `planNow` is for the server.
  plan() {
    return { ...this.options, invitations: this.#tickets };
  }

  #showTickets() {
    const focused = $('tickets').contains(document.activeElement);
    $('tickets').replaceChildren(...this.#tickets.map(ticket => this.#row(ticket)));
    if (focused) $('invite').querySelector('button').focus();
  }

  #row({ code, until, uses, direct }) {
    const row = copyOf('ticket');
    const date = dateText(new Date(until));
    const more = [uses !== null && t('ticketUses', { count: uses }), direct && t('ticketDirect')];
    row.querySelector('.text').textContent = [t('ticket', { date }), ...more].filter(Boolean).join(', ');
    const link = row.querySelector('.link');
    link.href = link.textContent = linkTo(code, this.#code);
    const [copying, revoking] = row.querySelectorAll('button');
    copying.setAttribute('aria-label', t('copyTicket', { date }));
    copying.addEventListener('click', () => copy(link.href, link));
    revoking.setAttribute('aria-label', t('revokeTicket', { date }));
    revoking.addEventListener('click', () => this.#act('revoke', { code }));
    return row;
  }
}

// A plan that was kept, with what is left of its invitations' time.
export function planNow(plan) {
  const left = ({ until }) => Math.round((until - Date.now()) / 1_000);
  const invitations = plan.invitations.map(ticket => ({ ...ticket, seconds: left(ticket) }));
  return { ...plan, invitations: invitations.filter(({ seconds }) => seconds > 0) };
}

async function copy(text, element) {
  try {
    await navigator.clipboard.writeText(text);
    notify('copied');
  } catch {
    getSelection().selectAllChildren(element);
    notify('selected');
  }
}
