// The phones: show the pushes that the sandbox has received, as their owners see them.
import { addressOf } from "./call.js";

const POLL_MS = 500;
const RETRY_MS = 2000;
const RECENT = 200;
const MAX_CARDS = 20;

const phones = new Map(
  [...document.querySelectorAll(".phone")].map((one) => [one.dataset.token, one]),
);
const template = document.querySelector("#card").content.firstElementChild;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const DIGITS = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const clock = (moment) => moment.toLocaleTimeString([], DIGITS);
// Larger than any number, so that the first response only returns the inbox's last one.
let last = 999_999_999_999;

export function showPhonesOfOthers(writer) {
  for (const phone of phones.values()) phone.hidden = phone.dataset.owner === writer;
}

// The data for the app in a push: notifications to withdraw, and the badge.
function appData(push) {
  const data = push.payload?.bottlepost ?? push.payload?.data?.bottlepost;
  try {
    return (typeof data === "string" ? JSON.parse(data) : data) ?? {};
  } catch {
    return {};
  }
}

function shownOnApple(payload) {
  const { alert, badge } = payload.aps ?? {};
  if (typeof alert === "string") return { title: "", body: alert, badge };
  const { title = "", subtitle = "", body = "" } = alert ?? {};
  return { title, subtitle, body, badge };
}

// Google hands on the block for Apple, and makes one of its own texts without it.
function shownBehindFcm(payload) {
  const own = shownOnApple(payload.apns?.payload ?? {});
  const { title = "", body = "" } = payload.notification ?? {};
  return own.title || own.body ? own : { ...own, title, body };
}

function shownOnAndroid(payload) {
  const shown = { ...payload.notification, ...payload.android?.notification };
  const { title = "", body = "", notification_count: badge } = shown;
  return { title, body, badge };
}

function tagOf(push, isApple) {
  const { apns, android } = push.payload ?? {};
  if (push.platform === "apns") return push.headers["apns-collapse-id"];
  return (isApple && apns?.headers?.["apns-collapse-id"]) || android?.notification?.tag;
}

function seenOn(isApple, push) {
  const payload = push.payload ?? {};
  if (push.platform === "apns") return shownOnApple(payload);
  return isApple ? shownBehindFcm(payload) : shownOnAndroid(payload);
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
  // An iPhone may be registered with FCM, too.
  const isApple = phone.classList.contains("apns");
  const shown = seenOn(isApple, push);
  const data = appData(push);
  const cards = phone.querySelector(".cards");
  const id = tagOf(push, isApple) ?? data.tag;
  const earlier = id && [...cards.children].find((one) => one.dataset.mark === id);
  if (earlier) earlier.remove();
  if (data.kind !== "withdraw" && (shown.title || shown.body)) {
    const element = card(push, shown);
    if (id) element.dataset.mark = id;
    cards.prepend(element);
  }
  if (cards.children.length > MAX_CARDS) cards.lastElementChild.remove();
  const badge = Number(shown.badge ?? data.badge ?? 0);
  phone.querySelector(".badge").textContent = badge ? ` · badge ${badge}` : "";
}

function showTime() {
  const now = new Date();
  const date = now.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
  for (const phone of phones.values()) {
    phone.querySelector(".clock").textContent = clock(now);
    phone.querySelector(".small-clock").textContent = clock(now);
    phone.querySelector(".date").textContent = date;
  }
}

async function poll() {
  const answer = await fetch(addressOf(`/demo/inbox?since=${last}`));
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  const inbox = await answer.json();
  if (inbox.last < last) {
    // The first poll, or the sandbox was restarted.
    for (const phone of phones.values()) phone.querySelector(".cards").replaceChildren();
    last = Math.max(0, inbox.last - RECENT);
    if (inbox.last > last) await poll();
    return;
  }
  inbox.pushes.forEach(show);
  last = inbox.pushes.at(-1)?.seq ?? inbox.last;
}

export async function followPhones() {
  for (;;) {
    let pause_ms = POLL_MS;
    try {
      showTime();
      // A page in the background needs no updates.
      if (!document.hidden) await poll();
    } catch {
      pause_ms = RETRY_MS;
    }
    await pause(pause_ms);
  }
}
