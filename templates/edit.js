// The editor without it: a textarea and a list of lines. With it: a finding leads to its line, and unsaved words are asked about.
(() => {
  const text = document.getElementById("text");
  if (!text) return;
  const go = (line) => {
    const lines = text.value.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
    text.focus();
    text.setSelectionRange(start, start + (lines[line - 1] || "").length);
    const height = parseFloat(getComputedStyle(text).lineHeight) || 20;
    text.scrollTop = Math.max(0, (line - 6) * height);
  };
  document.addEventListener("click", (event) => {
    const door = event.target.closest("[data-line]");
    if (door) { event.preventDefault(); go(Number(door.dataset.line)); }
  });
  const wanted = Number(new URLSearchParams(location.search).get("line"));
  if (wanted > 0) go(wanted);
  const saved = text.defaultValue;
  let sending = false;
  text.form.addEventListener("submit", () => { sending = true; });
  addEventListener("beforeunload", (event) => {
    if (!sending && text.value !== saved) event.preventDefault();
  });
})();
