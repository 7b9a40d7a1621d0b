// SPDX-License-Identifier: Apache-2.0
// The page's end of the engine: wishes as promises, events to whoever listens.

/** A failure that the engine foresaw: what happened, and what to do. */
export class EngineError extends Error {
  constructor({ error, remedy, kind }) {
    super(error);
    this.remedy = remedy ?? '';
    this.kind = kind;
  }
}

export class Engine extends EventTarget {
  constructor() {
    super();
    this.count = 0;
    this.calls = new Map();
    this.worker = new Worker('worker.js', { type: 'module' });
    this.worker.onmessage = ({ data }) => this.heard(data);
    this.worker.onerror = (event) => {
      const error = event.message || 'The worker could not be loaded.';
      for (const { reject } of this.calls.values()) reject(new EngineError({ error }));
      this.calls.clear();
    };
  }

  heard(data) {
    if (data.event) {
      this.dispatchEvent(new CustomEvent('engine', { detail: data.event }));
      return;
    }
    const { resolve, reject } = this.calls.get(data.id);
    this.calls.delete(data.id);
    if (data.error === undefined) resolve(data.result);
    else reject(new EngineError(data));
  }

  post(message) {
    return new Promise((resolve, reject) => {
      const id = ++this.count;
      this.calls.set(id, { resolve, reject });
      this.worker.postMessage({ id, ...message });
    });
  }

  /** Loads Python and the package; gives the version, and whether memory of a visit before was used. */
  start(site) {
    this.site = site;
    return this.post({ site });
  }

  /** Loads what works with boards, so that the first wish of it need not wait. */
  prepare() {
    return this.post({ prepare: this.site });
  }

  /** A method of the engine by its name. Typed arrays among the arguments go over as they are. */
  call(name, args = {}) {
    const blobs = [];
    const text = JSON.stringify(args, (_key, value) =>
      value instanceof Uint8Array ? { $blob: blobs.push(value) - 1 } : value);
    return this.post({ name, text, blobs });
  }

  /** Ends the present work at its next step. */
  stop() {
    this.worker.postMessage({ stop: true });
  }

  /** Lends a port to the engine. */
  lend(link) {
    const { port1, port2 } = new MessageChannel();
    link.onData = (bytes) => port1.postMessage({ bytes });
    link.onLost = (lost) => port1.postMessage({ lost });
    port1.onmessage = async ({ data: { id, op, args } }) => {
      try {
        await link[op](...args);
        port1.postMessage({ id });
      } catch (error) {
        port1.postMessage({ id, error: error.message || String(error) });
      }
    };
    const info = { name: link.name, vid: link.vid, pid: link.pid };
    this.worker.postMessage({ port: port2, info }, [port2]);
  }
}
