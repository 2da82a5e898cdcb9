import type { ImageDeleteItem } from '../../api/image.ts';

/** `untagged: …` and `deleted: …`, as prune lists them. */
export function deletedLines(items: readonly ImageDeleteItem[] | null | undefined): string[] {
  return (items ?? []).map((item) =>
    item.Untagged === undefined || item.Untagged === ''
      ? `deleted: ${item.Deleted ?? ''}`
      : `untagged: ${item.Untagged}`,
  );
}
