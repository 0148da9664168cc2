// The user's own files: dropped on the page, or chosen by keyboard.

import { make } from './dom.ts';
import { encodeHint } from './encode_hint.ts';
import { say } from './dialog.ts';

type Open = (file: File) => void;

/** Lets files be dropped anywhere on the page. */
export function addDrop(open: Open): void {
  const cover = make('div', { className: 'drop', hidden: true, aria: { hidden: 'true' } }, 'Drop an .exgs file');
  document.body.append(cover);
  const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') ?? false;
  document.addEventListener('dragover', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    cover.hidden = false;
  });
  document.addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) cover.hidden = true;
  });
  document.addEventListener('drop', (event) => {
    cover.hidden = true;
    const [file] = event.dataTransfer?.files ?? [];
    if (!file) return;
    event.preventDefault();
    take(file, open);
  });
}

/** Asks for a file. */
export function chooseFile(open: Open): void {
  const input = make('input', { type: 'file', accept: '.exgs,.ply,.spz,.splat,.sog,.ksplat,.glb,.lcc' });
  input.addEventListener('change', () => {
    const file = input.files?.[0];
    if (file) take(file, open);
  });
  input.click();
}

function take(file: File, open: Open): void {
  const hint = encodeHint(file.name);
  if (hint === null) open(file);
  else say(`${file.name} is not an .exgs file`, hint.text, hint.command);
}
