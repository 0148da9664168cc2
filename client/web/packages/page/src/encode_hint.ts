// What to say to a file that is not .exgs.

const SCENES = /\.(ply|spz|splat|sog|ksplat|json|glb)$/i;

export interface Hint {
  readonly text: string;
  /** What to type, empty where nothing helps. */
  readonly command: string;
}

/** How to make an .exgs file of this one; null where it is one. */
export function encodeHint(name: string): Hint | null {
  if (/\.exgs$/i.test(name)) return null;
  if (!SCENES.test(name)) return { text: 'This page shows .exgs files.', command: '' };
  const target = name.replace(/(\.compressed)?\.[^.]+$/, '.exgs');
  return {
    text: 'This page shows .exgs files, which stream. Make one of it, and drop that here:',
    command: `exgs encode ${quoted(name)} ${quoted(target)}`,
  };
}

function quoted(name: string): string {
  return /^[\w.-]+$/.test(name) ? name : `'${name.replaceAll("'", `'\\''`)}'`;
}
