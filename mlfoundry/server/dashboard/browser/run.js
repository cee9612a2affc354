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
let series = [];
let isOver = false;
let { status } = run;

function take(frame) {
  const { header, columns } = frame;
  if (header.kind === "run") {
    seen = header.mark;
    ({ status } = header.run);
    document.title = `${header.run.run_name} · MLFoundry`;
    for (const tab of Object.values(loaded)) tab.forget();
  } else if (header.kind === "ended") isOver = true;
  else if (header.kind === "points" && header.whole) series = header.series.map(({ name, count }) => [name, count]);
  else if (header.kind === "points") columns.index.forEach((at, row) => (series[at][1] += columns.n[row]));
  source.tell(frame);
}

function known() {
  return { seen, names: series.map(([name]) => name), counts: series.map(([, count]) => count) };
}

async function read() {
  for (const frame of await request("POST", `${place}/news`, { body: known() })) take(frame);
}

async function changed(body) {
  await request("PATCH", change, { body });
  await read();
}

const verbs = {
  whole: async () => {
    series = [];
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
if (["metrics", "system"].includes(state.get("tab"))) source.plotly().catch(() => null); // while the points are on their way
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
