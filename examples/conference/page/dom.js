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
