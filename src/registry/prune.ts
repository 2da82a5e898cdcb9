import { join } from 'node:path';
import { EngineError } from '../base/errors.ts';
import { FileContentStore } from '../content/file-content-store.ts';
import { lockRoot } from './root-lock.ts';
import { DirectoryFiles } from './server/directory-files.ts';
import { FileLinks } from './server/file-links.ts';
import { Repositories } from './server/repositories.ts';
import { Retention } from './server/retention.ts';
import { repositoryPolicy } from './server/serve.ts';
import type { RegistrySettings } from './server/settings.ts';

export interface PruneRequest {
  readonly root: string;
  readonly settings: Partial<RegistrySettings>;
  /** Only says what would go. That is possible while a server runs. */
  readonly dryRun: boolean;
  readonly say: (line: string) => void;
}

/** `gantry registry prune`: what the settings' retention lets go, and the blobs that nothing needs then. */
export async function prune({ root, settings, dryRun, say }: PruneRequest): Promise<void> {
  const { retention } = settings;
  if (!retention?.length) {
    throw new EngineError(
      'invalid-argument',
      'the settings have no retention: there is nothing to prune by. See docs/registries.md',
    );
  }
  await using _lock = dryRun ? undefined : await lockRoot(root);
  const links = new FileLinks(new DirectoryFiles(join(root, 'repositories')));
  // A dry run must not sweep what a running server writes.
  const content = await FileContentStore.open(root, { sweep: !dryRun });
  const repositories = new Repositories(content, links, repositoryPolicy(settings));
  const expired = await new Retention(retention).apply(repositories, { dryRun });
  const verb = dryRun ? 'would delete' : 'deleted';
  for (const { repository, tag, manifest, why } of expired) {
    say(`${verb} ${repository}${tag === undefined ? `@${manifest}` : `:${tag}`}: ${why}`);
  }
  if (dryRun) return say(`${expired.length} would be deleted`);
  const { blobs, bytes } = await repositories.collect();
  say(`deleted ${expired.length}, and ${blobs} blobs with ${bytes} bytes`);
}
