"use strict";
// Times are shown in the time zone of the browser.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && !document.cookie.includes(`openbulk-zone=${encodeURIComponent(zone)}`)) {
  document.cookie = `openbulk-zone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax`;
}
// A file that is dropped on the form is the file that was chosen.
for (const form of document.querySelectorAll("[data-drop]")) {
  const input = form.querySelector("input[type=file]");
  form.addEventListener("dragover", (event) => {
    event.preventDefault();
    form.classList.add("over");
  });
  form.addEventListener("dragleave", () => form.classList.remove("over"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    if (event.dataTransfer.files.length) {
      input.files = event.dataTransfer.files;
      form.requestSubmit();
    }
  });
}
