// SPDX-License-Identifier: Apache-2.0
// <esp-web-install-button manifest="..."> as pages of ESP Web Tools have it: such a page changes the
// address of this script and nothing else. The installer opens over the page it stands on, which may
// be of another site: manifest and firmware are then fetched here and handed over. The script works
// as a module and without, as a server has to allow that another site loads a module.
{
const HERE = 'install-button.js';
const own = document.currentScript ?? [...document.scripts].find(({ src }) => new URL(src || '.', document.baseURI).pathname.endsWith(`/${HERE}`));
if (!own?.src) throw new Error(`${HERE} is to be loaded by a script element of the page.`);
const INSTALLER = new URL('./', own.src);

/** Answers what the installer in the frame asks for. No cookie goes along. */
async function hand({ source, data }) {
  try {
    const answer = await fetch(data.address, { credentials: 'omit' });
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    const bytes = await answer.arrayBuffer();
    source.postMessage({ id: data.id, bytes }, INSTALLER.origin, [bytes]);
  } catch (error) {
    source.postMessage({ id: data.id, error: `${data.address} cannot be loaded: ${error.message}.` }, INSTALLER.origin);
  }
}

class InstallButton extends HTMLElement {
  connectedCallback() {
    if (this.shadowRoot) return;
    const root = this.attachShadow({ mode: 'open' });
    const able = 'serial' in navigator || 'usb' in navigator;
    const slot = document.createElement('slot');
    const plain = document.createElement('button');
    if (!window.isSecureContext) {
      slot.name = 'not-allowed';
      slot.append('A board can be reached from pages that were opened by https alone.');
    } else if (!able) {
      slot.name = 'unsupported';
      slot.append('This browser cannot reach a board. Use Chrome, Edge or Opera on a computer.');
    } else {
      slot.name = 'activate';
      plain.append('Install');
      slot.append(plain);
      slot.addEventListener('click', () => this.open());
    }
    root.append(slot);
  }

  open() {
    const address = new URL(INSTALLER);
    const manifest = this.getAttribute('manifest') ?? this.manifest;
    if (manifest) address.searchParams.set('manifest', new URL(manifest, document.baseURI).href);
    const dialog = document.createElement('dialog');
    dialog.setAttribute('aria-label', 'Install firmware');
    dialog.style.cssText = 'width:min(46rem,95vw);height:min(44rem,92vh);padding:0;border:0;border-radius:.6rem';
    const frame = document.createElement('iframe');
    frame.title = 'Installer';
    frame.allow = 'serial; usb';
    frame.src = address;
    frame.style.cssText = 'width:100%;height:calc(100% - 3rem);border:0;display:block';
    const close = document.createElement('button');
    close.textContent = 'Close';
    close.style.cssText = 'margin:.5rem;min-height:2rem';
    close.onclick = () => dialog.close();
    dialog.append(frame, close);
    const hear = (event) => {
      const ours = event.source === frame.contentWindow && event.origin === INSTALLER.origin;
      if (ours && event.data?.esptool === 'load') hand(event);
    };
    window.addEventListener('message', hear);
    dialog.onclose = () => {
      window.removeEventListener('message', hear);
      dialog.remove();
    };
    document.body.append(dialog);
    dialog.showModal();
  }
}

if (!customElements.get('esp-web-install-button')) customElements.define('esp-web-install-button', InstallButton);
}
