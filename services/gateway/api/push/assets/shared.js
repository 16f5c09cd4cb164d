"use strict";
// What the page and the worker both do: remember this browser's token, subscribe, and tell the gateway.

/** Run a request against the one store of this browser, and return its result. */
function inStore(mode, ask) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open("carillon-push", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("kept");
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const database = opening.result;
      const request = ask(database.transaction("kept", mode).objectStore("kept"));
      request.onsuccess = () => { resolve(request.result); database.close(); };
      request.onerror = () => { reject(request.error); database.close(); };
    };
  });
}

const kept = (name) => inStore("readonly", (store) => store.get(name));
const keep = (name, value) => inStore("readwrite", (store) => store.put(value, name));

/** Return the bytes of our public key, as browsers want it. */
function applicationServerKey() {
  const base64 = SETUP.key.replace(/-/g, "+").replace(/_/g, "/");
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

const sameBytes = (one, other) => one.length === other.length && one.every((byte, at) => byte === other[at]);

/** Return this browser's subscription with our key; one that was made with another key is replaced. */
async function subscription(manager) {
  const key = applicationServerKey();
  const known = await manager.getSubscription();
  if (known) {
    const made = known.options && known.options.applicationServerKey;
    if (!made || sameBytes(new Uint8Array(made), key)) return known;
    await known.unsubscribe();
  }
  return manager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
}

/** Ask the gateway to forget a subscription; when it cannot be told, the push service will tell it. */
async function untell(url, endpoint) {
  const token = await kept("token");
  const body = JSON.stringify({ token, endpoint });
  const headers = { "Content-Type": "application/json" };
  if (token) await fetch(url, { method: "DELETE", headers, body }).catch(() => null);
}

/** Tell the gateway of a subscription; `url` is where. Throws what the gateway's status says. */
async function tell(url, subscribed) {
  const token = await kept("token");
  if (!token) throw new Error("no-link");
  const answer = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token, subscription: subscribed.toJSON() }),
  });
  if (answer.status === 403) throw new Error("no-link");
  if (!answer.ok) throw new Error(`status-${answer.status}`);
  await keep("token", (await answer.json()).token);
}
