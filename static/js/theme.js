// Blocking on purpose and tiny: the chosen theme is on <html> before anything is painted.
"use strict";

(function () {
  try {
    const choice = localStorage.getItem("pulseboard.theme");
    if (choice === "light" || choice === "dark") document.documentElement.dataset.theme = choice;
  } catch {
    // Storage may be forbidden; the system's wish holds then.
  }
})();
