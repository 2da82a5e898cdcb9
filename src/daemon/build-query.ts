import { int64, list, map, nullable, string, struct } from './json/shape.ts';
import type { Query } from './query.ts';

interface Ulimit {
  readonly Name: string;
  readonly Soft: number;
  readonly Hard: number;
}

const ulimits = list(nullable(struct<Ulimit>('units.Ulimit', { Name: string, Soft: int64, Hard: int64 })));

/** Throws `invalid-argument` in Docker's words. */
export function readUlimits(query: Query): Ulimit[] {
  return (query.json('ulimits', ulimits, 'ulimit settings') ?? []).filter((one) => one !== null);
}

export const outputs = list(
  struct<{ Type: string; Attrs?: Record<string, string> }>('types.ImageBuildOutput', {
    Type: string,
    Attrs: map(string),
  }),
);
