// SPDX-License-Identifier: Apache-2.0
// Manifest and firmware: fetched from this site, or handed over by the page that has the button
// (install-button.js), which may be of another site. This page itself fetches from its own alone.

const PATIENCE_MS = 60000;
let count = 0;

/** The bytes of an address (URL). */
export async function load(address) {
  if (address.origin !== location.origin) return handed(address);
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address.pathname} cannot be loaded: ${answer.status} ${answer.statusText}.`);
  return new Uint8Array(await answer.arrayBuffer());
}

function handed(address) {
  if (window.parent === window) {
    const error = new Error(`${address.href} is on another site, from which this page fetches nothing.`);
    error.remedy = 'Open it by the button of that site, or put manifest and firmware on the site of this page.';
    throw error;
  }
  const id = `esptool-${++count}`;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => end(new Error(`${address.href} was not handed over by the page with the button.`)), PATIENCE_MS);
    const hear = ({ source, data }) => {
      if (source !== window.parent || data?.id !== id) return;
      end(data.error && new Error(data.error), data.bytes);
    };
    function end(error, bytes) {
      clearTimeout(timer);
      window.removeEventListener('message', hear);
      if (error) reject(error);
      else resolve(new Uint8Array(bytes));
    }
    window.addEventListener('message', hear);
    window.parent.postMessage({ id, esptool: 'load', address: address.href }, '*');
  });
}
