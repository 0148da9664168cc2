// Pointer, wheel and key events of one viewer, turned into gestures, drives and commands.

import { Gestures, type Gesture, type PointerChange } from '../camera/gestures.ts';
import { driveOf, drives, type Drive } from '../camera/time.ts';
import { COMMANDS, type Command } from './keys.ts';

export interface ControlEvents {
  readonly gesture: (gesture: Gesture) => void;
  readonly drive: (drive: Drive | null) => void;
  readonly command: (command: Command) => void;
  /** Esc. */
  readonly escape: () => void;
}

const WHEEL_PER_PX = 0.0015; // of the logarithm of the distance
const LINE_PX = 33;
const KEY_ZOOM = 1.2;

/** Listens on the picture, and for keys on all of the viewer, until `signal` is aborted. */
export function control(
  picture: HTMLElement,
  stage: HTMLElement,
  events: ControlEvents,
  signal: AbortSignal,
): void {
  listenToPointers(picture, events, signal);
  listenToKeys(stage, events, signal);
}

function listenToPointers(picture: HTMLElement, events: ControlEvents, signal: AbortSignal): void {
  const gestures = new Gestures();
  const change = (event: PointerEvent): PointerChange => {
    const { left, top } = picture.getBoundingClientRect();
    const { pointerId: id, clientX, clientY, timeStamp: timeMs } = event;
    return { id, x: clientX - left, y: clientY - top, timeMs };
  };
  const on = <T extends keyof HTMLElementEventMap>(
    type: T,
    listener: (event: HTMLElementEventMap[T]) => void,
  ): void => picture.addEventListener(type, listener, { signal, passive: false });

  on('pointerdown', (event) => {
    if (event.pointerType === 'mouse' && event.button > 2) return;
    picture.setPointerCapture(event.pointerId);
    gestures.down(change(event), event.button !== 0 || event.shiftKey);
  });
  on('pointermove', (event) => gestures.move(change(event)).forEach(events.gesture));
  on('pointerup', (event) => gestures.up(change(event)).forEach(events.gesture));
  on('pointercancel', (event) => gestures.cancel(event.pointerId));
  on('contextmenu', (event) => event.preventDefault());
  on('wheel', (event) => {
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : LINE_PX;
    const pinched = event.ctrlKey ? 5 : 1; // browsers report a pinch on a touchpad so
    const pixels = Math.max(-240, Math.min(240, event.deltaY * unit * pinched));
    events.gesture({ type: 'zoom', factor: Math.exp(pixels * WHEEL_PER_PX) });
    event.preventDefault();
  });
}

function listenToKeys(stage: HTMLElement, events: ControlEvents, signal: AbortSignal): void {
  const held = new Set<string>();
  const tell = (event: KeyboardEvent): void => {
    events.drive(driveOf(held, event.shiftKey, event.ctrlKey));
  };
  const release = (): void => {
    held.clear();
    events.drive(null);
  };
  const down = (event: KeyboardEvent): void => {
    if (event.altKey || event.metaKey) return;
    const command = COMMANDS[event.code];
    const factor = event.key === '+' || event.key === '=' ? 1 / KEY_ZOOM : event.key === '-' ? KEY_ZOOM : 0;
    if (drives(event.code)) {
      held.add(event.code);
      tell(event);
    } else if (event.key === 'Shift' || event.key === 'Control') {
      if (held.size > 0) tell(event);
      return;
    } else if (event.key === 'Escape') {
      events.escape();
      return;
    } else if (event.ctrlKey) {
      return;
    } else if (factor) {
      events.gesture({ type: 'zoom', factor });
    } else if (command && !event.repeat) {
      events.command(command);
    } else {
      return;
    }
    event.preventDefault();
  };
  const up = (event: KeyboardEvent): void => {
    if (held.delete(event.code) || held.size > 0) tell(event);
  };
  stage.addEventListener('keydown', down, { signal });
  stage.addEventListener('keyup', up, { signal });
  stage.addEventListener('focusout', release, { signal });
  window.addEventListener('blur', release, { signal });
}
