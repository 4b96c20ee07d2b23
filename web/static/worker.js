// The service worker: shows pushes as notifications, and closes them again.
// "/", or what a proxy has in front of the addresses.
const ROOT = new URL(".", self.location).pathname;
const ICON = `${ROOT}static/icon.png`;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("push", (event) => {
  const push = read(event);
  event.waitUntil(inTurn(() => handle(push)));
});
self.addEventListener("notificationclick", (event) => {
  const { notification, action } = event;
  notification.close();
  const about = aboutOf(notification.data);
  const closed = inTurn(() => closeRead(about));
  event.waitUntil(Promise.all([open(linkOf(notification, action), about), closed]));
});

// One after another: a withdrawal must find the notification that the push before it shows,
// and Chromium may lose one that is shown while another push asks what is there.
let last = Promise.resolve();
function inTurn(act) {
  const done = last.then(act);
  last = done.catch(() => {});
  return done;
}

// What to show: { heading, options }; what it is about; and the badge.
function read({ data, notification }) {
  // Safari has read a declarative push already, and on iOS it keeps the text to itself.
  if (notification) return declarative({ notification: copyOf(notification) });
  let push;
  try {
    push = data.json();
  } catch {
    // Not from our server, but for example from a browser's developer tools.
    return { heading: "Bottlepost", options: { body: data?.text() } };
  }
  return push.web_push === 8030 ? declarative(push) : ordinary(push);
}

function ordinary({ title, chat, body, tag, silent, badge, data, bottlepost, options }) {
  const heading = [title, chat].filter(Boolean).join(" · ");
  const icon = bottlepost?.sender?.avatar;
  const own = { ...options, data: { ...objectOf(options?.data), data, bottlepost } };
  return { heading, isQuiet: silent, badge, options: withLinks({ body, tag, icon, ...own }) };
}

function declarative({ notification: { title, ...options }, app_badge: badge }) {
  return { heading: title, badge, options: withLinks(options) };
}

const OPTIONS = ["title", "body", "tag", "icon", "lang", "dir", "silent", "navigate", "data"];
const copyOf = (one) =>
  Object.fromEntries(OPTIONS.map((name) => [name, one[name]]).filter(([, value]) => value));

function objectOf(own) {
  if (own === undefined) return {};
  return own?.constructor === Object ? own : { own };
}

// Most browsers drop the addresses of options that they do not know, but keep the data.
function withLinks(options) {
  const { icon, navigate, actions = [], data } = options;
  const buttons = actions.map((one) => [one.action, one.navigate]);
  const links = { "": navigate, ...Object.fromEntries(buttons) };
  return { ...options, icon: icon || ICON, data: { ...objectOf(data), links } };
}

const linkOf = ({ data }, action) => data?.links?.[action] ?? data?.links?.[""];
// An earlier version of this worker showed notifications with less data.
const aboutOf = (data) => data?.bottlepost ?? (data?.seq ? data : undefined);

async function handle(push) {
  const kind = aboutOf(push.options.data)?.kind;
  const act = push.isQuiet ? close : kind === "withdraw" ? replace : show;
  await Promise.all([act(push), showBadge(push.badge)]);
}

// A message that is pushed twice replaces its first notification without a sound.
function show({ heading, options }, more = {}) {
  return self.registration.showNotification(heading, { ...options, ...more });
}

// Browsers want a notification for each push, so a deleted message leaves a note, without
// a sound. Safari does not replace by the tag, and a tag with a value of the message is
// another one now.
async function replace(push) {
  const { tag, data } = push.options;
  const { message } = aboutOf(data);
  const isOfIt = (one) => one.tag === tag || aboutOf(one.data)?.message === message;
  const shown = await self.registration.getNotifications();
  for (const one of shown.filter(isOfIt)) one.close();
  await show(push, { silent: true, vibrate: undefined });
}

// The page marks all messages up to the clicked one as read.
async function closeRead(about) {
  if (about) await close({ options: { data: { bottlepost: { ...about, kind: "read" } } } });
}

async function close({ options: { tag, data } }) {
  const { kind, conversation, seq } = aboutOf(data) ?? {};
  const isRead = (one) => one?.conversation === conversation && one.seq <= seq;
  const mustClose = {
    withdraw: (one) => one.tag === tag,
    read: (one) => isRead(aboutOf(one.data)),
  };
  const shown = await self.registration.getNotifications();
  for (const one of shown.filter(mustClose[kind] ?? (() => false))) one.close();
}

async function showBadge(badge) {
  if (badge === undefined || !navigator.setAppBadge) return;
  // Browsers allow a badge only for installed pages.
  await navigator.setAppBadge(badge).catch(() => {});
}

// Opens the address of the notification; without one, focuses the open page or opens one.
async function open(link, message) {
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const home = new URL(link ?? ROOT, self.location.origin);
  const page = pages.find((one) => new URL(one.url).pathname === home.pathname);
  if (!page || home.origin !== self.location.origin) {
    await self.clients.openWindow(link ?? (message ? `${ROOT}#read-${message.seq}` : ROOT));
    return;
  }
  if (message) page.postMessage({ opened: message.seq });
  await page.focus();
}
