// SPDX-License-Identifier: Apache-2.0
// Keeps the files of one build together, each held against its hash, so that a second visit loads
// nothing and a page is never made of two builds. Firmware is always asked for anew.

const BUILD = /* build */ {};
const HERE = new URL('./', self.location.href).href;
/** Several such folders may be on one site: each has to do with its own caches alone. */
const OURS = `esptool ${new URL(HERE).pathname} `;
const CACHE = OURS + BUILD.id;

self.addEventListener('install', (event) => {
  event.waitUntil((async () => {
    const cache = await caches.open(CACHE);
    await Promise.all(Object.entries(BUILD.files).map(async ([name, integrity]) => {
      const answer = await fetch(new URL(name, HERE), { integrity, cache: 'no-cache' });
      if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
      await cache.put(new URL(name, HERE), answer);
    }));
    await self.skipWaiting();
  })());
});

self.addEventListener('activate', (event) => {
  event.waitUntil((async () => {
    for (const key of await caches.keys()) {
      if (key.startsWith(OURS) && key !== CACHE) await caches.delete(key);
    }
    await self.clients.claim();
  })());
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET' || !request.url.startsWith(HERE)) return;
  const name = request.url.slice(HERE.length).split(/[?#]/)[0] || 'index.html';
  if (!(name in BUILD.files)) return;
  event.respondWith((async () => {
    const cache = await caches.open(CACHE);
    return await cache.match(new URL(name, HERE)) ?? fetch(request);
  })());
});
