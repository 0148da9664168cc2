// Elements without markup: no text is ever parsed as HTML.

type Children = readonly (Node | string)[];

/** An element with properties and children. */
export function make<T extends keyof HTMLElementTagNameMap>(
  tag: T,
  properties: Partial<HTMLElementTagNameMap[T]> & { readonly aria?: Record<string, string> } = {},
  ...children: Children
): HTMLElementTagNameMap[T] {
  const element = document.createElement(tag);
  const { aria, ...rest } = properties;
  Object.assign(element, rest);
  for (const [name, value] of Object.entries(aria ?? {})) element.setAttribute(`aria-${name}`, value);
  element.append(...children);
  return element;
}

const SVG = 'http://www.w3.org/2000/svg';

/** A button with a drawn sign. */
export function iconButton(label: string, path: string, press: () => void): HTMLButtonElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  const line = document.createElementNS(SVG, 'path');
  line.setAttribute('d', path);
  svg.append(line);
  const button = make('button', { type: 'button', title: label, aria: { label } });
  button.append(svg);
  button.addEventListener('click', press);
  return button;
}
