// Shows how far the jobs of tasks are, from what the tasks tell in an XCom and from Airflow's state of them.
// Everything comes over Airflow's public REST API with the user's session. Text is only ever set as text.

const KEY = "salesforce_bulk_progress";
const PAGE_ENTRIES = 25;
const ACTIVE_SECONDS = 4;
const QUIET_SECONDS = 30;
const ENDED = new Set(["success", "failed", "skipped", "upstream_failed", "removed"]);
const SOON = { queued: "queued", scheduled: "scheduled", up_for_retry: "waiting for its retry" };
const PHASES = {
  sending: "sending records", waiting: "Salesforce is at work", reading: "reading results",
  done: "done", submitted: "submitted", failed: "failed",
};

const root = document.documentElement;
const main = document.querySelector("main");
const { view, up } = root.dataset;
const base = new URL(`${up}../`, location.href).pathname; // of Airflow, with a slash at its end
const ids = location.pathname.split("/").slice(view === "task" ? -4 : view === "run" ? -2 : Infinity).map(decodeURIComponent);

// --- values ---

const text = (value) => (typeof value === "string" ? value : "");
const count = (value) => (typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : null);
const list = (value) => (Array.isArray(value) ? value : []);
const table = (value) => (value && typeof value === "object" && !Array.isArray(value) ? Object.entries(value) : []);
const numbers = new Intl.NumberFormat("en");
const shown = (value) => (value === null ? "–" : numbers.format(Math.round(value)));

function span(seconds) {
  if (seconds === null) return "–";
  const whole = Math.round(seconds);
  const parts = [[Math.floor(whole / 86400), "d"], [Math.floor(whole / 3600) % 24, "h"], [Math.floor(whole / 60) % 60, "min"], [whole % 60, "s"]];
  const first = parts.findIndex(([amount]) => amount > 0);
  return first < 0 ? "0 s" : parts.slice(first, first + 2).map(([amount, unit]) => `${amount} ${unit}`).join(" ");
}

function secondsOf(task) {
  if (!task?.start_date) return null;
  const end = task.end_date && ENDED.has(task.state) ? Date.parse(task.end_date) : Date.now();
  return Math.max(0, (end - Date.parse(task.start_date)) / 1000);
}

// As the task tells it; of one that has ended too soon for that, over its whole time.
function rateOf(task, told, processed) {
  const seconds = ENDED.has(task?.state) ? secondsOf(task) : null;
  return count(told.rate) ?? (seconds && processed ? processed / seconds : null);
}

function safeUrl(address) {
  try {
    const url = new URL(address);
    return ["https:", "http:"].includes(url.protocol) ? url : null;
  } catch {
    return null;
  }
}

// --- elements ---

function make(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

// Airflow's frame lets no link open a tab; the same link in the page around it may.
function link(address, label, { outside = false } = {}) {
  const given = { href: address, rel: "noopener noreferrer", target: outside ? "_blank" : "_top" };
  const anchor = make("a", given, label);
  anchor.addEventListener("click", (event) => {
    if (window.parent === window) return;
    event.preventDefault();
    const copy = window.parent.document.createElement("a");
    for (const [name, value] of Object.entries(given)) copy.setAttribute(name, value);
    copy.click();
  });
  return anchor;
}

function bar(processed, failed, records, { large = false } = {}) {
  const name = large ? "bar large" : "bar";
  if (records === null) {
    return make("div", { class: `${name} endless`, role: "progressbar", "aria-label": `${shown(processed)} records` });
  }
  const share = (value) => (records ? Math.min(100, (100 * value) / records) : 0);
  const good = make("span", { class: "good" });
  const bad = make("span", { class: "failed" });
  good.style.width = `${share(Math.max(0, processed - failed))}%`;
  bad.style.width = `${share(failed)}%`;
  const now = String(Math.round(share(processed)));
  return make("div", { class: name, role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": now }, good, bad);
}

function rows(headings, lines) {
  const head = make("tr", {}, ...headings.map(([label, kind]) => make("th", { class: kind ?? null, scope: "col" }, label)));
  const body = lines.map((cells) =>
    make("tr", {}, ...cells.map((cell, at) => make("td", { class: headings[at][1] ?? null }, cell ?? ""))));
  return make("div", { class: "wide" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)));
}

// --- what a task tells ---

function figuresOf(told) {
  const counts = Object.fromEntries(table(told.counts));
  const known = ["successful", "failed", "unprocessed"].every((kind) => count(counts[kind]) !== null);
  const processed = known ? counts.successful + counts.failed : count(counts.records) ?? count(told.processed) ?? 0;
  const failed = known ? counts.failed : count(told.failed) ?? 0;
  const records = known ? processed + counts.unprocessed : count(counts.records) ?? count(told.records);
  return { processed, failed, records };
}

function badge(task, told, { short = false } = {}) {
  const state = text(task?.state) || "none";
  const phase = PHASES[text(told?.phase)] ?? "";
  const words = {
    running: phase || "running",
    deferred: told?.phase === "waiting" && !short ? "Salesforce is at work (deferred)" : "deferred",
    ...SOON,
  };
  return make("span", { class: `badge ${/^[a-z_]+$/.test(state) ? state : ""}` }, words[state] ?? state);
}

const titleOf = (told) => [text(told.operation), text(told.sobject)].filter(Boolean).join(" ") || "Salesforce jobs";
const errorsOf = (told) => table(told.errors).filter(([, number]) => count(number) !== null).sort((a, b) => b[1] - a[1]);

function jobLink(told, id) {
  const org = safeUrl(text(told.setup_url));
  if (!org || !/^[A-Za-z0-9]{15,18}$/.test(id)) return make("code", {}, id);
  const address = `${org.origin}/lightning/setup/AsyncApiJobStatus/page?address=${encodeURIComponent(`/${id}`)}`;
  return make("code", {}, link(address, id, { outside: true }));
}

function jobCells(told, job) {
  const [processed, failed] = [count(job.processed) ?? 0, count(job.failed) ?? 0];
  const ended = ["JobComplete", "Failed", "Aborted"].includes(job.state);
  const records = count(job.records) ?? (ended ? processed : null);
  return [
    jobLink(told, text(job.id)), shown((count(job.round) ?? 0) + 1), text(job.state), bar(processed, failed, records),
    shown(processed), shown(records), failed ? make("span", { class: "bad" }, shown(failed)) : "0", text(job.error),
  ];
}

function fileCells(told) {
  const cells = ([kind, uris]) => list(uris).map((uri) => [kind, make("code", {}, text(uri))]);
  const manifest = text(told.manifest) ? [["manifest", make("code", {}, text(told.manifest))]] : [];
  return [...table(told.files).flatMap(cells), ...manifest];
}

function taskPage(task, told) {
  const { processed, failed, records } = figuresOf(told);
  const share = records ? ` (${Math.floor((100 * processed) / records)} %)` : "";
  const isActive = !ENDED.has(task?.state);
  const isOld = isActive && count(told.try_number) !== null && told.try_number < (count(task?.try_number) ?? 0);
  const figures = [
    ["Rows processed", records === null ? shown(processed) : `${shown(processed)} of ${shown(records)}${share}`],
    ["Rows failed", failed ? make("span", { class: "bad" }, shown(failed)) : "0"],
    ["Rows a second", shown(rateOf(task, told, processed))],
    ["Time", span(secondsOf(task))],
    ["Time left, about", isActive ? span(count(told.seconds_left)) : "–"],
    ["API calls", shown(count(told.api_calls))],
    ["Jobs", shown(list(told.jobs).length + (count(told.more_jobs) ?? 0))],
    ["Try", shown(count(task?.try_number) ?? count(told.try_number))],
  ];
  const errors = errorsOf(told);
  const jobs = list(told.jobs).filter((job) => job && typeof job === "object");
  const files = fileCells(told);
  const more = count(told.more_jobs);
  return [
    make("div", { class: "head" }, make("h1", {}, titleOf(told)), badge(task, told), isOld ? make("span", { class: "quiet" }, `as of try ${told.try_number}`) : null),
    bar(processed, failed, records, { large: true }),
    make("dl", { class: "figures" }, ...figures.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))),
    text(told.message) ? make("p", { class: "message" }, text(told.message)) : null,
    ...(errors.length ? [
      make("h2", {}, "Failures by code"),
      rows([["Code", "text"], ["Rows", "number"], ["Share"]], errors.map(([code, number]) => [make("code", {}, code), shown(number), bar(number, number, failed || number)])),
    ] : []),
    make("h2", {}, "Jobs at Salesforce"),
    jobs.length
      ? rows([["Job"], ["Round", "number"], ["State"], ["Progress"], ["Processed", "number"], ["Sent", "number"], ["Failed", "number"], ["Error", "text"]], jobs.map((job) => jobCells(told, job)))
      : make("p", { class: "quiet" }, "None yet."),
    more ? make("p", { class: "quiet" }, `and ${shown(more)} more; the manifest names all`) : null,
    ...(files.length ? [make("h2", {}, "Files"), rows([["Kind"], ["Where", "files"]], files)] : []),
    make("p", { class: "quiet" }, `As told ${asOf(told)}.`),
  ];
}

function asOf(told) {
  const updated = count(told.updated);
  return updated === null ? "at an unknown time" : `at ${new Date(updated * 1000).toLocaleTimeString("en-GB")}`;
}

// --- what Airflow knows ---

class Refused extends Error {}

async function get(path) {
  const reply = await fetch(`${base}api/v2/${path}`, { headers: { Accept: "application/json" }, credentials: "same-origin" });
  if (reply.status === 404) return null;
  if (reply.status === 401 || reply.status === 403) throw new Refused("You may not read this, or your session has ended.");
  if (!reply.ok) throw new Error(`Airflow answers ${reply.status}.`);
  return reply.json();
}

const at = (...parts) => parts.map(encodeURIComponent).join("/");
const mapped = (index) => (/^\d+$/.test(String(index)) ? Number(index) : -1);

async function readTask(dagId, runId, taskId, mapIndex) {
  const task = `dags/${at(dagId)}/dagRuns/${at(runId)}/taskInstances/${at(taskId)}`;
  const [state, entry] = await Promise.all([
    get(mapIndex < 0 ? task : `${task}/${mapIndex}`),
    get(`${task}/xcomEntries/${KEY}?map_index=${mapIndex}`),
  ]);
  return { task: state, told: toldBy(entry) };
}

function toldBy(entry) {
  let value = entry?.value ?? null;
  if (typeof value === "string") {
    try {
      value = JSON.parse(value);
    } catch {
      return null;
    }
  }
  return value && typeof value === "object" && !Array.isArray(value) ? value : null;
}

// --- the views ---

async function showTask() {
  const [dagId, runId, taskId, mapIndex] = ids;
  const { task, told } = await readTask(dagId, runId, taskId, mapped(mapIndex));
  if (told) return { parts: taskPage(task, told), isActive: !ENDED.has(task?.state) };
  const words = "Nothing is told about Salesforce jobs here: the task has not begun, has none, or belongs to another provider. If it has failed, its log says why.";
  return { parts: [make("p", { class: "quiet" }, words)], isActive: task !== null && !ENDED.has(task.state) };
}

const seen = new Map(); // what was read of tasks that have ended, by their ids
let offset = 0;

async function readEntry(entry) {
  const name = at(entry.dag_id, entry.run_id, entry.task_id, entry.map_index);
  const known = seen.get(name);
  if (known && known.timestamp === entry.timestamp && ENDED.has(known.task?.state)) return known;
  const read = { entry, timestamp: entry.timestamp, ...(await readTask(entry.dag_id, entry.run_id, entry.task_id, entry.map_index)) };
  seen.set(name, read);
  return read;
}

async function showMany() {
  const [dagId, runId] = view === "run" ? ids : ["~", "~"];
  const query = new URLSearchParams({ xcom_key: KEY, limit: PAGE_ENTRIES, offset, order_by: "-timestamp" });
  const found = await get(`dags/${at(dagId)}/dagRuns/${at(runId)}/taskInstances/~/xcomEntries?${query}`);
  const entries = list(found?.xcom_entries);
  const all = (await Promise.all(entries.map(readEntry))).filter(({ told }) => told);
  const isActive = all.some(({ task }) => !ENDED.has(task?.state));
  const title = make("div", { class: "head" }, make("h1", {}, view === "run" ? "Salesforce jobs of this run" : "Salesforce jobs"));
  if (!all.length) return { parts: [title, make("p", { class: "quiet" }, "No task has told of Salesforce jobs here.")], isActive };
  const headings = [
    ["Task", "task"], ["What", "text"], ["State"], ["Progress"], ["Rows", "number"], ["Failed", "number"],
    ["Failures by code", "text"], ["Rows a second", "number"], ["Time", "number"], ["API calls", "number"], ["Jobs", "number"],
  ];
  return { parts: [title, rows(headings, all.map(overviewCells)), pager(count(found.total_entries) ?? all.length)], isActive };
}

function overviewCells({ entry, task, told }) {
  const { processed, failed, records } = figuresOf(told);
  const index = entry.map_index >= 0 ? `/mapped/${entry.map_index}` : "";
  const address = `${base}dags/${at(entry.dag_id)}/runs/${at(entry.run_id)}/tasks/${at(entry.task_id)}${index}`;
  const label = entry.map_index >= 0 ? `${text(entry.task_id)} [${entry.map_index}]` : text(entry.task_id);
  const codes = errorsOf(told).map(([code, number]) => `${code} ${shown(number)}`);
  const where = view === "run" ? null : make("div", { class: "quiet" }, text(entry.dag_id), make("br"), text(entry.run_id));
  return [
    make("div", {}, link(address, label), where), titleOf(told), badge(task, told, { short: true }), bar(processed, failed, records),
    records === null ? shown(processed) : `${shown(processed)} of ${shown(records)}`,
    failed ? make("span", { class: "bad" }, shown(failed)) : "0",
    codes.slice(0, 3).join(", ") + (codes.length > 3 ? ` and ${codes.length - 3} more` : ""), shown(rateOf(task, told, processed)),
    span(secondsOf(task)), shown(count(told.api_calls)), shown(list(told.jobs).length + (count(told.more_jobs) ?? 0)),
  ];
}

function pager(total) {
  const turn = (label, to, isPossible) => {
    const button = make("button", { type: "button", disabled: isPossible ? null : "" }, label);
    button.addEventListener("click", () => { offset = to; refresh(); });
    return button;
  };
  if (total <= PAGE_ENTRIES) return null;
  return make("nav", {}, turn("Newer", Math.max(0, offset - PAGE_ENTRIES), offset > 0), turn("Older", offset + PAGE_ENTRIES, offset + PAGE_ENTRIES < total));
}

// --- the page ---

let timer = 0;

async function refresh() {
  clearTimeout(timer);
  let seconds = QUIET_SECONDS;
  try {
    const { parts, isActive } = await (view === "task" ? showTask() : showMany());
    if (isActive) seconds = ACTIVE_SECONDS;
    // Not under the hands of somebody who is marking a path to copy it.
    if (getSelection()?.isCollapsed ?? true) main.replaceChildren(...parts.filter((part) => part !== null));
    root.dataset.state = "shown";
  } catch (error) {
    main.replaceChildren(make("p", { class: "message" }, error instanceof Error ? error.message : "Airflow cannot be read."));
    root.dataset.state = "refused";
    if (error instanceof Refused) return;
  }
  timer = setTimeout(refresh, 1000 * seconds);
}

// Airflow's own switch decides where it can be seen: its page around this one has the class "dark".
function followTheme() {
  const media = matchMedia("(prefers-color-scheme: dark)");
  let around = null;
  try {
    if (window.parent !== window) around = window.parent.document.documentElement;
  } catch {
    around = null;
  }
  const apply = () => {
    const isDark = around ? around.classList.contains("dark") : media.matches;
    root.dataset.theme = isDark ? "dark" : "light";
  };
  apply();
  media.addEventListener("change", apply);
  if (around) new MutationObserver(apply).observe(around, { attributes: true, attributeFilter: ["class"] });
}

followTheme();
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
refresh();
