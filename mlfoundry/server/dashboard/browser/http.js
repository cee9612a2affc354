// Requests to the server that gave the page: JSON and frames in, JSON out, and errors in words.

import { decode } from "../panels/frames.js";

const { base, csrf } = document.body.dataset;

/** An address of this server. */
export function address(path, query = {}) {
  const told = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const search = new URLSearchParams(told.map(([name, value]) => [name, String(value)])).toString();
  return `${base}${path}${search ? `?${search}` : ""}`;
}

/** Ask the server. Resolves to JSON, a list of frames, or null without content; rejects with what to tell a person. */
export async function request(method, path, { query, body, signal } = {}) {
  const headers = { Accept: "application/json, application/vnd.mlfoundry.frames" };
  if (method !== "GET") headers["X-CSRF-Token"] = csrf;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    const told = body === undefined ? undefined : JSON.stringify(body);
    response = await fetch(address(path, query), { method, headers, body: told, signal, credentials: "same-origin", redirect: "error" });
  } catch (error) {
    throw Object.assign(new Error("the server cannot be reached now"), { isAway: true, cause: error });
  }
  if (!response.ok) throw await failure(response);
  if (response.status === 204) return null;
  const kind = response.headers.get("Content-Type") ?? "";
  if (kind.startsWith("application/vnd.mlfoundry.frames")) return framesOf(await response.arrayBuffer());
  return response.json();
}

async function failure(response) {
  const told = await response.json().catch(() => null);
  const { message, position, length, code } = told?.error ?? {};
  const isOut = response.status === 401;
  const words = isOut ? "you are logged out; reload the page to log in again" : (message ?? `the server answered ${response.status}`);
  return Object.assign(new Error(words), { position, length, code, status: response.status, isAway: response.status >= 500 });
}

/** The frames of an answer; each stands after its length. */
function framesOf(buffer) {
  const view = new DataView(buffer);
  const found = [];
  for (let place = 0; place < buffer.byteLength; ) {
    const size = view.getUint32(place, true);
    found.push(decode(new Uint8Array(buffer, place + 8, size)));
    place += 8 + size;
  }
  return found;
}

/** What the server wrote into the page for its module. */
export function told() {
  return JSON.parse(document.getElementById("told")?.textContent ?? "{}");
}
