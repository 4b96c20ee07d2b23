// The phones: what has arrived at Apple's and Google's stand-in, as their owners see it.
const EVERY_MS = 500;
const AGAIN_MS = 2000;
const RECENT = 200;
const MOST_CARDS = 20;

const phones = new Map(
  [...document.querySelectorAll(".phone")].map((one) => [one.dataset.token, one]),
);
const template = document.querySelector("#card").content.firstElementChild;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const DIGITS = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const clock = (moment) => moment.toLocaleTimeString([], DIGITS);
// Larger than any number there is: tells only how far the inbox is.
let last = 999_999_999_999;

export function showPhonesOfOthers(writer) {
  for (const phone of phones.values()) phone.hidden = phone.dataset.owner === writer;
}

// What the app itself reads in a push: to take a notification away, and the badge.
function told(push) {
  const news = push.payload?.bottlepost ?? push.payload?.data?.bottlepost;
  try {
    return (typeof news === "string" ? JSON.parse(news) : news) ?? {};
  } catch {
    return {};
  }
}

function seenOnApple(payload) {
  const { alert, badge } = payload.aps ?? {};
  if (typeof alert === "string") return { title: "", body: alert, badge };
  const { title = "", subtitle = "", body = "" } = alert ?? {};
  return { title, subtitle, body, badge };
}

function seenOnAndroid(payload) {
  const shown = { ...payload.notification, ...payload.android?.notification };
  const { title = "", body = "", notification_count: badge } = shown;
  return { title, body, badge };
}

function mark(push) {
  return push.platform === "apns"
    ? push.headers["apns-collapse-id"]
    : push.payload?.android?.notification?.tag;
}

function card(push, { title, subtitle = "", body }) {
  const element = template.cloneNode(true);
  element.querySelector("h4").textContent = title;
  element.querySelector(".subtitle").textContent = subtitle;
  element.querySelector(".body").textContent = body;
  const time = element.querySelector("time");
  time.dateTime = push.arrived_at;
  time.textContent = clock(new Date(push.arrived_at));
  return element;
}

function show(push) {
  const phone = phones.get(push.token);
  if (!phone) return;
  const payload = push.payload ?? {};
  const seen = push.platform === "apns" ? seenOnApple(payload) : seenOnAndroid(payload);
  const news = told(push);
  const cards = phone.querySelector(".cards");
  const id = mark(push) ?? news.tag;
  const earlier = id && [...cards.children].find((one) => one.dataset.mark === id);
  if (earlier) earlier.remove();
  if (news.kind !== "withdraw" && (seen.title || seen.body)) {
    const element = card(push, seen);
    if (id) element.dataset.mark = id;
    cards.prepend(element);
  }
  if (cards.children.length > MOST_CARDS) cards.lastElementChild.remove();
  const badge = Number(seen.badge ?? news.badge ?? 0);
  phone.querySelector(".badge").textContent = badge ? ` · badge ${badge}` : "";
}

function tellTime() {
  const now = new Date();
  const date = now.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
  for (const phone of phones.values()) {
    phone.querySelector(".clock").textContent = clock(now);
    phone.querySelector(".small-clock").textContent = clock(now);
    phone.querySelector(".date").textContent = date;
  }
}

async function look() {
  const answer = await fetch(`/demo/inbox?since=${last}`);
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  const inbox = await answer.json();
  if (inbox.last < last) {
    // The first look, or a sandbox that was started anew.
    for (const phone of phones.values()) phone.querySelector(".cards").replaceChildren();
    last = Math.max(0, inbox.last - RECENT);
    if (inbox.last > last) await look();
    return;
  }
  inbox.pushes.forEach(show);
  last = inbox.pushes.at(-1)?.seq ?? inbox.last;
}

export async function followPhones() {
  for (;;) {
    let rest_ms = EVERY_MS;
    try {
      tellTime();
      // Nobody looks at a page in the background.
      if (!document.hidden) await look();
    } catch {
      rest_ms = AGAIN_MS;
    }
    await pause(rest_ms);
  }
}
