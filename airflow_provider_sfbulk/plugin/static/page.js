// Shows how far the jobs of tasks are, from what the tasks tell in an XCom and from Airflow's state of them.
// Everything comes over Airflow's public REST API with the user's session. Text is only ever set as text.

const KEY = "salesforce_bulk_progress";
const PAGE_ENTRIES = 50;
const LIST_ENTRIES = 100; // Airflow gives no more at once unless [api] maximum_page_limit allows it
const TYPING_PAUSE = 250; // milliseconds
const FILTERED_ENTRIES = 1000; // the newest ones, which a filter looks through
const ACTIVE_SECONDS = 4;
const QUIET_SECONDS = 30;
const ENDED = new Set(["success", "failed", "skipped", "upstream_failed", "removed"]);
const STATES = ["failed", "running", "deferred", "up_for_retry", "queued", "scheduled", "success", "skipped", "upstream_failed", "removed"];
const SOON = { queued: "queued", scheduled: "scheduled", up_for_retry: "waiting for its retry" };
const PHASES = {
  checking: "checking records", comparing: "comparing with the org", sending: "sending records", waiting: "Salesforce is at work", reading: "reading results",
  done: "done", submitted: "submitted", failed: "failed",
};

const root = document.documentElement;
const main = document.querySelector("main");
const { view, up } = root.dataset;
const base = new URL(`${up}../`, location.href).pathname; // of Airflow, with a slash at its end
const ids = location.pathname.split("/").slice(view === "task" ? -4 : view === "run" ? -2 : Infinity).map(decoded);

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // Airflow knows no such id, and says so
  }
}

// --- values ---

const text = (value) => (typeof value === "string" ? value : "");
const count = (value) => (typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : null);
const list = (value) => (Array.isArray(value) ? value : []);
const table = (value) => (value && typeof value === "object" && !Array.isArray(value) ? Object.entries(value) : []);
const numbers = new Intl.NumberFormat("en");
// What every object has is no word of ours.
const wordFor = (words, key) => (Object.hasOwn(words, key) ? words[key] : undefined);
// A slow task is not one that stands still.
const rate = (value) => (value === null ? "–" : value > 0 && value < 1 ? "under 1" : shown(value));
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

// As Airflow shows it: in the zone that is chosen there, and with its name.
function moment(value, { isShort = false } = {}) {
  const date = new Date(value);
  if (value === null || Number.isNaN(date.getTime())) return "–";
  const parts = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };
  const write = (given) => new Intl.DateTimeFormat("sv-SE", given).format(date);
  const zone = chosenZone();
  if (isShort) return write({ ...parts, second: undefined, timeZone: zone });
  const named = new Intl.DateTimeFormat("en", { timeZone: zone, timeZoneName: "short" }).formatToParts(date);
  return `${write({ ...parts, timeZone: zone })} ${named.find(({ type }) => type === "timeZoneName").value}`;
}

function chosenZone() {
  try {
    const zone = (localStorage.getItem("timezone") ?? "").replaceAll('"', "");
    new Intl.DateTimeFormat("en", { timeZone: zone || undefined });
    return zone || undefined;
  } catch {
    return undefined;
  }
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

// To copy a path or an id. Without https there is no clipboard but the old one.
function copyable(value, what) {
  const button = make("button", { type: "button", class: "copy", title: `Copy ${what}`, "aria-label": `Copy ${what} ${value}` }, "⧉");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(value);
    } catch {
      const area = make("textarea", { readonly: "" });
      area.value = value;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    button.textContent = "✓";
    setTimeout(() => (button.textContent = "⧉"), 1500);
  });
  return button;
}

function bar(processed, failed, records, { large = false, endedBadly = false } = {}) {
  const name = `bar${large ? " large" : ""}${endedBadly ? " badly" : ""}`;
  if (records === null) {
    return make("div", { class: `${name} endless`, role: "progressbar", "aria-label": `${shown(processed)} rows so far` });
  }
  const share = (value) => (records ? Math.min(100, (100 * value) / records) : 0);
  const isEmpty = records === 0; // and so all of it is done
  const good = make("span", { class: "good" });
  const bad = make("span", { class: "failed" });
  good.style.width = `${isEmpty ? 100 : share(Math.max(0, processed - failed))}%`;
  bad.style.width = `${share(failed)}%`;
  const now = isEmpty ? "100" : String(Math.round(share(processed)));
  const given = {
    class: name, role: "progressbar", "aria-label": `${shown(processed)} of ${shown(records)} rows, ${shown(failed)} failed`,
    "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": now,
  };
  return make("div", given, good, bad);
}

function rows(label, headings, lines, { isDense = false } = {}) {
  const head = make("tr", {}, ...headings.map(([label, kind]) => make("th", { class: kind ?? null, scope: "col" }, label)));
  // On a narrow screen each row stands as a block, with the headings in front of its cells.
  const cellOf = (cell, at) => make("td", { class: headings[at][1] ?? null, "data-label": headings[at][0] }, cell ?? "");
  const body = lines.map((cells) => make("tr", {}, ...cells.map(cellOf)));
  const made = make("table", { class: isDense ? "dense" : null, "aria-label": label }, make("thead", {}, head), make("tbody", {}, ...body));
  return make("div", { class: "wide", role: "region", "aria-label": label, tabindex: "0" }, made);
}

// --- what a task tells ---

function figuresOf(told) {
  const counts = Object.fromEntries(table(told.counts));
  const known = ["successful", "failed", "unprocessed"].every((kind) => count(counts[kind]) !== null);
  const processed = known ? counts.successful + counts.failed : count(counts.records) ?? count(told.processed) ?? 0;
  const failed = known ? counts.failed : count(told.failed) ?? 0;
  const records = known ? processed + counts.unprocessed : count(counts.records) ?? count(told.records);
  return { processed, failed, records, unchanged: count(counts.unchanged) };
}

function badge(task, told, { short = false } = {}) {
  const state = text(task?.state) || "none";
  const phase = wordFor(PHASES, text(told?.phase)) ?? "";
  const words = {
    running: phase || "running",
    deferred: told?.phase === "waiting" && !short ? "Salesforce is at work (deferred)" : "deferred",
    ...SOON,
  };
  return make("span", { class: `badge ${/^[a-z_]+$/.test(state) ? state : ""}` }, wordFor(words, state) ?? state);
}

const titleOf = (told) => [text(told.operation), text(told.sobject)].filter(Boolean).join(" ") || "Salesforce jobs";
const errorsOf = (told) => table(told.errors).filter(([, number]) => count(number) !== null).sort((a, b) => b[1] - a[1]);

function jobLink(told, id) {
  const org = safeUrl(text(told.setup_url));
  if (!org || !/^[A-Za-z0-9]{15,18}$/.test(id)) return make("code", {}, id);
  const address = `${org.origin}/lightning/setup/AsyncApiJobStatus/page?address=${encodeURIComponent(`/${id}`)}`;
  return make("span", { class: "line" }, make("code", {}, link(address, id, { outside: true })), copyable(id, "job id"));
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
  const cell = (uri) => make("span", { class: "line" }, make("code", {}, uri), copyable(uri, "path"));
  const cells = ([kind, uris]) => list(uris).map((uri) => [kind, cell(text(uri))]);
  return [...table(told.files).flatMap(cells), ...(text(told.manifest) ? [["manifest", cell(text(told.manifest))]] : [])];
}

function noJobs(told, isActive) {
  if (text(told.operation).startsWith("check ")) return "None: the task checks its input, and sends nothing.";
  if (!isActive && figuresOf(told).unchanged !== null) return "None: no row differs from the org's.";
  return isActive ? "No job yet." : "The task ended before it created a job.";
}

function taskPage(task, told) {
  const { processed, failed, records, unchanged } = figuresOf(told);
  const share = records ? ` (${Math.floor((100 * processed) / records)} %)` : "";
  const isActive = !ENDED.has(task?.state);
  const isOld = isActive && count(told.try_number) !== null && told.try_number < (count(task?.try_number) ?? 0);
  const figures = [
    ["Rows processed", records === null ? shown(processed) : `${shown(processed)} of ${shown(records)}${share}`],
    ["Rows failed", failed ? make("span", { class: "bad" }, shown(failed)) : "0"],
    ...(unchanged === null ? [] : [["Rows unchanged, not sent", shown(unchanged)]]),
    ["Rows a second", rate(rateOf(task, told, processed))],
    ["Started", moment(task?.start_date ?? null)],
    ["Time", span(secondsOf(task))],
    ...(isActive ? [["Time left, about", span(count(told.seconds_left))]] : []),
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
    bar(processed, failed, records, { large: true, endedBadly: ENDED.has(task?.state) && task.state !== "success" }),
    make("dl", { class: "figures" }, ...figures.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))),
    text(told.message) ? make("p", { class: "message" }, text(told.message)) : null,
    ...(errors.length ? [
      make("h2", {}, "Failures by code"),
      rows("Failures by code", [["Code", "text"], ["Rows", "number"], ["Share"]], errors.map(([code, number]) => [make("code", {}, code), shown(number), bar(number, number, failed || number)])),
    ] : []),
    make("h2", {}, "Jobs at Salesforce"),
    jobs.length
      ? rows("Jobs at Salesforce", [["Job"], ["Round", "number"], ["State"], ["Progress"], ["Processed", "number"], ["Sent", "number"], ["Failed", "number"], ["Error", "text"]], jobs.map((job) => jobCells(told, job)))
      : make("p", { class: "quiet" }, noJobs(told, isActive)),
    more ? make("p", { class: "quiet" }, `and ${shown(more)} more; the manifest names all`) : null,
    ...(files.length ? [make("h2", {}, "Files"), rows("Files", [["Kind"], ["Path", "files"]], files)] : []),
    make("p", { class: "quiet" }, `Updated ${moment(count(told.updated) === null ? null : told.updated * 1000)}.`),
  ];
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
  const words = "No Salesforce jobs. The task has not started, or it is not one of this provider. If it has failed, its log says why.";
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

// Names of tasks that tell of jobs, the newest first, and how many there are.
async function listEntries(start, most) {
  const [dagId, runId] = view === "run" ? ids : ["~", "~"];
  const entries = [];
  let total = 0;
  while (entries.length < most) {
    const limit = Math.min(LIST_ENTRIES, most - entries.length);
    const query = new URLSearchParams({ xcom_key: KEY, limit, offset: start + entries.length, order_by: "-timestamp" });
    const found = await get(`dags/${at(dagId)}/dagRuns/${at(runId)}/taskInstances/~/xcomEntries?${query}`);
    const page = list(found?.xcom_entries);
    entries.push(...page);
    total = count(found?.total_entries) ?? entries.length;
    if (!page.length || start + entries.length >= total) break;
  }
  return { entries, total };
}

// Some at a time, so that one who types on does not wait for what nobody wants any more.
async function readEntries(entries, isStale) {
  const all = [];
  for (let start = 0; start < entries.length && !isStale(); start += PAGE_ENTRIES) {
    if (start) say(`Reading ${shown(start)} of ${shown(entries.length)} tasks …`);
    all.push(...(await Promise.all(entries.slice(start, start + PAGE_ENTRIES).map(readEntry))));
  }
  return all.filter(({ told }) => told);
}

async function showMany(isStale) {
  const isFiltered = Boolean(filter.words.trim() || filter.state || filter.failedFirst);
  const { entries, total } = await (isFiltered ? listEntries(0, FILTERED_ENTRIES) : listEntries(offset, PAGE_ENTRIES));
  const all = await readEntries(entries, isStale);
  const isActive = all.some(({ task }) => !ENDED.has(task?.state));
  const title = make("div", { class: "head" }, make("h1", {}, view === "run" ? "Salesforce jobs of this run" : "Salesforce jobs"), filters());
  if (!all.length) return { parts: [title, make("p", { class: "quiet" }, "No task with Salesforce jobs yet.")], isActive };
  let chosen = all.filter(isChosen);
  if (filter.failedFirst) chosen.sort((one, other) => hasFailed(other) - hasFailed(one));
  const turns = pager(isFiltered ? chosen.length : total);
  if (isFiltered) {
    const among = total > entries.length ? ` of the newest ${shown(entries.length)} of ${shown(total)} tasks` : ` of ${shown(total)} tasks`;
    if (!isStale()) say(`${shown(chosen.length)}${among}`);
    chosen = chosen.slice(offset, offset + PAGE_ENTRIES);
  } else if (!isStale()) {
    say("");
  }
  const headings = [
    ["Task", "cut"], ...(view === "run" ? [] : [["DAG", "cut"], ["Run", "cut"]]), ["Started"], ["What"], ["State"], ["Progress"],
    ["Rows", "number"], ["Failed", "number"], ["Failures by code", "cut"], ["Time", "number"], ["API calls", "number"], ["Jobs", "number"], ["Files"],
  ];
  const none = make("p", { class: "quiet" }, "No task fits the filter.");
  const listed = chosen.length ? rows("Tasks", headings, chosen.map(overviewCells), { isDense: true }) : none;
  return { parts: [title, listed, turns], isActive };
}

// --- what is shown of many ---

const filter = { words: "", state: "", failedFirst: false };

const hasFailed = ({ task, told }) => Number(task?.state === "failed" || figuresOf(told).failed > 0);

function isChosen({ entry, task, told }) {
  if (filter.state && text(task?.state) !== filter.state) return false;
  const words = [entry.dag_id, entry.run_id, entry.task_id, titleOf(told), ...errorsOf(told).map(([code]) => code)];
  return filter.words.toLowerCase().split(/\s+/).every((word) => words.some((each) => text(each).toLowerCase().includes(word)));
}

// The elements stay over a refresh, so that nobody loses the place where they type.
let filterElement = null;

function say(words) {
  const { status } = filterElement ?? {};
  if (status && status.textContent !== words) status.textContent = words;
}

function filters() {
  if (!filterElement) {
    const words = make("input", { type: "search", placeholder: "DAG, task, object, code", "aria-label": "Show tasks with these words" });
    const state = make("select", { "aria-label": "Show tasks of this state" });
    state.append(...["", ...STATES].map((each) => make("option", { value: each }, each || "every state")));
    const first = make("input", { type: "checkbox" });
    const status = make("span", { class: "quiet", role: "status" });
    const change = (changed, pause = 0) => {
      Object.assign(filter, changed);
      offset = 0;
      newest += 1;
      clearTimeout(timer);
      timer = setTimeout(refresh, pause);
    };
    words.addEventListener("input", () => change({ words: words.value }, TYPING_PAUSE));
    state.addEventListener("change", () => change({ state: state.value }));
    first.addEventListener("change", () => change({ failedFirst: first.checked }));
    filterElement = { status, form: make("form", { class: "filter" }, status, words, state, make("label", {}, first, "failed first")) };
    filterElement.form.addEventListener("submit", (event) => event.preventDefault());
  }
  return filterElement.form;
}

function overviewCells({ entry, task, told }) {
  const { processed, failed, records } = figuresOf(told);
  const index = entry.map_index >= 0 ? `/mapped/${entry.map_index}` : "";
  const dag = `${base}dags/${at(entry.dag_id)}`;
  const run = `${dag}/runs/${at(entry.run_id)}`;
  const address = `${run}/tasks/${at(entry.task_id)}${index}`;
  const label = entry.map_index >= 0 ? `${text(entry.task_id)} [${entry.map_index}]` : text(entry.task_id);
  const codes = errorsOf(told).map(([code, number]) => `${code} ${shown(number)}`);
  const cut = (value, inner = value) => make("span", { title: value }, inner);
  const files = fileCells(told);
  const where = text(told.manifest) || text(list(table(told.files)[0]?.[1])[0]);
  return [
    cut(label, link(address, label)),
    ...(view === "run" ? [] : [cut(text(entry.dag_id), link(dag, text(entry.dag_id))), cut(text(entry.run_id), link(run, text(entry.run_id)))]),
    make("span", { title: moment(task?.start_date ?? null) }, moment(task?.start_date ?? null, { isShort: true })),
    titleOf(told), badge(task, told, { short: true }),
    bar(processed, failed, records, { endedBadly: ENDED.has(task?.state) && task.state !== "success" }),
    records === null ? shown(processed) : `${shown(processed)} of ${shown(records)}`,
    failed ? make("span", { class: "bad" }, shown(failed)) : "0",
    codes.length ? cut(codes.join(", ")) : "", span(secondsOf(task)), shown(count(told.api_calls)), shown(list(told.jobs).length + (count(told.more_jobs) ?? 0)),
    files.length ? make("span", { class: "line", title: where }, shown(files.length), copyable(where, "path")) : "",
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

let newest = 0;

async function refresh() {
  clearTimeout(timer);
  const mine = ++newest;
  const isStale = () => mine !== newest;
  let seconds = QUIET_SECONDS;
  try {
    const { parts, isActive } = await (view === "task" ? showTask() : showMany(isStale));
    if (isStale()) return;
    if (isActive) seconds = ACTIVE_SECONDS;
    // Not under the hands of somebody who is marking a path to copy it.
    if (getSelection()?.isCollapsed ?? true) place(parts.filter((part) => part !== null));
    root.dataset.state = "shown";
  } catch (error) {
    if (isStale()) return;
    const message = make("p", { class: "message", role: "alert" }, error instanceof Error ? error.message : "Airflow cannot be read.");
    // One call that fails takes nothing away that is shown, and the filter least of all.
    if (error instanceof Refused || root.dataset.state !== "shown") {
      main.replaceChildren(message);
      root.dataset.state = "refused";
      if (error instanceof Refused) return;
    } else {
      main.querySelector("[role=alert]")?.remove();
      main.prepend(message);
    }
    seconds = ACTIVE_SECONDS;
  }
  timer = setTimeout(refresh, 1000 * seconds);
}

// The overview's many columns need more room than the tables of one task.
const narrow = { dense: matchMedia("(max-width: 70rem)"), plain: matchMedia("(max-width: 44rem)") };

function fold() {
  for (const each of document.querySelectorAll("table")) {
    each.classList.toggle("blocks", narrow[each.classList.contains("dense") ? "dense" : "plain"].matches);
  }
}

// Replaces what is shown, and leaves the focus where it was.
function place(parts) {
  const active = document.activeElement;
  const isTyping = filterElement?.form.contains(active);
  const number = isTyping ? -1 : [...main.querySelectorAll("a, button")].indexOf(active);
  main.replaceChildren(...parts);
  fold();
  if (isTyping) active.focus();
  else if (number >= 0) main.querySelectorAll("a, button")[number]?.focus();
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
    if (around) document.body.style.fontFamily = getComputedStyle(around.ownerDocument.body).fontFamily;
  };
  apply();
  media.addEventListener("change", apply);
  if (around) new MutationObserver(apply).observe(around, { attributes: true, attributeFilter: ["class"] });
}

followTheme();
for (const width of Object.values(narrow)) width.addEventListener("change", fold);
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
refresh();
