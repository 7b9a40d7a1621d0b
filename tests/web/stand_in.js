// SPDX-License-Identifier: Apache-2.0
// Web Serial's interface over the test's server. See bridge.py.
(() => {
  const ask = async (op, number, body) => {
    const answer = await fetch(`/-/${op}/${number}`, { method: 'POST', body });
    const value = await answer.json();
    if (value?.error) throw new DOMException(value.error, 'NetworkError');
    return value;
  };

  class Port extends EventTarget {
    constructor(number, info) {
      super();
      this.number = number;
      this.info = info;
      this.readable = this.writable = null;
    }

    getInfo() { return this.info; }

    async open({ baudRate }) {
      if (this.readable) throw new DOMException('The port is already open.', 'InvalidStateError');
      await ask('open', this.number, JSON.stringify({ baud: baudRate }));
      const hangUp = this.hangUp = new AbortController();
      const answer = await fetch(`/-/read/${this.number}`, { signal: hangUp.signal });
      const reader = answer.body.getReader();
      this.readable = new ReadableStream({
        pull: async (controller) => {
          try {
            const { value, done } = await reader.read();
            if (done) throw new Error('it has ended');
            controller.enqueue(value);
          } catch (error) {
            if (hangUp.signal.aborted) return;
            this.readable = null;
            controller.error(new DOMException('The device has been lost.', 'NetworkError'));
          }
        },
        cancel: () => hangUp.abort(),
      });
      this.writable = new WritableStream({
        write: async (chunk) => {
          try {
            await ask('write', this.number, chunk);
          } catch {
            throw new DOMException('The device has been lost.', 'NetworkError');
          }
        },
      });
    }

    async setSignals({ dataTerminalReady, requestToSend }) {
      await ask('lines', this.number, JSON.stringify([dataTerminalReady, requestToSend]));
    }

    async close() {
      if (this.readable?.locked || this.writable?.locked) throw new TypeError('Cannot close a locked stream');
      this.hangUp?.abort();
      this.readable = this.writable = null;
      await ask('close', this.number);
    }
  }

  class Serial extends EventTarget {
    constructor() {
      super();
      this.ports = new Map();
    }

    port([number, info]) {
      if (!this.ports.has(number)) this.ports.set(number, new Port(number, info));
      return this.ports.get(number);
    }

    async requestPort() { return this.port(await ask('offered', 0)); }
    async getPorts() { return (await ask('ports', 0)).map((each) => this.port(each)); }
  }
  Object.defineProperty(navigator, 'serial', { value: new Serial(), configurable: true });
})();
