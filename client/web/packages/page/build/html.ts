// The HTML of the page: styles and the first script are inserted at marks of index.html.

import fs from 'node:fs';

/** The page's styles without spaces that nobody needs. */
export function styles(file: string): string {
  return fs.readFileSync(file, 'utf8').replace(/\s*\n\s*/g, '').replace(/\s*([{}:;,>])\s*/g, '$1');
}

/** Replaces a mark that must be there once. */
export function fill(html: string, mark: string, text: string): string {
  if (html.split(mark).length !== 2) throw new Error(`the page has not one ${mark}`);
  return html.replace(mark, () => text);
}

/** Code, escaped for a script element. */
export function inline(code: string): string {
  return code.replaceAll('</script', '<\\/script').replaceAll('<!--', '<\\!--');
}
