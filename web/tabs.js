// SPDX-License-Identifier: Apache-2.0
// Tabs that the arrow keys move between, as the ARIA authoring practices describe them.

import { el } from './dom.js';

/** Panels are {id, title, body, shown?}; `shown` is called when one comes to the front. */
export function makeTabs(list, box, panels) {
  const tabs = panels.map(({ id, title }) => el('button', { type: 'button', id: `tab-${id}`, role: 'tab', 'aria-controls': `panel-${id}` }, title));
  const sheets = panels.map(({ id, body }) => el('section', { id: `panel-${id}`, role: 'tabpanel', 'aria-labelledby': `tab-${id}` }, body));
  const show = (index, focus) => {
    tabs.forEach((tab, i) => {
      tab.setAttribute('aria-selected', String(i === index));
      tab.tabIndex = i === index ? 0 : -1;
      sheets[i].hidden = i !== index;
    });
    if (focus) tabs[index].focus();
    panels[index].shown?.();
  };
  tabs.forEach((tab, i) => {
    tab.onclick = () => show(i, false);
    tab.onkeydown = ({ key }) => {
      const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: tabs.length - 1 }[key];
      if (to !== undefined) show((to + tabs.length) % tabs.length, true);
    };
  });
  list.replaceChildren(...tabs);
  box.replaceChildren(...sheets);
  show(0, false);
}
