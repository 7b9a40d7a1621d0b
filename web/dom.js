// SPDX-License-Identifier: Apache-2.0
// Small helpers to make and change what is shown. Text never becomes markup.

/** An element: properties, then children (elements or text; null and false are left out). */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made && key !== 'list' && key !== 'form') made[key] = value;
    else if (value !== false && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== false));
  return made;
}

export const button = (text, act, kind = '') => el('button', { type: 'button', className: kind, onclick: act }, text);
export const row = (...children) => el('div', { className: 'row' }, ...children);
export const field = (label, input) => el('label', { className: 'field' }, label, input);

export function table(caption, heads, rows) {
  return el(
    'div',
    { className: 'scroll', tabIndex: 0, role: 'region', ariaLabel: caption },
    el(
      'table',
      {},
      el('thead', {}, el('tr', {}, ...heads.map((head) => el('th', { scope: 'col' }, head)))),
      el('tbody', {}, ...rows.map((cells) => el('tr', {}, ...cells.map((cell) => el('td', {}, cell ?? ''))))),
    ),
  );
}

export async function bytesOf(file) {
  return new Uint8Array(await file.arrayBuffer());
}

export const byId = (id) => document.getElementById(id);

export function kib(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  if (bytes < 1 << 20) return `${Math.round(bytes / 1024)} KB`;
  return `${(bytes / (1 << 20)).toFixed(1)} MB`;
}

export function hex(number) {
  return `0x${number.toString(16).padStart(6, '0')}`;
}

export function seconds(value) {
  if (value < 1.5) return 'a second';
  if (value < 90) return `${Math.round(value)} seconds`;
  return `${Math.round(value / 60)} minutes`;
}

/** What the engine tells, as lines of the log. */
export function logLine(event) {
  if (event.event === 'message' && event.text) return event.text;
  if (event.event === 'connecting' && !event.done) return `Calling the board (attempt ${event.attempt})...`;
  return null;
}

/** Gives a file to the visitor. */
export function download(bytes, name) {
  const url = URL.createObjectURL(new Blob([bytes]));
  el('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
