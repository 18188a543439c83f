// Small helpers around the document.

import { translate } from './i18n.js';

export const $ = id => document.getElementById(id);

// A copy of what a template holds, in the page's language.
export function copyOf(template) {
  const element = $(template).content.firstElementChild.cloneNode(true);
  translate(element);
  return element;
}

// Another icon in an element that has one.
export function setIcon(element, name) {
  element.querySelector('use').setAttribute('href', `#icon-${name}`);
}

// A new element.
export function make(name, className = '') {
  const element = document.createElement(name);
  if (className) element.className = className;
  return element;
}

// A cell of a table; `scope` of one that names a row or a column.
export function cell(name, text, scope) {
  const element = make(name);
  element.textContent = text;
  if (scope) element.scope = scope;
  return element;
}

// Keeps one row for each entry, in their order.
export function keep(list, rows, entries, make, fill) {
  const present = new Set(entries.map(({ id }) => id));
  for (const [id, row] of rows) {
    if (present.has(id)) continue;
    // The focus does not vanish with its row.
    if (row.contains(document.activeElement)) list.closest('[role=tabpanel]').focus();
    row.remove();
    rows.delete(id);
  }
  for (const [at, entry] of entries.entries()) {
    if (!rows.has(entry.id)) rows.set(entry.id, make(entry));
    const row = rows.get(entry.id);
    // Moved only if it has to be: moving takes the focus away.
    if (list.children[at] !== row) list.insertBefore(row, list.children[at] ?? null);
    fill(row, entry);
  }
}
