// The service worker: shows pushes as notifications, and takes them away again.
const ICON = "/static/icon.png";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("push", (event) => event.waitUntil(take(read(event.data))));
self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data));
});

function read(data) {
  try {
    return data.json();
  } catch {
    // Not one of our server's, but say of a browser's developer tools.
    return { title: "Bottlepost", body: data?.text() };
  }
}

async function take(push) {
  await Promise.all([push.silent ? close(push) : show(push), count(push.badge)]);
}

function show({ title, chat, body, tag, bottlepost }) {
  const heading = [title, chat].filter(Boolean).join(" · ");
  // A message that is pushed a second time takes the place of the first, and is quiet.
  return self.registration.showNotification(heading, {
    body,
    tag,
    icon: ICON,
    data: bottlepost,
  });
}

async function close({ tag, bottlepost: { kind, conversation, seq } }) {
  const isOver = {
    withdraw: (one) => one.tag === tag,
    read: ({ data }) => data?.conversation === conversation && data.seq <= seq,
  };
  const shown = await self.registration.getNotifications();
  for (const one of shown.filter(isOver[kind] ?? (() => false))) one.close();
}

async function count(badge) {
  if (badge === undefined || !navigator.setAppBadge) return;
  // Browsers refuse it to pages that are not installed.
  await navigator.setAppBadge(badge).catch(() => {});
}

// The page that is there already, or a new one.
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
