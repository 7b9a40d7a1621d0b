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

    async open({ baudRate, bufferSize = 255 }) {
      if (this.readable) throw new DOMException('The port is already open.', 'InvalidStateError');
      await ask('open', this.number, JSON.stringify({ baud: baudRate }));
      const line = this.line = new WebSocket(`ws://${location.host}/-/line/${this.number}`);
      line.binaryType = 'arraybuffer';
      this.ended = new Promise((resolve) => { line.onclose = resolve; });
      await new Promise((resolve, reject) => {
        line.onopen = resolve;
        line.onerror = () => reject(new DOMException('Failed to open serial port.', 'NetworkError'));
      });
      const lost = () => new DOMException('The device has been lost.', 'NetworkError');
      let incoming;
      let outgoing;
      // As in Chromium (serial_port_underlying_sink.cc), a write ends when its last byte is in the
      // buffer, not when it is sent; closing the stream waits for what is left.
      let waiting = 0;
      let room = () => {};
      const end = () => {
        if (this.line !== line) return;
        this.line = this.readable = this.writable = null;
        try { incoming.error(lost()); } catch { /* it was cancelled */ }
        outgoing.error(lost());
        room();
        line.close();
      };
      line.onmessage = ({ data }) => {
        if (data === 'lost') end();
        else if (typeof data === 'string') {
          waiting -= Number(data);
          room();
        } else if (this.line === line) {
          try { incoming.enqueue(new Uint8Array(data)); } catch { /* it was cancelled */ }
        }
      };
      line.addEventListener('close', end);
      this.readable = new ReadableStream({ start: (controller) => { incoming = controller; } });
      this.writable = new WritableStream({
        start: (controller) => { outgoing = controller; },
        write: async (chunk) => {
          line.send(chunk);
          waiting += chunk.length;
          while (waiting > bufferSize && this.line === line) await new Promise((resolve) => { room = resolve; });
          if (this.line !== line) throw lost();
        },
        close: async () => {
          while (waiting > 0 && this.line === line) await new Promise((resolve) => { room = resolve; });
        },
      });
    }

    async setSignals({ dataTerminalReady, requestToSend }) {
      await ask('lines', this.number, JSON.stringify([dataTerminalReady, requestToSend]));
    }

    async close() {
      if (this.readable?.locked || this.writable?.locked) throw new TypeError('Cannot close a locked stream');
      const line = this.line;
      this.line = this.readable = this.writable = null;
      line?.close();
      await this.ended;
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
