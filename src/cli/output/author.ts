import type { FactAuthor } from '../../api/why.ts';

/** Who did something, as short as it can be told. */
export function authorOf(by: FactAuthor): string {
  if (by.Kind === 'engine') return `the engine (${by.Reason ?? 'by itself'})`;
  if (by.Kind === 'program') return 'the program with the engine';
  return by.Command ?? `${by.Agent ?? 'a client'}${by.Address === undefined ? '' : ` at ${by.Address}`}`;
}
