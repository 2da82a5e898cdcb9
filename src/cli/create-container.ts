import fs from 'node:fs';
import type { ContainerCreateRequest, ContainerCreateResponse } from '../api/container.ts';
import { ResponseError } from '../client/response-error.ts';
import { isIdentifier, parseReference } from '../oci/reference.ts';
import type { Cli } from './cli.ts';
import { fileComplaint } from './options/environment.ts';
import { shareScope } from './share-scope.ts';
import { familiarName, pullImage } from './pull-image.ts';

export interface CreateOptions {
  readonly name: string;
  readonly platform: string;
  /** `always`, `missing`, `never` */
  readonly pull: string;
  readonly quiet: boolean;
  /** The container's id is written there, and the file must not exist. */
  readonly cidfile: string;
  /** A scope whose socket it gets; empty for none. */
  readonly 'api-socket'?: string;
}

/** Creates a container as `run` and `create` do: pulls the image when it is missing, prints warnings, writes the id's file. */
export async function createContainer(
  cli: Cli,
  asked: ContainerCreateRequest,
  options: CreateOptions,
): Promise<ContainerCreateResponse> {
  if (!['always', 'missing', 'never', ''].includes(options.pull)) {
    throw new Error(`invalid pull option: '${options.pull}': must be one of "always", "missing" or "never"`);
  }
  // A name that can be none is told before anything is asked or made.
  if (asked.Image !== undefined && !isIdentifier(asked.Image)) parseReference(asked.Image);
  const cidfile = options.cidfile === '' ? undefined : openIdFile(options.cidfile);
  try {
    const client = await cli.client();
    const request = options['api-socket'] ? await shareScope(cli, asked, options['api-socket']) : asked;
    if (request.HostConfig?.Secrets?.length) await client.secrets.require();
    const image = request.Image ?? '';
    const output = options.quiet ? undefined : cli.io.stderr;
    const platform = options.platform || cli.env['DOCKER_DEFAULT_PLATFORM'] || undefined;
    const create = (): Promise<ContainerCreateResponse> =>
      client.containers.create(request, { name: options.name || undefined, platform });
    if (options.pull === 'always') await pullImage(cli, image, { platform, output });
    const response = await create().catch(async (error: unknown) => {
      const missing = error instanceof ResponseError && error.status === 404 && /no such image/i.test(error.message);
      if (!missing || options.pull === 'never' || isIdentifier(image)) throw error;
      if (!options.quiet) cli.warn(`Unable to find image '${familiarName(parseReference(image))}' locally`);
      await pullImage(cli, image, { platform, output });
      return create();
    });
    for (const warning of response.Warnings ?? []) cli.warn(`WARNING: ${warning}`);
    cidfile?.write(response.Id);
    return response;
  } finally {
    cidfile?.close();
  }
}

/** Claimed before anything is made; removed again when nothing was. */
function openIdFile(path: string): { write(id: string): void; close(): void } {
  let fd: number;
  try {
    fd = fs.openSync(path, 'wx', 0o666);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      throw new Error(`container ID file found, make sure the other container isn't running or delete ${path}`, {
        cause: error,
      });
    }
    throw new Error(`failed to create the container ID file: open ${path}: ${fileComplaint(error)}`, { cause: error });
  }
  let written = false;
  return {
    write(id) {
      fs.writeSync(fd, id);
      written = true;
    },
    close() {
      fs.closeSync(fd);
      if (!written) fs.rmSync(path, { force: true });
    },
  };
}
