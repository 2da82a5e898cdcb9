import { EngineError } from '../../base/errors.ts';
import { Condemned } from '../server/condemned.ts';
import { FileLinks } from '../server/file-links.ts';
import { Repositories, type RepositoriesOptions } from '../server/repositories.ts';
import type { S3Settings } from '../server/settings.ts';
import { S3Client } from './s3-client.ts';
import { S3Content } from './s3-content.ts';
import { S3Files } from './s3-files.ts';
import type { S3Credentials } from './signature.ts';

export interface OpenedBucket extends Disposable {
  readonly repositories: Repositories;
  readonly content: S3Content;
}

/** Repositories in a bucket, which several servers may share. Throws `invalid-argument`. */
export function openBucket(
  settings: S3Settings,
  options: { credentials: S3Credentials; policy: RepositoriesOptions; retryDelayMs?: number },
): OpenedBucket {
  const { bucket, prefix = '', region = 'us-east-1', redirect = true } = settings;
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) {
    throw new EngineError('invalid-argument', `${bucket} is no name of a bucket`);
  }
  const client = new S3Client({
    endpoint: new URL(settings.endpoint ?? `https://s3.${region}.amazonaws.com`),
    bucket,
    prefix: prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`,
    region,
    credentials: options.credentials,
    retryDelayMs: options.retryDelayMs,
  });
  const content = new S3Content(client, { redirect });
  const files = new S3Files(client, 'repositories');
  return {
    repositories: new Repositories(content, new FileLinks(files), {
      ...options.policy,
      condemned: new Condemned(files),
    }),
    content,
    [Symbol.dispose]: () => client.close(),
  };
}
