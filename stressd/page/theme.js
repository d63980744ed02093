// The theme: as the system's, or kept by choice.

const THEMES = { "": "as the system", light: "light", dark: "dark" };

function kept() {
  try { return localStorage.getItem("theme") in THEMES ? localStorage.getItem("theme") : ""; } catch { return ""; }
}

// Have a button go through the themes.
export function themeButton(button) {
  function take(chosen) {
    document.documentElement.dataset.theme = chosen;
    button.textContent = `Theme: ${THEMES[chosen]}`;
    try { localStorage.setItem("theme", chosen); } catch { /* it is not kept, then */ }
  }
  button.hidden = false;
  button.addEventListener("click", () => {
    const names = Object.keys(THEMES);
    take(names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length]);
  });
  take(kept());
}
