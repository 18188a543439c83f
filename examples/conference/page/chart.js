// A chart of the last minute: lines for who sees them, words that are said again every few seconds at most, and a
// table for who asks for it.

import { cell, make } from './dom.js';
import { numberText, onLanguage, t } from './i18n.js';

const STEPS = 60; // s
const HEIGHT = 20;
const CALM = 5; // s between two texts
const SVG = 'http://www.w3.org/2000/svg';

export class Chart {
  element = make('figure', 'chart');
  #title;
  #names;
  #text;
  #least;
  #steps = []; // each a value of every line, null where there is none
  #spoken = 0; // steps since the words were said
  #parts;

  // `title`: the key of its title; `names`: those of its lines. `text` puts a value into words. The scale ends at
  // `least` or above.
  constructor({ title, names, text, least }) {
    [this.#title, this.#names, this.#text, this.#least] = [title, names, text, least];
    const caption = make('figcaption');
    const heading = caption.appendChild(make('span', 'title'));
    const legend = caption.appendChild(make('span', 'legend'));
    const values = names.map((_, at) => legend.appendChild(make('span', `value line-${at}`)));
    const plot = document.createElementNS(SVG, 'svg');
    plot.setAttribute('viewBox', `0 0 ${STEPS - 1} ${HEIGHT}`);
    plot.setAttribute('preserveAspectRatio', 'none');
    plot.setAttribute('role', 'img');
    const lines = names.map((_, at) => {
      const line = plot.appendChild(document.createElementNS(SVG, 'path'));
      line.setAttribute('class', `line-${at}`);
      return line;
    });
    const details = make('details');
    const summary = details.appendChild(make('summary'));
    const table = details.appendChild(make('table'));
    details.addEventListener('toggle', () => this.#tabulate());
    this.element.append(caption, plot, details);
    this.#parts = { heading, values, plot, lines, details, summary, table };
    onLanguage(() => this.#speak());
    this.#speak();
  }

  // One more second: a value for each line, null for none.
  push(values) {
    this.#steps.push(values);
    if (this.#steps.length > STEPS) this.#steps.shift();
    this.#draw();
    this.#spoken += 1;
    if (this.#spoken >= CALM || this.#steps.length === 1) this.#speak();
  }

  clear() {
    this.#steps = [];
    this.#draw();
    this.#speak();
  }

  #draw() {
    const values = this.#steps.flat().filter(value => value !== null);
    // A line at the top is seen whole.
    const top = 1.05 * Math.max(this.#least, ...values);
    const left = STEPS - this.#steps.length;
    for (const [at, line] of this.#parts.lines.entries()) {
      let pen = 'M';
      const steps = this.#steps.map((step, index) => {
        if (step[at] === null) {
          pen = 'M';
          return '';
        }
        const point = `${pen}${left + index} ${(HEIGHT * (1 - step[at] / top)).toFixed(2)}`;
        pen = 'L';
        return point;
      });
      line.setAttribute('d', steps.join(''));
    }
    this.#write();
  }

  #write() {
    const now = this.#steps.at(-1);
    for (const [at, value] of this.#parts.values.entries()) {
      value.textContent = `${t(this.#names[at])} ${this.#text(now?.[at])}`;
    }
  }

  #speak() {
    this.#spoken = 0;
    this.#parts.heading.textContent = t(this.#title);
    this.#parts.summary.textContent = t('chartTable');
    this.#parts.summary.setAttribute('aria-label', t('chartTableOf', { title: t(this.#title) }));
    const words = this.#names.map((name, at) => {
      const values = this.#steps.map(step => step[at]).filter(value => value !== null);
      const [least, most] = [Math.min(...values), Math.max(...values)].map(value => this.#text(value));
      const now = this.#text(this.#steps.at(-1)?.[at]);
      return t(values.length > 0 ? 'chartLine' : 'chartNothing', { name: t(name), now, least, most });
    });
    this.#parts.plot.setAttribute('aria-label', `${t(this.#title)}. ${words.join(' ')}`);
    this.#write();
    this.#tabulate();
  }

  // Every fifth second, the newest first.
  #tabulate() {
    if (!this.#parts.details.open) return;
    const head = make('tr');
    head.append(...['chartAgo', ...this.#names].map(key => cell('th', t(key), 'col')));
    const rows = this.#steps.map((step, at) => [this.#steps.length - 1 - at, step])
      .filter(([ago]) => ago % CALM === 0).reverse()
      .map(([ago, step]) => {
        const row = make('tr');
        row.append(cell('th', numberText(ago), 'row'), ...step.map(value => cell('td', this.#text(value))));
        return row;
      });
    this.#parts.table.replaceChildren(head, ...rows);
  }
}
