import { createReadStream } from 'node:fs';
import type { Inventory } from '../api/inventory.ts';
import { ResponseError } from '../client/response-error.ts';
import { decompress } from '../content/compression.ts';
import { isIdentifier, parseReference } from '../oci/reference.ts';
import { scanArchive } from '../scan/archive.ts';
import type { Cli } from './cli.ts';
import { CommandError } from './command.ts';
import { platformJson } from './options/platform.ts';
import { familiarName, pullImage } from './pull-image.ts';

export interface InventoriedImage {
  readonly name: string;
  /** `sha256:…`; of an archive its file name. */
  readonly id: string;
  readonly inventory: Inventory;
}

/**
 * What is installed in an image of the engine, pulled when it is not there, or in the archive `input`. An engine that has
 * no inventories of its own (dockerd) is asked for the whole image, which is read here.
 */
export async function inventoryOfImage(
  cli: Cli,
  image: string | undefined,
  { input, platform }: { input: string; platform: string },
): Promise<InventoriedImage> {
  if ((image === undefined) === (input === '')) {
    throw new CommandError('name an image, or an archive with --input: one of the two');
  }
  if (input !== '') {
    const inventory = await scanArchive(decompress(createReadStream(input)));
    return { name: input, id: input, inventory };
  }
  const client = await cli.client();
  const wanted = { platform: platformJson(platform) };
  const { Id: id } = await client.images.inspect(image!, wanted).catch(async (error: unknown) => {
    if (!isStatus(error, 404) || isIdentifier(image!)) throw error;
    cli.warn(`Unable to find image '${familiarName(parseReference(image!))}' locally`);
    await pullImage(cli, image!, { platform: platform || undefined, output: cli.io.stderr });
    return client.images.inspect(image!, wanted);
  });
  const inventory = await client.images.inventory(id, wanted).catch(async (error: unknown) => {
    if (!isStatus(error, 404)) throw error;
    return scanArchive((await client.images.save([image!])).body);
  });
  return { name: image!, id, inventory };
}

function isStatus(error: unknown, status: number): boolean {
  return error instanceof ResponseError && error.status === status;
}
