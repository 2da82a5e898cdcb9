import { asTexts, asDict, asText } from '../../../compose/model/value.ts';
import type { Service } from '../../../compose/project/project.ts';
import { DEFAULT_TAG, parseReference } from '../../../oci/reference.ts';
import { authHeaderFor } from '../../credentials.ts';
import type { Output } from '../../io.ts';
import { showProgress } from '../../output/progress.ts';
import { pullImage } from '../../pull-image.ts';
import type { Compose } from './context.ts';

const SILENT: Output = { isTTY: false, columns: 80, rows: 24, write: () => {} };

export async function pullService(compose: Compose, service: Service, quiet: boolean): Promise<void> {
  compose.onProgress({ kind: 'Image', name: service.image, status: 'Pulling' });
  await pullImage(compose.cli, service.image, {
    client: await compose.client(),
    platform: asText(service.model['platform']),
    output: quiet ? undefined : transferOutput(compose, service.image),
  });
  compose.onProgress({ kind: 'Image', name: service.image, status: 'Pulled' });
}

/** Under its name, and under the other names that its build gave it. */
export async function pushService(compose: Compose, service: Service, quiet: boolean): Promise<void> {
  for (const name of [service.image, ...asTexts(asDict(service.model['build'])['tags'])])
    await pushImage(compose, name, quiet);
}

async function pushImage(compose: Compose, name: string, quiet: boolean): Promise<void> {
  const reference = parseReference(name);
  const client = await compose.client();
  compose.onProgress({ kind: 'Image', name, status: 'Pushing' });
  await showProgress(
    quiet ? SILENT : transferOutput(compose, name),
    client.images.push(reference.repository, {
      tag: reference.tag ?? DEFAULT_TAG,
      auth: await authHeaderFor(compose.cli, name),
    }),
  );
  compose.onProgress({ kind: 'Image', name, status: 'Pushed' });
}

/** How far a pull or push is: beside the image's row where there are rows, else in lines. */
function transferOutput(compose: Compose, image: string): Output {
  const { rows } = compose;
  if (compose.flags.progress === 'quiet') return SILENT;
  return {
    ...SILENT,
    write: (data) => (rows ? rows.detail('Image', image, String(data).trim()) : compose.cli.io.stderr.write(data)),
  };
}
