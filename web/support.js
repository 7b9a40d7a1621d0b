// SPDX-License-Identifier: Apache-2.0
// What this browser can do, in plain words; and the words for when a board does not answer.

import { provider } from './serial.js';

const WHICH = 'Chrome, Edge or Opera on a computer, version 137 or later';

/** {serial, engine, why}: ports can be had; Python can wait for them; what to tell if not. */
export async function support() {
  const engine = 'Suspending' in WebAssembly;
  if (!engine) {
    return { serial: null, engine, why: `This browser cannot run the page: it lacks JavaScript Promise Integration. Use ${WHICH}.` };
  }
  if (!window.isSecureContext) {
    return { serial: null, engine, why: 'A page that was opened without https cannot reach a board. Open it by https, or from this computer as http://localhost.' };
  }
  const serial = await provider();
  if (!serial) {
    return { serial, engine, why: `This browser has no Web Serial, so it cannot reach a board. Use ${WHICH}. The virtual board works here.` };
  }
  return { serial, engine, why: '' };
}

/** What to do when no port was chosen. */
export const NO_PORT = [
  'The board is not in the list? Try another USB cable: some carry power alone.',
  'Boards with a USB bridge need its driver on some systems: CP210x from Silicon Labs, CH34x from WCH, FTDI from FTDI.',
  'On Linux you need the right to use the port: add yourself to the group "dialout" and log in again.',
];

/** What to do when a board does not answer. */
export const NO_ANSWER = [
  'Hold the button BOOT (also IO0 or FLASH), press and let go of RESET (also EN), let go of BOOT, and try again.',
  'Close other programs and tabs that use the port.',
  'Take a shorter cable and no hub, and unplug what is wired to the board.',
];
