import type { IncomingMessage, ServerResponse } from 'node:http';
import { ProtocolError } from './protocol-error.ts';
import type { PullThrough } from './pull-through.ts';
import type { Repositories } from './repositories.ts';
import type { RegistryEvent } from './webhooks.ts';
import type { Uploads } from './uploads.ts';

/** One request, to one of the handlers. */
export interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  readonly subject: string | undefined;
  readonly repositories: Repositories;
  readonly uploads: Uploads;
  readonly cache: PullThrough | undefined;
  /** Before the path of an upload; '' leaves it to the client. */
  readonly uploadBase: string;
  /** Tells others what happened. */
  readonly publish: (event: Omit<RegistryEvent, 'subject' | 'from'>) => void;
  /** Whether the one who asks may know of that repository. */
  readonly maySee: (repository: string) => boolean;
  /** Whether the one who asks may read that repository too. */
  readonly mayPull: (repository: string) => boolean;
}

/** The body, which stays whole for whoever answers when the reader has enough of it. */
export function bodyOf(request: IncomingMessage): AsyncIterable<Buffer> {
  return request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
}

/** Answers a GET or HEAD. Throws 405 for others. */
export function answerJson(
  { request, response }: Pick<Call, 'request' | 'response'>,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (request.method !== 'GET' && request.method !== 'HEAD') throw wrongMethod('GET, HEAD');
  response.writeHead(200, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    ...headers,
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

export function wrongMethod(allow: string): ProtocolError {
  return new ProtocolError(405, 'UNSUPPORTED', 'the operation is unsupported', { allow });
}
