import type { InstalledPackage } from '../../api/inventory.ts';
import { MEBIBYTE, type Reader, textOf } from './reader.ts';

/** `/lib/apk/db/installed`: one-letter fields, a package a block. */
export const apkReader: Reader = {
  limit: 64 * MEBIBYTE,
  read: (bytes, path) =>
    textOf(bytes)
      .split(/\n\n+/)
      .flatMap((block): InstalledPackage[] => {
        const field = new Map(block.split('\n').map((line) => [line.slice(0, 2), line.slice(2)]));
        const [name, version] = [field.get('P:'), field.get('V:')];
        if (!name || !version) return [];
        const [architecture, license] = [field.get('A:'), field.get('L:')];
        return [
          {
            type: 'apk',
            name,
            version,
            source: { name: field.get('o:') || name, version },
            ...(architecture && { architecture }),
            ...(license && { license }),
            path,
          },
        ];
      }),
};
