// Follows the inbox and shows on each phone what its owner would see.
const WAIT_S = 25;
const PAGE = 500;
// A screen full of phones is enough to look at, and so are some cards on each.
const MOST_PHONES = 60;
const MOST_CARDS = 30;
const AGAIN_MS = 1500;

const phones = new Map();
const find = (id) => document.getElementById(id);
const [main, state, empty, search] = ["phones", "state", "empty", "search"].map(find);
let last = 0;
let shown = 0;

function text(push) {
  const payload = push.payload ?? {};
  if (push.platform === "apns") {
    const { alert, badge } = payload.aps ?? {};
    if (typeof alert === "string") return { title: "", body: alert, badge };
    const title = [alert?.title, alert?.subtitle].filter(Boolean).join(" – ");
    return { title, body: alert?.body ?? "", badge };
  }
  const seen = { ...payload.notification, ...payload.android?.notification };
  const { title = "", body = "", notification_count: badge } = seen;
  return { title, body, badge };
}

function mark(push) {
  const android = push.payload?.android;
  return push.platform === "apns"
    ? push.headers["apns-collapse-id"]
    : android?.notification?.tag ?? android?.collapse_key;
}

// What the app on the phone reads: a withdrawn message's notification goes away.
function told(push) {
  const news = push.payload?.bottlepost ?? push.payload?.data?.bottlepost;
  try {
    return (typeof news === "string" ? JSON.parse(news) : news) ?? {};
  } catch {
    return {};
  }
}

function copy(id) {
  return find(id).content.firstElementChild.cloneNode(true);
}

function phone(push) {
  const key = `${push.platform} ${push.token}`;
  let found = phones.get(key);
  if (!found) {
    const element = copy("phone");
    element.classList.add(push.platform);
    element.querySelector(".token").textContent = push.token;
    element.querySelector(".token").title = push.token;
    found = { element, token: push.token, count: 0 };
  }
  // The newest phone stands first, and the one at the end makes room.
  phones.delete(key);
  phones.set(key, found);
  main.prepend(found.element);
  if (phones.size > MOST_PHONES) {
    const [oldest, gone] = phones.entries().next().value;
    gone.element.remove();
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
  const news = told(push);
  const id = mark(push) ?? news.tag;
  const earlier = id && [...cards.children].find((one) => one.dataset.mark === id);
  if (earlier) earlier.remove();
  if (news.kind !== "withdraw") {
    const element = card(push, seen);
    if (id) element.dataset.mark = id;
    cards.prepend(element);
  }
  if (cards.children.length > MOST_CARDS) cards.lastElementChild.remove();
  at.count += 1;
  at.badge = seen.badge ?? news.badge ?? at.badge;
  const badge = at.badge === undefined ? "" : ` · badge ${at.badge}`;
  const environment = push.environment === "development" ? " · development" : "";
  const name = push.platform === "apns" ? "APNs" : "FCM";
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

function forget() {
  phones.clear();
  main.replaceChildren();
  shown = 0;
  tell();
}

function tell() {
  empty.hidden = phones.size > 0;
  const some = phones.size === MOST_PHONES ? "the latest " : "";
  state.textContent = `${shown} pushes on ${some}${phones.size} phones`;
}

async function look() {
  const wait = last === 0 && shown === 0 ? 0 : WAIT_S;
  const answer = await fetch(`inbox?since=${last}&limit=${PAGE}&wait=${wait}`);
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  const pushes = await answer.json();
  const newest = Number(answer.headers.get("x-inbox-last"));
  if (newest < last) {
    // The sandbox was started anew and counts from one again.
    last = 0;
    forget();
    return;
  }
  pushes.forEach(show);
  shown += pushes.length;
  last = pushes.at(-1)?.seq ?? newest;
  tell();
}

find("clear").addEventListener("click", async () => {
  await fetch("inbox", { method: "DELETE" });
  forget();
});
search.addEventListener("input", filter);

async function follow() {
  for (;;) {
    try {
      await look();
    } catch (problem) {
      state.textContent = `The sandbox does not answer (${problem.message}); trying again`;
      await new Promise((done) => setTimeout(done, AGAIN_MS));
    }
  }
}

follow();
