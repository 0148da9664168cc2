// What the server and the inline script leave for the page.

/** A scene in the list of the server (spec/protocol.md, section 2). */
export interface SceneEntry {
  readonly name: string;
  readonly bytes: number;
  readonly url: string;
  readonly layers: number;
  readonly count: number;
  readonly sh_degree: number;
  readonly credit: string;
  readonly license: string;
  readonly poster?: string;
}

/** What the server has written into the HTML. */
export interface PageData {
  /** Whether the server asks for a token. */
  readonly token?: boolean;
  /** The scene to show. */
  readonly content?: string;
  readonly scene?: SceneEntry;
  /** The catalogue; absent where it has to be asked for. */
  readonly scenes?: readonly SceneEntry[];
  /** In the catalogue: a scene that was asked for, and is not in it. */
  readonly missing?: string;
  /** In a single file: the length of the scene that it contains, and its name. */
  readonly embedded?: number;
  readonly name?: string;
}

/** What was started before the code of the page arrived. */
export interface Boot {
  readonly data: PageData;
  readonly content: string;
  first: Promise<Response> | null;
  clientWorker: Worker | null;
  sortWorker: Worker | null;
}
