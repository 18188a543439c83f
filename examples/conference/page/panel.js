// The side panel and its tabs. A tab is a button of `#tabs` with the id of its section in `aria-controls`;
// more of them need nothing here.

import { $ } from './dom.js';

const listeners = new Set();

// `show` is called whenever the panel shows something else.
export function onPanel(show) {
  listeners.add(show);
}

// Whether the section of this id is in sight.
export const isShown = id => !$('room').hidden && !$('panel').hidden && !$(id).hidden;

const tabs = () => [...$('tabs').querySelectorAll('[role=tab]')];

function select(tab) {
  for (const other of tabs()) {
    const chosen = other === tab;
    other.setAttribute('aria-selected', chosen);
    other.tabIndex = chosen ? 0 : -1;
    $(other.getAttribute('aria-controls')).hidden = !chosen;
  }
  listeners.forEach(show => show());
}

// Shows the panel, with the tab of this id if one is named.
export function openPanel(id) {
  if (id) select($(id));
  $('panel').hidden = false;
  $('panel-button').setAttribute('aria-expanded', true);
  listeners.forEach(show => show());
}

export function closePanel() {
  const inside = $('panel').contains(document.activeElement);
  $('panel').hidden = true;
  $('panel-button').setAttribute('aria-expanded', false);
  if (inside) $('panel-button').focus();
  listeners.forEach(show => show());
}

export function togglePanel() {
  if (!$('panel').hidden) return closePanel();
  openPanel();
  tabs().find(tab => tab.tabIndex === 0).focus();
}

export function startPanel() {
  $('panel-button').addEventListener('click', togglePanel);
  $('panel-close').addEventListener('click', closePanel);
  $('panel').addEventListener('keydown', event => { if (event.key === 'Escape') closePanel(); });
  $('tabs').addEventListener('click', event => {
    const tab = event.target.closest('[role=tab]');
    if (tab) select(tab);
  });
  $('tabs').addEventListener('keydown', event => {
    const all = tabs();
    const at = all.indexOf(document.activeElement);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const tab = all.at(to % all.length);
    select(tab);
    tab.focus();
  });
}
