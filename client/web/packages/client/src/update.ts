// What the client gives to a renderer: the facts of a scene once, then deltas as typed arrays.
// These types are the contract between @exgs/client and @exgs/viewer.

/** Three numbers: x, y, z. */
export type Vec3 = readonly [number, number, number];

/** A camera to start from. */
export interface HomeView {
  /** The position of the camera. */
  readonly eye: Vec3;
  /** Along the middle of the picture, of any length but 0. */
  readonly forward: Vec3;
  /** Vertical field of view, radians. */
  readonly fovY: number;
}

/** Picture quality that a prefix of the file reaches on held-out views. */
export interface QualityPoint {
  /** Length of the prefix behind header and root index. */
  readonly bytes: number;
  /** PSNR, dB. */
  readonly psnr: number;
  /** Mean SSIM, -1 to 1. */
  readonly ssim: number;
}

/** One step of quality. */
export interface LayerFacts {
  /** The layer has 2^level tiles. */
  readonly level: number;
  /** Leaves that the layer adds. */
  readonly leaves: number;
  /** Proxies that the layer brings. */
  readonly proxies: number;
  /** Factor on the scales of leaves while this is the top layer. */
  readonly amplification: number;
}

/** An axis-aligned box. */
export interface Box {
  readonly low: Vec3;
  readonly high: Vec3;
}

/** The facts of a scene in the root index of its file. */
export interface SceneFacts {
  readonly name: string;
  readonly credit: string;
  readonly license: string;
  readonly encoder: string;
  /** Leaves in the whole file. */
  readonly count: number;
  /** Degree of the spherical harmonics, 0 to 3. */
  readonly shDegree: number;
  /** Whether the scene was trained with an antialiased rasterizer. */
  readonly antialiased: boolean;
  /** Up in most pictures, unit length, or 0 0 0 where that is unknown. */
  readonly up: Vec3;
  /** Added to all positions it gives the frame of the source; f64. */
  readonly origin: Vec3;
  /** Coordinate reference system of the source, where it has one. */
  readonly crs: string | null;
  readonly home: HomeView | null;
  readonly layers: readonly LayerFacts[];
  readonly quality: readonly QualityPoint[];
  /** Length of the file. */
  readonly fileBytes: number;
  /** The scene hash: 32 hex digits. */
  readonly hash: string;
  /** Box of the means of all leaves. */
  readonly box: Box;
}

/** A picture of the scene to show before the first splats. */
export interface Poster {
  /** `image/jpeg` or `image/webp`. */
  readonly type: string;
  readonly bytes: Uint8Array;
}

/**
 * n Gaussians: activated values in the RDF frame (x right, y down, z forward), relative to
 * `SceneFacts.origin`.
 */
export interface SplatData {
  /** 3n. */
  readonly means: Float32Array;
  /** 4n, w x y z, unit length. */
  readonly quats: Float32Array;
  /** 3n, standard deviations along the rotated axes, not amplified. */
  readonly scales: Float32Array;
  /** n, 0 to 1. */
  readonly opacities: Float32Array;
  /** 3n, coefficients of degree 0. */
  readonly sh0: Float32Array;
  /** 3kn, [splat][coefficient][channel], k = 3, 8 or 15; null where there are none yet. */
  readonly shN: Float32Array | null;
}

/** A new part of the scene: the leaves or the proxies of one cell. */
export interface PartAdded {
  /** Names the part in later updates. */
  readonly key: number;
  readonly kind: 'leaf' | 'proxy';
  readonly layer: number;
  readonly tile: number;
  /** Splats. */
  readonly count: number;
  /** Splats of each child, in the order of the arrays; a child is one group. */
  readonly children: Uint32Array;
  readonly data: SplatData;
}

/** Better values for the splats of an existing part: the arrays that have changed. */
export interface PartRefined {
  readonly key: number;
  readonly data: Partial<SplatData>;
}

/** What becomes of one group. A new group is hidden until its first state. */
export interface GroupState {
  readonly key: number;
  /** Which child of the part. */
  readonly child: number;
  readonly visible: boolean;
  /** Factor on the scales. */
  readonly amplification: number;
}

/** The progress of the transfer. */
export interface Progress {
  readonly receivedBytes: number;
  readonly fileBytes: number;
  /** The highest layer of which every cell is active, -1 before the first. */
  readonly layer: number;
  /** Splats that are drawn now. */
  readonly splats: number;
  /** Whether the whole file has arrived, or all that the budget allows. */
  readonly complete: boolean;
  /** Whether nothing is missing that the present view shows. */
  readonly readyForView: boolean;
}

/**
 * One transaction: apply all of it, then draw. Apply `added`, `refined` and `groups` together with
 * `dropped`; a dropped key never appears elsewhere in the same update. The receiver owns the arrays.
 */
export interface SceneUpdate {
  readonly added: readonly PartAdded[];
  readonly refined: readonly PartRefined[];
  readonly dropped: readonly number[];
  readonly groups: readonly GroupState[];
  readonly progress: Progress;
}

/** A camera: what the person looks at. */
export interface View {
  /** World to camera, 4x4, row by row; x right, y down, z forward. */
  readonly viewmat: Float64Array;
  /** Focal lengths and principal point in pixels, 3x3, row by row. */
  readonly K: Float64Array;
  readonly width: number;
  readonly height: number;
}
