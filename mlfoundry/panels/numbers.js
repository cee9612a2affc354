// Numbers, sizes, lengths of time and times as people read them. Text only, no DOM.

export const ABSENT = "–";
const SECOND = [
  [86400, "d", 3600, "h"],
  [3600, "h", 60, "min"],
  [60, "min", 1, "s"],
];
const SIZES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** A number as JSON carries it: those that are not finite travel as text. Anything else becomes NaN. */
export function fromJson(value) {
  if (typeof value === "number") return value;
  if (value === "Infinity") return Infinity;
  if (value === "-Infinity") return -Infinity;
  return NaN;
}

/** At most four significant digits; whole numbers whole; NaN and ∞ as such; text as it is; nothing as a dash. */
export function figure(value) {
  if (value === undefined || value === null) return ABSENT;
  if (typeof value !== "number") return String(value);
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e15) return size >= 10_000 ? grouped(value) : String(value);
  if (size >= 1e-3 && size < 1e4) return String(Number(value.toPrecision(4)));
  if (size >= 1e4 && size < 1e6) return grouped(Math.round(value));
  const [mantissa, exponent] = value.toExponential(3).split("e");
  return `${Number(mantissa)}e${Number(exponent)}`;
}

/** A whole number with its thousands apart, as counts are written. */
export function grouped(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** The whole value, for titles and for the clipboard: what Python would print. */
export function exact(value) {
  if (value === undefined || value === null) return "";
  if (typeof value !== "number") return String(value);
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  return Object.is(value, -0) ? "-0.0" : String(value);
}

/** A number of bytes with a binary unit. */
export function bytes(count) {
  if (count === undefined || count === null || !Number.isFinite(count)) return ABSENT;
  const place = sizePlace(count);
  return `${trimmed(count / 1024 ** place, place ? 1 : 0)} ${SIZES[place]}`;
}

function sizePlace(count) {
  const place = Math.floor(Math.log2(Math.max(1, Math.abs(count))) / 10);
  return Math.min(SIZES.length - 1, place);
}

function trimmed(value, digits) {
  return String(Number(value.toFixed(Math.abs(value) >= 100 ? 0 : digits)));
}

/** What a unit's values are divided by, and what is then written beside them, for values up to `greatest`. */
export function scale(unit, greatest) {
  if (unit !== "B" && unit !== "B/s") return { divisor: 1, unit };
  const place = Number.isFinite(greatest) ? sizePlace(greatest) : 0;
  return { divisor: 1024 ** place, unit: unit.replace("B", SIZES[place]) };
}

/** A value with its unit: `52 %`, `3.1 GiB`, `61 °C`. */
export function withUnit(value, unit) {
  if (value === undefined || value === null) return ABSENT;
  if (unit === "B") return bytes(value);
  if (unit === "B/s") return Number.isFinite(value) ? `${bytes(value)}/s` : ABSENT;
  if (unit === "%") return `${percent(value)} %`;
  return unit ? `${figure(roundedForUnit(value))} ${unit}` : figure(value);
}

function roundedForUnit(value) {
  return Math.abs(value) >= 10 ? Math.round(value) : Number(value.toPrecision(3));
}

/** A share in percent without its sign: whole from 10, one digit below. */
export function percent(value) {
  if (!Number.isFinite(value)) return figure(value);
  return Math.abs(value) >= 10 ? String(Math.round(value)) : String(Number(value.toFixed(1)));
}

/** A length of time in its two greatest units: `2 min 14 s`. */
export function duration(seconds) {
  if (seconds === undefined || seconds === null || !Number.isFinite(seconds)) return ABSENT;
  if (seconds < 1) return seconds < 0.001 ? "0 s" : `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  return elapsed(seconds);
}

/** The same in whole seconds, for a clock that ticks. */
export function elapsed(seconds) {
  if (!Number.isFinite(seconds)) return ABSENT;
  const whole = Math.max(0, Math.floor(seconds));
  for (const [unit, name, lower, lowerName] of SECOND) {
    if (whole >= unit) return `${Math.floor(whole / unit)} ${name} ${Math.floor((whole % unit) / lower)} ${lowerName}`;
  }
  return `${whole} s`;
}

/** How long ago a time was; both in seconds since 1970. */
export function ago(at, now) {
  if (at === undefined || at === null || !Number.isFinite(at)) return ABSENT;
  const seconds = now - at;
  if (seconds < 10) return "just now";
  const [count, unit] = elapsed(seconds).split(" ");
  return `${count} ${unit} ago`;
}

/** A time exactly, in the viewer's zone: `2025-03-01 14:03:22 +01:00`. */
export function clock(at) {
  if (at === undefined || at === null || !Number.isFinite(at)) return "";
  const date = new Date(at * 1000);
  const two = (number) => String(number).padStart(2, "0");
  const offset = -date.getTimezoneOffset();
  const zone = `${offset < 0 ? "-" : "+"}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())} ${zone}`;
}

/** One thing or several: `count(1, "run")` is "1 run", `count(1248, "run")` is "1,248 runs". */
export function count(number, one, many = `${one}s`) {
  return `${Number.isInteger(number) ? grouped(number) : figure(number)} ${number === 1 ? one : many}`;
}
