import { int64, list, map, string, struct } from './json/shape.ts';

export const ulimits = list(
  struct<{ Name: string; Soft: number; Hard: number }>('units.Ulimit', { Name: string, Soft: int64, Hard: int64 }),
);

export const outputs = list(
  struct<{ Type: string; Attrs?: Record<string, string> }>('types.ImageBuildOutput', {
    Type: string,
    Attrs: map(string),
  }),
);
