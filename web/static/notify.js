// Notifications of this browser: its push subscription is a device of the chosen person.
// What is on is known by the browser and the server alone; nothing is kept in the page.
import { call } from "./call.js";

const WORKER = "/worker.js";
// A browser that cannot reach its push service may go on trying for ever.
const SUBSCRIBE_MS = 20_000;
const REFUSED =
  "You have refused notifications from this page; allow them in the browser’s settings for it.";

const area = document.querySelector(".notify");
const [button, word] = [area.querySelector("button"), area.querySelector("[role=status]")];
const chat = document.querySelector(".chat").dataset.conversation;
const people = [...document.querySelectorAll("[name=token]")];
const chosen = () => people.find((one) => one.checked);
// Whose device this browser is: { person, device }, or null.
let holder = null;
let isBusy = false;

// Why it cannot be done here at all, in a sentence.
function obstacle() {
  if (!window.isSecureContext) {
    return "Browsers allow notifications only over HTTPS or on localhost.";
  }
  const needed = ["PushManager", "Notification", "ServiceWorkerRegistration"];
  if (!needed.every((name) => name in window) || !navigator.serviceWorker) {
    return "This browser takes no pushes from web pages.";
  }
  return Notification.permission === "denied" ? REFUSED : "";
}

function show(problem = "") {
  const [me, why] = [chosen(), obstacle()];
  const [name, isOn] = [me.dataset.name, holder?.person === me];
  button.disabled = Boolean(why);
  button.textContent = isOn ? "Stop notifying me here" : "Notify me here";
  area.classList.toggle("failed", Boolean(problem));
  let said = `Messages to ${name} appear as notifications of this browser.`;
  if (isOn) said = `This browser notifies ${name}: write as somebody else, and look.`;
  else if (holder) said = `So far this browser notifies ${holder.person.dataset.name}.`;
  word.textContent = why || problem || said;
}

async function subscription() {
  const registration = await navigator.serviceWorker.getRegistration();
  return registration?.pushManager.getSubscription();
}

async function find() {
  const known = await subscription();
  for (const person of known ? people : []) {
    const { devices } = await call(person.value, "/devices");
    const browsers = devices.filter((one) => one.platform === "webpush");
    const device = browsers.find((one) => JSON.parse(one.token).endpoint === known.endpoint);
    if (device) return device.disabled_at ? null : { person, device };
  }
  return null;
}

async function permit() {
  const answer = await Notification.requestPermission();
  if (answer === "denied") throw new Error(REFUSED);
  if (answer !== "granted") throw new Error("The browser was not given your permission.");
}

async function subscribe(manager, key) {
  const late = new Promise((_, fail) => {
    setTimeout(fail, SUBSCRIBE_MS, new Error("it does not answer"));
  });
  const asked = manager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  try {
    return await Promise.race([asked, late]);
  } catch (problem) {
    const said = `The browser’s own push service gives it no subscription: ${problem.message}.`;
    throw new Error(said, { cause: problem });
  }
}

async function turnOff() {
  if (holder) {
    const path = `/devices/${holder.device.id}`;
    await call(holder.person.value, path, { method: "DELETE" }).catch((problem) => {
      // It has logged out, or another browser window was faster.
      if (problem.status !== 404) throw problem;
    });
    holder = null;
  }
  await (await subscription())?.unsubscribe();
}

async function turnOn(person) {
  await permit();
  const { public_key: key } = await call("", "/webpush/key");
  // The subscription may be another person's, or of a key that the server had before.
  await turnOff();
  await navigator.serviceWorker.register(WORKER);
  const { pushManager } = await navigator.serviceWorker.ready;
  const token = JSON.stringify(await subscribe(pushManager, key));
  const body = { platform: "webpush", token };
  const device = await call(person.value, "/devices", { method: "POST", body });
  holder = { person, device };
}

// One after the other, and the page says how each ended.
async function attempt(work) {
  if (isBusy) return;
  isBusy = true;
  area.setAttribute("aria-busy", "true");
  word.textContent = "One moment …";
  let problem = "";
  try {
    await work();
  } catch (trouble) {
    problem = trouble.message;
  }
  isBusy = false;
  area.removeAttribute("aria-busy");
  show(problem);
}

// A notification was clicked: its reader is the chosen one now, and has read so far.
async function open(seq) {
  if (!holder) return;
  const { person } = holder;
  person.checked = true;
  person.dispatchEvent(new Event("change", { bubbles: true }));
  await call(person.value, `/groupchat/${chat}/read`, { method: "PUT", body: { seq } });
}

async function begin() {
  area.hidden = false;
  show();
  if (obstacle()) return;
  const permission = await navigator.permissions?.query({ name: "notifications" });
  permission?.addEventListener("change", () => isBusy || show());
  navigator.serviceWorker.addEventListener("message", ({ data }) => open(data.opened));
  await attempt(async () => {
    holder = await find();
  });
  const opened = /^#read-(\d+)$/.exec(location.hash);
  if (opened) await open(Number(opened[1]));
}

const started = begin();
button.addEventListener("click", async () => {
  // Whoever clicks before we know how things stand is served then.
  await started.catch(() => {});
  const me = chosen();
  attempt(holder?.person === me ? turnOff : () => turnOn(me));
});
for (const person of people) person.addEventListener("change", () => isBusy || show());
