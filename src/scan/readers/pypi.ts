import { fields, MEBIBYTE, type Reader, textOf } from './reader.ts';

/** `METADATA` of a `.dist-info`, `PKG-INFO` of an `.egg-info`: the header in front of the description. */
export const pypiReader: Reader = {
  limit: 16 * MEBIBYTE,
  read: (bytes, path) => {
    const field = fields(
      textOf(bytes)
        .split(/\r?\n\r?\n/, 1)[0]!
        .replaceAll('\r', ''),
    );
    const [name, version] = [field.get('name'), field.get('version')];
    if (!name || !version) return [];
    const license = field.get('license-expression') ?? field.get('license');
    const short = license !== undefined && license !== 'UNKNOWN' && !license.includes('\n') && license.length < 100;
    return [{ type: 'pypi', name, version, ...(short && license !== '' && { license }), path }];
  },
};
