// What a runs table says where there is nothing to show, and how many runs there are.

import { button, codeToCopy, element, replace } from "./dom.js";

const SKELETON_LINES = 6;

/** `60 runs, 2 running`, or `12 of 60 runs`; `shown` is null where nothing narrows the list, and else may hold none that run. */
export function countsText({ total, running, shown }) {
  const part = shown === null ? "" : `${shown.toLocaleString("en")} of `;
  const some = running && shown === null ? `, ${running.toLocaleString("en")} running` : "";
  return `${part}${total.toLocaleString("en")} ${total === 1 ? "run" : "runs"}${some}`;
}

/** Something is on its way. */
export function showSkeleton(place) {
  const lines = Array.from({ length: SKELETON_LINES }, () => element("div", { class: "mlf-skeleton" }));
  replace(place, element("span", { class: "mlf-sr" }, "Loading runs"), lines);
  place.hidden = false;
}

/** Lines to copy that make a run, whole: they work in an empty notebook. */
export function firstRun({ owner, name } = {}) {
  const whose = owner ? `, owner=${JSON.stringify(owner)}` : "";
  return [
    "import mlfoundry",
    `with mlfoundry.get_client().create_run(${JSON.stringify(name ?? "my-project")}${whose}) as run:`,
    '    run.log_params({"lr": 0.01})',
    '    run.log_metrics({"loss": 0.5}, step=1)',
  ].join("\n");
}

/** A project without runs: the lines that make the first one, and where it will be kept where that is known. */
export function showFirstLine(place, project, store) {
  const where = store ? element("p", { class: "mlf-muted" }, "stored in ", element("span", { class: "mlf-mono" }, store)) : null;
  replace(place, element("p", {}, "No runs yet. The first one appears here by itself."), codeToCopy(firstRun(project)), where);
}

/** A filter or words that no run fits. */
export function showNoMatch(place, onShowAll) {
  replace(place, "No run is like that. ", button("show all", onShowAll));
}
