// Styles of the element, as a constructable sheet: a strict Content-Security-Policy lets them pass.

const CSS = `
:host { display: block; position: relative; overflow: hidden; background: #000; color-scheme: light dark;
  min-height: 120px; contain: content; font: 14px/1.4 system-ui, sans-serif; --ink: #f2f2f2; --back: #000000b8; }
:host([hidden]) { display: none; }
@media (prefers-color-scheme: light) { :host { --ink: #111; --back: #ffffffd9; } }
.stage, .picture, .poster { position: absolute; inset: 0; width: 100%; height: 100%; }
.picture { display: block; touch-action: none; outline: none; cursor: grab; }
.picture:active { cursor: grabbing; }
.stage:has(.picture:focus-visible)::after { content: ''; position: absolute; inset: 0; pointer-events: none;
  border: 2px solid #6cb4ff; }
.poster { object-fit: cover; pointer-events: none; transition: opacity .4s linear; }
.poster.gone { opacity: 0; }
.bar, .credit, .status, .help { color: var(--ink); background: var(--back); border-radius: 6px; }
.bar { position: absolute; right: 10px; bottom: 10px; display: flex; gap: 2px; padding: 3px; }
button { font: inherit; color: inherit; background: none; border: 0; border-radius: 4px; min-width: 40px;
  min-height: 36px; padding: 0 8px; cursor: pointer; }
button:hover { background: #8884; }
button[aria-pressed=true] { background: #6cb4ff55; }
button:focus-visible { outline: 2px solid #6cb4ff; outline-offset: -2px; }
.credit { position: absolute; left: 10px; bottom: 10px; max-width: calc(100% - 330px); padding: 2px 8px;
  font-size: 12px; margin: 0; }
.status { position: absolute; left: 50%; top: 12px; transform: translateX(-50%); padding: 6px 12px; margin: 0;
  max-width: 80%; }
.status:empty, .credit:empty { display: none; }
.progress { position: absolute; left: 0; top: 0; height: 3px; width: 100%; transform-origin: left;
  background: #6cb4ff; transition: opacity .6s; }
.progress.done { opacity: 0; }
.help { position: absolute; inset: 12px; margin: auto; width: fit-content; height: fit-content;
  max-width: calc(100% - 24px); max-height: calc(100% - 24px); overflow: auto; padding: 12px 18px;
  box-sizing: border-box; background: color-mix(in srgb, var(--back), #888 10%); backdrop-filter: blur(6px); }
.help h2 { font-size: 16px; margin: 0 0 8px; }
.help table { border-collapse: collapse; font-size: 13px; clear: both; }
@media (hover: none) and (pointer: coarse) { .help .keys { display: none; } }
.help th { text-align: left; font-weight: 600; padding: 2px 16px 2px 0; vertical-align: top; }
.help td { padding: 2px 0; }
.help button { float: right; margin: -4px -8px 8px 16px; border: 1px solid currentColor; }
svg { width: 20px; height: 20px; vertical-align: middle; fill: none; stroke: currentColor; stroke-width: 2;
  stroke-linecap: round; stroke-linejoin: round; }
.focus { position: absolute; width: 22px; height: 22px; margin: -12px; border: 2px solid #fff; border-radius: 50%;
  box-shadow: 0 0 3px #000; pointer-events: none; animation: focus .8s forwards; }
@keyframes focus { from { transform: scale(1.6); opacity: 1; } to { transform: scale(1); opacity: 0; } }
[hidden] { display: none !important; }
@media (max-width: 560px) { .credit { bottom: 60px; max-width: calc(100% - 36px); } .bar { left: 10px; right: 10px; justify-content: center; } }
@media (prefers-reduced-motion: reduce) { .poster, .progress { transition: none; } .focus { animation-timing-function: steps(1); } }
`;

let sheet: CSSStyleSheet | null = null;

/** One sheet for all viewers of a page. */
export function styles(): CSSStyleSheet {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
  }
  return sheet;
}
