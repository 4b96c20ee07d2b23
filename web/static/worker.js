// The service worker: shows pushes as notifications, and closes them again.
const ICON = "/static/icon.png";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("push", (event) => event.waitUntil(handle(read(event.data))));
self.addEventListener("notificationclick", (event) => {
  const { notification } = event;
  notification.close();
  event.waitUntil(Promise.all([open(notification.data), closeRead(notification.data)]));
});

function read(data) {
  try {
    return data.json();
  } catch {
    // Not from our server, but for example from a browser's developer tools.
    return { title: "Bottlepost", body: data?.text() };
  }
}

async function handle(push) {
  const act = push.silent ? close : push.bottlepost?.kind === "withdraw" ? replace : show;
  await Promise.all([act(push), showBadge(push.badge)]);
}

function show({ title, chat, body, tag, bottlepost }, options = {}) {
  const heading = [title, chat].filter(Boolean).join(" · ");
  // A message that is pushed twice replaces its first notification without a sound.
  return self.registration.showNotification(heading, {
    body,
    tag,
    icon: ICON,
    data: bottlepost,
    ...options,
  });
}

// Browsers want a notification for each push, so a deleted message leaves a note, without
// a sound. Safari does not replace by the tag.
async function replace(push) {
  for (const one of await self.registration.getNotifications({ tag: push.tag })) one.close();
  await show(push, { silent: true });
}

// The page marks all messages up to the clicked one as read.
async function closeRead(clicked) {
  if (clicked) await close({ bottlepost: { ...clicked, kind: "read" } });
}

async function close({ tag, bottlepost: { kind, conversation, seq } }) {
  const mustClose = {
    withdraw: (one) => one.tag === tag,
    read: ({ data }) => data?.conversation === conversation && data.seq <= seq,
  };
  const shown = await self.registration.getNotifications();
  for (const one of shown.filter(mustClose[kind] ?? (() => false))) one.close();
}

async function showBadge(badge) {
  if (badge === undefined || !navigator.setAppBadge) return;
  // Browsers allow a badge only for installed pages.
  await navigator.setAppBadge(badge).catch(() => {});
}

// Focuses the open page, or opens a new one.
async function open(message) {
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const page = pages.find((one) => new URL(one.url).pathname === "/");
  if (!page) {
    await self.clients.openWindow(message ? `/#read-${message.seq}` : "/");
    return;
  }
  if (message) page.postMessage({ opened: message.seq });
  await page.focus();
}
