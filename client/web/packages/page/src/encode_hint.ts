// The message for a file that is not .exgs.

const SCENES = /\.(ply|spz|splat|sog|ksplat|json|glb|lcc)$/i;

export interface Hint {
  readonly text: string;
  /** The command to type, empty where there is none. */
  readonly command: string;
}

/** How to encode a file; null where it is an .exgs file. */
export function encodeHint(name: string): Hint | null {
  if (/\.exgs$/i.test(name)) return null;
  if (!SCENES.test(name)) return { text: 'This page shows .exgs files.', command: '' };
  const target = name.replace(/(\.compressed)?\.[^.]+$/, '.exgs');
  return {
    text: 'This page shows .exgs files, which stream. Encode it, and drop the result here:',
    command: `exgs encode ${quoted(name)} ${quoted(target)}`,
  };
}

function quoted(name: string): string {
  return /^[\w.-]+$/.test(name) ? name : `'${name.replaceAll("'", `'\\''`)}'`;
}
