// The page of a project's runs: the table, its filter and order, and the comparison of those that are ticked.

import { mountRuns } from "../panels/runs_view.js";
import { address, request, told } from "./http.js";
import { Address } from "./address.js";
import { HttpSource, takeOver, viewPlace } from "./source.js";
import { Pulse } from "./pulse.js";
import { runsForms } from "./runs_address.js";
import { runsVerbs } from "./runs_verbs.js";

const FIRST = 200;
const MOST = 10_000;
const { project, store } = told();
const place = `/dashboard/projects/${project.project_id}`;
const running = new Set();
let count = 0;
let seen = "";

const state = new Address(runsForms);
const source = new HttpSource({ state, verbs: runsVerbs(project), link: (id) => address(`/r/${id}`) });

/** Pass runs on, and note which of them go on. */
function take(frame) {
  const { header, columns } = frame;
  if (header.kind === "mark") {
    seen = header.mark;
    return;
  }
  const column = (name) => header.columns.find((each) => each.name === name);
  const ids = Array.from(columns.run_id, (code) => column("run_id").dict[code]);
  ids.forEach((id, row) => {
    const isRunning = column("status").dict[columns.status[row]] === "RUNNING";
    if (isRunning) running.add(id);
    else running.delete(id);
  });
  for (const id of header.gone ?? []) running.delete(id);
  count = header.total;
  header.store = store;
  source.tell(frame);
}

async function readAll() {
  const ask = (offset, size) => request("GET", `${place}/runs`, { query: { whole: true, offset, count: size } });
  const [first] = await ask(0, FIRST);
  take(first);
  takeOver();
  if (first.header.total > FIRST && !first.header.paged) for (const frame of await ask(FIRST, MOST - FIRST)) take(frame);
}

async function readChanges() {
  const frames = await request("POST", `${place}/changes`, { body: { running: [...running], seen } });
  for (const frame of frames ?? []) take(frame);
}

// As many rows as the window has room for, and never fewer than in a notebook; a few while runs are compared below.
source.rowsHigh = () => (source.get("compare") ? 8 : Math.max(16, Math.floor((innerHeight - 300) / 28)));

const grid = () => document.querySelector("[role=grid]");

// The content that a keyboard skips to is the table; its keys work wherever nothing else has the focus.
document.querySelector(".dash-skip").addEventListener("click", (event) => {
  if (!grid()) return;
  event.preventDefault();
  grid().focus();
});
document.addEventListener("keydown", (event) => {
  if (event.target !== document.body || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    event.preventDefault();
    document.querySelector(".mlf-runs-bar input")?.focus();
  } else if (["j", "k", "ArrowDown"].includes(event.key) && grid()) {
    event.preventDefault();
    grid().focus();
  }
});

mountRuns(viewPlace(), source);
readAll().then(
  () => new Pulse({ ask: readChanges, isLive: () => running.size > 0 || count === 0 }),
  (error) => {
    document.getElementById("stamp").textContent = error.message;
  },
);
