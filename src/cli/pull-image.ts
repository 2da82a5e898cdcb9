import { DEFAULT_TAG, parseReference, type Reference } from '../oci/reference.ts';
import type { Client } from '../client/client.ts';
import type { Cli } from './cli.ts';
import { authHeaderFor } from './credentials.ts';
import type { Output } from './io.ts';
import { showProgress } from './output/progress.ts';

/** The name as docker shows it: without what is understood, with the tag that is meant. */
export function familiarName(reference: Reference): string {
  const path = reference.domain === 'docker.io' ? reference.path.replace(/^library\//, '') : reference.repository;
  const tag = reference.tag ?? (reference.digest === undefined ? DEFAULT_TAG : undefined);
  return `${path}${tag === undefined ? '' : `:${tag}`}${reference.digest === undefined ? '' : `@${reference.digest}`}`;
}

/** Pulls an image, its progress on `output`, or nothing of it when that is undefined. */
export async function pullImage(
  cli: Cli,
  image: string,
  options: {
    platform?: string | undefined;
    output: Output | undefined;
    all?: boolean;
    client?: Client;
    json?: boolean;
  },
): Promise<void> {
  const reference = parseReference(image);
  const client = options.client ?? (await cli.client());
  const messages = client.images.pull({
    image: reference.domain === 'docker.io' ? reference.repository : reference.repository,
    tag: options.all === true ? undefined : (reference.digest ?? reference.tag ?? DEFAULT_TAG),
    platform: options.platform || undefined,
    auth: await authHeaderFor(cli, image),
  });
  const silent: Output = { isTTY: false, columns: 80, rows: 24, write: () => {} };
  await showProgress(options.output ?? silent, messages, {
    errorPrefix: 'Error response from daemon: ',
    json: options.json ?? false,
  });
}
