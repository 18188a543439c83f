// Dialogs: a question with a yes and a no, and the help with its shortcuts. The browser moves the focus into
// them and back.

import { $ } from './dom.js';
import { t } from './i18n.js';
import { recall, remember } from './memory.js';

// Resolves to whether the answer is yes, which `verb` puts in a word.
export function confirmed(question, verb, values) {
  const dialog = $('confirm');
  $('confirm-text').textContent = t(question, values);
  $('confirm-yes').textContent = t(verb);
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise(resolve => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}

// `shortcuts` are functions by key.
export function startHelp(shortcuts) {
  const use = $('use-shortcuts');
  use.checked = recall('shortcuts') ?? true;
  use.addEventListener('change', () => remember('shortcuts', use.checked));
  $('help').addEventListener('click', () => $('help-dialog').showModal());
  addEventListener('keydown', event => {
    if (!use.checked || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest('input, textarea, select, [contenteditable], dialog')) return;
    const act = shortcuts[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
