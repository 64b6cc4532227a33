// Keeps a page live: relative times, lists that are asked for anew, the timeline of a job.
// Everything works without it, only not by itself.
"use strict";

const main = () => document.getElementById("main");

// The same words as the server has.
function relative(seconds) {
  const away = Math.abs(seconds);
  const units = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [2678400, 86400, "d"],
    [31536000, 2629800, "mo"], [Infinity, 31536000, "y"]];
  if (away < 5) return "now";
  const [, size, name] = units.find(([limit]) => away < limit);
  const text = `${Math.floor(away / size)} ${name}`;
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}

// A page whose server is gone must not look alive: it says since when, and nothing turns.
let answeredAt = new Date();
let misses = 0;

const clock = (date) => date.toTimeString().slice(0, 8);

function answered() {
  answeredAt = new Date();
  misses = 0;
  show();
}

function missed() {
  misses += 1;
  show();
}

function show() {
  const lost = document.getElementById("lost");
  const isLost = misses >= 2;
  document.body.classList.toggle("stale", isLost);
  lost.hidden = !isLost;
  const text = isLost ? `No answer since ${clock(answeredAt)}: this is what was known then.` : "";
  if (lost.textContent !== text) lost.textContent = text;
  const asOf = document.getElementById("as-of");
  if (asOf) asOf.textContent = clock(answeredAt);
}

function tick() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const at = Date.parse(time.dateTime);
    if (!Number.isNaN(at)) time.textContent = relative(Math.round((Date.now() - at) / 1000));
  }
}

// What tells an element again after its page was replaced.
const key = (element) => element && (element.id || element.getAttribute("href"));

// Fetches this page and puts what changed into place; focus and open details stay.
let tag = null;
async function refresh() {
  const headers = tag ? { "If-None-Match": tag } : {};
  const options = { headers: { ...headers, Accept: "text/html" }, signal: AbortSignal.timeout(8000) };
  const response = await fetch(location.href, options);
  if (response.redirected) return location.reload();
  if (response.status >= 500) throw new Error("the server cannot answer");
  answered();
  if (response.status !== 200) return;
  tag = response.headers.get("ETag");
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  const next = fresh.getElementById("main");
  if (!next) return;
  const focused = main().contains(document.activeElement) ? key(document.activeElement) : null;
  const places = (root) => [...root.querySelectorAll("details")];
  const open = places(main()).map((details) => details.open);
  places(next).forEach((details, index) => { if (open[index]) details.open = true; });
  main().replaceWith(next);
  tick();
  if (focused) {
    const again = [...next.querySelectorAll("a, button, summary")].find((one) => key(one) === focused);
    if (again) again.focus({ preventScroll: true });
  }
}

const selects = () => !document.getSelection().isCollapsed;

function keepFresh() {
  const seconds = Number(main().dataset.refresh);
  if (!seconds) return;
  setInterval(() => {
    if (!document.hidden && !selects()) refresh().catch(missed);
  }, seconds * 1000);
}

// Terminal codes are not for people, however they are written.
const plain = (text) => text.replaceAll("\\u{1b}", "\u001b")
  .replace(/\u001b(\[[ -?]*[@-~]?|\][^\u0007\u001b\n]*(\u0007|\u001b\\)?|[ -~])?/g, "");

const later = (left, right) => {
  const [a, b] = [left, right].map((place) => place.split(".").map(Number));
  return a[0] - b[0] || a[1] - b[1];
};

function span(seconds) {
  if (seconds < 9.95) return `${Math.max(0, seconds).toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

const shapes = { ok: "check", changed: "edit", failed: "cross", unreachable: "cross",
  skipped: "skip", ignored: "skip" };

function diff(text, isOpen) {
  const details = document.createElement("details");
  details.className = "diff";
  details.open = isOpen;
  const summary = document.createElement("summary");
  summary.textContent = "What changed";
  const pre = document.createElement("pre");
  for (const line of text.split("\n")) {
    const span = document.createElement("span");
    const kinds = { "+": "add", "-": "del", "@": "at" };
    span.className = /^(\+\+\+|---)/.test(line) ? "d-file" : `d-${kinds[line[0]] || "same"}`;
    span.textContent = `${plain(line)}\n`;
    pre.append(span);
  }
  details.append(summary, pre);
  return details;
}

// One task, made from the template of the page; all text is only ever text.
function taskElement(task) {
  const item = document.getElementById("task").content.firstElementChild.cloneNode(true);
  const put = (selector, text) => { item.querySelector(selector).textContent = text; };
  item.className = `task t-${task.status} new`;
  item.dataset.place = `${task.attempt}.${task.seq}`;
  const icon = item.querySelector("svg.i");
  icon.setAttribute("class", `i t-${task.status}`);
  icon.setAttribute("aria-label", task.status);
  icon.querySelector("use").setAttribute("href", `#i-${shapes[task.status] || "skip"}`);
  put(".name", plain(task.task));
  put(".took", task.seconds === null ? "" : span(task.seconds));
  put(".clock", task.at.slice(11, 19));
  const share = Math.min(100, Math.max(1, Math.round((task.seconds || 0) / 30 * 100)));
  item.querySelector("rect").setAttribute("width", share);
  const isBad = ["failed", "unreachable", "ignored"].includes(task.status);
  if (isBad && task.message) {
    const pre = document.createElement("pre");
    pre.className = "message";
    pre.textContent = plain(task.message);
    item.append(pre);
  }
  if (task.diff && task.diff.trim()) item.append(diff(task.diff.trimEnd(), task.status === "failed"));
  return item;
}

function follow() {
  if (!main().dataset.live) return;
  let source = null;
  let isOver = false;
  let turn = Promise.resolve();
  const then = (work) => { turn = turn.then(work).catch(() => {}); };
  const onTask = (event) => then(async () => {
    const task = JSON.parse(event.data);
    const place = `${task.attempt}.${task.seq}`;
    if (later(place, main().dataset.place) <= 0) return;
    const list = main().querySelector(`[data-attempt="${task.attempt}"] .tasks`);
    if (!list) return refresh();
    const none = list.parentElement.querySelector(":scope > .none");
    if (none) none.remove();
    list.append(taskElement(task));
    main().dataset.place = place;
  });
  const onState = (event) => then(async () => {
    const state = JSON.parse(event.data);
    const told = `${state.job.status} ${state.attempts.length}`;
    if (told !== main().dataset.state) await refresh();
  });
  const close = () => { if (source) source.close(); source = null; };
  const end = (work) => { isOver = true; close(); work(); };
  const listen = () => {
    const address = main().dataset.live;
    if (source || isOver || !address) return;
    source = new EventSource(`${address}?stream=${main().dataset.place}`);
    source.addEventListener("open", answered);
    source.addEventListener("error", () => {
      missed();
      // After an answer that is no stream a browser does not try again by itself.
      if (source && source.readyState === EventSource.CLOSED) {
        close();
        setTimeout(() => { if (!document.hidden) listen(); }, 4000);
      }
    });
    source.addEventListener("task", (event) => { answered(); onTask(event); });
    source.addEventListener("state", (event) => { answered(); onState(event); });
    source.addEventListener("end", () => end(() => then(refresh)));
    source.addEventListener("logout", () => end(() => location.reload()));
  };
  // A browser opens few connections to one server: a tab that nobody looks at needs none.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : listen()));
  if (!document.hidden) listen();
}

tick();
show();
setInterval(tick, 5000);
keepFresh();
follow();
