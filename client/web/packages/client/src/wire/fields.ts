// Typed access to the map of a control frame: every fault names frame and field.

import { Float, MessagePackError, readMap, type ValueMap } from '../bytes/msgpack.ts';
import { ErrorCode } from '../constants.ts';
import { ProtocolFault } from './fault.ts';

/** One decoded map. */
export class FrameFields {
  private constructor(
    private readonly values: ValueMap,
    private readonly place: string,
  ) {}

  /** The map of a payload; raises ProtocolFault. */
  static read(payload: Uint8Array, place: string): FrameFields {
    try {
      return new FrameFields(readMap(payload), place);
    } catch (error) {
      if (!(error instanceof MessagePackError)) throw error;
      throw new ProtocolFault(`${place}: ${error.message}`, ErrorCode.PROTOCOL, { cause: error });
    }
  }

  wrong(name: string, problem: string, code: number = ErrorCode.PROTOCOL): ProtocolFault {
    return new ProtocolFault(`${this.place}: ${name}: ${problem}`, code);
  }

  nested(name: string): FrameFields {
    const value = this.values.get(name);
    if (!(value instanceof Map)) throw this.missing(name);
    return new FrameFields(value, `${this.place}: ${name}`);
  }

  boolean(name: string): boolean {
    const value = this.values.get(name);
    if (typeof value !== 'boolean') throw this.missing(name);
    return value;
  }

  integer(name: string, low: number, high: number, beyond: number = ErrorCode.PROTOCOL): number {
    const value = this.values.get(name);
    if (typeof value !== 'number' && typeof value !== 'bigint') throw this.missing(name);
    if (value < low || value > high) {
      const code = value > high ? beyond : ErrorCode.PROTOCOL;
      throw this.wrong(name, `${value} is not in ${low} to ${high}`, code);
    }
    return Number(value);
  }

  number(name: string, low: number, high: number): number {
    const value = this.values.get(name);
    const number = value instanceof Float ? value.value : value;
    if (typeof number !== 'number' && typeof number !== 'bigint') throw this.missing(name);
    if (!(number >= low && number <= high)) {
      throw this.wrong(name, `${number} is not in ${low} to ${high}`);
    }
    return Number(number);
  }

  text(name: string, limitBytes: number): string {
    const value = this.values.get(name);
    if (typeof value !== 'string') throw this.missing(name);
    if (new TextEncoder().encode(value).length > limitBytes) {
      throw this.wrong(name, `longer than ${limitBytes} bytes`, ErrorCode.LIMIT);
    }
    return value;
  }

  binary(name: string, shortest: number, longest: number): Uint8Array {
    const value = this.values.get(name);
    if (!(value instanceof Uint8Array)) throw this.missing(name);
    if (value.length < shortest || value.length > longest) {
      throw this.wrong(name, `${value.length} bytes, not ${shortest} to ${longest}`);
    }
    return value;
  }

  private missing(name: string): ProtocolFault {
    return this.wrong(name, 'it is missing or of the wrong type');
  }
}
