// Polls the inbox and shows the notifications of each phone.
const WAIT_S = 25;
const PAGE = 500;
// Older phones and cards are removed, so that the page stays small.
const MOST_PHONES = 60;
const MOST_CARDS = 30;
const RETRY_MS = 1500;

const phones = new Map();
const find = (id) => document.getElementById(id);
const [main, state, empty, search] = ["phones", "state", "empty", "search"].map(find);
let last = 0;
let shown = 0;

function text(push) {
  const payload = push.payload ?? {};
  if (push.platform === "apns") return onIphone(payload);
  if (push.device === "iphone") return behindFcm(payload);
  if (push.platform === "webpush") {
    const { title, chat, body = "" } = payload.web_push ? payload.notification : payload;
    const badge = payload.app_badge ?? payload.badge;
    return { title: [title, chat].filter(Boolean).join(" · "), body, badge };
  }
  const seen = { ...payload.notification, ...payload.android?.notification };
  const { title = "", body = "", notification_count: badge } = seen;
  return { title, body, badge };
}

function onIphone({ aps }) {
  const { alert, badge } = aps ?? {};
  if (typeof alert === "string") return { title: "", body: alert, badge };
  const title = [alert?.title, alert?.subtitle].filter(Boolean).join(" – ");
  return { title, body: alert?.body ?? "", badge };
}

// Google hands on the block for Apple, and makes one of its own texts without it.
function behindFcm({ apns, notification }) {
  const own = onIphone(apns?.payload ?? {});
  const { title = "", body = "" } = notification ?? {};
  return own.title || own.body ? own : { ...own, title, body };
}

function collapseId(push) {
  if (push.platform === "webpush") return push.payload?.tag ?? push.payload?.notification?.tag;
  if (push.platform === "apns") return push.headers["apns-collapse-id"];
  const { android, apns } = push.payload ?? {};
  const own = push.device === "iphone" ? apns?.headers?.["apns-collapse-id"] : undefined;
  return own ?? android?.notification?.tag ?? android?.collapse_key;
}

// The data for the app; kind "withdraw" removes a notification.
function appData(push) {
  const { bottlepost, data: own, notification } = push.payload ?? {};
  const data = bottlepost ?? own?.bottlepost ?? notification?.data?.bottlepost;
  try {
    return (typeof data === "string" ? JSON.parse(data) : data) ?? {};
  } catch {
    return {};
  }
}

// The token of a browser is its subscription, of which the endpoint says enough.
function nameOf({ platform, token }) {
  if (platform !== "webpush") return token;
  try {
    return JSON.parse(token).endpoint;
  } catch {
    return token;
  }
}

function copy(id) {
  return find(id).content.firstElementChild.cloneNode(true);
}

function phone(push) {
  const key = `${push.platform} ${push.token}`;
  const name = nameOf(push);
  let found = phones.get(key);
  if (!found) {
    const element = copy("phone");
    element.classList.add(push.device === "iphone" ? "apns" : push.platform);
    element.querySelector(".token").textContent = name;
    element.querySelector(".token").title = name;
    found = { element, token: name, count: 0 };
  }
  // The phone with the newest push comes first; the last one is removed.
  phones.delete(key);
  phones.set(key, found);
  main.prepend(found.element);
  if (phones.size > MOST_PHONES) {
    const [oldest, removed] = phones.entries().next().value;
    removed.element.remove();
    phones.delete(oldest);
  }
  return found;
}

function card(push, { title, body }) {
  const element = copy("card");
  const silent = !title && !body;
  element.classList.toggle("silent", silent);
  element.querySelector("h3").textContent = title;
  element.querySelector(".body").textContent = silent ? "Silent push" : body;
  const time = element.querySelector("time");
  time.dateTime = push.arrived_at;
  time.textContent = new Date(push.arrived_at).toLocaleTimeString();
  const { headers, payload } = push;
  element.querySelector("pre").textContent = JSON.stringify({ headers, payload }, null, 1);
  return element;
}

function show(push) {
  const at = phone(push);
  const seen = text(push);
  const cards = at.element.querySelector(".cards");
  const data = appData(push);
  const id = collapseId(push) ?? data.tag;
  const earlier = id && [...cards.children].find((one) => one.dataset.collapseId === id);
  if (earlier) earlier.remove();
  // A phone removes a withdrawn message; a browser shows that it was deleted.
  if (data.kind !== "withdraw" || push.platform === "webpush") {
    const element = card(push, seen);
    if (id) element.dataset.collapseId = id;
    cards.prepend(element);
  }
  if (cards.children.length > MOST_CARDS) cards.lastElementChild.remove();
  at.count += 1;
  at.badge = seen.badge ?? data.badge ?? at.badge;
  const badge = at.badge === undefined ? "" : ` · badge ${at.badge}`;
  const environment = push.environment === "production" ? "" : ` · ${push.environment}`;
  const name = { apns: "APNs", fcm: "FCM", webpush: "Web push" }[push.platform];
  at.element.querySelector(".foot").textContent =
    `${name}${environment} · ${at.count} received${badge}`;
  const clock = new Date(push.arrived_at);
  at.element.querySelector(".clock").textContent =
    clock.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  filter();
}

function filter() {
  const wanted = search.value.trim().toLowerCase();
  for (const { element, token } of phones.values()) {
    element.hidden = !token.toLowerCase().includes(wanted);
  }
}

function reset() {
  phones.clear();
  main.replaceChildren();
  shown = 0;
  showState();
}

function showState() {
  empty.hidden = phones.size > 0;
  const some = phones.size === MOST_PHONES ? "the latest " : "";
  state.textContent = `${shown} pushes on ${some}${phones.size} phones`;
}

async function poll() {
  const wait = last === 0 && shown === 0 ? 0 : WAIT_S;
  const response = await fetch(`inbox?since=${last}&limit=${PAGE}&wait=${wait}`);
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  const pushes = await response.json();
  const newest = Number(response.headers.get("x-inbox-last"));
  if (newest < last) {
    // The sandbox was restarted and counts from one again.
    last = 0;
    reset();
    return;
  }
  pushes.forEach(show);
  shown += pushes.length;
  last = pushes.at(-1)?.seq ?? newest;
  showState();
}

find("clear").addEventListener("click", async () => {
  await fetch("inbox", { method: "DELETE" });
  reset();
});
search.addEventListener("input", filter);

async function run() {
  for (;;) {
    try {
      await poll();
    } catch (problem) {
      state.textContent = `The sandbox does not respond (${problem.message}); trying again`;
      await new Promise((done) => setTimeout(done, RETRY_MS));
    }
  }
}

run();
