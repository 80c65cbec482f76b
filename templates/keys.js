// Keys only; every page works without this file.
(() => {
  const pages = { h: "/", q: "/sql", a: "/alerts", o: "/slos", i: "/incidents", p: "/postmortems" };
  let armed = 0;
  document.addEventListener("keydown", (event) => {
    const field = event.target.closest("input, textarea, select");
    if (field) {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && field.form) field.form.requestSubmit();
      if (event.key === "Escape") field.blur();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "g") { armed = Date.now(); return; }
    if (Date.now() - armed < 1500 && pages[event.key]) location.href = pages[event.key];
    armed = 0;
  });
})();
