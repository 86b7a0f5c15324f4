// The page is whole without this script. It adds what only a script can: copying,
// confirmations in place, and times in the reader's own zone. It keeps nothing.
"use strict";

// Copying says that it was done only when it was.
async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  const status = document.getElementById("copied");
  status.textContent = "";
  let done = false;
  try {
    await navigator.clipboard.writeText(source.value);
    done = true;
  } catch {
    // Without https there is no clipboard, but there is the selection.
    source.focus();
    source.select();
    try { done = document.execCommand("copy"); } catch { /* done is false */ }
  }
  status.textContent = done ? button.dataset.copied : button.dataset.failed;
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}

// A plaintext is not to come back with the page from the browser's memory.
addEventListener("pagehide", () => {
  for (const field of document.querySelectorAll("[data-secret]")) {
    field.value = field.defaultValue = "";
  }
});

for (const field of document.querySelectorAll("[data-secret]")) {
  field.addEventListener("focus", () => field.select());
}

// A form is sent once, however often its button is pressed.
function once(form) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
  });
}

document.querySelectorAll("form[data-once]").forEach(once);
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// A confirmation is the page that the link leads to, in a dialog. If that page is
// something else (a sign-in, an error), or does not come, the link is followed.
async function ask(link) {
  const answer = await fetch(link.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) throw new Error("not the page");
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const content = page.querySelector(".confirm");
  const heading = page.querySelector("h1");
  if (!content || !heading) throw new Error("no confirmation");
  const dialog = document.createElement("dialog");
  const title = document.createElement("h2");
  title.id = "dialog-title";
  title.textContent = heading.textContent;
  dialog.setAttribute("aria-labelledby", title.id);
  content.removeAttribute("id");
  dialog.append(title, content);
  const form = dialog.querySelector("form");
  form.action = link.href;
  once(form);
  document.body.append(dialog);
  relate(dialog);
  dialog.addEventListener("close", () => { dialog.remove(); link.focus(); });
  dialog.querySelector("[data-cancel]").addEventListener("click", (event) => {
    event.preventDefault();
    dialog.close();
  });
  dialog.showModal();
}

for (const link of document.querySelectorAll("a[data-dialog]")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    ask(link).catch(() => { location.href = link.href; });
  });
}

// What is filled in chooses what it belongs to.
for (const field of document.querySelectorAll("[data-chooses]")) {
  field.addEventListener("input", () => {
    if (field.type !== "checkbox" || field.checked) {
      document.getElementById(field.dataset.chooses).checked = true;
    }
  });
}
for (const choice of document.querySelectorAll("[data-clears]")) {
  choice.addEventListener("change", () => {
    for (const box of document.getElementsByName(choice.dataset.clears)) box.checked = false;
  });
}

// The date that a number of days leads to.
const days = document.getElementById("days");
if (days) {
  const until = document.getElementById("days-until");
  const show = () => {
    const date = new Date(Date.now() + days.valueAsNumber * 86400000);
    const known = days.validity.valid && !Number.isNaN(date.getTime());
    until.textContent = known ? days.dataset.until.replace("%s", date.toISOString().slice(0, 10)) : "";
  };
  days.addEventListener("input", show);
  show();
}

// Times get their full form in the reader's zone, and go on while the page is open.
const language = document.documentElement.lang;
const opened = Date.now();

function relate(within) {
  for (const time of within.querySelectorAll("time[data-relative]")) {
    const at = new Date(time.dateTime);
    time.title = at.toLocaleString(language, { dateStyle: "full", timeStyle: "long" });
    if (Date.now() - opened > 60000) time.textContent = inWords(at - Date.now());
  }
}

function inWords(milliseconds) {
  const words = new Intl.RelativeTimeFormat(language, { numeric: "always" });
  const minutes = Math.round(milliseconds / 60000);
  if (Math.abs(minutes) < 60) return words.format(minutes, "minute");
  const hours = Math.round(minutes / 60);
  if (Math.abs(hours) < 48) return words.format(hours, "hour");
  const days = Math.round(hours / 24);
  if (Math.abs(days) < 100) return words.format(days, "day");
  const months = Math.round(days / 30.44);
  return Math.abs(months) < 24 ? words.format(months, "month") : words.format(Math.round(days / 365.25), "year");
}

relate(document);
setInterval(() => relate(document), 60000);
