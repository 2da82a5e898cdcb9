import { resolve } from 'node:path';
import type { parseArgs } from 'node:util';
import { EngineError } from '../base/errors.ts';
import { DEFAULT_ADDRESS, readRegistrySettings, type RegistrySettings } from './server/settings.ts';

/** Flags of `gantry registry serve`. */
export const SERVE_OPTIONS = {
  addr: { type: 'string' },
  config: { type: 'string' },
  engine: { type: 'boolean', default: false },
  detach: { type: 'boolean', short: 'd', default: false },
  root: { type: 'string', default: '/var/lib/gantry-registry' },
  htpasswd: { type: 'string' },
  'anonymous-pull': { type: 'boolean', default: false },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  'max-blob-size': { type: 'string' },
  'no-delete': { type: 'boolean', default: false },
  audit: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof SERVE_OPTIONS }>>['values'];

/** What the file says, and what flags say instead. Throws `invalid-argument`. */
export function settingsOf(
  values: Pick<
    Values,
    'addr' | 'config' | 'htpasswd' | 'anonymous-pull' | 'tls-cert' | 'tls-key' | 'max-blob-size' | 'no-delete'
  >,
): RegistrySettings {
  const file = values.config === undefined ? {} : readRegistrySettings(values.config);
  const { 'tls-cert': cert, 'tls-key': key, 'max-blob-size': size } = values;
  if ((cert === undefined) !== (key === undefined)) {
    throw new EngineError('invalid-argument', '--tls-cert and --tls-key go together');
  }
  if (size !== undefined && !/^[1-9]\d{0,14}$/.test(size)) {
    throw new EngineError('invalid-argument', `--max-blob-size ${size} is no number of bytes`);
  }
  return {
    ...file,
    addr: values.addr ?? file.addr ?? DEFAULT_ADDRESS,
    ...(cert !== undefined && key !== undefined && { tls: { cert, key } }),
    ...(size !== undefined && { maxBlobSize: Number(size) }),
    ...(values['no-delete'] && { deletes: false }),
    auth: {
      ...file.auth,
      ...(values.htpasswd !== undefined && { htpasswd: values.htpasswd }),
      ...(values['anonymous-pull'] && { anonymousPull: true }),
    },
  };
}

/** The same settings with every file by its full path: whoever reads them works in another directory. */
export function withFullPaths(settings: RegistrySettings): RegistrySettings {
  const { tls, auth, webhooks } = settings;
  const full = (file: string): string => resolve(file);
  return {
    ...settings,
    ...(tls && {
      tls: {
        cert: full(tls.cert),
        key: full(tls.key),
        ...(tls.clientCa !== undefined && { clientCa: full(tls.clientCa) }),
      },
    }),
    ...(auth && {
      auth: {
        ...auth,
        ...(auth.htpasswd !== undefined && { htpasswd: full(auth.htpasswd) }),
        ...(auth.token && {
          token: {
            ...auth.token,
            ...(auth.token.keys !== undefined && { keys: full(auth.token.keys) }),
            ...(auth.token.secretFile !== undefined && { secretFile: full(auth.token.secretFile) }),
          },
        }),
      },
    }),
    ...(webhooks && {
      webhooks: webhooks.map((hook) => ({
        ...hook,
        ...(hook.secretFile !== undefined && { secretFile: full(hook.secretFile) }),
      })),
    }),
  };
}
