// Frames that the GPU has not finished. It is given no more than it keeps up with: else the next upload
// or the compositor waits for it, and with them the page.

const SLOW_MS = 40; // a GPU that takes longer for a frame is slow
const MOST_PENDING = 2;
const UPLOAD_SHARE = 0.25; // of a slow frame's time may pass after it for uploads, before the next one

interface Pending {
  readonly fence: WebGLSync;
  readonly beganMs: number;
}

export class Pace {
  readonly #gl: WebGL2RenderingContext;
  readonly #pending: Pending[] = [];
  #lastMs: number | null = null; // null until the first frame is done
  #doneMs = 0; // when that was

  constructor(gl: WebGL2RenderingContext) {
    this.#gl = gl;
  }

  /** Time that the GPU took for a frame lately, from its commands to its end as the page sees it, ms. */
  get gpuMs(): number {
    return this.#lastMs ?? 0;
  }

  /**
   * Whether frames should go to the canvas only once they are done, and one at a time. So does the first
   * one, since its time is not known: what is on the screen stays until then.
   */
  get isSlow(): boolean {
    return this.#lastMs === null || this.#lastMs > SLOW_MS;
  }

  /** Whether the GPU has as many frames as it should. */
  isFull(nowMs: number): boolean {
    const gl = this.#gl;
    for (let first = this.#pending[0]; first; first = this.#pending[0]) {
      const done = gl.getSyncParameter(first.fence, gl.SYNC_STATUS) === gl.SIGNALED;
      if (!done && !gl.isContextLost()) break;
      gl.deleteSync(first.fence);
      this.#lastMs = nowMs - first.beganMs;
      this.#doneMs = nowMs;
      this.#pending.shift();
    }
    return this.#pending.length >= (this.isSlow ? 1 : MOST_PENDING);
  }

  /**
   * Whether the next frame should wait while there is something to upload. On a slow GPU few frames are
   * drawn, and with one upload slice to a frame parts would queue for many seconds.
   */
  waitsForUploads(nowMs: number): boolean {
    if (this.#lastMs === null || !this.isSlow) return false;
    return nowMs - this.#doneMs < UPLOAD_SHARE * this.#lastMs;
  }

  /** A frame's commands have been given. */
  began(nowMs: number): void {
    const fence = this.#gl.fenceSync(this.#gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    this.#gl.flush();
    if (fence) this.#pending.push({ fence, beganMs: nowMs });
  }

  dispose(): void {
    for (const { fence } of this.#pending.splice(0)) this.#gl.deleteSync(fence);
  }
}
