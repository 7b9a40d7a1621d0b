// SPDX-License-Identifier: Apache-2.0
// Draws what the station says. All texts are set as text, never as HTML: a board can say anything.
"use strict";

const SIGNS = { WAITING: "…", WORKING: "▶", PASS: "✔", FAIL: "✘", INTERRUPTED: "■" };
const byId = (id) => document.getElementById(id);
const scan = byId("scan");
let known = new Map(); // slot -> what was last drawn
let asked = 0; // the latest search: answers of earlier ones are late

function element(name, text = "", kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

// --- slots -------------------------------------------------------------------------------------

function tile(slot) {
  const made = element("li", "", `slot ${slot.state}`);
  made.tabIndex = 0;
  made.dataset.slot = slot.name;
  const board = [slot.row, slot.mac].filter(Boolean).join("  ");
  made.setAttribute(
    "aria-label",
    [`Slot ${slot.name}`, slot.state, board, slot.reason].filter(Boolean).join(", "),
  );
  const name = element("div", "", "name");
  name.append(element("span", slot.name));
  if (slot.seconds && slot.state !== "WORKING") {
    name.append(element("span", `${slot.seconds.toFixed(1)} s`));
  }
  made.append(name, element("p", `${SIGNS[slot.state] || "?"} ${slot.state}`, "state"));
  if (board) made.append(element("p", board, "board"));
  if (slot.state === "WORKING") {
    made.append(element("p", `${slot.number}/${slot.total} ${slot.step}`, "step"));
    const bar = element("progress");
    bar.max = 100 * (slot.total || 1);
    bar.value = 100 * Math.max(0, slot.number - 1) + slot.percent;
    bar.setAttribute("aria-label", "Progress");
    made.append(bar);
  } else {
    if (slot.reason) {
      const where = slot.step ? `${slot.step}: ` : "";
      made.append(element("p", where + slot.reason, "reason"));
    }
    if (slot.remedy) made.append(element("p", slot.remedy, "remedy"));
    const start = element("button", "Start");
    start.setAttribute("aria-label", `Start the board in slot ${slot.name}`);
    start.addEventListener("click", () => begin(slot.name));
    made.append(start);
  }
  made.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target === made && slot.attempt) open(slot.attempt);
  });
  return made;
}

function drawSlots(slots) {
  const list = byId("slots");
  let ended = false;
  slots.forEach((slot, at) => {
    const now = JSON.stringify(slot);
    const before = known.get(slot.name);
    if (before === now) return;
    const old = list.children[at];
    const focused = old && old.contains(document.activeElement);
    const button = focused && document.activeElement.tagName === "BUTTON";
    const made = tile(slot);
    if (old) old.replaceWith(made);
    else list.append(made);
    if (focused) ((button && made.querySelector("button")) || made).focus();
    known.set(slot.name, now);
    const was = before ? JSON.parse(before) : null;
    const done = ["PASS", "FAIL", "INTERRUPTED"].includes(slot.state);
    if (done && (!was || was.attempt !== slot.attempt || was.state !== slot.state)) {
      ended = true;
      byId("spoken").textContent = `Slot ${slot.name}: ${slot.state}. ${slot.reason}`;
    }
  });
  if (ended) search();
}

function counted(count, what) {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function drawCounts(counts, stopping) {
  const parts = [counted(counts.boards, "board"), `${counts.good} good`];
  if (counts.boards) parts.push(`yield ${((100 * counts.good) / counts.boards).toFixed(1)} %`);
  if (counts.boards_an_hour !== null) parts.push(`${Math.round(counts.boards_an_hour)} an hour`);
  if (counts.rows_left !== null) parts.push(`${counted(counts.rows_left, "row")} left`);
  if (stopping) parts.push("ENDING: no more boards");
  byId("counts").textContent = parts.join(" · ");
}

function tellLink(text, lost) {
  byId("link").textContent = text;
  byId("link").className = lost ? "lost" : "";
}

function listen() {
  const source = new EventSource("state");
  source.addEventListener("message", (event) => {
    const state = JSON.parse(event.data);
    tellLink("● live", false);
    drawSlots(state.slots);
    drawCounts(state.counts, state.stopping);
  });
  source.addEventListener("end", () => {
    source.close();
    tellLink("■ The station has ended.", true);
  });
  source.addEventListener("error", () => tellLink("✘ No contact with the station.", true));
}

async function begin(slot) {
  const answer = await fetch("start", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ slot }),
  });
  if (!answer.ok) byId("found").textContent = await answer.text();
  return answer.ok;
}

// --- history -----------------------------------------------------------------------------------

async function search() {
  const words = scan.dataset.words || "";
  const number = ++asked;
  const query = words ? `?${new URLSearchParams({ q: words })}` : "";
  byId("export").href = `records.csv${query}`;
  const answer = await fetch(`history${query}`);
  if (!answer.ok || number !== asked) return;
  const attempts = await answer.json();
  const body = byId("attempts");
  const at = [...body.children].indexOf(document.activeElement);
  body.replaceChildren(...attempts.map(line));
  if (at >= 0) (body.children[at] || scan).focus();
  const what = words ? `for “${words}”` : "in all";
  byId("found").textContent = attempts.length
    ? `${attempts.length} attempt${attempts.length > 1 ? "s" : ""} ${what}, the latest first`
    : `Nothing is on record ${what}.`;
}

function line(attempt) {
  const made = element("tr");
  made.tabIndex = -1;
  made.dataset.attempt = attempt.id;
  const sign = SIGNS[attempt.result] || "▶";
  const where = attempt.failed_step ? `${attempt.failed_step}: ` : "";
  made.append(
    element("td", `${sign} ${attempt.result}`, `result ${attempt.result}`),
    element("td", attempt.row_key || "–"),
    element("td", attempt.mac || "–"),
    element("td", `${attempt.slot} (${attempt.station})`),
    element("td", attempt.started.slice(0, 19).replace("T", " ")),
    element("td", attempt.seconds === null ? "–" : attempt.seconds.toFixed(1)),
    element("td", attempt.reason ? where + attempt.reason : ""),
  );
  made.addEventListener("click", () => open(attempt.id));
  return made;
}

function facts(list, values) {
  list.replaceChildren();
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === "") continue;
    list.append(element("dt", name), element("dd", String(value)));
  }
}

const pairs = (values) =>
  Object.entries(values)
    .map(([name, value]) => `${name}  ${value}`)
    .join("\n");

async function open(number) {
  const answer = await fetch(`attempt/${number}`);
  if (!answer.ok) return;
  const a = await answer.json();
  byId("detail-title").textContent = `${SIGNS[a.result] || "▶"} ${a.result}: attempt ${a.id}`;
  facts(byId("detail-facts"), {
    Serial: a.row_key,
    MAC: a.mac,
    Chip: [a.chip, a.revision, a.flash_size].filter(Boolean).join(" "),
    Reason: a.reason && (a.failed_step ? `${a.failed_step}: ${a.reason}` : a.reason),
    Remedy: a.remedy,
    Values: pairs(a.measured),
    Started: a.started,
    Place: `${a.station}, slot ${a.slot} (${a.port})`,
    Job: `${a.product}, ${a.job_hash.slice(0, 16)}, esptool ${a.tool}`,
  });
  byId("detail-steps").replaceChildren(
    ...a.steps.map((s) =>
      element("li", `${s.step}: ${s.result}, ${s.seconds.toFixed(2)} s ${s.detail || ""}`),
    ),
  );
  byId("detail-log").textContent = a.log;
  const dialog = byId("detail");
  if (!dialog.open) dialog.showModal();
  byId("detail-close").focus();
}

// --- keys: a keyboard or a barcode scanner is enough ---------------------------------------------

scan.addEventListener("keydown", async (event) => {
  if (event.key === "Enter") {
    event.preventDefault();
    const words = scan.value.trim();
    scan.select();
    const command = /^start[\s:]+(.+)$/i.exec(words);
    if (command) {
      if (await begin(command[1])) {
        scan.value = "";
        byId("found").textContent = `Slot ${command[1]} is asked to start.`;
      }
      return;
    }
    scan.dataset.words = words;
    search();
  } else if (event.key === "ArrowDown") {
    event.preventDefault();
    byId("attempts").firstElementChild?.focus();
  }
});

byId("attempts").addEventListener("keydown", (event) => {
  const row = event.target.closest("tr");
  if (event.key === "ArrowDown") (row.nextElementSibling || row).focus();
  else if (event.key === "ArrowUp") (row.previousElementSibling || scan).focus();
  else if (event.key === "Enter") open(row.dataset.attempt);
  else return;
  event.preventDefault();
});

byId("detail").addEventListener("close", () => scan.focus());

document.addEventListener("keydown", (event) => {
  const free = !byId("detail").open && document.activeElement !== scan;
  if (event.key === "Escape" && free) scan.focus();
  // A scanner types wherever the focus is: its text belongs into the field.
  const typed = event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey;
  if (free && typed && !event.altKey) {
    scan.value = "";
    scan.focus();
  }
});

async function settings() {
  const answer = await fetch("settings");
  if (!answer.ok) return;
  const s = await answer.json();
  document.title = `${s.station}: ${s.product}`;
  byId("product").textContent = `${s.product} · ${s.station}`;
  facts(byId("facts"), {
    Product: s.product,
    Chip: s.chip,
    Job: s.job,
    "Hash of the job": s.hash,
    Steps: s.steps.join(", "),
    Images: pairs(s.images),
    Slots: pairs(s.slots),
    "Rows by": s.rows,
  });
}

settings();
search();
listen();
scan.focus();
