// How the view of a project's runs, and of a comparison, stands in the address.

import { listText, readList, readShare, shareText, text } from "./address.js";

const SIDES = { min: "least", max: "greatest" };

/** An order as `loss` or `-loss`: a minus for falling. */
const sort = {
  read: (told) => [["order_by", told.startsWith("-") ? `${told.slice(1)} desc` : told]],
  write: (get) => {
    const order = get("order_by") ?? "";
    return order.endsWith(" desc") ? `-${order.slice(0, -5)}` : order.replace(/ asc$/, "");
  },
};

/** Columns by their keys; one that was drawn to another width has it behind a colon. */
const columns = {
  read: (told) => [
    [
      "columns",
      readList(told).map((part) => {
        const sized = /^(.*):(\d{2,4})$/s.exec(part);
        return sized ? [sized[1], Number(sized[2])] : part;
      }),
    ],
  ],
  write: (get) => listText((get("columns") ?? []).map((entry) => (Array.isArray(entry) ? `${entry[0]}:${Math.round(entry[1])}` : entry))),
};

/** The rule of the best run: `lowest,last,loss`. */
const best = {
  read: (told) => {
    const [direction, of, metric] = readList(told);
    const isRule = ["lowest", "highest"].includes(direction) && ["last", "any step"].includes(of) && metric;
    return [["best", isRule ? { metric, of, isLess: direction === "lowest" } : null]];
  },
  write: (get) => {
    const rule = get("best");
    return rule ? listText([rule.isLess ? "lowest" : "highest", rule.of, rule.metric]) : "";
  },
};

const RUN_ID = /^[0-9a-f]{32}$/;
const ids = (word) => ({
  read: (told) => [["selected", readList(told).filter((id) => RUN_ID.test(id))]],
  write: (get) => listText(get("selected") ?? []),
  word,
});

/** A part of `compare_state`, which several words of the address make up. */
function part(name, read, write) {
  return {
    read: (told) => {
      const value = told ? read(told) : undefined;
      if (value !== undefined) comparison[name] = value;
      return [["compare_state", { ...comparison }]];
    },
    write: (get) => {
      const value = get("compare_state")?.[name];
      return value === undefined ? "" : write(value);
    },
  };
}

const comparison = {};
const same = (told) => told;

/** The words of a comparison. */
const compareForms = {
  base: part("baseline", same, same),
  params: part("differing", (told) => (told === "all" ? false : undefined), (value) => (value === false ? "all" : "")),
  value: part("which", (told) => Object.keys(SIDES).find((side) => SIDES[side] === told), (value) => SIDES[value] ?? ""),
  charts: part("metrics", readList, listText),
  log: part("log", (told) => told === "1", (value) => (value ? "1" : "")),
  smooth: part("smoothing", readShare, shareText),
  x: part("x", same, same),
  y: part("y", same, same),
  colour: part("colour", same, same),
};

/** The words of a project's runs. */
export const runsForms = {
  filter: text("filter"),
  words: text("quick"),
  sort,
  best,
  columns,
  runs: ids("runs"),
  compare: { read: (told) => [["compare", told === "1"]], write: (get) => (get("compare") ? "1" : "") },
  ...compareForms,
};

/** The words of the page that only compares. */
export const comparePageForms = { runs: ids("runs"), ...compareForms };
