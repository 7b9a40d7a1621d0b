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
