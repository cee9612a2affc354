// A run to be shown: its snapshot, and a logbook that grows and makes the frames a panel gets.

export const NOW = 1_790_000_000;

/** System series as the catalogue has them: name, unit, group, axis. */
export const GROUPS = [
  ["system/cpu/percent", "%", "CPU", [0, 100]],
  ["system/memory/percent", "%", "Memory", [0, 100]],
  ["system/memory/used_bytes", "B", "Memory size", null],
  ["system/memory/total_bytes", "B", "Memory size", null],
  ["system/process/cpu_percent", "%", "Process CPU", null],
  ["system/process/memory_rss_bytes", "B", "Process memory", null],
  ["system/process/main_memory_rss_bytes", "B", "Process memory", null],
  ["system/disk/read_bytes_per_s", "B/s", "Disk", null],
  ["system/disk/written_bytes_per_s", "B/s", "Disk", null],
  ["system/network/received_bytes_per_s", "B/s", "Network", null],
  ["system/network/sent_bytes_per_s", "B/s", "Network", null],
  ["system/gpu/0/utilization_percent", "%", "GPU", [0, 100]],
  ["system/gpu/0/memory_percent", "%", "GPU memory", [0, 100]],
  ["system/gpu/0/temperature_celsius", "°C", "GPU temperature", null],
  ["system/gpu/0/power_watts", "W", "GPU power", null],
  ["system/cpu/core/0/percent", "%", "CPU cores", [0, 100]],
  ["system/cpu/core/1/percent", "%", "CPU cores", [0, 100]],
];

export function snapshot(changes = {}) {
  return {
    run_id: "0123456789abcdef0123456789abcdef",
    run_name: "svm-model-3",
    owner: "ann",
    project: "iris-demo",
    fqn: "ann/iris-demo/svm-model-3",
    status: "RUNNING",
    created_by: "ann",
    started_at: NOW - 134,
    ended_at: null,
    last_seen_at: NOW,
    description: "",
    error: null,
    traceback: "",
    params: {
      C: ["1.0", 1],
      kernel: ["rbf", null],
      lr: ["0.01", 0.01],
      gamma: ["scale", null],
      epochs: ["40", 40],
      seed: ["7", 7],
    },
    tags: { baseline: "yes", team: "vision" },
    metrics: {},
    cells: [],
    facts: {
      "python.version": "3.11.7",
      "git.commit": "4f2a91c",
      "hardware.memory_bytes": "8589934592",
      packages: "numpy==2.1.0\nscikit-learn==1.5.2",
    },
    health: { state: "ok", message: "", accepted: 1200, pending_bytes: 0, lost: 0, tracker_cpu_s: 0.27 },
    dashboard_link: null,
    may_write: true,
    may_admin: true,
    ...changes,
  };
}

/** Names of metrics with a curve each, or system series; `grow` adds points to all of them. */
export class Logbook {
  constructor({ metrics = ["loss", "accuracy"], system = GROUPS, points = 120, every = 1, value = null } = {}) {
    this.series = [
      ...metrics.map((name) => ({
        name,
        system: false,
        unit: "",
        group: name.includes("/") ? name.slice(0, name.lastIndexOf("/")) : "",
        axis: null,
      })),
      ...system.map(([name, unit, group, axis]) => ({ name, system: true, unit, group, axis })),
    ];
    for (const series of this.series) Object.assign(series, { steps: [], times: [], values: [] });
    this.every = every;
    this.value = value;
    this.count = 0;
    this.start = NOW - points * every;
    this.grow(points);
  }

  grow(points = 1) {
    for (let point = 0; point < points; point += 1) {
      this.series.forEach((series, index) => {
        series.steps.push(this.count);
        series.times.push(this.start + this.count * this.every);
        series.values.push((this.value ?? valueOf)(series, this.count, index));
      });
      this.count += 1;
    }
  }

  whole(max = Infinity, total = null) {
    const series = this.series.map((each) => {
      const from = Math.max(0, each.values.length - max);
      return { ...each, count: each.values.length, n: each.values.length - from, from };
    });
    const join = (name) => Float64Array.from(series.flatMap((each) => each[name].slice(each.from)));
    const told = series.map(({ name, system, unit, group, axis, n, count }) => ({
      name,
      system,
      unit,
      group,
      axis,
      n,
      count,
    }));
    return {
      kind: "points",
      header: { kind: "points", run: snapshot().run_id, whole: true, series: told, total },
      columns: { steps: join("steps"), times: join("times"), values: join("values") },
    };
  }

  /** The newest `points` points of each series, as a delta. */
  delta(points = 1) {
    const count = this.count;
    const join = (name) => Float64Array.from(this.series.flatMap((each) => each[name].slice(count - points)));
    const all = this.series.map((_, index) => index);
    return {
      kind: "points",
      header: { kind: "points", run: snapshot().run_id, whole: false },
      columns: {
        index: Uint32Array.from(all),
        n: Uint32Array.from(all, () => points),
        since: Uint32Array.from(all, () => count - points),
        steps: join("steps"),
        times: join("times"),
        values: join("values"),
      },
    };
  }
}

function noise(seed) {
  const x = Math.sin(seed * 127.1) * 43758.5453;
  return x - Math.floor(x);
}

function valueOf(series, count, index) {
  const random = noise(count * 31 + index * 17);
  if (series.unit === "%") return 20 + 60 * noise(Math.floor(count / 20) + index) + 10 * random;
  if (series.unit === "B")
    return series.name.includes("total") ? 8 * 2 ** 30 : (2 + count / 200 + 0.2 * random) * 2 ** 30;
  if (series.unit === "B/s") return random * 3e7;
  if (series.unit) return 50 + 10 * random + index;
  if (/acc/.test(series.name)) return 1 - 0.6 * Math.exp(-count / 40) - 0.04 * random;
  return 2 * Math.exp(-count / 30) + 0.05 + 0.1 * random;
}
