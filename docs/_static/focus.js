// What scrolls sideways can be reached with the keyboard, and the two
// sidebars have names of their own.
window.addEventListener("load", () => {
  for (const each of document.querySelectorAll(
    "div.highlight pre, div.table-wrapper"
  )) {
    if (each.scrollWidth > each.clientWidth) each.tabIndex = 0;
  }
  const names = {
    "aside.sidebar-drawer": "Pages",
    "aside.toc-drawer": "On this page",
  };
  for (const [which, name] of Object.entries(names)) {
    document.querySelector(which)?.setAttribute("aria-label", name);
  }
});
