// The page works without this script. It adds copy buttons, confirmation dialogs and
// times in the user's time zone. It stores nothing.
"use strict";

// copy reports success only if the text was copied: on the button, and in a status for screen
// readers. A failure is visible in the status, with the text selected.
async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  const status = document.getElementById("copied");
  status.textContent = "";
  let done = false;
  try {
    await navigator.clipboard.writeText(source.value);
    done = true;
  } catch {
    // The clipboard API requires https. Copying the selection does not.
    getSelection().selectAllChildren(source);
    try { done = document.execCommand("copy"); } catch { /* done is false */ }
  }
  status.textContent = done ? button.dataset.copied : button.dataset.failed;
  status.classList.toggle("unseen", done);
  if (!done) return;
  button.dataset.label ??= button.textContent;
  button.textContent = button.dataset.copied;
  button.classList.add("done");
  clearTimeout(button.restoring);
  button.restoring = setTimeout(() => {
    button.textContent = button.dataset.label;
    button.classList.remove("done");
  }, 5000);
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}

// Clear plaintexts, so that the browser's back/forward cache does not show them again.
addEventListener("pagehide", () => {
  for (const field of document.querySelectorAll("[data-secret]")) field.textContent = "";
});

for (const field of document.querySelectorAll("[data-secret]")) {
  const select = () => getSelection().selectAllChildren(field);
  field.addEventListener("focus", select);
  field.addEventListener("click", () => setTimeout(select)); // a click clears what is selected already, after its event
  if (document.activeElement === field) select();
}

// The page with a plaintext answers a form. Reload and Back lead to a page that explains why the
// plaintext is gone, and do not ask whether to send the form again.
for (const shown of document.querySelectorAll("[data-later]")) {
  // Relative links would be resolved against the new address.
  for (const link of document.links) {
    if (!link.getAttribute("href").startsWith("#")) link.href = link.href;
  }
  for (const form of document.forms) form.action = form.action;
  history.replaceState(null, "", shown.dataset.later);
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}

// submitOnce submits a form only once, even if its button is pressed again.
function submitOnce(form) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
  });
}

document.querySelectorAll("form[data-once]").forEach(submitOnce);
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// showConfirmation shows the confirmation page that a link leads to in a dialog. If that page is
// not a confirmation (a sign-in, an error) or cannot be loaded, the link is followed.
async function showConfirmation(link) {
  const answer = await fetch(link.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) throw new Error("not a confirmation");
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const content = page.querySelector(".confirm");
  const heading = page.querySelector("h1");
  if (!content || !heading) throw new Error("not a confirmation");
  const dialog = document.createElement("dialog");
  const title = document.createElement("h2");
  title.id = "dialog-title";
  title.tabIndex = -1;
  title.textContent = heading.textContent;
  dialog.setAttribute("aria-labelledby", title.id);
  content.removeAttribute("id");
  dialog.append(title, content);
  const form = dialog.querySelector("form");
  form.action = link.href;
  submitOnce(form);
  document.body.append(dialog);
  updateTimes(dialog);
  dialog.addEventListener("close", () => { dialog.remove(); link.focus(); });
  dialog.querySelector("[data-cancel]").addEventListener("click", (event) => {
    event.preventDefault();
    dialog.close();
  });
  dialog.showModal();
  // The button of a long dialog is out of sight: start reading at its heading.
  if (dialog.scrollHeight > dialog.clientHeight || dialog.querySelector(".names li:nth-child(6)")) {
    title.focus();
    dialog.scrollTop = 0;
  }
}

let opening = false; // dialogs do not stack

for (const link of document.querySelectorAll("a[data-dialog]")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    if (opening || document.querySelector("dialog")) return;
    opening = true;
    showConfirmation(link).finally(() => { opening = false; }).catch(() => { location.href = link.href; });
  });
}

// Filling in a field also selects the choice that it belongs to.
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

// The maximum of a name or a value is in bytes, and maxlength counts UTF-16 code units.
for (const field of document.querySelectorAll("[data-max-bytes]")) {
  const check = () => {
    const bytes = new TextEncoder().encode(field.value.trim()).length;
    field.setCustomValidity(bytes > Number(field.dataset.maxBytes) ? field.dataset.tooLong : "");
  };
  field.addEventListener("input", check);
  check();
}

// The language of the page for dates and times, undefined if the browser does not know it.
const language = (() => {
  try {
    return Intl.DateTimeFormat.supportedLocalesOf(document.documentElement.lang)[0];
  } catch {
    return undefined;
  }
})();
// Without a region, English dates have the order that is not mistaken for another: 12 Jan 2027.
const dates = language === "en" ? "en-GB" : language;
const loaded = Date.now();

// Show times in the user's time zone instead of UTC, and keep relative times up to date.
function updateTimes(within) {
  for (const time of within.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    time.title = at.toLocaleString(dates, { dateStyle: "full", timeStyle: "long" });
    if ("date" in time.dataset) time.textContent = at.toLocaleDateString(dates, { dateStyle: "medium" });
    if ("time" in time.dataset) time.textContent = at.toLocaleString(dates, { dateStyle: "medium", timeStyle: "short" });
    const outdated = "relative" in time.dataset && Date.now() - loaded > 60000;
    if (outdated && language) time.textContent = inWords(at - Date.now());
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

// The day that the user chooses ends in the user's time zone.
for (const zone of document.querySelectorAll("[data-zone]")) {
  const until = document.getElementById(zone.dataset.zone);
  const set = () => {
    const end = new Date(until.value + "T23:59");
    zone.value = Number.isNaN(end.getTime()) ? "" : end.getTimezoneOffset();
  };
  until.addEventListener("input", set);
  set();
  for (const hint of document.querySelectorAll("[data-local]")) hint.textContent = hint.dataset.local;
}

// Presets choose the scopes of a group at once, and show which of them the choice is.
const scopes = [...document.getElementsByName("scope")];
function showScopes() {
  for (const group of document.querySelectorAll(".group")) {
    const boxes = [...group.querySelectorAll("[name=scope]")];
    for (const preset of group.querySelectorAll(".preset")) {
      const names = preset.dataset.scopes.split(" ");
      const same = boxes.every((box) => box.checked === names.includes(box.value));
      preset.setAttribute("aria-pressed", same);
    }
  }
  for (const count of document.querySelectorAll("[data-count]")) {
    const chosen = scopes.filter((box) => box.checked).length;
    count.textContent = count.dataset.count.replace("%n", chosen).replace("%t", scopes.length);
  }
}
for (const presets of document.querySelectorAll(".presets")) {
  presets.hidden = false;
  for (const preset of presets.querySelectorAll(".preset")) {
    preset.addEventListener("click", () => {
      const names = preset.dataset.scopes.split(" ");
      for (const box of presets.parentElement.querySelectorAll("[name=scope]")) box.checked = names.includes(box.value);
      document.getElementById("access-scopes").checked = true;
      showScopes();
    });
  }
}
for (const form of document.querySelectorAll("form.token")) {
  form.classList.add("scripted");
  form.addEventListener("change", showScopes);
}
showScopes();
addEventListener("pageshow", showScopes); // after the browser has restored the form

updateTimes(document);
setInterval(() => updateTimes(document), 60000);
