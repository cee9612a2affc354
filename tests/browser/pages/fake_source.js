// A source without a kernel or a server: state in a map, messages when a test says so, answers from functions.
// What was `told` before a view came is told to it when it begins to listen, as the loader of notebooks does.

export function fakeSource({ state = {}, answers = {}, told = [], now = 1_790_000_000 } = {}) {
  const kept = new Map(Object.entries(state));
  const changes = new Map();
  const listeners = new Set();
  const source = {
    asked: [],
    answers,
    get: (name) => kept.get(name),
    set(name, value) {
      kept.set(name, value);
      for (const call of changes.get(name) ?? []) call(value);
    },
    onChange(name, call) {
      if (!changes.has(name)) changes.set(name, new Set());
      changes.get(name).add(call);
      return () => changes.get(name).delete(call);
    },
    listen(call) {
      for (const message of told) call(message);
      listeners.add(call);
      return () => listeners.delete(call);
    },
    send(message) {
      for (const call of listeners) call(message);
    },
    async ask(verb, args = {}, options = {}) {
      source.asked.push([verb, args]);
      const answer = answers[verb];
      if (!answer) throw new Error(`nobody answers ${verb} here`);
      return answer(args, options);
    },
    plotly: () => loadPlotly(),
    now: () => now,
    state: () => Object.fromEntries(kept),
    listenerCount: () => listeners.size + [...changes.values()].reduce((sum, calls) => sum + calls.size, 0),
  };
  return source;
}

let loading = null;

function loadPlotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/plotly.min.js";
    script.onload = () => resolve(globalThis.Plotly);
    script.onerror = () => reject(new Error("plotly could not be loaded"));
    document.head.append(script);
  });
  return loading;
}
