// Notifications of this browser: its push subscription is a device of the chosen person.
// The state is only in the browser and on the server; the page stores nothing.
import { addressOf, call } from "./call.js";

const WORKER = addressOf("/worker.js");
// A browser that cannot reach its push service may never give up.
const SUBSCRIBE_MS = 20_000;
const REFUSED =
  "Notifications from this page are blocked; allow them in the browser’s settings.";

const area = document.querySelector(".notify");
const [button, status] = [area.querySelector("button"), area.querySelector("[role=status]")];
const chat = document.querySelector(".chat").dataset.conversation;
const people = [...document.querySelectorAll("[name=token]")];
const chosen = () => people.find((one) => one.checked);
// The owner of this browser's subscription: { person, device }, or null.
let owner = null;
let isBusy = false;

// The reason why this browser cannot get notifications; empty if it can.
function obstacle() {
  if (!window.isSecureContext) {
    return "Browsers allow notifications only over HTTPS or on localhost.";
  }
  const needed = ["PushManager", "Notification", "ServiceWorkerRegistration"];
  if (!needed.every((name) => name in window) || !navigator.serviceWorker) {
    return "This browser does not support web push.";
  }
  return Notification.permission === "denied" ? REFUSED : "";
}

function show(problem = "") {
  const [me, why] = [chosen(), obstacle()];
  const [name, isOn] = [me.dataset.name, owner?.person === me];
  button.disabled = Boolean(why);
  button.textContent = isOn ? "Stop notifying me here" : "Notify me here";
  area.classList.toggle("failed", Boolean(problem));
  let text = `Messages to ${name} appear as notifications of this browser.`;
  if (isOn) text = `This browser notifies ${name}. Write as another person to see it.`;
  else if (owner) text = `This browser currently notifies ${owner.person.dataset.name}.`;
  status.textContent = why || problem || text;
}

async function subscription() {
  const registration = await navigator.serviceWorker.getRegistration();
  return registration?.pushManager.getSubscription();
}

async function findOwner() {
  const known = await subscription();
  for (const person of known ? people : []) {
    const { devices } = await call(person.value, "/devices");
    const browsers = devices.filter((one) => one.platform === "webpush");
    const device = browsers.find((one) => JSON.parse(one.token).endpoint === known.endpoint);
    if (device) return device.disabled_at ? null : { person, device };
  }
  return null;
}

async function askPermission() {
  const answer = await Notification.requestPermission();
  if (answer === "denied") throw new Error(REFUSED);
  if (answer !== "granted") throw new Error("You have not allowed notifications.");
}

async function subscribe(manager, key) {
  const timeout = new Promise((_, fail) => {
    setTimeout(fail, SUBSCRIBE_MS, new Error("it does not answer"));
  });
  const subscribed = manager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  try {
    return await Promise.race([subscribed, timeout]);
  } catch (problem) {
    const text = `The browser’s push service gave no subscription: ${problem.message}.`;
    throw new Error(text, { cause: problem });
  }
}

async function turnOff() {
  if (owner) {
    const path = `/devices/${owner.device.id}`;
    await call(owner.person.value, path, { method: "DELETE" }).catch((problem) => {
      // The device was removed by a logout or by another window.
      if (problem.status !== 404) throw problem;
    });
    owner = null;
  }
  await (await subscription())?.unsubscribe();
}

async function turnOn(person) {
  await askPermission();
  const { public_key: key } = await call("", "/webpush/key");
  // The subscription may belong to another person, or to an older server key.
  await turnOff();
  await navigator.serviceWorker.register(WORKER);
  const { pushManager } = await navigator.serviceWorker.ready;
  const token = JSON.stringify(await subscribe(pushManager, key));
  const body = { platform: "webpush", token };
  const device = await call(person.value, "/devices", { method: "POST", body });
  owner = { person, device };
}

// Runs one action at a time, and shows how it ended.
async function attempt(work) {
  if (isBusy) return;
  isBusy = true;
  area.setAttribute("aria-busy", "true");
  status.textContent = "One moment …";
  let problem = "";
  try {
    await work();
  } catch (error) {
    problem = error.message;
  }
  isBusy = false;
  area.removeAttribute("aria-busy");
  show(problem);
}

// After a click on a notification: choose its reader, and mark the message as read.
async function open(seq) {
  if (!owner) return;
  const { person } = owner;
  person.checked = true;
  person.dispatchEvent(new Event("change", { bubbles: true }));
  await call(person.value, `/groupchat/${chat}/read`, { method: "PUT", body: { seq } });
}

async function start() {
  area.hidden = false;
  show();
  if (obstacle()) return;
  const permission = await navigator.permissions?.query({ name: "notifications" });
  permission?.addEventListener("change", () => isBusy || show());
  navigator.serviceWorker.addEventListener("message", ({ data }) => open(data.opened));
  await attempt(async () => {
    owner = await findOwner();
  });
  const opened = /^#read-(\d+)$/.exec(location.hash);
  if (opened) await open(Number(opened[1]));
}

const started = start();
button.addEventListener("click", async () => {
  // A click during the start waits until the state is known.
  await started.catch(() => {});
  const me = chosen();
  attempt(owner?.person === me ? turnOff : () => turnOn(me));
});
for (const person of people) person.addEventListener("change", () => isBusy || show());
