// The page of one run: the same view as in a notebook, its files and its code.

import { isLive } from "../panels/run_header.js";
import { mountRun } from "../panels/run_view.js";
import { request, told } from "./http.js";
import { Address, readList, listText, readShare, shareText, text } from "./address.js";
import { HttpSource, takeOver, viewPlace } from "./source.js";
import { Pulse } from "./pulse.js";
import { FilesTab } from "./files_tab.js";
import { CodeTab } from "./code_tab.js";

const run = told();
const place = `/dashboard/projects/${run.project_id}/runs/${run.run_id}`;
const change = `/api/v1/projects/${run.project_id}/runs/${run.run_id}`;

/** The charts that somebody chose, by tab. */
const chosen = {};
const chartsOf = (kind) => ({
  read: (words) => {
    if (words) chosen[kind] = readList(words);
    return [["selected_series", { ...chosen }]];
  },
  write: (get) => listText(get("selected_series")?.[kind] ?? []),
});
const state = new Address({
  tab: text("tab", "metrics"),
  axis: text("x_axis", "step"),
  smooth: { read: (words) => [["smoothing", readShare(words)]], write: (get) => shareText(get("smoothing")) },
  log: { read: (words) => [["log", words === "1"]], write: (get) => (get("log") ? "1" : "") },
  charts: chartsOf("metrics"),
  machine: chartsOf("system"),
});

let seen = "";
let order = ""; // of the series below, as the server calls it; empty when all are to be told again
let series = [];
let metrics = {};
let isOver = false;
let { status } = run;

function take(frame) {
  const { header, columns } = frame;
  if (header.kind === "run") takeRun(header);
  else if (header.kind === "ended") isOver = true;
  else if (header.kind === "points" && header.whole) {
    ({ order } = header);
    series = header.series.map(({ name, count }) => [name, count]);
  } else if (header.kind === "points") columns.index.forEach((at, row) => (series[at][1] += columns.n[row]));
  source.tell(frame);
}

function takeRun(header) {
  seen = header.mark;
  metrics = header.adds ? { ...metrics, ...header.run.metrics } : header.run.metrics;
  header.run.metrics = metrics;
  ({ status } = header.run);
  document.title = `${header.run.run_name} · MLFoundry`;
  for (const tab of Object.values(loaded)) tab.forget();
}

/** What this page holds, in a few bytes: a count that many series share is said once, and names only when asked for. */
function known() {
  const counts = [];
  for (const [, count] of series) {
    if (counts.at(-1)?.[0] === count) counts.at(-1)[1] += 1;
    else counts.push([count, 1]);
  }
  return { seen, order, counts };
}

const ask = (more = {}) => request("POST", `${place}/news`, { body: { ...known(), ...more } });

async function readNow() {
  let frames = await ask();
  if (frames[0]?.header.kind === "names") frames = await ask({ names: series.map(([name]) => name) });
  for (const frame of frames) take(frame);
}

let reading = Promise.resolve();

/** Read what is new; one after another, for an answer goes by what the page held when it asked. */
function read() {
  reading = reading.catch(() => null).then(readNow);
  return reading;
}

async function changed(body) {
  await request("PATCH", change, { body });
  await read();
}

const verbs = {
  whole: async () => {
    order = "";
    await read();
  },
  set_tags: ({ tags }) => changed({ tags }),
  set_description: ({ text: words }) => changed({ description: words }),
};
const source = new HttpSource({ state, verbs });
source.note = ({ created_by: user }) => `by ${user}`;
const loaded = { files: new FilesTab(run, place, () => source), code: new CodeTab(place) };
source.tabs = () => [
  ["files", "Files", loaded.files],
  ["code", "Code", loaded.code],
];

source.onChange("tab", (name) => loaded[name]?.forget()); // a file may have come since it was looked at last

mountRun(viewPlace(), source);
read().then(
  async () => {
    await loaded[state.get("tab")]?.loaded(); // what the server rendered stays until then, and nothing moves
    takeOver();
    new Pulse({ ask: read, isLive: () => !isOver, isMoving: () => isLive(status) }); // one that is lost may come back
  },
  (error) => {
    document.getElementById("stamp").textContent = error.message;
  },
);
