import { EngineError } from '../../base/errors.ts';
import { renamedLinks } from '../networks/links.ts';
import { checkContainerName } from '../names.ts';
import { type ContainerContext, currentRecord, findContainer, publishContainerEvent } from './context.ts';
import { refuseTakenName } from './create.ts';

/** Throws `invalid-argument`, `conflict` (the name is taken). */
export async function renameContainer(context: ContainerContext, nameOrId: string, name: string): Promise<void> {
  if (nameOrId === '' || name === '') {
    throw new EngineError('invalid-argument', 'Neither old nor new names may be empty');
  }
  const { id } = findContainer(context, nameOrId);
  await context.locks.run(id, async () => {
    const record = currentRecord(context, id);
    const slashed = name.startsWith('/') ? name : `/${name}`;
    if (slashed === `/${record.name}`) {
      throw new EngineError('invalid-argument', 'Renaming a container with the same name as its current name');
    }
    try {
      checkContainerName(slashed);
      refuseTakenName(context, slashed.slice(1));
    } catch (error) {
      const { code, message } = error as EngineError;
      throw new EngineError(code, `Error when allocating new name: ${message}`, { cause: error });
    }
    const renamed = { ...record, name: slashed.slice(1) };
    context.store.update(renamed);
    context.networking.renamed(id, renamed.name);
    renameInLinks(context, record.name, renamed.name);
    publishContainerEvent(context, renamed, 'rename', { oldName: `/${record.name}` });
  });
}

/** Links of other containers follow. */
function renameInLinks({ store }: ContainerContext, from: string, to: string): void {
  for (const record of store.list()) {
    const links = renamedLinks(record.hostConfig.Links, from, to);
    if (links) store.update({ ...record, hostConfig: { ...record.hostConfig, Links: links } });
  }
}
