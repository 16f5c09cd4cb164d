"use strict";
// The page: says how things stand, and turns notifications on or off at the press of its one button.

const TEXTS = {
  en: {
    title: "Notifications",
    ready: "Turn notifications on, and this device tells you the moment a trade needs you.",
    on: "Notifications are on for this device.",
    denied: "Notifications are blocked. Allow them for this site in your browser's settings, then come back.",
    unsupported: "This browser cannot receive notifications. On an iPhone or iPad, add this page to the Home Screen and open it from there; elsewhere, try a current browser.",
    insecure: "Notifications need a secure address (https).",
    nolink: "This link is not valid any more. Please ask for a new one.",
    failed: "That did not work. Please try again in a moment.",
    noservice: "Your browser could not reach its push service. Please try again in a moment.",
    off: "Notifications are off for this device.",
    turnOn: "Turn notifications on",
    turnOff: "Turn off",
    again: "Try again",
  },
  es: {
    title: "Notificaciones",
    ready: "Activa las notificaciones y este dispositivo te avisará en cuanto una operación te necesite.",
    on: "Las notificaciones están activadas en este dispositivo.",
    denied: "Las notificaciones están bloqueadas. Permítelas para este sitio en los ajustes del navegador y vuelve.",
    unsupported: "Este navegador no puede recibir notificaciones. En un iPhone o iPad, añade esta página a la pantalla de inicio y ábrela desde allí; en otro caso, prueba con un navegador actual.",
    insecure: "Las notificaciones necesitan una dirección segura (https).",
    nolink: "Este enlace ya no es válido. Pide uno nuevo, por favor.",
    failed: "No ha funcionado. Inténtalo de nuevo en un momento.",
    noservice: "Tu navegador no ha podido llegar a su servicio de notificaciones. Inténtalo de nuevo en un momento.",
    off: "Las notificaciones están desactivadas en este dispositivo.",
    turnOn: "Activar las notificaciones",
    turnOff: "Desactivar",
    again: "Intentar de nuevo",
  },
};
const language = (navigator.languages || [navigator.language]).map((each) => each.slice(0, 2)).find((each) => TEXTS[each]) || "en";
const texts = TEXTS[language];
const words = document.getElementById("words");
const button = document.getElementById("act");

/** Show a state: its words, and the button with what it does, if there is something to do. */
function show(state, label, act, quiet) {
  document.body.dataset.state = state;
  words.textContent = texts[state];
  button.hidden = !label;
  button.disabled = false;
  button.className = quiet ? "quiet" : "";
  button.textContent = label ? texts[label] : "";
  button.onclick = act ? () => { button.disabled = true; act(); } : null;
}

/** The token comes behind the #, which browsers send to nobody; it is kept, and taken out of the address. */
async function takeLink() {
  const token = location.hash.slice(1);
  if (!token) return;
  await keep("token", token);
  history.replaceState(null, "", location.pathname + location.search);
}

/** Return the registration of the worker, once it is at work. */
async function worker() {
  await navigator.serviceWorker.register("push/worker.js", { scope: "push", updateViaCache: "none" });
  return navigator.serviceWorker.ready;
}

async function turnOn() {
  try {
    // Asked first, while the press of the button still counts as one.
    if ((await Notification.requestPermission()) !== "granted") return show("denied");
    const registration = await worker();
    await tell("push/subscriptions", await subscription(registration.pushManager));
    show("on", "turnOff", turnOff, true);
  } catch (error) {
    if (error.message === "no-link") show("nolink");
    else if (error.name === "NotAllowedError") show("denied");
    else if (error.name === "AbortError") show("noservice", "again", turnOn);
    else show("failed", "again", turnOn);
  }
}

async function turnOff() {
  const registration = await worker();
  const subscribed = await registration.pushManager.getSubscription();
  if (subscribed) {
    await subscribed.unsubscribe();
    await untell("push/subscriptions", subscribed.endpoint);
  }
  show("off", "turnOn", turnOn);
}

async function start() {
  document.documentElement.lang = language;
  document.title = document.getElementById("title").textContent = texts.title;
  if (!isSecureContext) return show("insecure");
  if (!("serviceWorker" in navigator && "PushManager" in window && "Notification" in window)) return show("unsupported");
  await takeLink();
  if (!(await kept("token"))) return show("nolink");
  if (Notification.permission === "denied") return show("denied");
  const registration = await navigator.serviceWorker.getRegistration("push");
  const subscribed = registration && (await registration.pushManager.getSubscription());
  if (subscribed && Notification.permission === "granted") return turnOn();
  show("ready", "turnOn", turnOn);
}

start().catch(() => show("failed", "again", () => location.reload()));
