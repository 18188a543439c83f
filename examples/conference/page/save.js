// Keeps a text as a file of the user's.

import { t } from './i18n.js';

// `name` is a key; the file's name is that text with the day in place of `{date}`.
export function save(name, text, type) {
  const now = new Date();
  const two = number => String(number).padStart(2, '0');
  const date = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  link.download = t(name, { date });
  link.click();
  // Once the browser has begun to read it.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
