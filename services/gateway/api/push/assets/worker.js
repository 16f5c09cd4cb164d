"use strict";
// Shows what is pushed, opens the dashboard when it is clicked, and subscribes again when the browser asks to.

importScripts("setup.js", "shared.js");

const HERE = new URL("./", self.location);

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

/** Return what a push says; browsers demand that something is shown, whatever it says. */
function read(data) {
  try {
    const said = data ? data.json() : {};
    return said && typeof said === "object" ? said : {};
  } catch {
    return { body: data.text() };
  }
}

/** Return the address of a picture: a path is the gateway's, which is one above this worker. */
const picture = (path) => path && new URL(String(path).replace(/^\/+/, "../"), HERE).href;

/** Return the page below the dashboard that a path names; what leads elsewhere leads to the dashboard itself. */
function page(path) {
  try {
    const target = new URL(String(path || "").replace(/^\/+/, ""), SETUP.dashboard);
    return target.href.startsWith(SETUP.dashboard) ? target.href : SETUP.dashboard;
  } catch {
    return SETUP.dashboard;
  }
}

self.addEventListener("push", (event) => {
  const said = read(event.data);
  const more = said.data || {};
  event.waitUntil(
    self.registration.showNotification(said.title || "Carillon", {
      body: said.body || "",
      icon: picture(said.icon),
      badge: picture(said.badge),
      tag: said.tag || "",
      requireInteraction: more.urgency === "high",
      data: { url: page(more.url) },
    }),
  );
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open((event.notification.data || {}).url || SETUP.dashboard));
});

async function open(url) {
  const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const there = windows.find((each) => each.url === url);
  return there ? there.focus() : self.clients.openWindow(url);
}

self.addEventListener("pushsubscriptionchange", (event) => {
  event.waitUntil(renew(event.oldSubscription));
});

async function renew(old) {
  const url = new URL("subscriptions", HERE);
  const made = await subscription(self.registration.pushManager);
  await tell(url, made);
  if (old && old.endpoint !== made.endpoint) await untell(url, old.endpoint);
}
