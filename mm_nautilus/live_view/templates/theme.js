"use strict";
/* Light and dark: as the system has it, until the button is pressed. */

const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
let chosenTheme = null;

function applyTheme() {
  const theme = chosenTheme ?? (prefersDark.matches ? "dark" : "light");
  document.documentElement.dataset.theme = theme;
  const other = theme === "dark" ? "Light" : "Dark";
  const button = document.getElementById("theme");
  button.textContent = other;
  button.setAttribute("aria-label", `Show the page in ${other.toLowerCase()} colours`);
}

prefersDark.addEventListener("change", applyTheme);
document.getElementById("theme").addEventListener("click", () => {
  chosenTheme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  applyTheme();
});
applyTheme();
