// What the page says: the state of the connection, a problem, and what has happened.

import { $ } from './dom.js';
import { onLanguage, t } from './i18n.js';

const SHOWN = 6_000; // ms
const MOST = 4; // notices at a time

let state = null;
let problem = [];

function show() {
  $('status').textContent = state ? t(state) : '';
  $('problem').hidden = problem.length === 0;
  $('problem').textContent = problem.map(({ key, values }) => t(key, values)).join(' ');
}
onLanguage(show);

// The state of the connection, by key; null for none.
export function status(key) {
  state = key;
  show();
}

// What is wrong, as a list of `{ key, values }`; empty for nothing.
export function complain(...words) {
  problem = words;
  show();
}

// Something has happened: shown for a while, and read out without interrupting.
export function notify(key, values) {
  const notice = document.createElement('p');
  notice.textContent = t(key, values);
  $('notices').append(notice);
  while ($('notices').children.length > MOST) $('notices').firstElementChild.remove();
  setTimeout(() => notice.remove(), SHOWN);
}
