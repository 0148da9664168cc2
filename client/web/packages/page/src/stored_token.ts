// The token of the server, kept until the tab is closed; nowhere, where the browser forbids that.

const KEY = 'exgs-token';
let here: string | null = null;

/** The token that the person has given. */
export function storedToken(): string | null {
  try {
    return here ?? sessionStorage.getItem(KEY);
  } catch {
    return here;
  }
}

/** Keeps a token. */
export function storeToken(token: string): void {
  here = token;
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // known to this page alone, then
  }
}
