// SPDX-License-Identifier: Apache-2.0
// A Web Serial port as the engine needs it: opened, read without end, opened anew at another rate,
// found again after the cable was pulled.

/** The room for what arrives while the page is busy; the default of 255 bytes loses data. */
const BUFFER = 1 << 16;

/** A write ends when the browser has the bytes; before a port is closed, they are let go out. */
const SENDING_MS = 2000;

/** Errors of a line that leave the port usable. */
const PASSING = new Set(['BufferOverrunError', 'FramingError', 'ParityError', 'BreakError']);

/** What lends ports, or null: Web Serial, else serial adapters over WebUSB (Android). */
export async function provider() {
  if ('serial' in navigator) return navigator.serial;
  if ('usb' in navigator) return (await import('./vendor/serial-polyfill.js')).serial;
  return null;
}

/** One port. `onData(bytes)` and `onLost(text)` are called as things happen. */
export class Link {
  constructor(serial, port) {
    this.serial = serial;
    this.port = port;
    this.onData = () => {};
    this.onLost = () => {};
    this.opened = false;
    const info = port.getInfo();
    this.vid = info.usbVendorId ?? null;
    this.pid = info.usbProductId ?? null;
    this.signals = { dataTerminalReady: false, requestToSend: false };
  }

  /** For a person. */
  get name() {
    if (this.vid === null) return 'the serial port';
    const hex = (n) => n.toString(16).padStart(4, '0');
    return `the USB serial port ${hex(this.vid)}:${hex(this.pid)}`;
  }

  /** Opens the port, or the one that has come in its place after it was lost. */
  async open(baud) {
    if (this.opened) return;
    if (this.gone) await this.findAgain();
    await this.port.open({ baudRate: baud, bufferSize: BUFFER });
    this.opened = true;
    this.gone = false;
    this.writer = this.port.writable.getWriter();
    this.reading = this.read();
  }

  async findAgain() {
    const ports = await this.serial.getPorts();
    const same = ports.filter((port) => {
      const info = port.getInfo();
      return (info.usbVendorId ?? null) === this.vid && (info.usbProductId ?? null) === this.pid;
    });
    if (!same.length) throw new Error('the device is not there');
    if (!same.includes(this.port)) this.port = same[0];
  }

  async read() {
    const port = this.port;
    while (this.opened && port.readable) {
      const reader = this.reader = port.readable.getReader();
      try {
        for (;;) {
          const { value, done } = await reader.read();
          if (done) break;
          if (value.length) this.onData(value);
        }
      } catch (error) {
        if (!PASSING.has(error.name) && this.opened) {
          this.gone = true;
          this.onLost(error.message || 'the device has been lost');
          return;
        }
      } finally {
        reader.releaseLock();
      }
    }
  }

  async close() {
    if (!this.opened) return;
    if (!this.gone) {
      const sent = this.writer.close().catch(() => {});
      await Promise.race([sent, new Promise((resolve) => setTimeout(resolve, SENDING_MS))]);
    }
    this.opened = false;
    try {
      await this.reader?.cancel();
      await this.reading;
      this.writer.releaseLock();
    } catch { /* a port that is gone ends in an error */ }
    try {
      await this.port.close();
    } catch (error) {
      if (!this.gone) throw error;
    }
  }

  /** Web Serial sets a rate on opening and at no other time. */
  async rate(baud) {
    await this.close();
    await this.open(baud);
    await this.port.setSignals(this.signals);
  }

  async write(bytes) {
    try {
      await this.writer.write(bytes);
    } catch (error) {
      this.gone = true;
      throw error;
    }
  }

  async lines(dtr, rts) {
    this.signals = { dataTerminalReady: dtr, requestToSend: rts };
    await this.port.setSignals(this.signals);
  }
}
