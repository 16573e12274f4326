// What every page has: menus that close, the theme switch, buttons that copy.

const THEME_KEY = "pulseboard.theme";
const COPIED_FOR_MS = 1_500;

/** @returns {HTMLDetailsElement | null} */
function openMenu() {
  return document.querySelector("details.menu[open]");
}

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (menu instanceof HTMLDetailsElement && !menu.contains(/** @type {Node} */ (event.target))) {
      menu.open = false;
    }
  }
});

document.addEventListener(
  "keydown",
  (event) => {
    const menu = event.key === "Escape" ? openMenu() : null;
    if (menu === null) return;
    menu.open = false;
    menu.querySelector("summary")?.focus();
    event.stopPropagation();
  },
  { capture: true },
);

/** @returns {string} system, light or dark */
function chosenTheme() {
  return document.documentElement.dataset.theme ?? "system";
}

function showTheme() {
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    const pressed = button.getAttribute("data-theme-choice") === chosenTheme();
    button.setAttribute("aria-pressed", String(pressed));
  }
}

/** @param {string} theme */
function chooseTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === "system") localStorage.removeItem(THEME_KEY);
    else localStorage.setItem(THEME_KEY, theme);
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
  }
  showTheme();
}

/**
 * @param {Element} button
 * @param {string} text
 */
async function copy(button, text) {
  const label = button.querySelector("span") ?? button;
  const before = label.textContent;
  try {
    await navigator.clipboard.writeText(text);
    label.textContent = "Copied";
  } catch {
    label.textContent = "Copying is not allowed here";
  }
  setTimeout(() => {
    label.textContent = before;
  }, COPIED_FOR_MS);
}

document.addEventListener("click", (event) => {
  if (!(event.target instanceof Element)) return;
  const choice = event.target.closest("[data-theme-choice]");
  if (choice !== null) chooseTheme(choice.getAttribute("data-theme-choice") ?? "system");
  const source = event.target.closest("[data-copy]");
  if (source !== null) {
    const from = document.getElementById(source.getAttribute("data-copy") ?? "");
    void copy(source, from?.textContent ?? "");
  }
  const text = event.target.closest("[data-copy-text]");
  if (text !== null) void copy(text, text.getAttribute("data-copy-text") ?? "");
});

showTheme();
