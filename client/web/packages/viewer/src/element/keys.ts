// What the keys are for: one table for the help, the README and the listener.

export type Command = 'orbit' | 'fly' | 'walk' | 'frame' | 'reset' | 'help' | 'panel';

/** Commands by KeyboardEvent.code. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  Digit1: 'orbit',
  Digit2: 'fly',
  Digit3: 'walk',
  KeyF: 'frame',
  KeyR: 'reset',
  KeyH: 'help',
  KeyG: 'panel',
};

type HelpRow = readonly [action: string, effect: string];

/** Rows of the help for mouse and fingers. */
export const HELP_HANDS: readonly HelpRow[] = [
  ['Drag', 'orbit; look around when flying or walking'],
  ['Right drag, two fingers', 'pan'],
  ['Wheel, pinch', 'zoom'],
  ['Click, tap', 'set the focus: orbiting turns about it'],
  ['Double click, double tap', 'fly there'],
];

/** Rows of the help for the keyboard. */
export const HELP_KEYS: readonly HelpRow[] = [
  ['1, 2, 3', 'orbit, fly, walk'],
  ['W A S D', 'forward, left, back, right'],
  ['Q, E', 'down, up'],
  ['Arrow keys', 'turn'],
  ['+, −', 'zoom'],
  ['Shift, Ctrl', 'faster, slower'],
  ['F', 'show the whole scene'],
  ['R', 'back to the start'],
  ['G', 'panel'],
  ['H, Esc', 'this help'],
];
