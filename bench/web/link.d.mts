export interface Link {
  readonly port: number;
  readonly sentBytes: number;
  setUp(up: boolean): void;
  close(): Promise<void>;
}

export function openLink(target: number, link: { mbit: number; delayMs: number }): Promise<Link>;
