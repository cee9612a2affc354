// Runs whose every text is hostile, or very long; and how well text can be read on its ground.

import { NOW, Logbook } from "./one_run.js";

export const HOSTILE = '<img src=x onerror="globalThis.isBroken=1"><b>bold</b>\u202e[x](javascript:alert(1))';
export const LONG = "long_name_".repeat(14);

/** What `show` takes for a run that says `text` wherever a user may say something. */
export function saying(text, tab) {
  const cell = { n: 1, started_at: NOW - 9, ended_at: NOW, source: text, status: text };
  const told = { run_name: text, owner: text, project: text, description: text, error: text, traceback: text };
  const named = { params: { [text]: [text, null] }, tags: { [text]: text }, facts: { [text]: text, packages: text } };
  const ended = { status: "FAILED", ended_at: NOW, cells: [cell], dashboard_link: "javascript:globalThis.isBroken=1" };
  const book = new Logbook({ metrics: [text], system: [[`system/${text}`, text, text, null]] });
  return { run: { ...told, ...named, ...ended }, book, state: { tab } };
}

const GROUNDS = {
  "--mlf-bg": ["text", "muted", "accent", "running", "finished", "failed", "killed"],
  "--mlf-bg-soft": ["text", "muted", "killed"],
  "--mlf-bg-selected": ["text"],
  "--mlf-bg-hover": ["text", "muted"],
  "--mlf-error-bg": ["error"],
};

/** Contrast of each colour of text on each ground that it stands on, as WCAG counts it. */
export function contrasts(node) {
  const probe = document.createElement("i");
  node.append(probe);
  const luminance = (name) => {
    probe.style.color = `var(${name})`;
    const parts = getComputedStyle(probe)
      .color.match(/[\d.]+/g)
      .slice(0, 3);
    const linear = parts
      .map((each) => each / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const ratio = (text, ground) => {
    const [dark, light] = [luminance(text), luminance(ground)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const pairs = Object.entries(GROUNDS).flatMap(([ground, names]) => names.map((name) => [name, ground]));
  return Object.fromEntries(pairs.map(([name, ground]) => [`${name} on ${ground}`, ratio(`--mlf-${name}`, ground)]));
}
