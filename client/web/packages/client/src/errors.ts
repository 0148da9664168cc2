// Errors of a file, by what the user can do about them (spec/format.md, section 10).
// Faults of the protocol are in wire/faults.ts, those of the network in net/errors.ts.

/** Class of an error of the format. */
export type FormatErrorClass = 'truncated' | 'damaged' | 'unsupported' | 'limit';

/** The root of all errors that this package raises. */
export class ExgsError extends Error {
  override name = 'ExgsError';
}

/** A file that cannot be read as it is. */
export class FormatError extends ExgsError {
  override name = 'FormatError';

  constructor(
    /** What helps: fetch more, fetch again, update the reader, or do not trust the file. */
    readonly errorClass: FormatErrorClass,
    problem: string,
    /** The part of the file, as `root index` or `chunk 7`. */
    readonly section = '',
    options?: ErrorOptions,
  ) {
    super(section ? `${section}: ${problem}` : problem, options);
  }
}

/** The bytes end before a part that is needed: fetch more. */
export class TruncatedError extends FormatError {
  override name = 'TruncatedError';

  constructor(
    problem: string,
    section: string,
    /** Length of the prefix that is known to be needed. */
    readonly neededBytes: number,
  ) {
    super('truncated', problem, section);
  }
}

/** The bytes contradict a hash, the format or each other: fetch the file again. */
export class DamagedError extends FormatError {
  override name = 'DamagedError';

  constructor(problem: string, section = '', options?: ErrorOptions) {
    super('damaged', problem, section, options);
  }
}

/** A newer version of the format: update the reader. */
export class UnsupportedError extends FormatError {
  override name = 'UnsupportedError';

  constructor(problem: string, section = '') {
    super('unsupported', `${problem}; update the viewer`, section);
  }
}

/** A size beyond the limits of the format: do not trust the file. */
export class LimitError extends FormatError {
  override name = 'LimitError';

  constructor(problem: string, section = '') {
    super('limit', problem, section);
  }
}
