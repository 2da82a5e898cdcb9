import { EngineError, type ErrorCode } from '../../base/errors.ts';

/** Where something stands in a Compose file; line and column count from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** `compose.yaml:4:7: services.web …` */
export function errorAt(place: Place | undefined, message: string, code: ErrorCode = 'invalid-argument'): EngineError {
  return new EngineError(
    code,
    place === undefined ? message : `${place.file}:${place.line}:${place.column}: ${message}`,
  );
}

/** Remembers where the keys and items of a file's containers stand. Forgets with the containers. */
export class Places {
  readonly #of = new WeakMap<object, Map<string, Place>>();

  set(container: object, key: string | number, place: Place): void {
    let places = this.#of.get(container);
    if (!places) this.#of.set(container, (places = new Map()));
    places.set(String(key), place);
  }

  get(container: object, key: string | number): Place | undefined {
    return this.#of.get(container)?.get(String(key));
  }
}
