// Styles for the page after the first picture, as a sheet that a strict policy permits.

import text from './late.css?inline';

let isAdopted = false;

/** Adds them to the page, once. */
export function adoptStyles(): void {
  if (isAdopted) return;
  isAdopted = true;
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(text);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}
