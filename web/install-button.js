// SPDX-License-Identifier: Apache-2.0
// <esp-web-install-button manifest="..."> as pages of ESP Web Tools have it: such a page changes the
// address of this script and nothing else. The installer opens over the page it stands on.

const INSTALLER = new URL('./', import.meta.url);

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
    dialog.onclose = () => dialog.remove();
    document.body.append(dialog);
    dialog.showModal();
  }
}

if (!customElements.get('esp-web-install-button')) customElements.define('esp-web-install-button', InstallButton);
