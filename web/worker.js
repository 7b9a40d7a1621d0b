// SPDX-License-Identifier: Apache-2.0
// The engine's worker: Python, our package, and the page's end of a port.
// Blocking calls of Python wait for promises here (JavaScript Promise Integration).

/** What the page sends of the port it has. */
class Port {
  constructor() {
    this.chunks = [];
    this.lost = null;
    this.waiting = null;
    this.calls = new Map();
    this.count = 0;
  }

  attach(channel, info) {
    this.channel = channel;
    Object.assign(this, info);
    channel.onmessage = ({ data }) => this.heard(data);
  }

  heard(message) {
    if (message.bytes) {
      this.chunks.push(message.bytes);
      this.waiting?.();
    } else if (message.lost !== undefined) {
      this.lost = message.lost;
      this.waiting?.();
    } else {
      const { resolve, reject } = this.calls.get(message.id);
      this.calls.delete(message.id);
      if (message.error === undefined) resolve();
      else reject(new Error(message.error));
    }
  }

  ask(op, ...args) {
    return new Promise((resolve, reject) => {
      const id = ++this.count;
      this.calls.set(id, { resolve, reject });
      this.channel.postMessage({ id, op, args });
    });
  }

  async open(baud) {
    await this.ask('open', baud);
    this.chunks = [];
    this.lost = null;
  }

  close() { return this.ask('close'); }
  lines(dtr, rts) { return this.ask('lines', dtr, rts); }

  async rate(baud) {
    await this.ask('rate', baud);
    this.lost = null;
  }

  send(bytes) {
    if (this.lost !== null) return Promise.reject(new Error(this.lost));
    return this.ask('write', bytes);
  }

  /** What has arrived; where nothing has, what comes first within so many milliseconds. */
  async receive(ms) {
    if (!this.chunks.length) await turn();
    if (!this.chunks.length && ms > 0 && this.lost === null) {
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.waiting = () => { clearTimeout(timer); resolve(); };
      });
      this.waiting = null;
    }
    if (!this.chunks.length && this.lost !== null) throw new Error(this.lost);
    return this.take();
  }

  async discard() {
    await turn();
    this.chunks = [];
  }

  take() {
    const chunks = this.chunks;
    this.chunks = [];
    if (chunks.length === 1) return chunks[0];
    const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
    let at = 0;
    for (const chunk of chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }

  sleep(ms) { return new Promise((resolve) => setTimeout(resolve, ms)); }
}

// A timer of no time at all is one of four milliseconds; a message is delivered at once.
const turns = new MessageChannel();
const turning = [];
turns.port1.onmessage = () => turning.shift()();

/** Lets messages that have come by now be delivered. */
function turn() {
  return new Promise((resolve) => {
    turning.push(resolve);
    turns.port2.postMessage(0);
  });
}

const port = new Port();
let python;
let glue;
let work = Promise.resolve();

async function fetched(site, name) {
  const answer = await fetch(name, { integrity: site.integrity[name] });
  if (!answer.ok) throw new Error(`${name}: ${answer.status} ${answer.statusText}`);
  return answer;
}

/** The package's files: a table of names and sizes on the first line, then their contents. */
async function unpacked(answer) {
  const plain = answer.body.pipeThrough(new DecompressionStream('gzip'));
  const bytes = new Uint8Array(await new Response(plain).arrayBuffer());
  let at = bytes.indexOf(10) + 1;
  const table = JSON.parse(new TextDecoder().decode(bytes.subarray(0, at)));
  return table.map(([name, size]) => [name, bytes.subarray(at, at += size)]);
}

// --- Python's memory, kept between visits ------------------------------------------------------
// To start Python and import the package takes seconds; to copy what memory holds after that, a
// tenth. It is made on the first visit and kept by the browser that made it, as it depends on what
// that browser can do. All that is asked of it is to be fast: without it everything works as well.

const MEMORIES = `esptool-memory ${new URL('./', self.location.href).pathname}`;
/** Memory that has grown cannot be put back: this is what Python has when it starts. */
let room = 0;
let remembered = false;

function memoryName(site) {
  return new URL(`core/memory?${site.start}&${encodeURIComponent(navigator.userAgent)}`, self.location.href).href;
}

async function recalled(site) {
  try {
    const answer = await (await caches.open(MEMORIES)).match(memoryName(site));
    return answer && await answer.arrayBuffer();
  } catch {
    return undefined; // no cache here
  }
}

/** Keeps what Python's memory holds now; nobody waits until it is stored. */
function remember(site) {
  if (python._module.HEAPU8.length !== room) return;
  const store = async (memory) => {
    const cache = await caches.open(MEMORIES);
    for (const other of await cache.keys()) await cache.delete(other);
    await cache.put(memoryName(site), new Response(memory));
  };
  const slow = (error) => console.info(`The next visit starts as slowly as this one: ${error.message}`);
  try {
    store(python.makeMemorySnapshot()).catch(slow);
  } catch (error) {
    slow(error);
  }
}

async function loaded(site, files, stdLibURL, memory) {
  const { loadPyodide } = await import('./core/pyodide.mjs');
  const made = await loadPyodide({
    indexURL: new URL('core/', self.location.href).href,
    stdLibURL,
    lockFileContents: site.lock,
    env: { HOME: '/home/pyodide', ESPTOOL_ADAPTERS: 'off' },
    stdout: () => {},
    fsInit: async (FS) => {
      const folders = new Set();
      for (const [name, content] of await files) {
        const path = `/engine/${name}`;
        const folder = path.slice(0, path.lastIndexOf('/'));
        if (!folders.has(folder)) FS.mkdirTree(folder);
        folders.add(folder);
        FS.writeFile(path, content, { canOwn: true });
      }
    },
    ...(memory ? { _loadSnapshot: memory } : { _makeSnapshot: true }),
  });
  if (!memory) made.runPython("import sys; sys.path.insert(0, '/engine')");
  return made;
}

async function start(site) {
  const files = fetched(site, 'engine.bin').then(unpacked);
  const stdlib = fetched(site, 'core/python_stdlib.zip').then((answer) => answer.blob());
  const memory = await recalled(site);
  const stdLibURL = URL.createObjectURL(await stdlib);
  try {
    python = await loaded(site, files, stdLibURL, memory);
    remembered = Boolean(memory);
  } catch (error) {
    if (!memory) throw error;
    await caches.delete(MEMORIES);
    python = await loaded(site, files, stdLibURL, undefined);
  }
  URL.revokeObjectURL(stdLibURL);
  room = python._module.HEAPU8.length;
  meet();
  return { version: glue.version(), remembered };
}

function meet() {
  const post = (event) => postMessage({ event: JSON.parse(event) });
  glue = python.pyimport('esptool.web.glue').Glue(post, port);
}

/** Loads what works with boards. What is kept for the next visit must not know this page. */
function prepare(site) {
  if (!remembered) {
    glue.destroy();
    python.runPython('import esptool.web.engine, gc; gc.collect()');
    remember(site);
    meet();
  }
  glue.prepare();
}

async function call({ name, text, blobs }) {
  const answer = await glue.call.callPromising(name, text, blobs);
  const [json, bytes] = answer;
  return { ...JSON.parse(json), ...(bytes ? { result: bytes } : {}) };
}

async function wish(data) {
  if (data.site) return { result: await start(data.site) };
  if (data.prepare) return { result: prepare(data.prepare) };
  return call(data);
}

self.onmessage = ({ data }) => {
  if (data.stop) {
    glue?.stop();
    return;
  }
  if (data.port) {
    port.attach(data.port, data.info);
    return;
  }
  // One wish after the other: the engine is one chip's, and Python is not to be entered twice.
  work = work.then(async () => {
    try {
      const answer = await wish(data);
      postMessage({ id: data.id, ...answer });
    } catch (error) {
      postMessage({ id: data.id, error: String(error.message ?? error), kind: 'Unforeseen' });
    }
  });
};
