// SPDX-License-Identifier: Apache-2.0
// The worker's end of a port that the page has: calls go over a message channel.

/** Writes that may be on their way at once, and for how long at most they occupy the line: as the
 * buffer of a system's serial port is, so that time limits for answers hold. */
const MOST_WRITES = 8;
const MOST_SECONDS = 0.25;
const BITS_PER_BYTE = 10;
/** A device that takes nothing must not keep a port from being closed. */
const CLOSING_MS = 5000;

/** A port: what has arrived, and what is on its way. */
export class Port {
  constructor() {
    this.chunks = [];
    this.lost = null;
    this.waiting = null;
    this.calls = new Map();
    this.count = 0;
    this.renew(0);
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

  /** What is on its way; a line that was opened anew knows nothing of the one before. */
  renew(baud) {
    this.line = { baud, writes: [], outstanding: 0, failed: null };
  }

  async open(baud) {
    await this.ask('open', baud);
    this.renew(baud);
    this.chunks = [];
    this.lost = null;
  }

  async close() {
    await Promise.race([this.sent(), this.sleep(CLOSING_MS)]);
    await this.ask('close');
  }

  /** Lines change after all that was sent before, as on a cable. */
  async lines(dtr, rts) {
    await this.sent();
    this.check();
    await this.ask('lines', dtr, rts);
  }

  async rate(baud) {
    await this.sent();
    // The next call says what happened to a write; the port is opened anew after that.
    if (this.line.failed !== null) return;
    await this.ask('rate', baud);
    this.line.baud = baud;
    this.lost = null;
  }

  /** Returns when little is left to send; what becomes of that, the next call says. */
  async send(bytes) {
    this.check();
    if (this.lost !== null) throw new Error(this.lost);
    const { line } = this;
    const write = this.ask('write', bytes).catch((error) => {
      line.failed ??= error.message;
      this.waiting?.();
    }).then(() => {
      // They end in the order in which they began.
      line.writes.shift();
      line.outstanding -= bytes.length;
    });
    line.writes.push(write);
    line.outstanding += bytes.length;
    const most = line.baud / BITS_PER_BYTE * MOST_SECONDS;
    while (line.writes.length > MOST_WRITES || line.outstanding > most) await line.writes[0];
    this.check();
  }

  /** Waits until all that was sent is on the line, or has failed. */
  async sent() {
    await Promise.all(this.line.writes);
  }

  /** A write that failed after its call had returned. */
  check() {
    if (this.line.failed !== null) throw new Error(this.line.failed);
  }

  /** What has arrived; where nothing has, what comes first within so many milliseconds. */
  async receive(ms) {
    if (!this.chunks.length) await turn();
    if (!this.chunks.length && ms > 0 && this.lost === null && this.line.failed === null) {
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.waiting = () => { clearTimeout(timer); resolve(); };
      });
      this.waiting = null;
    }
    if (!this.chunks.length && this.lost !== null) throw new Error(this.lost);
    if (!this.chunks.length) this.check();
    return this.take();
  }

  async discard() {
    await turn();
    this.check();
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
